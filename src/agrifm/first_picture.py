"""The first picture of a season: one scene in true colour, as a PNG file and in a terminal.

Shape letters: H rows, W columns.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.files import write_bytes
from agrifm.pictures import rgba_png
from agrifm.rasters import open_raster

CUT = (2, 98)
"""Percentiles of the three bands together that become black and white."""
MOST_COLUMNS = 64
"""Width of the picture in a terminal, characters; each is one pixel wide and two high."""


def draw_true_colour(folder: Path, out: Path) -> NDArray[np.uint8]:
    """Draw the files `red.tif`, `green.tif` and `blue.tif` of a scene as a PNG, and return its pixels (H, W, 4).

    Pixels without a value are transparent.

    Raises:
        RasterioIOError: a file does not exist or is damaged.
    """
    bands, filled = [], []
    for name in ("red", "green", "blue"):
        with open_raster(folder / f"{name}.tif") as source:
            band = source.read(1, masked=True)
        bands.append(band.filled(0).astype(np.float32))
        filled.append(~np.ma.getmaskarray(band))
    valid = np.logical_and.reduce(filled)
    values = np.stack(bands, axis=-1)
    low, high = np.percentile(values[valid], CUT) if valid.any() else (0, 1)
    scaled = np.clip((values - low) / max(high - low, 1e-6), 0, 1)
    rgba = np.concatenate([scaled * 255, valid[:, :, None] * 255], axis=-1).round().astype(np.uint8)
    write_bytes(out, rgba_png(rgba))
    return rgba


def print_picture(rgba: NDArray[np.uint8], console: Any) -> None:
    """Print a picture (H, W, 4) with half blocks of two pixels each, if the console is a terminal with colours."""
    if not console.is_terminal or console.color_system is None or console.legacy_windows:
        return
    from rich.text import Text

    step = max(1, -(-rgba.shape[1] // min(MOST_COLUMNS, console.width)))
    shown = rgba[::step, ::step, :3]
    for upper, lower in zip(shown[::2], shown[1::2], strict=False):
        line = Text()
        for above, below in zip(upper.tolist(), lower.tolist(), strict=True):
            line.append("▀", style=f"rgb({','.join(map(str, above))}) on rgb({','.join(map(str, below))})")
        console.print(line)
