"""Yields of rice with intervals: from fields with a harvest to a map in t/ha and the production of every field.

A monsoon season is simulated with its truth. Rice is mapped first (`task = "one-crop"`). Then `task = "yield"` learns
from the yields of rice fields in training blocks, its intervals of 90 % are made on validation blocks, and both are
compared with the truth on unseen blocks, next to the mean yield. The map states yields where rice was mapped, and
`agrifm parcels` those of fields, with their production. Points drawn at random on the map, with the true yields there,
then say how good it is and estimate the production of its ground (OUT/report). OUT/yield.png shows the map and the true
yields. Nothing is downloaded.

    python examples/14_rice_yield_simulated.py OUT
"""

import argparse
from datetime import date
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import rasterio
from matplotlib.figure import Figure
from rasterio.features import rasterize

from agrifm.assess.yield_report import assess_yields, yield_report_lines
from agrifm.config import Project, read_project
from agrifm.cube.fetch import fetch
from agrifm.mapping.parcels import parcels_of_project
from agrifm.mapping.run import map_project
from agrifm.season import Season
from agrifm.simulator.catalog import simulate
from agrifm.train.project import train_project
from agrifm.train.score_lines import describe_scores

SEASON = Season(date(2024, 6, 1), date(2024, 11, 15))
PROJECT = """\
[season]
area = "season/area.geojson"
start = 2024-06-01
end = 2024-11-15

[imagery]
catalog = "season/catalog.json"
products = ["sentinel-2-c1-l2a"]
offset = "metadata"   # haze of the monsoon makes some scenes look as if an offset had been removed twice

[labels]
file = "season/truth/parcels.gpkg"
column = "crop"
block = 480
{labels}
[model]
crop = "rice"
frames = 16
steps = {steps}
side = 48
batch = 4
{model}
"""
RICE = (
    'other = "season/truth/landcover.tif"\nother_values = [10, 30, 50, 80]\n',
    'task = "one-crop"\nnames = ["lightgbm"]\n[map]\nmodel = "lightgbm"\n',
)
YIELD = (
    'value = "yield_t_ha"\nunit = "t/ha"\n',
    'task = "yield"\nnames = ["classic", "agrifm"]\n[map]\nmodel = "classic"\ncropland = "rice"\n'
    '[parcels]\nfile = "season/truth/parcels.gpkg"\nid = "parcel_id"\n',
)
LEAST_COVERAGE = 0.8
"""Of the intervals of 90 % on the fields of unseen blocks."""
POINTS = 150
"""Random pixels of the map whose true yields assess it."""


def main() -> None:
    """Simulate a season, map rice, train and map yields, and compare fields with the truth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=float, default=3.0, help="side of the simulated square, km")
    parser.add_argument("--steps", type=int, default=200, help="training steps of AgriFM")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if not (options.out / "season").exists():
        simulate(options.out / "season", "monsoon", size=options.size, season=SEASON)
    project = write_project(options.out, *RICE, options.steps)
    fetch(project)
    print(*describe_scores(train_project(project)), sep="\n")
    print(*map_project(project, out=options.out / "rice").lines(), sep="\n")
    project = write_project(options.out, *YIELD, options.steps)
    scores = train_project(project)
    show_scores(scores)
    print(*map_project(project).lines(), sep="\n")
    print(*parcels_of_project(project).lines(), sep="\n")
    truth = options.out / "season" / "truth" / "parcels.gpkg"
    compare_production(project, truth)
    assess_with_points(project, truth, options.out / "report")
    draw(project, truth, options.out / "yield.png")
    worst = min(entry["coverage"] for entry in scores["models"].values())
    gain = scores["models"]["mean"]["rmse"] - scores["models"]["classic"]["rmse"]
    if worst < LEAST_COVERAGE or gain <= 0:
        raise SystemExit(f"intervals hold {worst:.2f} of the fields; RMSE {gain:.2f} t/ha below the mean's: too little")


def write_project(out: Path, labels: str, model: str, steps: int) -> Project:
    """Write the project file of one of the two tasks; the cube is the same."""
    (out / "agrifm.toml").write_text(PROJECT.format(labels=labels, model=model, steps=steps))
    return read_project(out)


def show_scores(scores: dict[str, Any]) -> None:
    """Print the scores on unseen blocks, with intervals over blocks."""
    print(*scores["notes"], sep="\n")
    print(f"{scores['fields']['test']} fields in {scores['blocks']['test']} unseen blocks")
    print("| model | RMSE | MAE | R² | bias | in the interval | half of it |\n|---|---|---|---|---|---|---|")
    for name, entry in scores["models"].items():
        cells = [
            f"{entry[key]:.2f} ({entry[f'{key}_interval'][0]:.2f} to {entry[f'{key}_interval'][1]:.2f})"
            for key in ("rmse", "mae", "r2", "bias", "coverage")
        ]
        print(f"| {name} | {' | '.join(cells)} | {entry['half_width']:.2f} |")
    for name, entry in scores["models"].items():
        thirds = ", ".join(f"{share:.2f}" for share in entry["coverage_of_thirds"]["true"])
        print(f"{name}: in the interval, by thirds of the true yield: {thirds}")


def compare_production(project: Project, truth: Path) -> None:
    """Print production of the rice fields with an estimate, and their true one; training fields are among them."""
    found = geopandas.read_parquet(project.parcel_crops / "parcels.parquet").set_index("id")
    true = geopandas.read_file(truth).set_index("parcel_id").loc[found.index]
    rice = (true["crop"] == "rice") & true["yield_t_ha"].notna() & found["agrifm:yield_t_ha"].notna()
    estimated = found.loc[rice, "agrifm:production_t"].sum()
    harvested = (true["yield_t_ha"] * found["agrifm:hectares"])[rice].sum()
    others = int((found["agrifm:yield_t_ha"].notna() & (true["crop"] != "rice")).sum())
    print(f"production of {int(rice.sum())} rice fields: {estimated:.0f} t, true {harvested:.0f} t")
    print(f"{others} fields of other crops were mapped as rice and have a yield too")


def assess_with_points(project: Project, truth: Path, report: Path) -> None:
    """Assess the map with true yields at random pixels of it, and print the true production of its ground as well."""
    with rasterio.open(project.maps / "yield.tif") as source:
        mapped, transform, crs, shape = source.read(1), source.transform, source.crs, source.shape
    parcels = geopandas.read_file(truth).to_crs(crs)
    number = rasterize(zip(parcels.geometry, range(len(parcels)), strict=True), shape, -1, transform=transform)
    harvested = parcels["yield_t_ha"].where(parcels["crop"] == "rice")
    tonnes = np.append(harvested, np.nan)[number]
    on_map = np.argwhere(~np.isnan(mapped))
    rows, cols = np.random.default_rng(0).permutation(on_map)[:POINTS].T
    x, y = transform * (cols + 0.5, rows + 0.5)
    found = tonnes[rows, cols]
    content = {"crop": np.where(np.isnan(found), "no rice", "rice"), "yield_t_ha": found, "sampling": "simple"}
    points = geopandas.GeoDataFrame(content, geometry=geopandas.points_from_xy(x, y), crs=crs)
    points.to_file(report.parent / "points.gpkg")
    report_of = assess_yields(project.maps / "yield.tif", report.parent / "points.gpkg", "yield_t_ha", "t/ha", report)
    print(*yield_report_lines(report_of), sep="\n")
    true = np.nansum(np.where(np.isnan(mapped), np.nan, tonnes)) * abs(transform.a * transform.e) / 1e4
    print(f"true production of the ground on which the map has a yield: {true:.0f} t")


def draw(project: Project, truth: Path, target: Path) -> None:
    """Draw the map of yields, half the intervals, and the true yields of rice fields."""
    with rasterio.open(project.maps / "yield.tif") as source:
        tonnes, lower, upper = source.read(masked=True)
        bounds, crs = source.bounds, source.crs
    parcels = geopandas.read_file(truth).to_crs(crs)
    rice = parcels[(parcels["crop"] == "rice") & parcels["yield_t_ha"].notna()]
    figure = Figure(figsize=(17, 5.6), layout="constrained")
    extent = (bounds.left, bounds.right, bounds.bottom, bounds.top)
    low, high = np.percentile(rice["yield_t_ha"], [5, 95])
    panels = figure.subplots(1, 3)
    shown = panels[0].imshow(tonnes, vmin=low, vmax=high, extent=extent)
    panels[0].set_title("Estimated yield where rice was mapped")
    rice.plot("yield_t_ha", ax=panels[1], vmin=low, vmax=high)
    panels[1].set_title("True yield of rice fields")
    figure.colorbar(shown, ax=panels[:2], label="t/ha", shrink=0.7)
    half = panels[2].imshow((upper - lower) / 2, cmap="magma", extent=extent)
    figure.colorbar(half, ax=panels[2], label="t/ha", shrink=0.7)
    panels[2].set_title("Half of the 90 % interval")
    for panel in panels:
        panel.set(xlim=extent[:2], ylim=extent[2:], xticks=[], yticks=[], xlabel="", ylabel="")
    figure.savefig(target, dpi=75)
    print(f"wrote {target}")


if __name__ == "__main__":
    main()
