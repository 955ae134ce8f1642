import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import uniform_filter
from tests.mapping.small_maps import PixelModel, make_cube, utm_grid

from agrifm.errors import MapError
from agrifm.grid import Window, tiles
from agrifm.mapping.mosaic import PredictedWindow, blend, overlapping_starts, ramp_weights, window_starts
from agrifm.mapping.run import map_cube
from agrifm.samples.sample import Sample

CLASSES = 3
SEAM_SIDE, REACH = 96, 31
"""Pixels: side of the windows in which borders are looked for, and of the neighbourhood that the model sees."""
patiently = settings(deadline=None, max_examples=60)


@st.composite
def cuts(draw: st.DrawFn) -> tuple[tuple[int, int], int, int]:
    """Shape of a grid, side of a window, overlap."""
    shape = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    side = draw(st.integers(max(1, max(shape) // 8), 24))
    return shape, side, draw(st.integers(0, side // 2))


def field(shape: tuple[int, int], seed: int) -> np.ndarray:
    """Probabilities (C, H, W) in 16 bits, of all magnitudes."""
    numbers = np.random.default_rng(seed).exponential(size=(CLASSES, *shape)) ** 3
    return (numbers / numbers.sum(0)).astype(np.float16)


def pieces(whole: np.ndarray, side: int, overlap: int) -> list[PredictedWindow]:
    """The windows of a layout, cut from one field."""
    shape = whole.shape[1:]
    rows, cols = window_starts(shape, side, overlap)
    windows = [Window(row, col, min(side, shape[0]), min(side, shape[1])) for row in rows for col in cols]
    return [(window, whole[:, *window.slices]) for window in windows]


@patiently
@given(cut=cuts(), tile=st.integers(7, 50), seed=st.integers(0, 99))
def test_windows_cut_from_one_field_blend_to_exactly_that_field(cut, tile, seed):
    shape, side, overlap = cut
    whole = field(shape, seed)
    for place in tiles(shape, tile):
        blended = blend(place, pieces_touching(place, whole, side, overlap), CLASSES, overlap)
        assert (blended == whole[:, *place.slices]).all()


def pieces_touching(place: Window, whole: np.ndarray, side: int, overlap: int) -> list[PredictedWindow]:
    every = {(window.row, window.col): (window, part) for window, part in pieces(whole, side, overlap)}
    rows, cols = window_starts(whole.shape[1:], side, overlap)
    return [
        every[row, col]
        for row in overlapping_starts(rows, side, place.row, place.row + place.height)
        for col in overlapping_starts(cols, side, place.col, place.col + place.width)
    ]


@patiently
@given(cut=cuts(), seed=st.integers(0, 99))
def test_weights_after_normalisation_sum_to_one_everywhere(cut, seed):
    """Windows of ones, each with another share taken out of the field, still sum to one over the classes."""
    shape, side, overlap = cut
    rng = np.random.default_rng(seed)
    split = [
        (window, np.stack([part, 1 - part]))
        for window, _ in pieces(field(shape, seed), side, overlap)
        for part in [rng.integers(0, 1025, (window.height, window.width)) / 1024]
    ]
    blended = blend(Window(0, 0, *shape), split, 2, overlap)
    assert np.allclose(blended.sum(0), 1, rtol=0, atol=1e-15)


@patiently
@given(cut=cuts(), value=st.floats(0, 1, width=16))
def test_a_constant_stays_constant(cut, value):
    shape, side, overlap = cut
    whole = np.full((CLASSES, *shape), value, np.float16)
    assert (blend(Window(0, 0, *shape), pieces(whole, side, overlap), CLASSES, overlap) == value).all()


@patiently
@given(cut=cuts(), seed=st.integers(0, 99))
def test_the_order_of_windows_does_not_matter(cut, seed):
    """Windows that disagree, in two orders, give the same bits."""
    shape, side, overlap = cut
    rng = np.random.default_rng(seed)
    whole = field(shape, seed)
    different = [
        (window, field((window.height, window.width), seed + number))
        for number, (window, _) in enumerate(pieces(whole, side, overlap))
    ]
    one = blend(Window(0, 0, *shape), different, CLASSES, overlap)
    order = rng.permutation(len(different))
    assert np.array_equal(one, blend(Window(0, 0, *shape), [different[i] for i in order], CLASSES, overlap))


def test_a_pixel_of_one_window_is_its_value_and_an_overlap_is_a_ramp():
    left = (Window(0, 0, 1, 8), np.full((1, 1, 8), 0.3, np.float16))
    right = (Window(0, 5, 1, 8), np.full((1, 1, 8), 0.7, np.float16))
    blended = blend(Window(0, 0, 1, 13), [left, right], 1, 3)[0, 0]
    assert (blended[:5] == np.float16(0.3)).all()
    assert (blended[8:] == np.float16(0.7)).all()
    # weights of 9 and 1 sixteenths, 4 and 4, 1 and 9
    assert blended[5:8] == pytest.approx([0.34, 0.5, 0.66], abs=1e-3)


def test_nothing_seen_and_no_window_are_nan():
    part = np.array([[[0.5, np.nan]]], np.float16)
    blended = blend(Window(0, 0, 1, 3), [(Window(0, 0, 1, 2), part)], 1, 0)
    assert blended[0, 0, 0] == 0.5
    assert np.isnan(blended[0, 0, 1:]).all()


@given(length=st.integers(1, 60), overlap=st.integers(0, 20))
def test_weights_are_positive_symmetric_whole_numbers(length, overlap):
    found = ramp_weights(length, overlap)
    assert (found >= 1).all()
    assert (found == found[::-1]).all()
    assert (found == np.round(found)).all()


@patiently
@given(cut=cuts(), start=st.integers(0, 39), length=st.integers(1, 30))
def test_overlapping_starts_finds_the_windows_that_share_a_pixel(cut, start, length):
    (rows, _), side, overlap = cut
    first, _ = window_starts((rows, rows), side, overlap)
    expected = [row for row in first if set(range(row, row + side)) & set(range(start, start + length))]
    assert list(overlapping_starts(first, side, start, start + length)) == expected


def test_an_overlap_of_more_than_half_a_window_is_refused():
    with pytest.raises(MapError) as error:
        window_starts((300, 300), 100, 51)
    assert error.value.facts == {"window": 100, "overlap": 51}


def test_windows_that_do_not_nest_are_refused():
    with pytest.raises(MapError) as error:
        window_starts((480, 480), 100, 48, coarse_factor=48)
    assert error.value.facts["multiple"] == 48


class NeighbourhoodModel(PixelModel):
    """Averages over neighbours, of which a window lacks those beyond its edge, as a convolution with zeros does."""

    def probabilities(self, sample: Sample) -> np.ndarray:
        """(3, H, W), each class less certain towards the edges of the window."""
        smooth = uniform_filter(super().probabilities(sample), (0, REACH, REACH), mode="constant")
        smooth[2] += 1 - smooth.sum(axis=0)
        return smooth.astype(np.float32)


def steps(directory, borders: list[int]) -> float:
    """The mean step of all probabilities across these columns and rows, as a share of that across all others."""
    with rasterio.open(directory / "probabilities.tif") as source:
        bands = source.read().astype(float)
    ratios = []
    for axis in (1, 2):
        step = np.abs(np.diff(bands, axis=axis)).mean(axis=(0, 3 - axis))
        here = np.isin(np.arange(1, len(step) + 1), borders)
        ratios.append(step[here].mean() / step[~here].mean())
    return max(ratios)


@pytest.mark.parametrize(("overlap", "starts"), [(48, [48, 96, 144, 192]), (24, [72, 144, 192])])
def test_the_step_across_borders_of_windows_is_not_larger_than_elsewhere(tmp_path, overlap, starts):
    cube = make_cube(tmp_path / "cube.zarr", utm_grid((6, 6)))
    map_cube(cube, NeighbourhoodModel(), "a", tmp_path / "map", SEAM_SIDE, overlap, probabilities=True)
    borders = [*starts, *(start + SEAM_SIDE for start in (0, *starts) if start + SEAM_SIDE < 288)]
    assert steps(tmp_path / "map", borders) <= 1


def test_without_an_overlap_the_same_model_shows_its_windows(tmp_path):
    cube = make_cube(tmp_path / "cube.zarr", utm_grid((6, 6)))
    map_cube(cube, NeighbourhoodModel(), "a", tmp_path / "map", SEAM_SIDE, 0, probabilities=True)
    assert steps(tmp_path / "map", [96, 192]) > 3
