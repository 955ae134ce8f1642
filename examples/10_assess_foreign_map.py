"""How good is a map that agrifm did not make, and what became of its classes a year later? Points of Sudan.

Data under AGRIFM_DATA (default ../shared/data): `sudan_area_2022_2023`, points labelled crop or other on imagery for
the seasons 2022 and 2023 (nasaharvest/crop-mask, Apache-2.0). The maps of that study are not here, so two crude ones
are made without agrifm: a cell of 0.02 degrees has the class of the nearest of half the points. They are rasters as
others write them: degrees, 16 bits, codes 100 and 400, no legend. The other half of the points assesses the first.

The states' borders are not in the data, so the points count as a simple random sample; the study drew them by state.
The hectares are therefore an exercise and no estimate for Sudan.

    python examples/10_assess_foreign_map.py OUT
"""

import argparse
import os
from pathlib import Path

import numpy as np
import pandas as pd
import rasterio
from affine import Affine
from rasterio.features import geometry_mask
from scipy.spatial import cKDTree
from shapely import MultiPoint

from agrifm.assess.map_comparison import PairedPoints, compare_maps, map_comparison_lines
from agrifm.assess.report import assess
from agrifm.assess.report_lines import report_lines

DATA = Path(os.environ.get("AGRIFM_DATA", "../shared/data"))
CELL = 0.02
CODES = {"Non-crop": 100, "Crop": 400}
TRANSITIONS = {("100", "100"): 661, ("400", "400"): 285, ("400", "100"): 185, ("100", "400"): 65}
"""Of all points, counted in the published tables."""


def main() -> None:
    """Make the maps, assess one, and compare both seasons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    folder = DATA / "sudan_area_2022_2023"
    if not DATA.exists():
        raise SystemExit(f"the data are expected at {DATA}; set AGRIFM_DATA to the folder that holds them")
    options.out.mkdir(parents=True, exist_ok=True)
    points = read_points(folder)
    half = points.index % 2 == 0
    maps = {year: options.out / f"crop-{year}.tif" for year in (2022, 2023)}
    for year, path in maps.items():
        write_map(path, points[half], f"label_{year}", points)
    rest, everything = options.out / "half.csv", options.out / "points.csv"
    points[~half].to_csv(rest, index=False)
    points.to_csv(everything, index=False)

    report = assess(maps[2022], rest, "label_2022", options.out / "report", sampling="simple")
    print(*report_lines(report), sep="\n")
    seasons = PairedPoints(everything, "label_2022", later="label_2023", sampling="simple")
    comparison = compare_maps(maps[2022], maps[2023], options.out / "seasons", seasons)
    print(*map_comparison_lines(comparison), sep="\n")
    found = {(one["from"], one["to"]): one["points"] for one in comparison["change"]["transitions"]}
    if found != TRANSITIONS:
        raise SystemExit(f"expected the transitions {TRANSITIONS}, found {found}; something is wrong")


def read_points(folder: Path) -> pd.DataFrame:
    """Plots with the labels of both seasons as the codes of the maps."""
    years = [
        pd.read_csv(folder / f"set1_{year}.csv").drop_duplicates("plotid").set_index("plotid") for year in (2022, 2023)
    ]
    points = years[0][["lon", "lat"]].assign(
        **{f"label_{year}": table["label"].map(CODES) for year, table in zip((2022, 2023), years, strict=True)}
    )
    return points.dropna().astype({"label_2022": int, "label_2023": int}).reset_index(drop=True)


def write_map(path: Path, known: pd.DataFrame, column: str, around: pd.DataFrame) -> None:
    """A raster of the class of the nearest known point, within the hull of all points."""
    west, north = around["lon"].min() - 10 * CELL, around["lat"].max() + 10 * CELL
    width = int((around["lon"].max() - west) / CELL) + 10
    height = int((north - around["lat"].min()) / CELL) + 10
    transform = Affine(CELL, 0, west, 0, -CELL, north)
    lon, lat = np.meshgrid(west + (np.arange(width) + 0.5) * CELL, north - (np.arange(height) + 0.5) * CELL)
    nearest = cKDTree(known[["lon", "lat"]]).query(np.stack([lon.ravel(), lat.ravel()], axis=1))[1]
    values = known[column].to_numpy(np.uint16)[nearest].reshape(height, width)
    hull = MultiPoint(around[["lon", "lat"]].to_numpy()).convex_hull.buffer(5 * CELL)
    values[geometry_mask([hull], (height, width), transform)] = 0
    shape = {"height": height, "width": width, "count": 1, "dtype": "uint16", "nodata": 0}
    with rasterio.open(
        path, "w", driver="GTiff", crs="EPSG:4326", transform=transform, compress="lzw", **shape
    ) as file:
        file.write(values, 1)


if __name__ == "__main__":
    main()
