"""The crop of every parcel: half of a simulated season's parcels are labels, the crops of the other half are asked.

A season of Sentinel-2 is simulated with its truth: fields, crops and clouds. Every second parcel becomes a label, a
random forest is trained on them, the season is mapped, and `agrifm parcels` gives all parcels their crops, hectares and
confidence. For the parcels that were not labels the crops are compared with the truth, by parcel and by hectare, and by
confidence. Nothing is downloaded.

    python examples/11_parcels_simulated_season.py OUT
"""

import argparse
from pathlib import Path

import geopandas

from agrifm.config import read_project
from agrifm.cube.fetch import fetch
from agrifm.mapping.parcels import parcels_of_project
from agrifm.mapping.run import map_project
from agrifm.simulator.catalog import simulate
from agrifm.train.project import train_project

PROJECT = """\
[season]
area = "season/area.geojson"
start = 2024-03-01
end = 2024-10-31

[imagery]
catalog = "season/catalog.json"
products = ["sentinel-2-c1-l2a"]

[labels]
file = "labels.gpkg"
column = "crop"
legend = "season/truth/legend.json"
other = "season/truth/landcover.tif"
other_values = [10, 50, 80]
block = 480

[model]
names = ["random-forest"]

[map]
model = "random-forest"

[parcels]
file = "season/truth/parcels.gpkg"
id = "parcel_id"
area = "area_ha"
geopackage = true
"""
LEAST_RIGHT = 0.45
"""Share of the parcels that were not labels whose crop is right: of eleven crops, with ten labels of each on average
(0.57 on 2026-11-30)."""


def main() -> None:
    """Simulate, train on half of the parcels, map, and ask for the others."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=float, default=3.0, help="side of the simulated square, km")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if not (options.out / "season").exists():
        simulate(options.out / "season", size=options.size)
    truth = geopandas.read_file(options.out / "season" / "truth" / "parcels.gpkg")
    labels = truth[::2]
    labels.to_file(options.out / "labels.gpkg")
    (options.out / "agrifm.toml").write_text(PROJECT)
    project = read_project(options.out)
    fetch(project)
    train_project(project)
    print(*map_project(project).lines(), sep="\n")
    print(*parcels_of_project(project).lines(), sep="\n")

    compare(truth, options.out / "parcels" / "parcels.parquet")


def compare(truth: geopandas.GeoDataFrame, parcels: Path) -> None:
    """Compare the crops of the parcels that were not labels with the truth, and with the most frequent crop of all."""
    found = geopandas.read_parquet(parcels).set_index("id")
    asked = truth[1::2].set_index("parcel_id")
    asked = asked.join(found[["crop:code", "agrifm:confidence", "agrifm:hectares"]], how="inner")
    right = asked["crop"] == asked["crop:code"]
    hectares = asked["agrifm:hectares"]
    share, guess = float(right.mean()), float((asked["crop"] == truth[::2]["crop"].mode()[0]).mean())
    print(f"of {len(asked)} parcels that were not labels {100 * share:.1f} % have the right crop")
    print(f"the most frequent crop of the labels would be right for {100 * guess:.1f} %")
    print(f"of their {hectares.sum():.0f} ha {100 * (right * hectares).sum() / hectares.sum():.1f} % are right")
    for low, high in ((0, 0.5), (0.5, 0.7), (0.7, 1.01)):
        chosen = (asked["agrifm:confidence"] >= low) & (asked["agrifm:confidence"] < high)
        if chosen.any():
            stated = 100 * asked["agrifm:confidence"][chosen].mean()
            print(f"confidence {stated:.0f} %: {chosen.sum()} parcels, {100 * right[chosen].mean():.0f} % right")
    if share < LEAST_RIGHT or share < 1.5 * guess:
        raise SystemExit(f"expected at least {LEAST_RIGHT} of the parcels to be right; something is wrong")


if __name__ == "__main__":
    main()
