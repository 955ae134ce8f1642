"""The rasters of a map as layers of the page: which there are, their colours, their tiles.

Shape letters: H W rows and columns.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling
from shapely.geometry.base import BaseGeometry

from agrifm.class_raster import read_class_raster
from agrifm.errors import ServeError, doing
from agrifm.grid import Grid, Window
from agrifm.legend import UNLABELLED, Legend
from agrifm.map_collection import COLLECTION, tile_maps
from agrifm.pictures import RGBA, class_colors, confidence_rgba, indexed_png, read_reduced
from agrifm.rasters import open_raster
from agrifm.serve.tile_places import PNG_EFFORT, TilePlaces, bounds_in_degrees, tile_bounds, tile_places

CLASSES = "classes"
"""Layer of the crops."""
FILES = {
    CLASSES: ("Crops", "classes.tif"),
    "confidence": ("Confidence", "confidence.tif"),
    "certainty": ("Certainty", "certainty.tif"),
    "second": ("Second crop", "second.tif"),
    "entropy": ("Entropy", "entropy.tif"),
    "observations": ("Observations", "observations.tif"),
    "applicability": ("Similarity", "applicability.tif"),
    "dissimilarity": ("Dissimilarity", "dissimilarity.tif"),
}
"""Title and file of each layer that a map may have, by key."""
UNITS = {"confidence": "%", "entropy": "%", "observations": "dates", "dissimilarity": "%"}
"""Units of the layers of numbers."""
LONGEST_READ = 1024
"""Side in pixels of what is read to find the range of a layer."""
NOTHING: RGBA = (0, 0, 0, 0)


@dataclass(frozen=True)
class LayerRaster:
    """A raster of bytes: a map, or the map of a tile of a divided area."""

    path: Path
    grid: Grid
    within: Window | None = None
    """Of a tile, its pixels that no other tile of the zone has; None = all."""
    area: BaseGeometry | None = None
    """Of a tile, the part of the area in it, in longitude and latitude."""

    @cached_property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east and north in degrees; from -180 to 180 if it is on both sides of longitude 180."""
        return bounds_in_degrees(self.grid)

    def value(self, row: int, col: int) -> float | None:
        """The value of a pixel, a whole number in a raster of bytes; None where it has none.

        Raises:
            ServeError: the file is damaged, or no longer there.
        """
        value = int(self._read(Window(row, col, 1, 1), (1, 1))[0, 0])
        return None if value == UNLABELLED else value

    def pixels(self, places: TilePlaces) -> NDArray[np.uint8]:
        """The values (H, W) of a tile of the page; `UNLABELLED` where there is none.

        Raises:
            ServeError: as of `value`.
        """
        window, most = places.window, 2 * places.row.shape[0]  # about as many pixels as the tile has
        return places.taken(self._read(window, (min(window.height, most), min(window.width, most))), UNLABELLED).astype(
            np.uint8
        )

    def _read(self, window: Window, shape: tuple[int, int]) -> NDArray[np.uint8]:
        """The bytes of a window at a size, at which overviews serve small zooms."""
        return np.asarray(self.read_bands(window, shape, (1,))[0], np.uint8)

    def read_bands(
        self, window: Window, shape: tuple[int, int], bands: Sequence[int] | None = None
    ) -> NDArray[np.generic]:
        """Bands (B, H, W) of the file in a window at a size.

        Args:
            bands: numbers from 1; None = all.

        Raises:
            ServeError: as of `value`.
        """
        with open_layer(self.path) as source:
            chosen = source.indexes if bands is None else bands
            out = (len(chosen), *shape)
            return np.asarray(source.read(chosen, window=window.slices, out_shape=out, resampling=Resampling.nearest))


@dataclass(frozen=True)
class PageLayer:
    """A raster of bytes, or those of the tiles of a divided area, with the colour of each value."""

    key: str
    title: str
    rasters: tuple[LayerRaster, ...]
    """One; of a divided area, those of all tiles."""
    legend: Legend | None
    """Of classes; None where values are numbers."""
    top: int
    """Of numbers: the byte that has the brightest colour."""
    colors: tuple[RGBA, ...]
    """(256,), by byte; nodata is transparent."""
    unit: str = ""
    """Of numbers."""
    ends: tuple[float, float] | None = None
    """Of numbers that bytes do not hold: those that byte 0 and `top` stand for, and all beyond them; None = the bytes
    are the numbers."""
    note: str = ""
    """What a reader is to know of the layer, in sentences."""

    def stated(self) -> dict[str, Any]:
        """What the page is to know of the layer."""
        shared = {"key": self.key, "title": self.title, "note": self.note}
        if self.legend is not None:
            entries = [entry.model_dump(include={"code", "name", "color"}) for entry in self.legend.classes]
            return {**shared, "classes": entries}
        ramp = ["#{:02x}{:02x}{:02x}".format(*self.colors[round(self.top * step / 8)][:3]) for step in range(9)]
        bottom, top = (0, self.top) if self.ends is None else self.ends
        return {**shared, "ramp": ramp, "bottom": bottom, "top": top, "unit": self.unit}

    @property
    def raster(self) -> LayerRaster:
        """The raster of an area that is not divided."""
        (raster,) = self.rasters
        return raster

    @property
    def path(self) -> Path:
        """Of the raster of an area that is not divided."""
        return self.raster.path

    @property
    def grid(self) -> Grid:
        """Of the raster of an area that is not divided."""
        return self.raster.grid

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east and north of all rasters in degrees."""
        edges = np.array([raster.bounds for raster in self.rasters])
        (west, south), (east, north) = edges[:, :2].min(axis=0).tolist(), edges[:, 2:].max(axis=0).tolist()
        return west, south, east, north

    def tile(self, zoom: int, x: int, y: int, hidden: Collection[int] = ()) -> bytes | None:
        """A tile of the page as PNG; None where there is no raster.

        Args:
            hidden: values that are transparent.

        Raises:
            ServeError: a file is damaged, or no longer there.
        """
        pixels = self.pixels(zoom, x, y)
        if pixels is None:
            return None
        colors = tuple(NOTHING if value in hidden else color for value, color in enumerate(self.colors))
        return indexed_png(pixels, colors, PNG_EFFORT)

    def pixels(self, zoom: int, x: int, y: int) -> NDArray[np.uint8] | None:
        """The values (H, W) of a tile of the page, `UNLABELLED` where there is none; None where there is no raster.

        Each raster of a divided area has values in its zone alone, so one of them has a value at a place; within half a
        pixel of a zone's border, two may have one, of which the first is shown, or none.

        Raises:
            ServeError: as of `tile`.
        """
        found: NDArray[np.uint8] | None = None
        west, south, east, north = tile_bounds(zoom, x, y)
        for raster in self.rasters:
            left, bottom, right, top = raster.bounds
            if left > east or right < west or bottom > north or top < south:
                continue
            places = tile_places(raster.grid, zoom, x, y, raster.within)
            if places is None:
                continue
            pixels = raster.pixels(places)
            found = pixels if found is None else np.where(found == UNLABELLED, pixels, found)
        return found


@contextmanager
def open_layer(path: Path) -> Iterator[Any]:
    """Open a raster of a map with rasterio.

    Raises:
        ServeError: it is absent, or damaged where it is read.
    """
    with doing(f"reading {path.name}", ServeError, "run `agrifm map` again", path=path), open_raster(path) as source:
        yield source


def map_layers(directory: Path, missing: dict[str, str]) -> dict[str, PageLayer]:
    """The layers of a finished map by key, in the order of `FILES`; a map need not have all of them.

    Args:
        missing: receives by title why a file that is there cannot be shown.

    Raises:
        ServeError: the raster of the crops is absent or unusable.
    """
    title, name = FILES[CLASSES]
    return {CLASSES: _layer(CLASSES, title, directory / name), **layers_beside(directory, missing)}


def layers_beside(directory: Path, missing: dict[str, str]) -> dict[str, PageLayer]:
    """The layers of a map by key, but for that of the crops; see `map_layers`."""
    layers: dict[str, PageLayer] = {}
    for key, (title, name) in FILES.items():
        if key == CLASSES or not (directory / name).exists():
            continue
        try:
            layers[key] = _layer(key, title, directory / name)
        except ServeError as error:
            missing[title] = str(error)
    return layers


def other_crops(directories: Iterable[Path], missing: dict[str, str]) -> dict[str, PageLayer]:
    """The crops of other maps by key, to compare with: of another date, model or season.

    Args:
        directories: of maps, or of projects with a map in `map/`, or in `maps/` if their area is divided.
        missing: receives by title why one cannot be shown.
    """
    layers = {}
    for number, directory in enumerate(directories, 1):
        title, key = f"Crops, {directory.resolve().name}", f"other-{number}"
        try:
            layers[key] = _other_layer(key, title, directory)
        except ServeError as error:
            missing[title] = str(error)
    return layers


def _other_layer(key: str, title: str, directory: Path) -> PageLayer:
    """The crops of a map, or of the maps of a divided area's tiles, in a directory or in that of a project."""
    name = FILES[CLASSES][1]
    places = (directory, directory / "map", directory / "maps")
    for place in places:
        if (place / name).exists():
            return _layer(key, title, place / name)
        if (place / COLLECTION).exists():
            with doing(f"reading the maps {place}", ServeError, "run `agrifm map` again", path=place):
                tiles = tile_maps(place)
            return joined_layers([_layer(key, title, tile / name) for tile in tiles])
    return _layer(key, title, directory / "map" / name)


def joined_layers(layers: Sequence[PageLayer]) -> PageLayer:
    """One layer of the same layer of several tiles.

    Raises:
        ServeError: there is none, or their legends differ, as those of maps by different models do.
    """
    if not layers:
        raise ServeError("reading the maps of tiles: there is none; run `agrifm map` again")
    first = layers[0]
    for layer in layers:
        if layer.legend != first.legend:
            raise ServeError(
                f"reading {layer.rasters[0].path}: its legend differs from that of {first.rasters[0].path}, so they "
                "are of different models; run `agrifm map` again",
                path=layer.rasters[0].path,
            )
    top = max(layer.top for layer in layers)
    colors = first.colors if first.legend is not None else number_colors(top)
    return replace(first, rasters=tuple(one for layer in layers for one in layer.rasters), top=top, colors=colors)


def _layer(key: str, title: str, path: Path) -> PageLayer:
    about = f"reading {path.name}"
    with open_layer(path) as source:
        grid = layer_grid(source, path, "uint8")
        if key in UNITS:
            small = read_reduced(source, LONGEST_READ)
            top = 100 if UNITS[key] == "%" else max(int(small.max()) if small.count() else 1, 1)
            return PageLayer(key, title, (LayerRaster(path, grid),), None, top, number_colors(top), UNITS[key])
        legend = read_class_raster(source, path, about, ServeError).legend
        if legend is None:
            raise ServeError(f"{about}: it has no legend; run `agrifm map` again", path=path)
        by_number: Mapping[int, RGBA] = class_colors(legend)
        colors = tuple(by_number.get(value, NOTHING) for value in range(256))
        return PageLayer(key, title, (LayerRaster(path, grid),), legend, 0, colors)


def layer_grid(source: Any, path: Path, dtype: str) -> Grid:
    """The grid of an open raster of a map.

    Raises:
        ServeError: it is not north-up, or of another type.
    """
    transform = source.transform
    north_up = not (transform.b or transform.d) and transform.a > 0 > transform.e
    if source.dtypes[0] != dtype or source.crs is None or not north_up:
        raise ServeError(f"reading {path.name}: it is not a raster of agrifm's; run `agrifm map` again", path=path)
    return Grid.of(source.crs.to_wkt(), transform, source.shape)


def number_colors(top: int) -> tuple[RGBA, ...]:
    """Cividis, which colour-blind readers see as others do, from 0 to `top`; what is above has the last colour."""
    percent = np.ma.MaskedArray(np.minimum(np.arange(256) / top, 1) * 100, np.arange(256) == UNLABELLED)
    return tuple((int(r), int(g), int(b), int(a)) for r, g, b, a in confidence_rgba(percent))
