"""Cropland by Sentinel-2 and paddy rice by Landsat and MODIS: two tasks of the project file on simulated seasons.

A monsoon season is simulated with its truth. `task = "cropland"` trains on Sentinel-2, `task = "one-crop"` with
`crop = "rice"` on Landsat and MODIS; the labels are the same parcels with their crops and other land. Each model is
scored on unseen blocks next to the naive rule, a threshold on one number of the season that is chosen on the training
places, and maps the area. The hectares of the maps are compared with the truth. Nothing is downloaded.

    python examples/12_cropland_one_crop_simulated.py OUT
"""

import argparse
from datetime import date
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import rasterio
from matplotlib.colors import ListedColormap
from rasterio.warp import Resampling, reproject

from agrifm.config import read_project
from agrifm.cube.fetch import fetch
from agrifm.legend import UNLABELLED, Legend
from agrifm.mapping.run import map_project
from agrifm.season import Season
from agrifm.simulator.catalog import simulate
from agrifm.train.project import train_project

SEASON = Season(date(2024, 6, 1), date(2024, 11, 15))
PROJECT = """\
[season]
area = "../season/area.geojson"
start = 2024-06-01
end = 2024-11-15

[imagery]
catalog = "../season/catalog.json"
products = {products}
offset = "metadata"   # haze of the monsoon makes some scenes look as if an offset had been removed twice

[labels]
file = "../season/truth/parcels.gpkg"
column = "crop"
legend = "../season/truth/legend.json"
other = "../season/truth/landcover.tif"
other_values = [10, 30, 50, 80]
block = 480

[model]
task = {task}
names = {names}
frames = 16

[map]
model = {model}
"""
TASKS = {
    "cropland": ('["sentinel-2-c1-l2a"]', '"cropland"'),
    "rice": ('["landsat-c2-l2", "modis-09A1-061"]', '"one-crop"\ncrop = "rice"'),
}
LEAST_F1 = {"cropland": 0.9, "rice": 0.75}
"""0.981 and 0.905 on 4 km, 0.902 and 0.756 by the naive rule (2026-11-30)."""


def main() -> None:
    """Simulate a season, train, score and map two tasks, and draw the maps next to the truth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=float, default=3.0, help="side of the simulated square, km")
    parser.add_argument("--models", nargs="+", default=["lightgbm"], help="to train; the first one makes the maps")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if not (options.out / "season").exists():
        simulate(options.out / "season", "monsoon", size=options.size, season=SEASON)
    rasters: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    names = [f'"{name}"' for name in options.models]
    for name, (products, task) in TASKS.items():
        folder = options.out / name
        folder.mkdir(exist_ok=True)
        text = PROJECT.format(products=products, task=task, names=f"[{', '.join(names)}]", model=names[0])
        (folder / "agrifm.toml").write_text(text)
        project = read_project(folder)
        fetch(project)
        best = show_scores(name, train_project(project), options.models[0])
        map_project(project)
        rasters[name] = with_truth(folder / "map" / "classes.tif", options.out / "season" / "truth")
        show_hectares(name, *rasters[name], folder / "map" / "classes.tif")
        if best < LEAST_F1[name]:
            raise SystemExit(f"expected an F1 of at least {LEAST_F1[name]} for {name}; something is wrong")
    draw(rasters, options.out / "maps.png")
    print(f"wrote {options.out / 'maps.png'}")


def show_scores(name: str, scores: dict[str, Any], best: str) -> float:
    """Print F1 and intersection over union of each model with intervals; return the F1 of one of them."""
    print(f"{name}: {scores['models']['threshold']['training']['rule']} (the naive rule)")
    print("| model | F1 | IoU | precision | recall |\n|---|---|---|---|---|")
    for model, entry in scores["models"].items():
        one = entry["one_class"]
        cells = [
            f"{one[key]:.3f} ({one[f'{key}_interval'][0]:.3f} to {one[f'{key}_interval'][1]:.3f})"
            for key in ("f1", "iou", "precision", "recall")
        ]
        print(f"| {model} | {' | '.join(cells)} |")
    return float(scores["models"][best]["one_class"]["f1"])


def with_truth(path: Path, truth: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the classes of a map, and those of the truth on the mapped pixels: 0 the class, 1 other land, 255 none."""
    legend = Legend.read(truth / "legend.json")
    with rasterio.open(path) as source, rasterio.open(truth / "crops.tif") as crops:
        mapped = source.read(1)
        of_map = Legend.model_validate_json(source.tags()["AGRIFM_LEGEND"])
        lookup = np.full(256, UNLABELLED, np.uint8)
        lookup[: len(legend)] = of_map.encode(legend.codes)
        true = np.full(mapped.shape, UNLABELLED, np.uint8)
        place = {"dst_transform": source.transform, "dst_crs": source.crs}
        reproject(rasterio.band(crops, 1), true, resampling=Resampling.mode, dst_nodata=UNLABELLED, **place)
    return mapped, np.where(mapped == UNLABELLED, np.uint8(UNLABELLED), lookup[true])


def show_hectares(name: str, mapped: np.ndarray, true: np.ndarray, path: Path) -> None:
    """Print the hectares of the class on the map and in the truth."""
    with rasterio.open(path) as source:
        pixel = abs(source.transform.a * source.transform.e) / 1e4
    known = (mapped != UNLABELLED) & (true != UNLABELLED)
    print(
        f"{name}: mapped {(mapped[known] == 0).sum() * pixel:.0f} ha, true {(true[known] == 0).sum() * pixel:.0f} ha, "
        f"{100 * (mapped == true)[known].mean():.1f} % of the pixels are right (training blocks included)\n"
    )


def draw(rasters: dict[str, tuple[np.ndarray, np.ndarray]], file: Path) -> None:
    """Draw each map next to the truth."""
    figure, axes = plt.subplots(2, 2, figsize=(9, 9.5), layout="constrained")
    for row, (name, pair) in zip(axes, rasters.items(), strict=True):
        colors = ListedColormap(["#ddaa33" if name == "cropland" else "#cc6677", "#dddddd"])
        for axis, values, title in zip(row, pair, (f"{name}, mapped", f"{name}, true"), strict=True):
            axis.imshow(np.ma.masked_equal(values, UNLABELLED), cmap=colors, vmin=0, vmax=1, interpolation="nearest")
            axis.set_title(title)
            axis.set_axis_off()
    figure.savefig(file, dpi=110)


if __name__ == "__main__":
    main()
