"""Pixels in the middle of what models were trained on, of which `agrifm samples next` keeps away.

Shape letters: L labelled pixels, H W rows and columns of a window.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import LabelError, doing
from agrifm.grid import LONLAT, Window
from agrifm.legend import Legend
from agrifm.mapping.windows import MapPlan
from agrifm.vectors import read_vector

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

LABELLED = 2000
"""Labelled places from which distances are taken; of more, so many at random."""
NOTHING = -1
"""In place of a class number where nothing is labelled."""


def classes_in_window(pixels: NDArray[np.intp], window: Window) -> NDArray[np.int64]:
    """The class numbers (H, W) of the pixels of a window that are among rows, columns and classes (L, 3)."""
    row, col = pixels[:, 0] - window.row, pixels[:, 1] - window.col
    inside = (row >= 0) & (row < window.height) & (col >= 0) & (col < window.width)
    classes = np.full((window.height, window.width), NOTHING, np.int64)
    classes[row[inside], col[inside]] = pixels[inside, 2]
    return classes


def training_shapes(path: Path, legend: Legend, seed: int) -> "GeoDataFrame | None":
    """What the models were trained on, with its class as `number`; None without the file of the training data."""
    if not path.exists():
        return None
    if path.suffix == ".parquet":
        shapes = _parcel_places(path)
    else:
        shapes = read_vector(path, f"reading the training data {path}", LabelError).frame
    numbers = shapes["code"].map({code: number for number, code in enumerate(legend.codes)})
    shapes = shapes.assign(number=numbers).dropna(subset="number")
    if len(shapes) > LABELLED:
        shapes = shapes.iloc[np.random.default_rng(seed).permutation(len(shapes))[:LABELLED]]
    return shapes


def _parcel_places(path: Path) -> "GeoDataFrame":
    """A point in each parcel of a table as `agrifm train` gathers it from tiles."""
    import pandas as pd
    from geopandas import GeoDataFrame, points_from_xy

    with doing(f"reading the parcels {path}", LabelError, "run `agrifm train`, which writes them", path=path):
        rows = pd.read_parquet(path, columns=["sample_id", "label", "longitude", "latitude"])
    first = rows.drop_duplicates("sample_id")
    return GeoDataFrame(
        {"code": first["label"]}, geometry=points_from_xy(first["longitude"], first["latitude"]), crs=LONLAT
    )


def training_pixels(shapes: "GeoDataFrame | None", plan: MapPlan) -> NDArray[np.intp]:
    """Rows, columns and class numbers (L, 3) of pixels in the middle of what the models were trained on."""
    if shapes is None:
        return np.zeros((0, 3), np.intp)
    shapes = shapes.to_crs(str(plan.grid.crs))
    middle = shapes.geometry.representative_point()
    col, row = ~plan.grid.transform * (middle.x.to_numpy(), middle.y.to_numpy())
    return np.column_stack([np.floor(row), np.floor(col), shapes["number"]]).astype(np.intp)
