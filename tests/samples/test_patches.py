"""Patches: windows with the labels of one fold, prepared once and kept in memory while they fit."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.scenes import SEASON, make_cube

from agrifm.cube.store import Cube
from agrifm.cube.temporal import interpolate
from agrifm.grid import Window
from agrifm.record import SensorRecord, SeriesKind
from agrifm.samples import patches
from agrifm.samples.patches import TILE, Patches, Tiles, labelled_windows, read_patch, read_with_margin, tiles_under

STEPS = SEASON.steps(5)


@pytest.fixture
def cube(tmp_path: Path) -> Cube:
    return make_cube(tmp_path / "cube.zarr")


def labels(shape: tuple[int, int] = (96, 192)) -> np.ndarray:
    label = np.full(shape, 255, np.uint8)
    label[10:20, 60:70] = 1
    label[80:90, 10:20] = 0
    return label


def test_windows_are_those_that_hold_a_label() -> None:
    assert labelled_windows(labels(), 48, 48) == [Window(0, 48, 48, 48), Window(48, 0, 48, 48)]


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32))
def test_windows_hold_every_labelled_pixel_and_nest(rows: int, cols: int, seed: int) -> None:
    label = np.where(np.random.default_rng(seed).random((48 * rows, 48 * cols)) < 0.001, 1, 255).astype(np.uint8)
    held = np.zeros(label.shape, bool)
    for window in labelled_windows(label, 96, 48):
        assert (label[window.slices] == 1).any()
        assert (window.row % 48, window.col % 48) == (0, 0)
        assert (window.height, window.width) == (min(96, 48 * rows), min(96, 48 * cols))
        held[window.slices] = True
    assert held[label == 1].all()


def test_a_grid_smaller_than_a_window_gives_one_window_of_its_own_size() -> None:
    assert labelled_windows(labels((96, 192)), 480, 240) == [Window(0, 0, 96, 192)]


def test_a_patch_has_labels_except_where_nothing_is_valid(cube: Cube) -> None:
    """Sentinel-2 never sees the left 10 columns of the test cube; MODIS sees all of it but its first pixel."""
    label = np.full((96, 192), 1, np.uint8)
    label[:, 100:] = 255  # another fold
    whole = [Window(0, 0, 96, 192)]
    patch = Patches(Tiles(cube, [cube.inputs["sentinel-2"]], STEPS), label, whole)[0]
    assert (patch.label[:, :10] == 255).all()
    assert (patch.label[:, 10:100] == 1).all()
    assert (patch.label[:, 100:] == 255).all()
    both = Patches(Tiles(cube, list(cube.inputs.values()), STEPS), label, whole)[0]
    unseen = np.zeros((96, 192), bool)
    unseen[:48, :10] = True
    assert (both.label == np.where(unseen, 255, label)).all()


KINDS: tuple[SeriesKind, ...] = get_args(SeriesKind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "window", [Window(0, 0, 96, 192), Window(48, 48, 48, 96), Window(0, 96, 96, 96), Window(48, 0, 48, 48)]
)
def test_a_window_put_together_from_tiles_is_the_window_read_whole(
    cube: Cube, window: Window, kind: SeriesKind
) -> None:
    sensors = list(cube.inputs.values())
    whole, tiled = read_patch(cube, window, sensors, STEPS, kind), Tiles(cube, sensors, STEPS, kind).sample(window)
    assert tiled.window == window
    assert tiled.season_start == whole.season_start
    for name, series in whole.series.items():
        assert (tiled.series[name].image == series.image).all()
        assert (tiled.series[name].valid == series.valid).all()
        assert (tiled.series[name].date == series.date).all()
        np.testing.assert_array_equal(tiled.series[name].day, series.day)


@pytest.mark.parametrize("kind", KINDS)
def test_a_band_that_the_cube_lacks_stays_known_as_absent(cube: Cube, kind: SeriesKind) -> None:
    content = {**cube.inputs["sentinel-2"].model_dump(), "bands": ("red", "swir", "nir")}
    wanted = SensorRecord(**content, absent_bands=("swir",), mean=(0, 0.25, 0), std=(1, 1, 1))
    series = Tiles(cube, [wanted], STEPS, kind).sample(Window(0, 48, 48, 96)).series["sentinel-2"]
    assert series.absent is not None
    assert series.absent.tolist() == [False, True, False]
    assert series.image[:, 1][series.valid] == pytest.approx(0.25)


@given(st.integers(1, 8), st.integers(1, 8), st.data())
def test_the_tiles_under_a_window_cover_it_and_stay_inside_the_grid(rows: int, cols: int, data: st.DataObject) -> None:
    shape = (48 * rows, 48 * cols)
    row, col = (data.draw(st.integers(0, length - 1)) for length in shape)
    window = Window(row, col, data.draw(st.integers(1, shape[0] - row)), data.draw(st.integers(1, shape[1] - col)))
    covered = np.zeros(shape, int)
    for tile in tiles_under(window, shape):
        assert (covered[tile.slices].shape) == (tile.height, tile.width)
        assert (tile.row % TILE, tile.col % TILE) == (0, 0)
        covered[tile.slices] += 1
    assert (covered[window.slices] == 1).all()
    assert covered.max() == 1


def test_a_patch_is_interpolated_to_the_steps(cube: Cube) -> None:
    window = Window(48, 48, 48, 96)
    own = cube.sensors["modis"]
    patch = read_patch(cube, window, list(cube.inputs.values()), STEPS)
    image, valid, day = own.read(window.scaled(48))
    expected, _ = interpolate(image, valid, own.date, STEPS, day)
    assert (patch.series["modis"].image == expected).all()
    assert patch.series["sentinel-2"].image.shape == (5, 2, 48, 96)
    assert all((series.date == STEPS).all() for series in patch.series.values())
    assert (patch.label == 255).all()


class Reads:
    """Counts the windows that are read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.windows: list[Window] = []
        read = patches.read_patch

        def counted(cube, window, *arguments):
            self.windows.append(window)
            return read(cube, window, *arguments)

        monkeypatch.setattr(patches, "read_patch", counted)


def test_tiles_are_read_once_however_many_windows_share_them(cube: Cube, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = Reads(monkeypatch)
    windows = [Window(0, col, 96, 96) for col in (0, 48, 96)]
    own = Patches(Tiles(cube, list(cube.inputs.values()), STEPS), labels(), windows)
    assert len(own) == 3
    for _ in range(2):
        for number, window in enumerate(windows):
            assert own[number].window == window
            seen = own[number].any_valid
            assert (own[number].label == np.where(seen, labels()[window.slices], 255)).all()
    assert len(reads.windows) == len(set(reads.windows)) == 2


def test_no_more_is_kept_than_the_bound_allows(cube: Cube, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tile of 96 x 96 pixels, 5 steps and 2 bands of 4 bytes is 368,640 bytes; two would not fit."""
    monkeypatch.setattr(patches, "MAX_KEPT_BYTES", 2 * 368_640 - 1)
    reads = Reads(monkeypatch)
    own = Patches(
        Tiles(cube, [cube.inputs["sentinel-2"]], STEPS), labels(), [Window(0, col, 96, 96) for col in (0, 96)]
    )
    for _ in range(3):
        images = [own[number].series["sentinel-2"].image for number in range(2)]
    assert sorted(window.col for window in reads.windows) == [0, 96, 96, 96]
    assert images[0].nbytes == 368_640


def test_what_is_kept_equals_what_is_read(cube: Cube, monkeypatch: pytest.MonkeyPatch) -> None:
    sensors, windows = list(cube.inputs.values()), [Window(0, 48, 96, 96), Window(48, 0, 48, 96)]
    kept = Patches(Tiles(cube, sensors, STEPS), labels(), windows)
    first = [(kept[number], kept[number])[1] for number in range(2)]
    monkeypatch.setattr(patches, "MAX_KEPT_BYTES", 0)
    read = Patches(Tiles(cube, sensors, STEPS), labels(), windows)
    for number, sample in enumerate(first):
        for name, series in sample.series.items():
            assert (series.image == read[number].series[name].image).all()
            assert (series.valid == read[number].series[name].valid).all()


@pytest.mark.parametrize("window", [Window(0, 48, 48, 48), Window(48, 96, 48, 96)])
def test_a_margin_shows_the_ground_around_a_window_as_far_as_the_grid_goes(cube: Cube, window: Window) -> None:
    tiles = Tiles(cube, list(cube.inputs.values()), STEPS)
    sample = read_with_margin(tiles.sample, window, 2, cube.coarse_factor, cube.target.shape)
    assert sample.window == window.grown(2, cube.target.shape)
    whole = tiles.sample(Window(0, 0, *cube.target.shape)).series["sentinel-2"]
    own = sample.series["sentinel-2"]
    np.testing.assert_array_equal(own.image, whole.image[..., *sample.window.slices])
    assert own.valid.shape[1:] == sample.label.shape
    assert read_with_margin(tiles.sample, window, 0, cube.coarse_factor, cube.target.shape).window == window


def test_tiles_interpolated_from_observed_ones_are_the_same(cube: Cube, monkeypatch: pytest.MonkeyPatch) -> None:
    sensors, window = list(cube.inputs.values()), Window(0, 48, 96, 96)
    expected = Tiles(cube, sensors, STEPS).sample(window)
    read, windows = patches.read_sample, []

    def counted(cube, window, *arguments):
        windows.append(window)
        return read(cube, window, *arguments)

    monkeypatch.setattr(patches, "read_sample", counted)
    raw = Tiles(cube, sensors, STEPS, "observed", sharing=2)
    raw.sample(window)
    found = Tiles(cube, sensors, STEPS, raw=raw, sharing=2).sample(window)
    assert len(windows) == len(set(windows)) == 2
    for name, series in expected.series.items():
        assert (found.series[name].image == series.image).all()
        assert (found.series[name].valid == series.valid).all()


def test_tiles_that_share_a_run_share_the_bound_on_memory(cube: Cube, monkeypatch: pytest.MonkeyPatch) -> None:
    """An observed tile: 3 frames of 96 x 96 pixels, 2 bands of 4 bytes and a byte of validity, 248,832 bytes."""
    monkeypatch.setattr(patches, "MAX_KEPT_BYTES", 2 * 248_832)
    for sharing, kept in ((1, True), (2, True), (3, False)):
        tiles = Tiles(cube, [cube.inputs["sentinel-2"]], STEPS, "observed", sharing=sharing)
        assert (tiles.tile(Window(0, 0, 96, 96)) is tiles.tile(Window(0, 0, 96, 96))) is kept


def test_a_map_sees_of_an_observed_window_only_frames_with_something_in_it(cube: Cube) -> None:
    """Sentinel-2's third frame alone saw columns 10 to 19 of the test cube."""
    sensors = [cube.inputs["sentinel-2"]]
    assert len(read_patch(cube, Window(0, 10, 48, 10), sensors, STEPS, "observed").series["sentinel-2"].date) == 1
    assert len(read_patch(cube, Window(0, 10, 48, 12), sensors, STEPS, "observed").series["sentinel-2"].date) == 3
