"""Field polygons from imagery: a network learns the boundaries of known fields and draws those of all others.

A season of Sentinel-2 is simulated with its truth. The parcels of training blocks are labels of the task "boundaries";
the network predicts boundary, distance and extent, fields grow from them, and `map/fields.parquet` has their polygons.
On the unseen blocks they are compared with the true parcels, next to edges of the season's greenness. OUT/fields.png
shows the probability of a boundary with the polygons, and the true parcels. Three minutes of training show the road,
and not what is possible (docs/boundaries.md). Nothing is downloaded.

    python examples/13_field_boundaries_simulated.py OUT
"""

import argparse
from pathlib import Path

import geopandas
import rasterio
from matplotlib.figure import Figure

from agrifm.config import Project, read_project
from agrifm.cube.fetch import fetch
from agrifm.mapping.run import map_project
from agrifm.simulator.catalog import simulate
from agrifm.train.project import train_project
from agrifm.train.score_lines import describe_scores

PROJECT = """\
[season]
area = "season/area.geojson"
start = 2024-03-01
end = 2024-10-31

[imagery]
catalog = "season/catalog.json"
products = ["sentinel-2-c1-l2a"]

[labels]
file = "season/truth/parcels.gpkg"
block = 480

[model]
task = "boundaries"
names = ["agrifm", "classic"]
frames = 8
steps = {steps}
batch = 4

[map]
minimum_area = 0.1
"""
LEAST_BOUNDARY_F1 = 0.5
"""Of the outlines on unseen blocks, within 10 m."""


def main() -> None:
    """Simulate, train on the parcels of some blocks, map, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=float, default=2.4, help="side of the simulated square, km")
    parser.add_argument("--steps", type=int, default=350, help="training steps")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if not (options.out / "season").exists():
        simulate(options.out / "season", size=options.size)
    (options.out / "agrifm.toml").write_text(PROJECT.format(steps=options.steps))
    project = read_project(options.out)
    fetch(project)
    scores = train_project(project)
    print(*describe_scores(scores), sep="\n")
    print(*map_project(project).lines(), sep="\n")
    draw(project, options.out / "season" / "truth" / "parcels.gpkg", options.out / "fields.png")
    if scores["models"]["agrifm"]["edges"] < LEAST_BOUNDARY_F1:
        raise SystemExit(f"expected a boundary F1 of at least {LEAST_BOUNDARY_F1}; something is wrong")


def draw(project: Project, truth: Path, target: Path) -> None:
    """Draw the probability of a boundary with the fields that were found, and the true parcels with them."""
    with rasterio.open(project.maps / "boundaries.tif") as source:
        boundary, bounds, crs = source.read(1, masked=True) * source.scales[0], source.bounds, source.crs
    found = geopandas.read_parquet(project.maps / "fields.parquet").to_crs(crs)
    parcels = geopandas.read_file(truth).to_crs(crs)
    figure = Figure(figsize=(14, 7.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    extent = (bounds.left, bounds.right, bounds.bottom, bounds.top)
    left.imshow(boundary, cmap="gray", vmin=0, vmax=1, extent=extent)
    left.set_title("Probability of a boundary, and the fields found")
    parcels.plot(ax=right, facecolor="#dfe8c8", edgecolor="#557722", linewidth=1.5)
    right.set_title("True parcels (green), and the fields found (red)")
    for panel, color in ((left, "#ffb000"), (right, "#cc2222")):
        found.boundary.plot(ax=panel, color=color, linewidth=0.8)
        panel.set(xlim=extent[:2], ylim=extent[2:], xticks=[], yticks=[])
    figure.savefig(target, dpi=80)
    print(f"wrote {target}")


if __name__ == "__main__":
    main()
