"""Pictures of rasters: colours of classes and of confidence, a scale bar, PNG images. Needs the extra `report`.

Shape letters: H rows, W columns. matplotlib is imported when a picture is drawn, because it is slow and optional.
"""

import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from math import cos, floor, log10, radians
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import Geod
from rasterio.enums import Resampling

from agrifm.grid import Grid
from agrifm.legend import UNLABELLED, Legend
from agrifm.screen import printable

MAX_LEGEND_ENTRIES = 20
"""Classes in the legend of a map's picture, those of most hectares; the others are counted."""
MIN_SHOWN_HECTARES = 0.05
"""Area without observation from which the legend shows it; less would be written as 0.0 ha."""
LONGEST_NAME = 60
"""Characters of a name in a picture; the end of a longer one is left out."""
PNG_TAG = {"Software": "agrifm"}
"""Metadata of every PNG that agrifm draws, by which it knows its own."""
PALETTE_PNG, RGBA_PNG = 3, 6
"""Colour types of PNG files."""
RGBA = tuple[int, int, int, int]
"""Red, green, blue, alpha, 0 to 255."""


def rgb(color: str) -> tuple[int, int, int]:
    """`#rrggbb` as three numbers 0 to 255."""
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
    return red, green, blue


def class_colors(legend: Legend) -> dict[int, RGBA]:
    """Colour by class number; nodata is transparent."""
    return {**{number: (*rgb(entry.color), 255) for number, entry in enumerate(legend.classes)}, UNLABELLED: (0,) * 4}


def scale_bar(grid: Grid, largest_share: float) -> tuple[str, float]:
    """Label and length of a scale bar: a round length of ground, and the share of the map's width that it covers.

    Args:
        largest_share: of the width, which the bar may cover.
    """
    left, bottom, right, top = grid.bounds
    if grid.crs.geographic:
        middle = (bottom + top) / 2
        metres = (right - left) * 111_320 * cos(radians(middle))
        if right - left < 90:  # over more, the shortest way leaves the parallel
            metres = Geod(ellps="WGS84").inv(left, middle, right, middle)[2]
    else:
        metres = (right - left) * float(grid.crs.proj.axis_info[0].unit_conversion_factor)
    power = 10.0 ** floor(log10(largest_share * metres))
    length = max(step * power for step in (1, 2, 5) if step * power <= largest_share * metres)
    return f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m", length / metres


def draw_scale_bar(axes: Any, grid: Grid) -> None:
    """Draw a scale bar below a picture of a whole grid that the axes show."""
    limits = axes.get_xlim()
    label, share = scale_bar(grid, 0.25)
    axes.plot([0, share], [-0.03, -0.03], transform=axes.transAxes, color="black", linewidth=3, clip_on=False)
    axes.text(share / 2, -0.045, label, transform=axes.transAxes, ha="center", va="top", fontsize="small")
    axes.set_xlim(limits)  # plotting the bar has widened it


def reduced_shape(shape: tuple[int, int], longest_side: int) -> tuple[int, int]:
    """Rows and columns of a raster that is shrunk until neither is above `longest_side`."""
    shrink = max(1.0, max(shape) / longest_side)
    height, width = (max(1, round(side / shrink)) for side in shape)
    return height, width


def read_reduced(
    source: Any, longest_side: int, resampling: Resampling = Resampling.nearest
) -> np.ma.MaskedArray[Any, Any]:
    """The first band (H, W) of an open raster at reduced size, from its overviews; nodata is masked."""
    pixels: np.ma.MaskedArray[Any, Any] = source.read(
        1, out_shape=reduced_shape(source.shape, longest_side), masked=True, resampling=resampling
    )
    return pixels


def class_rgba(
    pixels: np.ma.MaskedArray[Any, Any], colors: Mapping[int, RGBA] | Mapping[float, RGBA]
) -> NDArray[np.uint8]:
    """Colours (H, W, 4) of a raster of classes (H, W) by pixel value; other values and masked pixels transparent."""
    values = np.array(sorted(colors))
    table = np.array([colors[value] for value in values.tolist()], np.uint8)
    filled = pixels.filled(values[0])  # any known value; masked pixels become transparent below
    position = np.clip(np.searchsorted(values, filled), 0, len(values) - 1)
    rgba = table[position]
    rgba[np.ma.getmaskarray(pixels) | (values[position] != filled)] = 0
    return rgba


def confidence_rgba(percent: np.ma.MaskedArray[Any, Any]) -> NDArray[np.uint8]:
    """Colours (..., 4) of confidence in percent, 0 dark to 100 bright (cividis); masked pixels transparent."""
    from matplotlib import colormaps

    rgba = np.array(colormaps["cividis"](np.clip(percent.filled(0) / 100, 0, 1), bytes=True), np.uint8)
    rgba[np.ma.getmaskarray(percent)] = 0
    return rgba


def indexed_png(index: NDArray[np.uint8], colors: Sequence[RGBA], effort: int = 9) -> bytes:
    """A picture of few colours as the content of a PNG file with a palette (W3C PNG specification, colour type 3).

    It is much smaller than one of four channels: one to eight bits a pixel.

    Args:
        index: (H, W), place of each pixel's colour in `colors`.
        colors: at most 256.
        effort: of zlib, 1 quick to 9 small.
    """
    depth = next(bits for bits in (1, 2, 4, 8) if len(colors) <= 2**bits)
    height, width = index.shape
    padded = np.zeros((height, -(-width * depth // 8) * 8 // depth), np.uint8)
    padded[:, :width] = index
    # The bits of each pixel one after the other, the highest first.
    bits = (padded[..., None] >> np.arange(depth - 1, -1, -1, dtype=np.uint8)) & 1
    rows = np.packbits(bits.reshape(height, -1), axis=1)
    lines = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1)  # each row begins with its filter: none
    table = np.array(colors, np.uint8)
    palette = ((b"PLTE", table[:, :3].tobytes()), (b"tRNS", table[:, 3].tobytes()))
    return _png_file((height, width), depth, PALETTE_PNG, palette, zlib.compress(lines.tobytes(), effort))


def rgba_png(rgba: NDArray[np.uint8]) -> bytes:
    """A picture (H, W, 4) as the content of a PNG file (W3C PNG specification, colour type 6), quickly compressed."""
    height, width, _ = rgba.shape
    # Each byte as the difference to that of the pixel at its left: filter 1, which pictures of land compress well with.
    lines = np.ones((height, 1 + 4 * width), np.uint8)
    lines[:, 1:] = np.diff(rgba, axis=1, prepend=np.uint8(0)).reshape(height, -1)
    return _png_file((height, width), 8, RGBA_PNG, (), zlib.compress(lines.tobytes(), 1))


def _png_file(
    shape: tuple[int, int], depth: int, kind: int, before: Sequence[tuple[bytes, bytes]], pixels: bytes
) -> bytes:
    """The content of a PNG file: its chunks with lengths and checksums."""
    head = struct.pack(">IIBBBBB", shape[1], shape[0], depth, kind, 0, 0, 0)
    chunks = ((b"IHDR", head), *before, (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )


@contextmanager
def drawing(names: Iterable[str]) -> Iterator[None]:
    """Draw names as they are: not as mathematics, and in installed fonts that have their characters.

    Args:
        names: texts of the user in the figure, which is made and saved inside. A character that no font has is drawn
            as an empty box.
    """
    from matplotlib import rc_context

    with warnings.catch_warnings(), rc_context({"text.parse_math": False, "font.family": _fonts("".join(names))}):
        warnings.filterwarnings("ignore", message="(Glyph|Matplotlib currently does not support|constrained_layout)")
        yield


def _fonts(text: str) -> list[str]:
    """Names of fonts that together have the characters of a text, the usual one first."""
    from matplotlib import font_manager, rcParams

    families = list(rcParams["font.family"])
    missing = {ord(char) for char in text if char.isprintable()} - _characters(*families)
    for name in sorted({font.name for font in font_manager.fontManager.ttflist}) if missing else ():
        characters = _characters(name)
        if missing & characters:
            families.append(name)
            missing -= characters
    return families


@cache
def _characters(*families: str) -> frozenset[int]:
    """Characters of the font that matplotlib takes for these names."""
    from matplotlib.font_manager import FontProperties, findfont
    from matplotlib.ft2font import FT2Font

    if families[0].startswith("Last Resort"):  # has every character, drawn as a box
        return frozenset()
    try:
        return frozenset(FT2Font(findfont(FontProperties(family=families))).get_charmap())
    except (OSError, RuntimeError):  # a damaged font file
        return frozenset()


def is_own_picture(path: Path) -> bool:
    """Whether a file is a PNG that agrifm drew."""
    with path.open("rb") as file:
        head = file.read(4096)
    return head.startswith(b"\x89PNG\r\n\x1a\n") and b"tEXtSoftware\0agrifm" in head


def map_picture(
    classes: np.ma.MaskedArray[Any, Any],
    confidence: np.ma.MaskedArray[Any, Any],
    grid: Grid,
    legend: Legend,
    title: str,
    hectares: Mapping[str, float],
    nodata_hectares: float,
    categories: tuple[np.ma.MaskedArray[Any, Any], Legend] | None = None,
) -> bytes:
    """A PNG of a map: its classes with legend and scale bar, and next to them its confidence.

    Args:
        classes: class numbers (H, W), at reduced size.
        confidence: percent (H, W).
        grid: of the map at full size.
        hectares: mapped, by class code.
        nodata_hectares: inside the area, without a valid observation.
        categories: a further layer (H, W) with its legend, in a panel of its own.
    """
    from matplotlib.figure import Figure

    with drawing([title, *(entry.name for entry in legend.classes)]):
        height, width = grid.shape
        panel_width = min(max(width / height, 0.5), 2) * 5
        # Panels of the map's proportions, within bounds; 4 inches for legend and colour bar.
        panels = 2 if categories is None else 3
        figure = Figure(figsize=(panels * panel_width + 4, 6), dpi=120, layout="constrained")
        left, right, *further = figure.subplots(1, panels)
        left.imshow(class_rgba(classes, class_colors(legend)), interpolation="nearest")
        shown = right.imshow(confidence, vmin=0, vmax=100, cmap="viridis")
        figure.colorbar(shown, ax=right, label="confidence, %", shrink=0.7)
        if categories is not None:
            _draw_categories(further[0], *categories)
        for axes in (left, right, *further):
            axes.set_axis_off()
        figure.suptitle(title)
        draw_scale_bar(left, grid)
        _draw_legend(figure, legend, hectares, nodata_hectares)
        file = BytesIO()
        figure.savefig(file, format="png", metadata=PNG_TAG)
    return file.getvalue()


def _draw_categories(axes: Any, pixels: np.ma.MaskedArray[Any, Any], legend: Legend) -> None:
    from matplotlib.patches import Patch

    axes.imshow(class_rgba(pixels, class_colors(legend)), interpolation="nearest")
    patches = [Patch(color=entry.color, label=entry.name) for entry in legend.classes]
    axes.legend(handles=patches, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=3, frameon=False, fontsize="small")


def _draw_legend(figure: Any, legend: Legend, hectares: Mapping[str, float], nodata_hectares: float) -> None:
    from matplotlib.patches import Patch

    mapped = [entry for entry in legend.classes if hectares[entry.code] > 0]
    shown = sorted(mapped, key=lambda entry: -hectares[entry.code])[:MAX_LEGEND_ENTRIES]
    rows = [(Patch(color=entry.color), f"{_shown(entry.name)}  {hectares[entry.code]:,.1f} ha") for entry in shown]
    if len(mapped) > len(shown):
        rows.append((Patch(color="none"), f"and {len(mapped) - len(shown)} more"))
    if nodata_hectares >= MIN_SHOWN_HECTARES:
        rows.append((Patch(facecolor="white", edgecolor="grey"), f"nothing seen  {nodata_hectares:,.1f} ha"))
    # A label that begins with _ would be left out, so the texts are set afterwards.
    box = figure.legend(
        [patch for patch, _ in rows], ["-"] * len(rows), loc="outside left upper", frameon=False, fontsize="small"
    )
    for text, (_, label) in zip(box.get_texts(), rows, strict=True):
        text.set_text(label)


def _shown(name: str) -> str:
    return printable(name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…")
