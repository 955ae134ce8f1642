"""Hectares of each pair of classes of two maps, whatever their grids and legends.

Shape letters: K L classes of the first and the second map, h w rows and columns of a window.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.vrt import WarpedVRT

from agrifm.assess.class_map import ClassMap, block_windows, open_classified, pixel_of_points, read_window
from agrifm.codes import code_of, listed
from agrifm.errors import AssessmentError
from agrifm.files import AnyPath, as_path
from agrifm.grid import Grid
from agrifm.legend import Legend, LegendClass
from agrifm.tables import read_table

NO_CLASS = -1
"""Number of the last row and column of a cross table, where one of the maps has no class."""


@dataclass(frozen=True)
class CommonLegend:
    """The classes in which two maps are compared."""

    classes: tuple[LegendClass, ...]
    of_first: NDArray[np.int64]
    """(K + 1,), number in `classes` of each class of the first map; `NO_CLASS` last."""
    of_second: NDArray[np.int64]
    """(L + 1,), of the second."""

    @property
    def codes(self) -> tuple[str, ...]:
        """Class codes in order."""
        return tuple(entry.code for entry in self.classes)


def common_legend(
    first: ClassMap,
    second: ClassMap,
    of_first: Mapping[str, tuple[str, str]],
    of_second: Mapping[str, tuple[str, str]],
) -> CommonLegend:
    """Return the classes that occur in either map, after translation, those of the first map before the others.

    Args:
        of_first, of_second: (code, name) by code of a map, as `read_translation`; a code that is not in it stays.

    Raises:
        AssessmentError: the maps have no class in common.
    """
    known: dict[str, LegendClass] = {}
    numbers, codes_of = [], []
    for mapped, table in ((first, of_first), (second, of_second)):
        codes = []
        for entry, pixels in zip(mapped.legend.classes, mapped.pixels, strict=True):
            code, name = table.get(entry.code, (entry.code, entry.name))
            codes.append(code)
            if pixels and code not in known:
                known[code] = entry.model_copy(update={"code": code, "name": name or code})
        numbers.append([list(known).index(code) if code in known else NO_CLASS for code in codes])
        codes_of.append({code for code, pixels in zip(codes, mapped.pixels, strict=True) if pixels})
    if not codes_of[0] & codes_of[1]:
        raise AssessmentError(
            f"comparing {first.path} with {second.path}: they have no class in common ({listed(codes_of[0])}; "
            f"{listed(codes_of[1])}); translate one of them with a table of the columns code and to_code",
            first=sorted(codes_of[0]),
            second=sorted(codes_of[1]),
        )
    names = [entry.name for entry in known.values()]
    shown = {code: entry.name if names.count(entry.name) == 1 else code for code, entry in known.items()}
    colors = {code: entry.color for code, entry in known.items()}
    if len(set(colors.values())) < len(colors):  # both maps may paint different classes alike
        colors = {}
    classes = Legend.of(list(known), shown, colors).classes
    first_numbers, second_numbers = (np.array([*part, NO_CLASS]) for part in numbers)
    return CommonLegend(classes, first_numbers, second_numbers)


def read_translation(path: AnyPath) -> dict[str, tuple[str, str]]:
    """Read which class of another legend each class is, as `agrifm legend translate` writes it.

    Args:
        path: a table (CSV) with the columns `code`, `to_code` and, if wished, `to_name`. A class with an empty
            `to_code` keeps its code.

    Returns:
        (code, name) by code.

    Raises:
        AssessmentError: the file cannot be read, lacks a column, or has a code twice.
    """
    path = as_path(path)
    about = f"reading the translation {path}"
    table = read_table(path, about, AssessmentError)
    columns = {name: table.find(name) for name in ("code", "to_code", "to_name")}
    lacking = [name for name in ("code", "to_code") if columns[name] is None]
    if lacking:
        raise AssessmentError(
            f"{about}: it has no column '{lacking[0]}' (its columns: {listed(table.columns)}); give a table with the "
            "columns code and to_code",
            columns=lacking,
        )
    codes, targets, names = (
        [""] * len(table.rows) if column is None else table.column(column) for column in columns.values()
    )
    codes, targets = ([code_of(text) if text else "" for text in texts] for texts in (codes, targets))
    twice = sorted({code for code in codes if codes.count(code) > 1})
    if twice:
        raise AssessmentError(f"{about}: it has the code '{twice[0]}' twice; state each once", codes=twice)
    return {code: (to, name) for code, to, name in zip(codes, targets, names, strict=True) if code and to}


def finer_grid(first: ClassMap, second: ClassMap) -> Grid:
    """Return the grid of the map whose pixels are smaller, on which both are compared."""
    sizes = [float(np.median(mapped.grid.pixel_hectares())) for mapped in (first, second)]
    return first.grid if sizes[0] <= sizes[1] else second.grid


@contextmanager
def on_grid(mapped: ClassMap, grid: Grid) -> Iterator[WarpedVRT]:
    """Open a map on another grid by nearest neighbour, to be read window by window; NaN where it has no value."""
    height, width = grid.shape
    target = {"crs": grid.crs.to_wkt(), "transform": grid.transform, "height": height, "width": width}
    with open_classified(mapped.path) as source, WarpedVRT(source, **target, dtype="float64", nodata=np.nan) as view:
        yield view


def cross_hectares(first: ClassMap, second: ClassMap, legend: CommonLegend) -> NDArray[np.float64]:
    """Return the hectares of each pair of classes, (classes + 1, classes + 1); the last is without a class.

    Both maps are read on the finer of their grids, window by window: the other one has at each pixel the class of its
    pixel that contains the centre. Land outside that grid is not counted.
    """
    grid = finer_grid(first, second)
    base, other, turned = (first, second, False) if grid is first.grid else (second, first, True)
    numbers = (legend.of_second, legend.of_first) if turned else (legend.of_first, legend.of_second)
    side = len(legend.classes) + 1
    table, weights = np.zeros(side * side), grid.pixel_hectares()
    with open_classified(base.path) as source, on_grid(other, grid) as view:
        for window in block_windows(source):
            part = window.slices
            there = np.ma.masked_invalid(view.read(1, window=part), copy=False)
            # NODATA and NO_CLASS are negative, so they read the last entries.
            row, col = (
                lookup[np.maximum(at, NO_CLASS)] % side
                for lookup, at in zip(
                    numbers, (base.numbers(read_window(source, window)), other.numbers(there)), strict=True
                )
            )
            area = np.broadcast_to(weights[window.row : window.row + window.height, None], row.shape)
            table += np.bincount((row * side + col).ravel(), area.ravel(), side * side)
    square = table.reshape(side, side)
    return square.T if turned else square


def classes_at(mapped: ClassMap, points: Any, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number in the common legend of a map's class at each point, (N,); `NO_CLASS` where it has none.

    Args:
        points: in any CRS.
        numbers: of the map's classes in the common legend.
    """
    rows, cols = pixel_of_points(mapped.grid, points.to_crs(mapped.grid.crs.to_wkt()))
    return numbers[np.maximum(mapped.sample(rows, cols), NO_CLASS)]
