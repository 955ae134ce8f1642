"""Shares of crops in MODIS pixels of 480 m, and why their sum is a better area than a map of the largest class.

A season is simulated with its truth at 10 m, and only its MODIS composites are kept. `task = "fractions"` learns how
much of each pixel every crop covers, from parcels and other land in training blocks. The shares are compared with the
10 m truth on unseen blocks, next to naive estimates (the mean shares of the training blocks, and those of the nearest
training pixels), then mapped, and the map is assessed with the truth (OUT/report). The same cube is mapped with `task =
"crop-type"`, which learns the largest class of the same pixels, and the hectares of both maps are compared with the
truth, on unseen pixels and on all. OUT/fractions.png shows it. Nothing is downloaded.

    python examples/15_crop_fractions_modis_simulated.py OUT
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import rasterio
import shapely
from matplotlib.figure import Figure
from rasterio.warp import Resampling, reproject

from agrifm.assess.share_report import assess_shares, share_report_lines
from agrifm.config import read_project
from agrifm.cube.fetch import fetch
from agrifm.legend import Legend
from agrifm.mapping.run import map_project
from agrifm.simulator.catalog import write_season
from agrifm.simulator.granule import Simulation
from agrifm.simulator.region import read_region
from agrifm.train.project import train_project
from agrifm.train.score_lines import describe_scores

PRODUCT = "modis-09A1-061"
PROJECT = """\
[season]
area = "season/area.geojson"
start = {season.start}
end = {season.end}

[imagery]
catalog = "season/catalog.json"
products = ["modis-09A1-061"]

[labels]
legend = "season/truth/legend.json"
block = 1440
{labels}
[model]
names = {names}
frames = 16
side = 48
steps = {steps}
batch = 4

[map]
model = "{model}"
overlap = 0
"""


PARCELS = """\
file = "season/truth/parcels.gpkg"
column = "crop"
other = "season/truth/landcover.tif"
other_values = [10, 30, 50, 80]
"""
PIXELS = """\
file = "pixels.gpkg"
column = "code"
fold_column = "fold"
"""
HECTARES = 23.04
"""Of a pixel of 480 m."""


def main() -> None:
    """Simulate a season, map shares and classes of MODIS pixels, and compare both with the truth at 10 m."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=float, default=12.0, help="side of the simulated square, km")
    parser.add_argument("--models", nargs="+", default=["classic", "agrifm"], help="to train; the first one maps")
    parser.add_argument("--steps", type=int, default=200, help="training steps of AgriFM")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    region = read_region("oceanic")
    season = region.orbits.season(2024)
    if not (options.out / "season").exists():
        whole = Simulation.of(region, options.size, 0, season)
        modis = [acquisition for acquisition in whole.acquisitions if acquisition.collection == PRODUCT]
        write_season(options.out / "season", replace(whole, acquisitions=modis))
    names = "[" + ", ".join(f'"{name}"' for name in options.models) + "]"
    text = {"season": season, "names": names, "model": options.models[0], "steps": options.steps}
    file = options.out / "agrifm.toml"
    file.write_text(PROJECT.format(labels=PARCELS, **text).replace("[model]", '[model]\ntask = "fractions"'))
    project = read_project(options.out)
    fetch(project)
    scores = train_project(project)
    print(*describe_scores(scores), sep="\n")
    show_classes(scores, options.models[0])
    print(*map_project(project).lines(), sep="\n")
    truth = options.out / "season" / "truth" / "crops.tif"
    assessed = assess_shares(project.maps / "fractions.tif", truth, "crop", options.out / "report")
    print(*share_report_lines(assessed), sep="\n")
    with rasterio.open(project.maps / "fractions.tif") as source:
        shares, place = source.read(), source.profile
        legend = Legend.model_validate_json(source.tags()["AGRIFM_LEGEND"])
    true = true_shares(options.out / "season" / "truth", legend, place)
    unseen = write_pixels(project.models / "training.gpkg", true, legend, place, options.out / "pixels.gpkg")
    # the usual way: one class for each pixel
    file.write_text(PROJECT.format(labels=PIXELS, **{**text, "names": '["classic"]', "model": "classic"}))
    project = read_project(options.out)
    train_project(project)
    map_project(project, out=options.out / "classes")
    with rasterio.open(options.out / "classes" / "classes.tif") as source:
        hard = source.read(1)
        of_map = Legend.model_validate_json(source.tags()["AGRIFM_LEGEND"])
    whole = np.stack([hard == of_map.codes.index(code) if code in of_map.codes else hard < 0 for code in legend.codes])
    known = ~np.isnan(shares[0]) & (hard != 255)
    hectares = compare_hectares("unseen pixels", legend, [layer[:, known & unseen] for layer in (true, shares, whole)])
    compare_hectares("all pixels", legend, [layer[:, known] for layer in (true, shares, whole)])
    of_class = scores["models"][options.models[0]]["classes"]
    crop = max((code for code in of_class if code != "other"), key=lambda code: of_class[code]["r2"])
    draw(legend, crop, true, shares, whole, known & unseen, hectares, options.out / "fractions.png")
    best, naive = (scores["models"][name]["rmse"] for name in (options.models[0], "mean"))
    if best >= naive or hectares["shares"] >= hectares["classes"]:
        raise SystemExit("shares are not better than the naive estimate, or their hectares than those of classes")


def show_classes(scores: dict[str, Any], model: str) -> None:
    """Print the scores of each class on unseen blocks, with intervals over blocks."""
    print(f"{model}, {scores['blocks']['test']} unseen blocks, shares in percent of the pixel:")
    print("| class | MAE | RMSE | R² | true ha | bias, ha | bias of whole pixels, ha |\n|---|---|---|---|---|---|---|")
    for code, entry in scores["models"][model]["classes"].items():
        cells = [
            f"{factor * entry[key]:{form}} ({factor * entry[f'{key}_interval'][0]:{form}} to "
            f"{factor * entry[f'{key}_interval'][1]:{form}})"
            for key, factor, form in (("mae", 100, ".1f"), ("rmse", 100, ".1f"), ("r2", 1, ".2f"))
        ]
        low, high = entry["bias_hectares_interval"]
        bias = f"{entry['bias_hectares']:+.0f} ({low:+.0f} to {high:+.0f})"
        whole = entry["whole_hectares"] - entry["true_hectares"]
        print(f"| {code} | {' | '.join(cells)} | {entry['true_hectares']:.0f} | {bias} | {whole:+.0f} |")


def true_shares(truth: Path, legend: Legend, place: dict[str, Any]) -> np.ndarray:
    """Return the share of each class in the pixels of the map, from the truth at 10 m: (classes, rows, columns)."""
    of_truth = Legend.read(truth / "legend.json").codes
    result = np.zeros((len(legend), place["height"], place["width"]), np.float32)
    with rasterio.open(truth / "crops.tif") as source:
        crops = source.read(1)
        for number, code in enumerate(legend.codes):
            mask = (crops == of_truth.index(code)).astype(np.float32)
            reproject(
                mask, result[number], src_transform=source.transform, src_crs=source.crs,
                dst_transform=place["transform"], dst_crs=place["crs"], resampling=Resampling.average,
            )  # fmt: skip
    return result


def write_pixels(training: Path, true: np.ndarray, legend: Legend, place: dict[str, Any], target: Path) -> np.ndarray:
    """Write each pixel with its largest class, in the fold that it has in training; return which are unseen (H, W)."""
    pixels = geopandas.read_file(training).to_crs(place["crs"])
    middle = pixels.geometry.centroid
    cols, rows = ~place["transform"] * (middle.x.to_numpy(), middle.y.to_numpy())
    fold = np.full((place["height"], place["width"]), "test", object)
    fold[rows.astype(int), cols.astype(int)] = pixels["fold"].to_numpy()
    rows, cols = np.indices(fold.shape).reshape(2, -1)
    left, top = place["transform"] * (cols, rows)
    codes = np.array(legend.codes)[true.argmax(axis=0).ravel()]
    squares = shapely.box(left + 1, top - 479, left + 479, top - 1)
    content = {"code": codes, "fold": fold.ravel().astype(str)}
    geopandas.GeoDataFrame(content, geometry=squares, crs=place["crs"]).to_file(target)
    return np.asarray(fold == "test")


def compare_hectares(title: str, legend: Legend, layers: list[np.ndarray]) -> dict[str, float]:
    """Print hectares of the truth and of both maps by class; return how many each map has in the wrong class.

    Args:
        layers: true shares, estimated shares, and whole pixels of the map of classes, (classes, pixels) each.
    """
    table = HECTARES * np.stack([layer.sum(axis=1) for layer in layers], axis=1)
    print(f"hectares of {title}:\n| class | true | sum of shares | map of classes |\n|---|---|---|---|")
    for code, line in zip(legend.codes, table, strict=True):
        print(f"| {code} | {line[0]:.0f} | {line[1]:.0f} | {line[2]:.0f} |")
    wrong = {name: float(np.abs(table[:, at] - table[:, 0]).sum() / 2) for at, name in ((1, "shares"), (2, "classes"))}
    print(
        f"{title}: of {table[:, 0].sum():.0f} ha {wrong['shares']:.0f} have the wrong class in sums of shares, and "
        f"{wrong['classes']:.0f} in the map of classes"
    )
    return wrong


def draw(
    legend: Legend, crop: str, true: np.ndarray, shares: np.ndarray, whole: np.ndarray, unseen: np.ndarray,
    hectares: dict[str, float], target: Path,
) -> None:  # fmt: skip
    """Draw true and estimated shares of a crop, the map of classes, and hectares of unseen."""
    number, name = legend.codes.index(crop), legend.classes[legend.codes.index(crop)].name
    figure = Figure(figsize=(17, 4.8), layout="constrained")
    panels = figure.subplots(1, 4, width_ratios=[1, 1, 1, 1.1])
    most = 100 * float(np.percentile(true[number], 99))
    for axes, layer, title in ((panels[0], true, "true share (10 m)"), (panels[1], shares, "estimated share (MODIS)")):
        shown = axes.imshow(100 * layer[number], vmin=0, vmax=most)
        axes.set_title(f"{name}: {title}")
    figure.colorbar(shown, ax=panels[:2].tolist(), label="% of the pixel", shrink=0.7)
    colors = np.array([[int(entry.color[at : at + 2], 16) for at in (1, 3, 5)] for entry in legend.classes], np.uint8)
    panels[2].imshow(colors[whole.argmax(axis=0)])
    panels[2].set_title("Map of classes, 480 m")
    for axes in panels[:3]:
        axes.set(xticks=[], yticks=[])
    place = np.arange(len(legend))
    bars = ((true, "true", "black"), (shares, "sum of shares", "#117733"), (whole, "map of classes", "#bbbbbb"))
    for step, (layer, label, color) in enumerate(bars):
        values = HECTARES * layer[:, unseen].sum(axis=1)
        panels[3].barh(place + 0.27 * (step - 1), values, 0.27, label=label, color=color)
    panels[3].set_yticks(place, [entry.name for entry in legend.classes], fontsize="small")
    panels[3].invert_yaxis()
    panels[3].legend(frameon=False)
    panels[3].set_title(f"Unseen ha: {hectares['shares']:.0f} and {hectares['classes']:.0f} in the wrong class")
    figure.savefig(target, dpi=75)
    print(f"wrote {target}")


if __name__ == "__main__":
    main()
