"""The rasters of a map of numbers as layers of the page: yields with their intervals, or shares of classes.

Numbers are drawn in steps of colour. What a click or a drawn area says of them is read from the file as it is.

Shape letters: B bands, H W rows and columns.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from agrifm.codes import listed
from agrifm.errors import ServeError
from agrifm.grid import Window
from agrifm.legend import LEGEND_TAG, UNLABELLED, Legend
from agrifm.pictures import class_colors, reduced_shape
from agrifm.record import NUMBERS, Task
from agrifm.serve.map_layers import (
    CLASSES,
    LONGEST_READ,
    NOTHING,
    LayerRaster,
    PageLayer,
    layer_grid,
    layers_beside,
    number_colors,
    open_layer,
)
from agrifm.yields import CROP_TAG, LEVEL_TAG, UNIT_TAG, YIELD_BANDS

YIELD, LOWER, UPPER, HALF = "yield", "lower", "upper", "half-interval"
"""Layers of a map of yields."""
SHARE = "share-"
"""How the key of the layer of a class's shares begins; its number follows."""
LAST_STEP = 254
"""Of the steps in which numbers are drawn; the byte after it is `UNLABELLED`."""
SPREAD = (2, 98)
"""Percentiles of a layer between which the colours are."""


@dataclass(frozen=True)
class NumberRaster(LayerRaster):
    """A raster of numbers, drawn in steps."""

    bands: tuple[int, ...] = (1,)
    weights: tuple[float, ...] = (1.0,)
    """Of these bands in the number that is shown, their weighted sum."""
    ends: tuple[float, float] = (0.0, 1.0)
    """Numbers of the first and the last step; those beyond have the same steps."""
    decimals: int = 2
    """Of what a click says."""

    def value(self, row: int, col: int) -> float | None:
        """The number of a pixel; None where it has none.

        Raises:
            ServeError: the file is damaged, or no longer there.
        """
        number = float(self.numbers(Window(row, col, 1, 1), (1, 1))[0, 0])
        return None if np.isnan(number) else round(number, self.decimals)

    def numbers(self, window: Window, shape: tuple[int, int]) -> NDArray[np.float64]:
        """The numbers (H, W) of a window at a size, NaN where there are none."""
        bands = self.read_bands(window, shape, self.bands).astype(np.float64)
        return np.asarray(np.tensordot(self.weights, bands, 1))

    def _read(self, window: Window, shape: tuple[int, int]) -> NDArray[np.uint8]:
        """The steps of a window at a size."""
        low, high = self.ends
        steps = np.rint((self.numbers(window, shape) - low) / (high - low) * LAST_STEP).clip(0, LAST_STEP)
        return np.where(np.isnan(steps), UNLABELLED, steps).astype(np.uint8)


@dataclass(frozen=True)
class LargestShare(LayerRaster):
    """The class that has the largest share of each pixel of a raster of shares."""

    def _read(self, window: Window, shape: tuple[int, int]) -> NDArray[np.uint8]:
        shares = self.read_bands(window, shape).astype(np.float64)
        known = ~np.isnan(shares).any(axis=0)
        return np.where(known, np.where(known, shares, 0).argmax(axis=0), UNLABELLED).astype(np.uint8)


def number_layers(
    directory: Path, task: Task, item: Mapping[str, Any], missing: dict[str, str]
) -> dict[str, PageLayer]:
    """The layers of a map of numbers by key, that which is seen first before the others.

    Args:
        task: "yield" or "fractions".
        item: properties of the map's item.
        missing: receives by title why a file that is there cannot be shown.

    Raises:
        ServeError: the raster of numbers is absent or unusable.
    """
    path = directory / NUMBERS[task]
    layers = _yield_layers(path, item) if task == "yield" else _share_layers(path)
    return {layer.key: layer for layer in layers} | layers_beside(directory, missing)


def _yield_layers(path: Path, item: Mapping[str, Any]) -> list[PageLayer]:
    """The yields, and half of their intervals."""
    with open_layer(path) as source:
        grid, tags = layer_grid(source, path, "float32"), source.tags()
        if source.count != len(YIELD_BANDS) or not {UNIT_TAG, LEVEL_TAG, CROP_TAG} <= set(tags):
            raise ServeError(f"reading {path.name}: it is not a map of yields; run `agrifm map` again", path=path)
    crop, unit = listed(tags[CROP_TAG].split()), tags[UNIT_TAG]
    interval = f"{100 * float(tags[LEVEL_TAG]):.0f} % interval"
    at = {name: number for number, name in enumerate(YIELD_BANDS, 1)}
    about = f"The {interval} is of the mean yield of a field that looks like the pixel."
    half = NumberRaster(path, grid, bands=(at["lower"], at["upper"]), weights=(-0.5, 0.5))
    lower, upper = (NumberRaster(path, grid, bands=(at[name],)) for name in ("lower", "upper"))
    return [
        _in_steps(YIELD, f"Yield of {crop}", NumberRaster(path, grid), unit, _yield_note(crop, item)),
        _in_steps(LOWER, f"Lower end of its {interval}", lower, unit, about),
        _in_steps(UPPER, f"Upper end of its {interval}", upper, unit, about),
        _in_steps(HALF, f"Half of its {interval}", half, unit, about),
    ]


def _yield_note(crop: str, properties: Mapping[str, Any]) -> str:
    """What a map of yields says of its sum, by its item; where the crop is not known, that there is none."""
    stated = properties.get("agrifm:yield")
    stated = stated if isinstance(stated, dict) else {}
    if not stated.get("masked"):
        return f"Stated on all land, as if {crop} were everywhere: `cropland` under [map] says where it is."
    hectares, mean, tonnes = (stated.get(name) for name in ("hectares", "mean", "production_t"))
    if not all(isinstance(one, int | float) for one in (hectares, mean, tonnes)):
        return ""
    found = f"Mean {mean:.2f} t/ha on {hectares:,.0f} ha; its pixels sum up to {tonnes:,.0f} t"
    return f"{found}, which a sample did not estimate."


def _in_steps(key: str, title: str, raster: NumberRaster, unit: str, note: str) -> PageLayer:
    """A layer whose colours are between the percentiles of its numbers."""
    (height, width), shape = raster.grid.shape, reduced_shape(raster.grid.shape, LONGEST_READ)
    numbers = raster.numbers(Window(0, 0, height, width), shape)
    known = numbers[~np.isnan(numbers)]
    low, high = (float(f"{end:.3g}") for end in (np.percentile(known, SPREAD) if known.size else (0, 1)))
    ends = (low, high if high > low else low + 1)
    return PageLayer(
        key, title, (replace(raster, ends=ends),), None, LAST_STEP, number_colors(LAST_STEP), unit, ends, note
    )


def _share_layers(path: Path) -> list[PageLayer]:
    """The class of the largest share, with the colours of the legend, and the shares of each class."""
    with open_layer(path) as source:
        grid, names, text = layer_grid(source, path, "float32"), source.descriptions, source.tags().get(LEGEND_TAG, "")
    try:
        legend: Legend | None = Legend.model_validate_json(text)
    except ValidationError:
        legend = None
    if legend is None or tuple(legend.codes) != tuple(names):
        raise ServeError(
            f"reading {path.name}: it is not a map of shares of classes; run `agrifm map` again", path=path
        )
    by_number = class_colors(legend)
    colors = tuple(by_number.get(value, NOTHING) for value in range(256))
    note = "The class of the largest share in each pixel. Hectares are sums of shares, no estimate by a sample."
    largest = PageLayer(CLASSES, "Largest share", (LargestShare(path, grid),), legend, 0, colors, note=note)
    steps, percent = number_colors(LAST_STEP), (0.0, 100.0)
    return [largest] + [
        PageLayer(
            f"{SHARE}{number}",
            f"Share of {entry.name}",
            (NumberRaster(path, grid, bands=(number + 1,), weights=(100.0,), ends=percent, decimals=1),),
            None, LAST_STEP, steps, "%", percent,
        )
        for number, entry in enumerate(legend.classes)
    ]  # fmt: skip
