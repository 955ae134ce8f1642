"""From the windows of a map to its rasters, tile by tile, and to its picture.

Shape letters: C classes, H rows, W columns.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agrifm.class_raster import CONFIDENCE
from agrifm.errors import MapError
from agrifm.files import write_bytes
from agrifm.grid import tiles
from agrifm.inference.training_reference import TrainingReference
from agrifm.legend import LEGEND_TAG, UNLABELLED, legend_json
from agrifm.map_cleaning import NO_CLEANING, Cleaning
from agrifm.mapping.blended_tiles import blended_tile
from agrifm.mapping.category_layer import LayerStatement
from agrifm.mapping.certainty_layer import CERTAINTY_FILE, LEVELS, CertaintyLayer, why_without_certainty
from agrifm.mapping.class_chooser import ClassChooser
from agrifm.mapping.cog import TILE_SIDE, CogWriter
from agrifm.mapping.dissimilarity_layer import DissimilarityLayer
from agrifm.mapping.probability_layer import ProbabilityLayer
from agrifm.mapping.raster_styles import describe_classes, describe_numbers
from agrifm.mapping.window_store import WindowStore
from agrifm.mapping.windows import MapPlan
from agrifm.pictures import class_colors, map_picture, read_reduced
from agrifm.rasters import open_raster
from agrifm.work import progress

PICTURE_SIDE = 1000
"""Longer side of each panel of the map's picture, pixels."""


class WrittenRasters(NamedTuple):
    """What the rasters of a map say."""

    hectares: dict[str, float]
    """Mapped, by class code."""
    nodata_hectares: float
    """Inside the area, without a valid observation."""
    statements: tuple[LayerStatement, ...]
    """Of the layers other than the classes and their confidence."""


def write_rasters(
    plan: MapPlan,
    store: WindowStore,
    directory: Path,
    reference: TrainingReference | None = None,
    probabilities: bool = False,
    cleaning: Cleaning = NO_CLEANING,
) -> WrittenRasters:
    """Blend the windows tile by tile into the COGs of a map.

    Args:
        reference: with which the windows were predicted.
        probabilities: whether the probabilities of all classes are kept too.
        cleaning: what is done about single pixels and small regions.

    Raises:
        MapError: the whole area has no valid observation, or the minimum mapping unit is too large.
        OutputError: a file on disk differs from what was written.
    """
    record, legend, season = plan.record, plan.record.legend, plan.cube.season
    about = {"AGRIFM_MODEL": record.name, "AGRIFM_SEASON": f"{season.start}/{season.end}"}
    tags = {**about, LEGEND_TAG: legend_json(legend)}
    classes = CogWriter(directory / "classes.tif", plan.grid, "class", tags, "MODE", class_colors(legend))
    confidence = CogWriter(directory / "confidence.tif", plan.grid, CONFIDENCE, about, "AVERAGE")
    of_classes = _layers_of_classes(plan, directory, about, probabilities)
    unlike = [] if reference is None else [DissimilarityLayer(directory, plan, reference, about)]
    # Pixels are counted by row, because in degrees their hectares depend on the latitude.
    pixel_hectares, height = plan.grid.pixel_hectares(), plan.grid.shape[0]
    counts = np.zeros((len(legend) + 1, height), np.int64)  # (class, then nodata; row)
    every = list(tiles(plan.grid.shape, TILE_SIDE))
    with ExitStack() as stack:
        chooser = stack.enter_context(ClassChooser(plan, store, directory, cleaning))
        for layer in (classes, confidence, *of_classes, *unlike):
            stack.enter_context(layer)
        advance = stack.enter_context(progress("write", len(every)))
        for tile in every:
            inside = plan.area.inside(tile)
            mean, index = blended_tile(plan, store, tile, inside, bool(unlike))
            known = inside & ~np.isnan(mean[0])
            number = chooser.numbers(tile, mean, known)
            classes.write(tile, number)
            confidence.write(tile, _percent(mean, number))
            for writer in of_classes:
                writer.write(tile, mean, number)
            for other in unlike:
                other.write(tile, index, known)
            _count(counts[:, tile.row : tile.row + tile.height], number, inside)
            advance(1)
    if not counts[:-1].any():
        raise MapError(
            f"mapping the cube {plan.cube.path}: not one pixel of its area has a usable observation; fetch more scenes",
            path=plan.cube.path,
        )
    classes.finish()
    confidence.finish()
    describe_classes(directory / "classes.tif", legend)
    describe_numbers(directory / "confidence.tif", 0, 100, " %")
    hectares = counts @ pixel_hectares
    return WrittenRasters(
        dict(zip(legend.codes, hectares[:-1].tolist(), strict=True)),
        float(hectares[-1]) + plan.area.hectares_beyond(),
        tuple(one for one in (chooser.statement(), *(layer.finish() for layer in (*of_classes, *unlike))) if one),
    )


def _layers_of_classes(
    plan: MapPlan, directory: Path, about: dict[str, str], probabilities: bool
) -> list[CertaintyLayer | ProbabilityLayer]:
    """The layers of a map that are made of its probabilities."""
    record = plan.record
    layers: list[CertaintyLayer | ProbabilityLayer] = []
    if record.candidates is not None and why_without_certainty(record) is None:
        layers.append(CertaintyLayer(directory, plan.grid, record.candidates, record.legend, about))
    if probabilities:
        layers.append(ProbabilityLayer(directory, plan, {**about, LEGEND_TAG: legend_json(record.legend)}))
    return layers


def _percent(mean: NDArray[np.float64], number: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the probability of each pixel's class in percent (H, W), 255 where it has none."""
    known = number != UNLABELLED
    percent = np.full(number.shape, UNLABELLED, np.uint8)
    percent[known] = np.rint(100 * np.take_along_axis(mean[:, known], number[known][None], axis=0)[0])
    return percent


def _count(counts: NDArray[np.int64], number: NDArray[np.uint8], inside: NDArray[np.bool_]) -> None:
    """Add the pixels of a tile that are inside the area to `counts` (class, then nodata; row)."""
    rows = np.nonzero(inside)[0]
    # 255 is clipped to the last row of counts, which is nodata.
    np.add.at(counts, (np.minimum(number[inside], len(counts) - 1), rows), 1)


def write_picture(directory: Path, plan: MapPlan, hectares: dict[str, float], nodata_hectares: float) -> None:
    """Write `map.png` from the COGs in a directory."""
    with open_raster(directory / "classes.tif") as source:
        classes = read_reduced(source, PICTURE_SIDE)
    with open_raster(directory / "confidence.tif") as source:
        confidence = read_reduced(source, PICTURE_SIDE)
    levels = None
    if (directory / CERTAINTY_FILE).exists():
        with open_raster(directory / CERTAINTY_FILE) as source:
            levels = read_reduced(source, PICTURE_SIDE), LEVELS
    season, record = plan.cube.season, plan.record
    title = f"Crop map by {record.name}, {season.start} to {season.end}"
    picture = map_picture(classes, confidence, plan.grid, record.legend, title, hectares, nodata_hectares, levels)
    write_bytes(directory / "map.png", picture)
