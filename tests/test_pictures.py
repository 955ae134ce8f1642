"""Pictures: colours, scale bars of round lengths, reading at reduced size, and the packages they need."""

from io import BytesIO

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from pyproj import Geod

from agrifm.grid import Grid
from agrifm.legend import Legend
from agrifm.pictures import (
    class_colors,
    class_rgba,
    drawing,
    indexed_png,
    map_picture,
    read_reduced,
    rgb,
    rgba_png,
    scale_bar,
)
from tests.mapping.small_maps import LEGEND, utm_grid


def test_hex_colours_are_three_bytes():
    assert rgb("#cc6677") == (0xCC, 0x66, 0x77)
    assert class_colors(LEGEND)[2] == (0xDD, 0xDD, 0xDD, 255)
    assert class_colors(LEGEND)[255] == (0, 0, 0, 0)


def test_masked_pixels_and_values_without_colour_are_transparent():
    pixels = np.ma.MaskedArray(np.array([[2, 7, 9]]), [[False, False, True]])
    rgba = class_rgba(pixels, {2.0: (1, 2, 3, 255), 9.0: (4, 5, 6, 255)})
    assert rgba.tolist() == [[[1, 2, 3, 255], [0, 0, 0, 0], [0, 0, 0, 0]]]


@pytest.mark.parametrize(("cells", "label"), [((2, 3), "200 m"), ((30, 63), "5 km")])
def test_a_scale_bar_is_a_round_length_below_its_share_of_the_width(cells, label):
    grid = utm_grid(cells)
    text, share = scale_bar(grid, 0.25)
    number, unit = text.split()
    assert text == label
    assert share * grid.shape[1] * 10 == pytest.approx(float(number) * {"m": 1, "km": 1000}[unit])
    assert 0.1 <= share <= 0.25


def test_a_scale_bar_in_degrees_is_the_length_along_the_parallel():
    grid = Grid.of("EPSG:4326", Affine(0.01, 0, 4, 0, -0.01, 51), (100, 100))
    text, share = scale_bar(grid, 0.3)
    assert text == "20 km"
    assert share == pytest.approx(20_000 / Geod(ellps="WGS84").inv(4, 50.5, 5, 50.5)[2])


def test_reading_reduced_keeps_proportions_and_masks_nodata(tmp_path):
    values = np.repeat(np.arange(4, dtype=np.uint8), 50)[None].repeat(100, 0)
    values[:, :50] = 255
    profile = {"driver": "GTiff", "height": 100, "width": 200, "count": 1, "dtype": "uint8", "nodata": 255}
    with rasterio.open(tmp_path / "a.tif", "w", transform=Affine(10, 0, 0, 0, -10, 0), crs=32631, **profile) as file:
        file.write(values, 1)
    with rasterio.open(tmp_path / "a.tif") as source:
        reduced = read_reduced(source, 20)
        assert read_reduced(source, 1000).shape == (100, 200)
    assert reduced.shape == (10, 20)
    assert reduced.mask[:, :5].all()
    assert reduced[0, 5:].tolist() == [1] * 5 + [2] * 5 + [3] * 5


NAMES = {
    "dollars": "fallow $$",
    "mathematics": "fruit $\\frac$",
    "formula": "$x_1^2$",
    "underscore": "_fallow",
    "percent": "50 % {0} {name} %s",
    "backslash": "C:\\\\new\\\\table",
    "Chinese": "小麦",
    "Arabic": "قمح",
    "emoji": "🌽",
    "markup": "<script>alert(1)</script> & [bold]",
    "control": "a\x1b[2Jb\x00c",
    "two lines": "spring\nbarley",
    "blank": " ",
    "long": "x" * 3000,
    "direction": "gpj.\u202efit",
}


def pictured(name: str) -> bytes:
    """A map picture whose only class on the map has a name."""
    legend = Legend.of(["1", "2"], names={"1": name})
    classes = np.ma.MaskedArray(np.zeros((20, 30), np.uint8))
    return map_picture(classes, classes + 50, utm_grid((20, 30)), legend, f"Map of {name}", {"1": 6.0, "2": 0.0}, 0.0)


@pytest.mark.parametrize("name", NAMES.values(), ids=list(NAMES))
def test_names_are_drawn_as_text_without_a_warning(name):
    assert pictured(name).startswith(b"\x89PNG")


def test_a_name_that_looks_like_mathematics_or_like_no_label_is_in_the_legend(monkeypatch):
    from matplotlib.legend import Legend as Drawn

    drawn = []
    texts = Drawn.get_texts
    monkeypatch.setattr(Drawn, "get_texts", lambda legend: drawn.append(texts(legend)) or texts(legend))
    for name in ("_fallow", "$x_1^2$", "50 %"):
        pictured(name)
        text = drawn[-1][0]
        assert text.get_text() == f"{name}  6.0 ha"
        assert not text.get_parse_math()


def test_fonts_are_chosen_by_the_characters_that_they_have():
    from matplotlib import rcParams
    from matplotlib.font_manager import FontProperties, findfont
    from matplotlib.ft2font import FT2Font

    def characters(name):
        return set(FT2Font(findfont(FontProperties(family=[name]))).get_charmap())

    rare = chr(min(code for code in characters("STIXGeneral") - characters("DejaVu Sans") if chr(code).isprintable()))
    usual = list(rcParams["font.family"])
    with drawing([f"maize {rare}"]):
        first, *others = rcParams["font.family"]
    assert [first] == usual
    assert any(ord(rare) in characters(name) for name in others)
    with drawing(["maize"]):
        assert rcParams["font.family"] == usual


@pytest.mark.parametrize(("colors", "width"), [(2, 13), (2, 16), (4, 5), (16, 7), (101, 9)])
def test_a_picture_of_few_colours_is_read_back_by_another_library(colors, width):
    generator = np.random.default_rng(colors)
    index = generator.integers(0, colors, (11, width)).astype(np.uint8)
    palette = [(0, 0, 0, 0), *((*generator.integers(0, 256, 3).tolist(), 255) for _ in range(colors - 1))]
    with Image.open(BytesIO(indexed_png(index, palette))) as image:
        assert (np.array(image.convert("RGBA")) == np.array(palette, np.uint8)[index]).all()


def test_a_picture_of_four_channels_is_read_back_by_another_library():
    pixels = np.random.default_rng(5).integers(0, 256, (7, 11, 4)).astype(np.uint8)
    with Image.open(BytesIO(rgba_png(pixels))) as image:
        assert (np.array(image) == pixels).all()
