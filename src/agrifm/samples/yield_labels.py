"""Labels of yields: fields or points with a number, of one crop or several, in t/ha; and windows of them for training.

A number is refused rather than guessed: the project states its unit, and yields that no field has are taken for a
wrong unit.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from agrifm.codes import listed, read_codes
from agrifm.errors import LabelError, did_you_mean
from agrifm.files import AnyPath, as_path
from agrifm.grid import Grid, Window
from agrifm.legend import UNLABELLED, Legend
from agrifm.samples.label_rasters import RASTERS
from agrifm.samples.labels import Labels, draw_shapes, shapes_inside
from agrifm.samples.patches import Patches, Tiles
from agrifm.samples.sample import Sample
from agrifm.samples.targets import NUMBER
from agrifm.samples.yield_values import require_plausible, yield_numbers
from agrifm.vectors import NOTHING_STATED, VectorKeys, read_vector
from agrifm.yields import TONNES, YIELD, YieldUnit

ONE_CROP = "crop"
"""Code of the crop of a file that has no column of crops."""
REMEDY = "name the column of the yields as `value` under [labels]"


def read_yield_labels(
    file: AnyPath,
    value: str,
    unit: YieldUnit,
    column: str,
    crops: Sequence[str],
    grid: Grid,
    area: BaseGeometry,
    fold_column: str | None = None,
    keys: VectorKeys = NOTHING_STATED,
) -> Labels:
    """Read the yields of an area on its target grid; the classes are the crops, and places have a column `YIELD`.

    Args:
        file: polygons or points.
        value: column of the yields.
        unit: of the numbers in it.
        column: column of the crops; the file may lack it if it has one crop only.
        crops: codes whose yields are read; empty = the one crop that has yields.
        area: in longitude and latitude.
        fold_column: column that contains train, validation or test.
        keys: what the user states of the file.

    Raises:
        LabelError: the file is a raster or lacks a column; the column is not one of numbers, has a negative one, or
            numbers that no field has in that unit; or it has yields of several crops, and none is named.
    """
    file = as_path(file)
    about = f"reading the yields {file}"
    _require_vector(file, about)
    layer = read_vector(file, about, LabelError, keys=keys)
    frame, notes = layer.frame, list(layer.notes)
    for name in filter(None, (value, fold_column, column if crops else None)):
        _require_column(frame, name, about)
    tonnes = TONNES[unit] * yield_numbers(frame[value], f"{about}, column '{value}'", REMEDY)
    usable = np.isfinite(tonnes) & (~frame.geometry.is_empty & frame.geometry.notna()).to_numpy()
    codes, chosen = _crops(frame, column, crops, usable, about, notes)
    of_crops = np.isin(codes, chosen)
    if without := int((of_crops & ~usable).sum()):
        notes.append(f"{without} of {int(of_crops.sum())} fields of {listed(chosen)} have no yield or no geometry")
    require_plausible(tonnes, codes, chosen, usable, unit, f"{about}, column '{value}'")
    _require_different(tonnes, codes, chosen, usable, f"{about}, column '{value}'")
    legend, kept = Legend.of(chosen), usable & of_crops
    content = {
        "code": codes[kept],
        "number": legend.encode(codes[kept]),
        "row": np.flatnonzero(kept),
        YIELD: tonnes[kept],
        **({} if fold_column is None else {"fold": [str(one).strip() for one in frame[fold_column][kept]]}),
    }
    fields = geopandas.GeoDataFrame(content, geometry=frame.geometry.to_numpy()[kept], crs=frame.crs)
    covering, place = draw_shapes(shapes_inside(fields, area, grid, file, notes), grid, notes)
    if not len(covering):
        raise LabelError(f"{about}: no field covers the centre of a pixel; use imagery of smaller pixels", path=file)
    label = np.full(grid.shape, UNLABELLED, np.uint8)
    label[place >= 0] = covering["number"].to_numpy(np.uint8)[place[place >= 0]]
    notes.append(_in_words(covering, unit))
    return Labels(legend, grid, label, place, covering, tuple(notes))


def _require_vector(file: Path, about: str) -> None:
    if file.suffix.lower() in RASTERS:
        raise LabelError(
            f"{about}: it is a raster of classes; give polygons or points with a column of numbers", path=file
        )


def _in_words(covering: geopandas.GeoDataFrame, unit: YieldUnit) -> str:
    """How many yields there are, and how high, so that a wrong unit is seen."""
    tonnes = covering[YIELD]
    converted = "" if unit == "t/ha" else f" (converted from {unit})"
    return (
        f"{len(tonnes)} fields of {listed(set(covering['code']))} have yields of {tonnes.min():.2f} to "
        f"{tonnes.max():.2f} t/ha, mean {tonnes.mean():.2f}{converted}"
    )


def _require_column(frame: geopandas.GeoDataFrame, name: str, about: str) -> None:
    columns = [str(other) for other in frame.columns if other != frame.geometry.name]
    if name not in columns:
        raise LabelError(
            f"{about}: it has no column {name!r} (it has {', '.join(columns) or 'none'}){did_you_mean(name, columns)}",
            column=name,
        )


def _crops(
    frame: geopandas.GeoDataFrame,
    column: str,
    crops: Sequence[str],
    usable: NDArray[np.bool_],
    about: str,
    notes: list[str],
) -> tuple[NDArray[Any], list[str]]:
    """The code of each row, and the codes whose yields are read."""
    if column not in frame.columns:
        notes.append(f"it has no column '{column}', so all of its yields are taken for those of one crop")
        return np.full(len(frame), ONE_CROP, object), [ONE_CROP]
    codes = np.array(read_codes(frame[column])[0], object)
    present = sorted(set(codes[usable]) - {""})
    if crops:
        for crop in crops:
            if crop not in present:
                raise LabelError(
                    f"{about}: `crop` under [model] is '{crop}', and no field with a yield has it in the column "
                    f"'{column}'{did_you_mean(crop, present)} (fields with yields: {listed(present)}); name one of "
                    "them",
                    crop=crop,
                    known=tuple(present),
                )
        return codes, list(crops)
    if len(present) != 1:
        raise LabelError(
            f"{about}: its yields are of {len(present)} crops ({listed(present) or 'none'}); name one as `crop` under "
            "[model]",
            crops=tuple(present),
        )
    return codes, present


def _require_different(
    tonnes: NDArray[np.float64], codes: NDArray[Any], crops: Sequence[str], usable: NDArray[np.bool_], about: str
) -> None:
    """Refuse a crop whose fields all have one yield."""
    for crop in crops:
        found = tonnes[usable & (codes == crop)]
        if found.std() < 1e-6 * max(float(found.mean()), 1e-6):
            raise LabelError(
                f"{about}: all {len(found)} fields of {crop} have the yield {found[0]:g} t/ha, from which nothing can "
                "be learnt; give the yields of single fields",
                crop=crop,
            )


class YieldPatches(Patches):
    """A sequence of `Sample`s for yields: labels (H, W) of one fold, and the targets `YIELD` and `NUMBER`."""

    def __init__(self, tiles: Tiles, label: NDArray[np.uint8], windows: Sequence[Window], labels: Labels) -> None:
        super().__init__(tiles, label, windows)
        self.place = labels.place.astype(np.int64)
        self.tonnes = yield_raster(labels)

    def __getitem__(self, index: int) -> Sample:
        slices = self.windows[index].slices
        return replace(super().__getitem__(index), targets={YIELD: self.tonnes[slices], NUMBER: self.place[slices]})


def yield_raster(labels: Labels) -> NDArray[np.float32]:
    """Return the yield of the field at each pixel (H, W), t/ha; NaN where there is none."""
    tonnes = np.append(labels.places[YIELD].to_numpy(np.float32), np.float32(np.nan))
    return tonnes[labels.place]
