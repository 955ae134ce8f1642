"""The rasters of a map as layers of the page: which there are, their colours, their tiles.

Shape letters: H W rows and columns.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling

from agrifm.class_raster import read_class_raster
from agrifm.errors import ServeError, doing
from agrifm.grid import Grid
from agrifm.legend import UNLABELLED, Legend
from agrifm.pictures import RGBA, class_colors, confidence_rgba, indexed_png, read_reduced
from agrifm.rasters import open_raster
from agrifm.serve.tile_places import TilePlaces

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
PNG_EFFORT = 4
"""Of zlib, for tiles that are drawn while somebody waits."""
NOTHING: RGBA = (0, 0, 0, 0)


@dataclass(frozen=True)
class PageLayer:
    """A raster of bytes with the colour of each value."""

    key: str
    title: str
    path: Path
    grid: Grid
    legend: Legend | None
    """Of classes; None where values are numbers."""
    top: int
    """Of numbers: the value that has the brightest colour."""
    colors: tuple[RGBA, ...]
    """(256,), by value; nodata is transparent."""

    def stated(self) -> dict[str, Any]:
        """What the page is to know of the layer."""
        shared = {"key": self.key, "title": self.title}
        if self.legend is not None:
            entries = [entry.model_dump(include={"code", "name", "color"}) for entry in self.legend.classes]
            return {**shared, "classes": entries}
        ramp = ["#{:02x}{:02x}{:02x}".format(*self.colors[round(self.top * step / 8)][:3]) for step in range(9)]
        return {**shared, "ramp": ramp, "top": self.top, "unit": UNITS.get(self.key, "")}

    def tile(self, places: TilePlaces, hidden: Collection[int] = ()) -> bytes:
        """A tile as PNG.

        Args:
            hidden: values that are transparent.

        Raises:
            ServeError: the file is damaged, or no longer there.
        """
        colors = tuple(NOTHING if value in hidden else color for value, color in enumerate(self.colors))
        return indexed_png(self.pixels(places), colors, PNG_EFFORT)

    def pixels(self, places: TilePlaces) -> NDArray[np.uint8]:
        """The values (H, W) of a tile; `UNLABELLED` where there is none.

        Raises:
            ServeError: as of `tile`.
        """
        return places.taken(self._read(places), UNLABELLED).astype(np.uint8)

    def value(self, row: int, col: int) -> int | None:
        """The value of a pixel; None where it has none.

        Raises:
            ServeError: as of `tile`.
        """
        with open_layer(self.path) as source:
            value = int(source.read(1, window=rasterio.windows.Window(col, row, 1, 1))[0, 0])
        return None if value == UNLABELLED else value

    def _read(self, places: TilePlaces) -> NDArray[np.uint8]:
        """The pixels of a tile's window, reduced to about as many as the tile has; overviews serve small zooms."""
        window = places.window
        reduced = tuple(min(length, 2 * places.row.shape[0]) for length in (window.height, window.width))
        part = window.slices
        with open_layer(self.path) as source:
            return np.asarray(source.read(1, window=part, out_shape=reduced, resampling=Resampling.nearest))


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
    layers: dict[str, PageLayer] = {}
    for key, (title, name) in FILES.items():
        path = directory / name
        if key != CLASSES and not path.exists():
            continue
        try:
            layers[key] = _layer(key, title, path)
        except ServeError as error:
            if key == CLASSES:
                raise
            missing[title] = str(error)
    return layers


def other_crops(directories: Iterable[Path], missing: dict[str, str]) -> dict[str, PageLayer]:
    """The crops of other maps by key, to compare with: of another date, model or season.

    Args:
        directories: of maps, or of projects with a map in `map/`.
        missing: receives by title why one cannot be shown.
    """
    layers = {}
    for number, directory in enumerate(directories, 1):
        about = directory if (directory / FILES[CLASSES][1]).exists() else directory / "map"
        title = f"Crops, {directory.resolve().name}"
        try:
            layers[f"other-{number}"] = _layer(f"other-{number}", title, about / FILES[CLASSES][1])
        except ServeError as error:
            missing[title] = str(error)
    return layers


def _layer(key: str, title: str, path: Path) -> PageLayer:
    about = f"reading {path.name}"
    with open_layer(path) as source:
        transform = source.transform
        north_up = not (transform.b or transform.d) and transform.a > 0 > transform.e
        if source.dtypes[0] != "uint8" or source.crs is None or not north_up:
            raise ServeError(f"{about}: it is not a raster of agrifm's; run `agrifm map` again", path=path)
        grid = Grid.of(source.crs.to_wkt(), source.transform, source.shape)
        if key in UNITS:
            small = read_reduced(source, LONGEST_READ)
            top = 100 if UNITS[key] == "%" else max(int(small.max()) if small.count() else 1, 1)
            return PageLayer(key, title, path, grid, None, top, _of_numbers(top))
        legend = read_class_raster(source, path, about, ServeError).legend
        if legend is None:
            raise ServeError(f"{about}: it has no legend; run `agrifm map` again", path=path)
        by_number: Mapping[int, RGBA] = class_colors(legend)
        return PageLayer(
            key, title, path, grid, legend, 0, tuple(by_number.get(value, NOTHING) for value in range(256))
        )


def _of_numbers(top: int) -> tuple[RGBA, ...]:
    """Cividis, which colour-blind readers see as others do, from 0 to `top`; what is above has the last colour."""
    percent = np.ma.MaskedArray(np.minimum(np.arange(256) / top, 1) * 100, np.arange(256) == UNLABELLED)
    return tuple((int(r), int(g), int(b), int(a)) for r, g, b, a in confidence_rgba(percent))
