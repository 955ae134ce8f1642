"""Labels of shares: how much of each pixel of the target grid every class covers, from polygons or a finer raster.

Polygons give exact shares (`agrifm.pixel_fractions`). A raster of classes, and other land, are read on pixels of 10 m
that nest in those of the grid, and counted. A pixel counts only if enough of it is labelled, and if no two polygons
cover the same ground of it.

Shape letters: H rows, W columns, K classes, P polygons.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize
from shapely.geometry.base import BaseGeometry

from agrifm.codes import code_of
from agrifm.errors import LabelError
from agrifm.files import AnyPath, as_path
from agrifm.grid import Grid, Window
from agrifm.legend import OTHER, UNLABELLED, Legend
from agrifm.pixel_fractions import WHOLE, pixel_bounds, pixel_fractions
from agrifm.samples.label_rasters import RASTERS, raster_codes_on
from agrifm.samples.labels import Labels, class_shapes, legend_of, other_mask, require_no_keys
from agrifm.samples.patches import Patches, Tiles
from agrifm.samples.sample import Sample
from agrifm.samples.targets import class_fractions
from agrifm.shares import COVERED, SHARES
from agrifm.vectors import NOTHING_STATED, VectorKeys

FINE = 10.0
"""Metres: side of the pixels in which rasters are counted."""
CELLS_AT_ONCE = 4_000_000
"""Pixels around polygons whose shares are computed at once, and fine pixels that are read at once."""
TWICE = 0.01
"""Share of a pixel that two polygons may cover both: neighbouring outlines are rarely drawn exactly alike."""
HARDLY_MIXED = 0.9
"""Mean share of the largest class from which pixels may as well have one class."""
Shares = NDArray[np.float64]


@dataclass(frozen=True)
class ShareLabels:
    """Labels of whole pixels, and the shares that they stand for."""

    labels: Labels
    """The class of the largest share of each pixel that counts, 255 = it does not count; each of them is a place."""
    shares: NDArray[np.float32]
    """(K, H, W), sum 1; NaN where the pixel does not count."""
    covered: NDArray[np.float32]
    """(H, W), labelled share of each pixel."""


def read_share_labels(
    file: AnyPath,
    column: str,
    grid: Grid,
    area: BaseGeometry,
    legend: Legend | None = None,
    other: AnyPath | None = None,
    other_values: Sequence[int] = (),
    keys: VectorKeys = NOTHING_STATED,
    unlabelled: Sequence[int | str] = (),
    other_keys: VectorKeys = NOTHING_STATED,
    covered: float = COVERED,
) -> ShareLabels:
    """Read the shares of classes in the pixels of a grid; arguments are those of `agrifm.samples.labels.read_labels`.

    Args:
        covered: least share of a pixel that must be labelled for it to count.

    Raises:
        LabelError: as `read_labels`; also, the labels are points, no pixel or a single class counts, or a raster of
            classes has pixels that are larger than half of those of the grid.
    """
    file, other = as_path(file), None if other is None else as_path(other)
    about, notes = f"reading shares of classes from {file}", []
    if other is None and other_keys != NOTHING_STATED:
        raise LabelError(f"{about}: `other_file` is given without `other`; give both, or remove it")
    if file.suffix.lower() in RASTERS:
        require_no_keys(keys, about)
        legend, shares, found = _of_raster(file, grid, legend, other is not None, unlabelled, about)
        twice, polygons = np.zeros(grid.shape), None
    else:
        shapes_, legend, _, found = class_shapes(
            file, column, grid, area, legend, other is not None, None, keys, unlabelled
        )
        _require_polygons(shapes_, about)
        shares, twice, polygons = _of_polygons(_each_once(shapes_, found), grid, len(legend))
    notes += found
    if other is not None:
        free = _other_share(other, other_values, other_keys, grid, polygons, file, notes)
        shares[legend.number(OTHER)] += np.minimum(free, 1 - np.minimum(shares.sum(axis=0), 1))
    return _used(shares, twice, legend, grid, covered, about, notes)


def _require_polygons(shapes_: geopandas.GeoDataFrame, about: str) -> None:
    points = int(shapes_.geometry.geom_type.isin(["Point", "MultiPoint"]).sum())
    if points:
        raise LabelError(
            f"{about}: {points} of {len(shapes_)} shapes are points, which cover no share of a pixel; give polygons or "
            "a raster of classes",
            points=points,
        )


def _each_once(shapes_: geopandas.GeoDataFrame, notes: list[str]) -> geopandas.GeoDataFrame:
    """The shapes without those that repeat outline and class of an earlier one; adds a note on these."""
    outlines = geopandas.pd.DataFrame({"outline": shapes_.geometry.normalize().to_wkb(), "number": shapes_["number"]})
    again = outlines.duplicated().to_numpy()
    if again.any():
        notes.append(f"{int(again.sum())} labelled shapes are in the file more than once, and count once")
    return shapes_[~again].reset_index(drop=True)


def _of_polygons(shapes_: geopandas.GeoDataFrame, grid: Grid, classes: int) -> tuple[Shares, Shares, NDArray[Any]]:
    """Shares (K, H, W), the share of each pixel that is in two polygons (H, W), and the polygons (P,)."""
    polygons = shapes_.geometry.to_numpy()
    number = shapes_["number"].to_numpy(np.int64)
    shares = _covered_by(polygons, number, grid, classes)
    first, second = shapely.STRtree(polygons).query(polygons, predicate="intersects")
    pairs = first < second
    common = shapely.intersection(polygons[first[pairs]], polygons[second[pairs]])
    parts = shapely.get_parts(common)
    # lines and points, where neighbours touch, cover nothing
    parts = parts[(shapely.get_type_id(parts) == shapely.GeometryType.POLYGON) & (shapely.area(parts) > 0)]
    return shares, _covered_by(parts, np.zeros(len(parts), np.int64), grid, 1)[0], polygons


def _covered_by(polygons: NDArray[Any], number: NDArray[np.int64], grid: Grid, classes: int) -> Shares:
    """How much of each pixel polygons of each class cover, (K, H, W)."""
    height, width = grid.shape
    total = np.zeros(classes * height * width)
    for chosen in _batches(polygons, grid):
        found = pixel_fractions(polygons[chosen], grid.transform)
        inside = (found.row >= 0) & (found.row < height) & (found.col >= 0) & (found.col < width)
        of = number[chosen][found.polygon[inside]]
        at = (of * height + found.row[inside]) * width + found.col[inside]
        total += np.bincount(at, found.share[inside], len(total))
    return total.reshape(classes, height, width) / WHOLE


def _batches(polygons: NDArray[Any], grid: Grid) -> Iterator[slice]:
    """Parts of the polygons whose pixels fit into memory."""
    if not len(polygons):
        return
    cells = np.cumsum(pixel_bounds(polygons, grid.transform).cells)
    first = 0
    while first < len(polygons):
        before = cells[first - 1] if first else 0
        last = max(int(np.searchsorted(cells, before + CELLS_AT_ONCE, "right")), first + 1)
        yield slice(first, last)
        first = last


def _fine(grid: Grid) -> int:
    """Fine pixels along a pixel of the grid."""
    return 1 if grid.crs.geographic else max(1, round(grid.resolution / FINE))


def _bands(grid: Grid) -> Iterator[Window]:
    """Windows of whole rows whose fine pixels fit into memory."""
    height, width = grid.shape
    rows = max(1, CELLS_AT_ONCE // (width * _fine(grid) ** 2))
    for row in range(0, height, rows):
        yield Window(row, 0, min(rows, height - row), width)


def _of_raster(
    file: Path, grid: Grid, legend: Legend | None, with_other: bool, unlabelled: Sequence[int | str], about: str
) -> tuple[Legend, Shares, list[str]]:
    """The legend, the shares (K, H, W) of the classes of a raster, and notes."""
    side, left_out = _fine(grid), {code_of(code) for code in unlabelled}
    _, _, stated = raster_codes_on(file, grid.window(Window(0, 0, 1, 1)), about)
    bands, values = list(_bands(grid)), set()
    for band in bands:
        found, known, _ = raster_codes_on(file, grid.window(band).at(grid.resolution / side), about)
        values |= set(np.unique(found[known]).tolist())
    written = dict(enumerate(stated.legend.codes)) if stated.legend is not None else {}
    code_by_value = {value: written.get(int(value), code_of(value)) for value in sorted(values)}
    codes = set(code_by_value.values()) - left_out
    if not codes:
        raise LabelError(f"{about}: it has no class in the area; give labels of this area", path=file)
    legend = legend or legend_of(codes | ({OTHER} if with_other else set()), stated)
    numbers = {value: legend.encode(np.array([code]))[0] for value, code in code_by_value.items() if code in codes}
    shares = np.zeros((len(legend), *grid.shape))
    for band in bands:
        found, known, _ = raster_codes_on(file, grid.window(band).at(grid.resolution / side), about)
        label = np.full(found.shape, UNLABELLED, np.uint8)
        for value, number in numbers.items():
            label[known & (found == value)] = number
        of_labelled, labelled = class_fractions(label, len(legend), side)
        shares[:, band.row : band.row + band.height] = of_labelled * labelled
    return legend, shares, stated.notes(np.array(sorted(values)), "list it in `unlabelled` under [labels]")


def _other_share(
    other: Path,
    values: Sequence[int],
    keys: VectorKeys,
    grid: Grid,
    polygons: NDArray[Any] | None,
    file: Path,
    notes: list[str],
) -> Shares:
    """The share of each pixel (H, W) that is other land and not in a labelled shape, or of a class of a raster."""
    side, result = _fine(grid), np.zeros(grid.shape)
    for number, band in enumerate(_bands(grid)):
        part = grid.window(band).at(grid.resolution / side)
        free = other_mask(other, values, keys, part, notes if number == 0 else [])
        if polygons is None:
            free &= ~raster_codes_on(file, part, f"reading labels {file}")[1]
        elif len(polygons):
            free &= rasterize(polygons, out_shape=part.shape, transform=part.transform, dtype="uint8") == 0
        _, share = class_fractions(np.where(free, 0, UNLABELLED), 1, side)
        result[band.row : band.row + band.height] = share
    return result


def _used(
    shares: Shares, twice: Shares, legend: Legend, grid: Grid, least: float, about: str, notes: list[str]
) -> ShareLabels:
    """The pixels that count, with their shares; adds notes on the others."""
    labelled = shares.sum(axis=0)
    contested, some = twice > TWICE, labelled > 0
    # a billionth for sums of shares that are 1 but for rounding
    little = some & ~contested & (labelled < least - 1e-9)
    used = some & ~contested & ~little
    if contested.any():
        notes.append(f"{int(contested.sum())} pixels are left out, because shapes overlap in more than {TWICE:.0%} of "
                     "them")  # fmt: skip
    if little.any():
        notes.append(f"{int(little.sum())} of {int(some.sum())} labelled pixels are left out, because less than "
                     f"{least:.0%} of them is labelled (`covered` under [labels])")  # fmt: skip
    if not used.any():
        highest = float(labelled[~contested].max(initial=0))
        raise LabelError(
            f"{about}: no pixel of {grid.resolution:g} m is labelled on {least:.0%} of its ground (at most "
            f"{highest:.1%}); give the other land as `other` under [labels], or a smaller `covered`",
            covered=least,
            highest=highest,
        )
    whole = np.where(used, shares / np.maximum(labelled, 1e-12), np.nan).astype(np.float32)
    present = np.nan_to_num(whole).max(axis=(1, 2)) > 0
    if present.sum() < 2:
        raise LabelError(
            f"{about}: the pixels that count have a single class ({legend.codes[int(present.argmax())]}); label more "
            "classes, or give other land as `other`",
            classes=int(present.sum()),
        )
    notes.append(_in_words(whole, used, labelled, grid))
    label = np.where(used, np.nan_to_num(whole).argmax(axis=0), UNLABELLED).astype(np.uint8)
    return ShareLabels(_labels(label, legend, grid, notes), whole, labelled.astype(np.float32))


def _in_words(shares: NDArray[np.float32], used: NDArray[np.bool_], labelled: Shares, grid: Grid) -> str:
    """How many pixels count, and how mixed they are."""
    largest = float(shares[:, used].max(axis=0).mean())
    hardly = "" if largest < HARDLY_MIXED else '; pixels are hardly mixed, so `task` "crop-type" suits them better'
    return (
        f"{int(used.sum())} pixels of {grid.resolution:g} m have shares of classes, labelled on "
        f"{float(np.minimum(labelled[used], 1).mean()):.1%} of their ground; the largest class has {largest:.0%} of a "
        f"pixel on average{hardly}"
    )


def _labels(label: NDArray[np.uint8], legend: Legend, grid: Grid, notes: Sequence[str]) -> Labels:
    """Labels of the pixels that count, each a place with the outline of the pixel."""
    rows, cols = np.nonzero(label != UNLABELLED)
    place = np.full(label.shape, -1, np.int32)
    place[rows, cols] = np.arange(len(rows))
    number = label[rows, cols]
    step = grid.transform
    left, top = step.c + step.a * cols, step.f + step.e * rows
    content = {"code": np.array(legend.codes)[number], "number": number, "row": np.arange(len(rows))}
    places = geopandas.GeoDataFrame(
        content, geometry=shapely.box(left, top + step.e, left + step.a, top), crs=str(grid.crs)
    )
    return Labels(legend, grid, label, place, places, tuple(notes), has_parcels=False)


class SharePatches(Patches):
    """A sequence of `Sample`s with labels (H, W) of one fold, and the target `agrifm.shares.SHARES` (K, H, W)."""

    def __init__(
        self, tiles: Tiles, label: NDArray[np.uint8], windows: Sequence[Window], shares: NDArray[np.float32]
    ) -> None:
        super().__init__(tiles, label, windows)
        self.shares = shares

    def __getitem__(self, index: int) -> Sample:
        sample = super().__getitem__(index)
        shares = np.where(sample.label != UNLABELLED, self.shares[:, *self.windows[index].slices], np.float32(np.nan))
        return replace(sample, targets={SHARES: shares})
