"""Labels of field boundaries: the fields of an area on its target grid, and windows of them for training."""

from collections.abc import Sequence
from dataclasses import replace

import geopandas
import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from agrifm.errors import LabelError
from agrifm.fields.field_quality import require_apart
from agrifm.files import AnyPath, as_path
from agrifm.grid import Grid, Window
from agrifm.legend import OTHER, UNLABELLED, Legend, LegendClass
from agrifm.samples.label_rasters import RASTERS
from agrifm.samples.labels import Labels, draw_shapes, other_mask, shapes_inside
from agrifm.samples.patches import Patches, Tiles
from agrifm.samples.sample import Sample
from agrifm.samples.targets import MAPS, NUMBER, FieldTargets
from agrifm.vectors import NOTHING_STATED, VectorKeys, read_vector

FIELD = "field"
FIELD_LEGEND = Legend(
    classes=(
        LegendClass(code=FIELD, name="Field", color="#b2df8a"),
        LegendClass(code=OTHER, name="Other land", color="#dddddd", scored=False),
    )
)


def read_field_labels(
    file: AnyPath,
    grid: Grid,
    area: BaseGeometry,
    fold_column: str | None = None,
    other: AnyPath | None = None,
    other_values: Sequence[int] = (),
    keys: VectorKeys = NOTHING_STATED,
    other_keys: VectorKeys = NOTHING_STATED,
) -> Labels:
    """Read the fields of an area on its target grid; the classes are field and other land.

    Args:
        file: polygons of the fields; their classes are not read.
        area: in longitude and latitude.
        fold_column: column that contains train, validation or test.
        other: land that is known to be no field, as in `agrifm.samples.labels.read_labels`; None = all land that is
            not in a field, as in a file of all fields of the area.
        keys: what the user states of the file.
        other_keys: what the user states of `other`.

    Raises:
        LabelError: the file is a raster, has no polygons, none in the area, or polygons that overlap.
    """
    file = as_path(file)
    about = f"reading the fields {file}"
    if file.suffix.lower() in RASTERS:
        raise LabelError(
            f'{about}: it is a raster of classes, and `task` "boundaries" needs the outline of every field; give '
            "polygons (parcels), because two fields of one class that touch are one region of a raster",
            path=file,
        )
    layer = read_vector(file, about, LabelError, ("polygon",), keys)
    frame, notes = layer.frame, list(layer.notes)
    if fold_column is not None and fold_column not in frame.columns:
        raise LabelError(f"{about}: it has no column {fold_column!r}; name the column of folds", column=fold_column)
    frame = frame[frame.geometry.notna()]
    folds = {} if fold_column is None else {"fold": [str(value).strip() for value in frame[fold_column]]}
    fields = geopandas.GeoDataFrame(
        {"code": FIELD, "number": 0, "row": frame.index, **folds}, geometry=frame.geometry.to_numpy(), crs=frame.crs
    )
    fields = shapes_inside(fields, area, grid, file, notes)
    require_apart(fields.geometry.to_numpy(), about, LabelError)
    covering, place = draw_shapes(fields, grid, notes)
    if not len(covering):
        raise LabelError(
            f"{about}: none of its {len(fields)} fields in the area covers the centre of a pixel of "
            f"{grid.resolution:g} m; use imagery of smaller pixels",
            fields=len(fields),
        )
    label = np.full(grid.shape, UNLABELLED if other is not None else FIELD_LEGEND.number(OTHER), np.uint8)
    if other is not None:
        label[other_mask(as_path(other), other_values, other_keys, grid, notes)] = FIELD_LEGEND.number(OTHER)
    label[place >= 0] = FIELD_LEGEND.number(FIELD)
    return Labels(FIELD_LEGEND, grid, label, place, covering, tuple(notes))


class FieldPatches(Patches):
    """A sequence of `Sample`s for boundaries: labels (H, W) of one fold, and the targets `MAPS` and `NUMBER`."""

    def __init__(
        self,
        tiles: Tiles,
        label: NDArray[np.uint8],
        windows: Sequence[Window],
        targets: FieldTargets,
        place: NDArray[np.integer],
    ) -> None:
        super().__init__(tiles, label, windows)
        self.maps, self.place = targets.stacked(), place.astype(np.int32)

    def __getitem__(self, index: int) -> Sample:
        window = self.windows[index]
        targets = {MAPS: self.maps[:, *window.slices], NUMBER: self.place[window.slices]}
        return replace(super().__getitem__(index), targets=targets)
