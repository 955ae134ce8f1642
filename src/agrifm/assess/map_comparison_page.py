"""The page of two maps that were compared: pictures side by side, hectares, accuracies, what became of what."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.assess.class_map import ClassMap
from agrifm.assess.cross_table import NO_CLASS, CommonLegend, finer_grid, on_grid
from agrifm.assess.page import SCALE_BAR_SHARE, matrix_cells, page_environment
from agrifm.assess.page_pictures import MAX_BYTES, SIDES, MapPicture, coarse_grid, layered_picture
from agrifm.grid import Grid
from agrifm.legend import LegendClass
from agrifm.pictures import scale_bar

TEMPLATE_OF_COMPARISON = "map_comparison.html.jinja"
MAX_ROTATIONS = 25
"""Pairs of classes in the page; all are in the table."""
SAME, DIFFERENT = (
    LegendClass(code="same", name="Same class", color="#dddddd"),
    LegendClass(code="different", name="Another class", color="#882255"),
)


def render_map_comparison(
    comparison: Mapping[str, Any], first: ClassMap, second: ClassMap, legend: CommonLegend
) -> str:
    """Return the page of a comparison.

    Args:
        comparison: the content of `comparison.json`.
    """
    grid = finer_grid(first, second)
    pictures = _draw(first, second, legend, grid)
    scale, scale_share = scale_bar(grid, SCALE_BAR_SHARE)
    names = [entry.name for entry in legend.classes]
    change = comparison.get("change")
    return (
        page_environment()
        .get_template(TEMPLATE_OF_COMPARISON)
        .render(
            comparison=comparison,
            classes=legend.classes,
            shown={layer.number for picture in pictures[:2] for layer in picture.layers},
            pictures=pictures,
            kinds=(SAME, DIFFERENT),
            scale=scale,
            scale_share=scale_share,
            cross=matrix_cells(names, comparison["cross"]["hectares"]),
            rotations=[pair for pair in comparison["rotations"] if pair["from"] != pair["to"]][:MAX_ROTATIONS],
            transitions=[] if change is None else change["transitions"][:MAX_ROTATIONS],
        )
    )


def _draw(first: ClassMap, second: ClassMap, legend: CommonLegend, grid: Grid) -> list[MapPicture]:
    """Both maps and where they agree, on one ground."""
    for side in SIDES:
        coarse = coarse_grid(grid, side)
        numbers = _numbers(first, legend.of_first, coarse), _numbers(second, legend.of_second, coarse)
        pictures = [
            _picture_of(mapped.path.name, shown, coarse, legend.classes)
            for mapped, shown in zip((first, second), numbers, strict=True)
        ]
        known = (numbers[0] != NO_CLASS) & (numbers[1] != NO_CLASS)
        differ = np.where(known, numbers[0] != numbers[1], NO_CLASS)
        both = _picture_of("Where they differ", differ, coarse, (SAME, DIFFERENT), offset=len(legend.classes))
        if sum(picture.characters for picture in (*pictures, both)) <= MAX_BYTES:
            break
    return [*pictures, both]


def _numbers(mapped: ClassMap, lookup: NDArray[np.int64], grid: Grid) -> NDArray[np.int64]:
    """Number of the common class of each pixel of a grid, (H, W)."""
    with on_grid(mapped, grid) as view:
        values = np.ma.masked_invalid(view.read(1), copy=False)
    return lookup[np.maximum(mapped.numbers(values), NO_CLASS)]


def _picture_of(
    title: str, numbers: NDArray[np.int64], grid: Grid, classes: Sequence[LegendClass], offset: int = 0
) -> MapPicture:
    codes = {float(number): entry.code for number, entry in enumerate(classes)}
    picture = layered_picture(title, np.ma.masked_equal(numbers, NO_CLASS), grid, codes, classes, {})
    return picture.numbered_from(offset)
