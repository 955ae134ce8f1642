"""From the windows of a map to its rasters, tile by tile, and to its picture.

Shape letters: C classes, H rows, W columns.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np

from agrifm.files import write_bytes
from agrifm.grid import tiles
from agrifm.inference.training_reference import TrainingReference
from agrifm.legend import LEGEND_TAG, legend_json
from agrifm.map_cleaning import NO_CLEANING, Cleaning
from agrifm.mapping.blended_tiles import blended_layers, blended_tile
from agrifm.mapping.category_layer import LayerStatement
from agrifm.mapping.certainty_layer import CERTAINTY_FILE, LEVELS, CertaintyLayer, why_without_certainty
from agrifm.mapping.class_chooser import ClassChooser
from agrifm.mapping.class_layer import CLASSES_FILE, CONFIDENCE_FILE, ClassLayer
from agrifm.mapping.cog import TILE_SIDE
from agrifm.mapping.dissimilarity_layer import DissimilarityLayer
from agrifm.mapping.field_layer import FieldLayer
from agrifm.mapping.probability_layer import ProbabilityLayer
from agrifm.mapping.share_layer import ShareLayer, write_share_picture_of_map
from agrifm.mapping.window_store import WindowStore
from agrifm.mapping.windows import MapPlan
from agrifm.mapping.yield_layer import YieldLayer, write_yield_picture_of_map
from agrifm.pictures import map_picture, read_reduced
from agrifm.rasters import open_raster
from agrifm.stac import map_title
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
    season = plan.cube.season
    about = {"AGRIFM_MODEL": plan.record.name, "AGRIFM_SEASON": f"{season.start}/{season.end}"}
    if plan.record.task == "yield":
        return _write_numbers(plan, store, YieldLayer(directory, plan, cleaning, about))
    if plan.record.task == "fractions":
        return _write_numbers(plan, store, ShareLayer(directory, plan, about))
    classes = ClassLayer(directory, plan, about)
    of_classes = _layers_of_classes(plan, directory, about, probabilities)
    fields = [FieldLayer(directory, plan, store, cleaning, about)] if plan.record.task == "boundaries" else []
    unlike = [] if reference is None else [DissimilarityLayer(directory, plan, reference, about)]
    every = list(tiles(plan.grid.shape, TILE_SIDE))
    with ExitStack() as stack:
        chooser = stack.enter_context(ClassChooser(plan, store, directory, cleaning))
        for layer in (classes, *of_classes, *fields, *unlike):
            stack.enter_context(layer)
        advance = stack.enter_context(progress("write", len(every)))
        for tile in every:
            inside = plan.area.inside(tile)
            mean, index = blended_tile(plan, store, tile, inside, bool(unlike))
            known = inside & ~np.isnan(mean[0])
            number = chooser.numbers(tile, mean, known)
            classes.write(tile, mean, number, inside)
            for writer in of_classes:
                writer.write(tile, mean, number)
            for field in fields:
                field.write(tile, inside)
            for other in unlike:
                other.write(tile, index, known)
            advance(1)
    hectares, nodata_hectares = classes.finish()
    statements = (chooser.statement(), *(layer.finish() for layer in (*of_classes, *fields, *unlike)))
    return WrittenRasters(hectares, nodata_hectares, tuple(one for one in statements if one))


def _write_numbers(plan: MapPlan, store: WindowStore, layer: YieldLayer | ShareLayer) -> WrittenRasters:
    """The raster of a map of yields, or of shares."""
    every = list(tiles(plan.grid.shape, TILE_SIDE))
    with layer, progress("write", len(every)) as advance:
        for tile in every:
            inside = plan.area.inside(tile)
            layer.write(tile, blended_layers(plan, store, tile, inside), inside)
            advance(1)
    hectares, unknown, statement = layer.finish()
    return WrittenRasters(hectares, unknown, (statement,))


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


def write_picture(directory: Path, plan: MapPlan, hectares: dict[str, float], nodata_hectares: float) -> None:
    """Write `map.png` from the COGs in a directory."""
    title = map_title(plan.record, plan.cube.season)
    if plan.record.task == "yield":
        write_yield_picture_of_map(directory, plan, title, PICTURE_SIDE)
        return
    if plan.record.task == "fractions":
        write_share_picture_of_map(directory, plan, title, hectares, PICTURE_SIDE)
        return
    with open_raster(directory / CLASSES_FILE) as source:
        classes = read_reduced(source, PICTURE_SIDE)
    with open_raster(directory / CONFIDENCE_FILE) as source:
        confidence = read_reduced(source, PICTURE_SIDE)
    levels = None
    if (directory / CERTAINTY_FILE).exists():
        with open_raster(directory / CERTAINTY_FILE) as source:
            levels = read_reduced(source, PICTURE_SIDE), LEVELS
    legend = plan.record.legend
    picture = map_picture(classes, confidence, plan.grid, legend, title, hectares, nodata_hectares, levels)
    write_bytes(directory / "map.png", picture)
