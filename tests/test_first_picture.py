"""The first picture of a season: true colours of a scene in a PNG and in a terminal; how long the demo still takes."""

from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from rich.console import Console

from agrifm.demo import SMALL, STAGES, WHOLE, DemoSize, seconds_left
from agrifm.first_picture import draw_true_colour, print_picture

SIDE = 100


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """Bands of a scene: bright red in the upper half and bright blue in the lower; the first row is nodata."""
    for name, rows in (("red", slice(1, 50)), ("green", slice(0, 0)), ("blue", slice(50, 100))):
        band = np.full((SIDE, SIDE), 400, np.uint16)
        band[rows] = 3000
        band[0] = 0
        profile = {"driver": "GTiff", "width": SIDE, "height": SIDE, "count": 1, "dtype": "uint16", "nodata": 0}
        with rasterio.open(
            tmp_path / f"{name}.tif", "w", crs="EPSG:32631", transform=rasterio.Affine(10, 0, 0, 0, -10, 0), **profile
        ) as file:
            file.write(band, 1)
    return tmp_path


def test_the_picture_has_the_colours_of_the_bands(scene: Path) -> None:
    rgba = draw_true_colour(scene, scene / "first.png")
    drawn = np.asarray(Image.open(scene / "first.png"))
    np.testing.assert_array_equal(drawn, rgba)
    assert drawn[25, 50].tolist() == [255, 0, 0, 255]
    assert drawn[75, 50].tolist() == [0, 0, 255, 255]
    assert drawn[0, 50, 3] == 0


def test_a_terminal_shows_it_in_half_blocks_and_a_file_gets_nothing(scene: Path) -> None:
    rgba = draw_true_colour(scene, scene / "first.png")
    terminal, file = StringIO(), StringIO()
    console = Console(file=terminal, force_terminal=True, color_system="truecolor", width=50, legacy_windows=False)
    print_picture(rgba, console)
    lines = terminal.getvalue().splitlines()
    assert len(lines) == 25
    assert all(line.count("▀") == 50 for line in lines)
    assert "38;2;255;0;0" in lines[5]
    assert "38;2;0;0;255" in lines[20]
    print_picture(rgba, Console(file=file))
    assert not file.getvalue()


@pytest.mark.parametrize("size", [WHOLE, SMALL], ids=["whole", "small"])
def test_the_time_left_follows_the_speed_of_what_is_done(size: DemoSize) -> None:
    usual = size.seconds
    assert list(usual) == list(STAGES)
    whole = sum(usual.values())
    assert seconds_left({}, usual) == whole
    slow = {"simulate": 3.0 * usual["simulate"]}
    assert seconds_left(slow, usual) == pytest.approx(3 * (whole - usual["simulate"]))
    assert seconds_left({"simulate": 0.1}, usual) == whole - usual["simulate"], "a stage done before says nothing"
    assert seconds_left(usual, usual) == 0
