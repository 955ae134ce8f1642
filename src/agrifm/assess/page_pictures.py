"""The maps of a report's page: each class a picture of its own, so that the page can hide it without any script.

Pictures are read at reduced size, so that large maps do not fill the memory, and are made smaller until all of them
fit into a page that can be sent.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import cos, radians
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling

from agrifm.assess.class_map import ClassMap, open_classified
from agrifm.assess.zoned_map import ZonedMap
from agrifm.class_raster import read_class_raster
from agrifm.codes import code_of
from agrifm.errors import AssessmentError
from agrifm.grid import Grid
from agrifm.legend import UNLABELLED, LegendClass
from agrifm.pictures import RGBA, confidence_rgba, indexed_png, read_reduced, reduced_shape, rgb

CONFIDENCE_FILE = "confidence.tif"
"""Raster of confidence that agrifm writes next to a map."""
CATEGORY_FILES = {"certainty.tif": "How certain the class is", "applicability.tif": "Area of applicability"}
"""Rasters of few categories that agrifm writes next to a map, with the titles of their pictures."""
SIDES = (1400, 1000, 700, 500, 350, 250)
"""Longer side of a large picture, pixels; the first with which all pictures fit."""
SMALL_SIDE = 500
"""Longest side of the picture on the first screen."""
MAX_BYTES = 4_400_000
"""Of all pictures as text, so that the page has at most 5 MB."""
MAX_LAYERS = 24
"""Classes that can be hidden; maps with more are one picture."""
UNKNOWN_COLOR = "#000000"
"""Colour of classes that the table of classes does not have."""
OTHERS = -1
"""Number of the layer of all classes that cannot be hidden."""


@dataclass(frozen=True)
class Layer:
    """One class of a map as a PNG with a transparent ground."""

    number: int
    """Of the class in the report, or `OTHERS`."""
    name: str
    address: str
    """Data URL."""


@dataclass(frozen=True)
class MapPicture:
    """A map, whose layers cover one ground."""

    title: str
    kind: str
    """`classes`, `confidence` or `categories`."""
    layers: tuple[Layer, ...]
    pixels: tuple[int, int]
    """Height and width in pixels."""
    ratio: float
    """Of its width to its height on the ground."""
    key: tuple[tuple[str, str], ...] = ()
    """Names and colours (#rrggbb) of categories."""

    @property
    def characters(self) -> int:
        """Length of its layers as text."""
        return sum(len(layer.address) for layer in self.layers)

    def numbered_from(self, first: int) -> "MapPicture":
        """Return it with other numbers of its layers, so that two legends of a page do not mix."""
        layers = [replace(layer, number=layer.number + first if layer.number >= 0 else OTHERS) for layer in self.layers]
        return replace(self, layers=tuple(layers))


def draw_maps(
    mapped: ClassMap, classes: Sequence[LegendClass], truth: Path | None, taken: int = 0
) -> tuple[MapPicture, list[MapPicture]]:
    """Draw the small map of the first screen, and the large ones: the map, and if they exist the truth, the confidence
    and the layers of few categories.

    Args:
        classes: those of the report; their order numbers the layers.
        taken: characters of other pictures of the page.

    Raises:
        AssessmentError: the truth cannot be read as a raster, or has no CRS.
    """
    small = _class_picture(mapped, classes, SMALL_SIDE)
    for side in SIDES:
        large = [_class_picture(mapped, classes, side)]
        if truth is not None:
            large.append(_truth_picture(truth, mapped, classes, side))
        confidence = mapped.path.parent / CONFIDENCE_FILE
        if confidence.exists() and confidence != mapped.path:
            large.append(_confidence_picture(confidence, mapped.grid, side))
        for file, title in CATEGORY_FILES.items():
            path = mapped.path.parent / file
            if path.exists() and path != mapped.path:
                large += _category_pictures(path, title, mapped.grid, side)
        if taken + small.characters + sum(picture.characters for picture in large) <= MAX_BYTES:
            break
    return small, large


def coarse_grid(grid: Grid, side: int) -> Grid:
    """Return the ground of a grid with so large pixels that the longer side has at most `side`."""
    height, width = reduced_shape(grid.shape, side)
    rows, cols = grid.shape
    fine = grid.transform
    transform = Affine(fine.a * cols / width, 0, fine.c, 0, fine.e * rows / height, fine.f)
    return Grid.of(grid.crs.to_wkt(), transform, (height, width))


def _class_picture(mapped: ClassMap, classes: Sequence[LegendClass], side: int) -> MapPicture:
    """The map in the colours of its classes, north up, nodata transparent."""
    if isinstance(mapped, ZonedMap):
        pixels = mapped.reduced(coarse_grid(mapped.grid, side))
    else:
        with open_classified(mapped.path) as source:
            pixels = read_reduced(source, side)
    codes = dict(zip(mapped.values, mapped.legend.codes, strict=True))
    own = {entry.code: entry for entry in mapped.legend.classes}
    return layered_picture("The map", pixels, mapped.grid, codes, classes, own)


def _truth_picture(path: Path, mapped: ClassMap, classes: Sequence[LegendClass], side: int) -> MapPicture:
    """True classes on the ground of the map; matched by the truth's legend, or by pixel value as code."""
    from rasterio.vrt import WarpedVRT

    coarse = coarse_grid(mapped.grid, side)
    with open_classified(path) as source:
        if source.crs is None:
            raise AssessmentError(
                f"reading the truth {path}: it has no coordinate reference system; assign one", path=path
            )
        stated = read_class_raster(source, path, f"reading the truth {path}", AssessmentError)
        legend = stated.legend
        nodata = source.nodata if source.nodata is not None else (UNLABELLED if legend else None)
        (height, width), crs = coarse.shape, coarse.crs.to_wkt()
        place = {"crs": crs, "transform": coarse.transform, "height": height, "width": width}
        with WarpedVRT(source, **place, src_nodata=nodata) as view:
            pixels = view.read(1, masked=True)
    if legend:
        codes = {float(number): code for number, code in enumerate(legend.codes)}
    else:
        codes = {value: code_of(value) for value in np.unique(pixels.compressed()).astype(float).tolist()}
    return layered_picture("The truth", pixels, mapped.grid, codes, classes, {})


def _confidence_picture(path: Path, grid: Grid, side: int) -> MapPicture:
    with open_classified(path) as source:
        percent = read_reduced(source, side, Resampling.average)
    colors = [(0, 0, 0, 0), *map(tuple, confidence_rgba(np.ma.array(np.arange(101))).tolist())]
    index = np.where(np.ma.getmaskarray(percent), 0, np.clip(percent.filled(0), 0, 100) + 1).astype(np.uint8)
    return _picture("Confidence of the map", "confidence", [(OTHERS, "Confidence", index, colors)], grid)


def _category_pictures(path: Path, title: str, grid: Grid, side: int) -> list[MapPicture]:
    """The picture of a layer with a legend; none of another file of this name."""
    with open_classified(path) as source:
        legend = read_class_raster(source, path, f"reading the layer {path}", AssessmentError).legend
        pixels = read_reduced(source, side)
    if legend is None:
        return []
    index = np.where(np.ma.getmaskarray(pixels), 0, pixels.filled(0).astype(np.int64) + 1)
    colors = [(0, 0, 0, 0), *((*rgb(entry.color), 255) for entry in legend.classes)]
    index = np.where(index < len(colors), index, 0).astype(np.uint8)
    picture = _picture(title, "categories", [(OTHERS, title, index, colors)], grid)
    return [replace(picture, key=tuple((entry.name, entry.color) for entry in legend.classes))]


def layered_picture(
    title: str,
    pixels: np.ma.MaskedArray[Any, Any],
    grid: Grid,
    codes: Mapping[float, str],
    classes: Sequence[LegendClass],
    own: Mapping[str, LegendClass],
) -> MapPicture:
    """Return a map as one layer per class of the report, and one of all other classes that occur.

    Args:
        pixels: (H, W), values of pixels.
        codes: class code of each pixel value.
        own: further classes of the map, for their colours.
    """
    numbers = {entry.code: number for number, entry in enumerate(classes)}
    layers: list[tuple[int, str, NDArray[np.uint8], list[RGBA]]] = []
    others, palette = np.zeros(pixels.shape, np.uint8), [(0, 0, 0, 0)]
    known = ~np.ma.getmaskarray(pixels)
    for value, code in codes.items():
        here = known & (pixels.data == value)
        if not here.any():
            continue
        number = numbers.get(code)
        entry = own.get(code) if number is None else classes[number]
        color = (*rgb(entry.color if entry else UNKNOWN_COLOR), 255)
        if number is None or len(classes) > MAX_LAYERS:
            palette = [*palette, color]
            others[here] = len(palette) - 1
        else:
            layers.append((number, classes[number].name, here.astype(np.uint8), [(0, 0, 0, 0), color]))
    if len(palette) > 1 or not layers:
        layers.append((OTHERS, "Other classes" if layers else "Classes", others, palette))
    return _picture(title, "classes", layers, grid)


def _picture(
    title: str, kind: str, layers: Sequence[tuple[int, str, NDArray[np.uint8], list[Any]]], grid: Grid
) -> MapPicture:
    left, bottom, right, top = grid.bounds
    ratio = (right - left) / (top - bottom)
    if grid.crs.geographic:  # a degree of longitude is shorter than one of latitude
        ratio *= cos(radians((bottom + top) / 2))
    drawn = []
    for number, name, index, palette in layers:
        upright = index[::-1] if grid.transform.e > 0 else index  # rows may run northwards
        content = base64.b64encode(indexed_png(upright, palette)).decode()
        drawn.append(Layer(number, name, f"data:image/png;base64,{content}"))
    height, width = layers[0][2].shape
    return MapPicture(title, kind, tuple(drawn), (height, width), ratio)
