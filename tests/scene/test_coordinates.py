"""Axes: numbers that were rounded come back exact, and what is not a regular axis is refused."""

import numpy as np
import pytest
import xarray as xr
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from tests.scenes import UTM

from agrifm.errors import SceneError
from agrifm.scene.coordinates import axis_of, require_transform

METRES, DEGREES = CRS.from_user_input(UTM), CRS.from_epsg(4326)


def axis(values: np.ndarray, crs: CRS = METRES, name: str = "y", **attributes: object) -> tuple[float, float]:
    data = xr.Dataset(coords={name: (name, values, attributes)})
    return axis_of(data, data[name], crs, "reading x")


@settings(max_examples=60, deadline=None)
@given(
    first=st.integers(10_000, 990_000),
    step=st.sampled_from([10.0, -10.0, 20.0, -20.0, 30.0, 60.0, -250.0, 480.0]),
    count=st.integers(3, 400),
    half=st.booleans(),
    dtype=st.sampled_from([np.float32, np.float64, np.int32]),
    far=st.sampled_from([0, 5_000_000, 9_000_000]),
)
def test_a_regular_axis_comes_back_exactly_from_its_rounded_numbers(
    first: int, step: float, count: int, half: bool, dtype: type, far: int
) -> None:
    """The truth is the axis that was rounded: up to 0.5 m in float32 at the northing of a UTM zone."""
    start = first + far + (0.5 if half and dtype == np.float64 else 0)
    values = (start + step * np.arange(count)).astype(dtype)
    assert axis(values) == (start, step)


@pytest.mark.parametrize("start", [-3.0000449, 11.25, 179.5])
@pytest.mark.parametrize("step", [8.983e-5, 0.00025, -0.01])
def test_degrees_in_float32_come_back_within_a_tenth_of_their_rounding(start: float, step: float) -> None:
    values = (start + step * np.arange(300)).astype(np.float32)
    first, found = axis(values, DEGREES, "lat")
    rounding = float(np.spacing(np.float32(180)))
    truth = start + step * np.arange(300)
    assert np.abs(first + found * np.arange(300) - truth).max() <= rounding


def test_longitudes_from_0_to_360_are_those_west_of_greenwich() -> None:
    assert axis(np.array([350.0, 350.5, 351.0]), DEGREES, "lon") == (-10.0, 0.5)


def test_packed_coordinates_are_unpacked() -> None:
    values = np.arange(5, dtype=np.int16)
    assert axis(values, METRES, "x", scale_factor=10.0, add_offset=500_005.0) == (500_005.0, 10.0)


@pytest.mark.parametrize(
    "values",
    [
        np.array([5.0, 15, 25, 45]),
        np.array([5.0, 15, 35, 45]),
        np.array([5.0, 15, 24, 35], np.float32),
        np.array([5.0]),
        np.array([5.0, 5.0, 5.0]),
        np.array([5.0, np.nan, 25.0]),
        5_600_000 + np.arange(9, dtype=np.float32) * np.float32(0.6),
        np.geomspace(1, 100, 7),
    ],
)
def test_what_is_not_evenly_spaced_is_refused(values: np.ndarray) -> None:
    with pytest.raises(SceneError, match="evenly") as caught:
        axis(values)
    assert caught.value.facts["coordinate"] == "y"


def test_coordinates_of_corners_by_their_bounds_are_refused() -> None:
    edges = np.arange(6) * 10.0
    data = xr.Dataset({"x_bounds": (("x", "n"), np.stack([edges[:-1], edges[1:]], axis=1))}, {"x": edges[:-1]})
    data.x.attrs["bounds"] = "x_bounds"
    with pytest.raises(SceneError, match="x_bounds"):
        axis_of(data, data.x, METRES, "reading x")
    centred = data.assign_coords(x=("x", edges[:-1] + 5, {"bounds": "x_bounds"}))
    assert axis_of(centred, centred.x, METRES, "reading x") == (5.0, 10.0)


PLACE = Affine(10, 0, 500_000, 0, -10, 5_600_000)


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"GeoTransform": "500000.0 10.0 0.0 5600000.0 0.0 -10.0"},
        {"GeoTransform": "499900.0 10.0 0.0 5600070.0 0.0 -10.0 "},  # of the whole of which this is a part
        {"GeoTransform": np.array([500000.0, 10, 0, 5600000, 0, -10])},
        {"transform": (10.0, 0.0, 500000.0, 0.0, -10.0, 5600000.0)},
        {"GeoTransform": "500000.0 5.0 0.0 5600000.0 0.0 -5.0"},
    ],
)
def test_a_transform_that_agrees_with_the_coordinates_is_accepted(attributes: dict) -> None:
    require_transform(attributes, PLACE, "reading x")


@pytest.mark.parametrize(
    "attributes",
    [
        {"GeoTransform": "500005.0 10.0 0.0 5599995.0 0.0 -10.0"},  # centres taken for corners
        {"transform": (10.0, 0.0, 500005.0, 0.0, -10.0, 5600005.0)},
        {"GeoTransform": "500000.0 10.0 1.0 5600000.0 1.0 -10.0"},
        {"GeoTransform": "500000.0 10.0"},
        {"transform": "north up"},
    ],
)
def test_a_transform_that_contradicts_the_coordinates_is_refused(attributes: dict) -> None:
    with pytest.raises(SceneError, match=next(iter(attributes))):
        require_transform(attributes, PLACE, "reading x")
