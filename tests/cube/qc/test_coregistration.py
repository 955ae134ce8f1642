"""Shifts that are known because the ground is a formula."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import shift as resample
from tests.cube.small_season import small_season

from agrifm.cube.qc.coregistration import check_positions, measure_shift, scene_positions
from agrifm.cube.qc.sample_windows import SensorWindows, read_sample_windows

SIDE = 96


def ground(down: float, right: float, seed: int = 3) -> NDArray[np.float32]:
    """(2, 96, 96) out of 256 x 256 pixels whose waves weaken as 1 / frequency, moved by turning their phases."""
    often = np.fft.fftfreq(256)
    strength = 1 / np.maximum(np.hypot(often[:, None], often[None]), 1 / 64)
    waves = np.fft.fft2(np.random.default_rng(seed).normal(size=(256, 256))) * strength
    turned = np.exp(-2j * np.pi * (often[:, None] * down + often[None] * right))
    whole = np.real(np.fft.ifft2(waves * turned))[60 : 60 + SIDE, 80 : 80 + SIDE]
    unit = whole / 5.0
    return np.stack([0.1 + 0.01 * unit, 0.3 - 0.02 * unit]).astype(np.float32)


@pytest.mark.parametrize(("down", "right"), [(0.0, 0.2), (0.2, 0.0), (0.5, -0.5), (1.3, 0.0), (-0.2, 1.3), (0.0, 0.0)])
def test_a_known_shift_is_measured_to_a_tenth_of_a_pixel(down: float, right: float) -> None:
    noise = np.random.default_rng(1).normal(0, 0.003, (2, SIDE, SIDE)).astype(np.float32)
    shift = measure_shift(ground(down, right) + noise, ground(0, 0))
    assert shift is not None
    assert (shift.down, shift.right) == pytest.approx((down, right), abs=0.1)


def test_clouds_over_a_quarter_do_not_move_an_image() -> None:
    image, reference = ground(0.5, 0.0), ground(0, 0)
    image[:, :48, :48] = np.nan
    shift = measure_shift(image, reference)
    assert shift is not None
    assert (shift.down, shift.right) == pytest.approx((0.5, 0), abs=0.1)


def test_a_cloudy_image_is_not_assessed() -> None:
    image = ground(0, 0)
    image[:, :60] = np.nan
    assert measure_shift(image, ground(0, 0)) is None


def test_images_without_common_texture_are_not_assessed() -> None:
    draw = np.random.default_rng(5)
    assert measure_shift(*(draw.normal(0.1, 0.01, (2, 2, SIDE, SIDE)).astype(np.float32))) is None
    flat = np.full((2, SIDE, SIDE), 0.2, np.float32)
    assert measure_shift(flat, flat) is None


def test_a_window_of_a_few_pixels_is_not_assessed() -> None:
    assert measure_shift(ground(0, 0)[:, :20, :20], ground(0, 0)[:, :20, :20]) is None


@pytest.fixture(scope="module")
def sensors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, SensorWindows]:
    """Sentinel-2 and Landsat over the same 960 m, all scenes in their places."""
    return read_sample_windows(small_season(tmp_path_factory.mktemp("season") / "cube.zarr"))


def moved(sensor: SensorWindows, frame: int, down: float, right: float) -> SensorWindows:
    """One frame resampled by cubic splines, as if it had been delivered so many pixels off."""
    (window,) = sensor.windows
    stored = window.stored.copy()
    for band in range(stored.shape[1]):
        stored[frame, band] = np.rint(resample(stored[frame, band].astype(float), (down, right), mode="mirror"))
    return replace(sensor, windows=(replace(window, stored=stored),))


def test_every_scene_in_its_place_is_found_there(sensors: dict[str, SensorWindows]) -> None:
    positions = scene_positions(sensors)
    assert {name for name, _ in positions} == {"sentinel-2", "landsat"}
    assert max(shift.length for shift in positions.values()) < 1 / 3
    findings, notes = check_positions(sensors)
    assert findings == []
    assert all(" 0 of them" in note for note in notes)


@pytest.mark.parametrize(("sensor", "frame"), [("sentinel-2", 8), ("landsat", 5)])
def test_a_scene_half_a_pixel_off_is_noted_with_its_date_and_no_alarm(
    sensor: str, frame: int, sensors: dict[str, SensorWindows]
) -> None:
    changed = {**sensors, sensor: moved(sensors[sensor], frame, 0.4, -0.3)}
    positions = scene_positions(changed)
    found = positions[sensor, frame]
    assert (found.down, found.right) == pytest.approx((0.4, -0.3), abs=0.15)  # of Landsat 32 pixels of 30 m
    assert max(shift.length for scene, shift in positions.items() if scene != (sensor, frame)) < 1 / 3
    findings, notes = check_positions(changed)
    day = str(np.datetime64(int(sensors[sensor].days[frame]), "D"))
    assert findings == []
    assert [day in note for note in notes if note.startswith(sensor)] == [True]


def test_a_scene_one_pixel_off_is_an_alarm(sensors: dict[str, SensorWindows]) -> None:
    findings, _ = check_positions({**sensors, "sentinel-2": moved(sensors["sentinel-2"], 8, 0.0, 1.0)})
    assert [finding.kind for finding in findings] == ["shifted grid"]


def test_a_sensor_of_too_few_pixels_is_not_assessed(sensors: dict[str, SensorWindows]) -> None:
    (window,) = sensors["landsat"].windows
    small = replace(window, stored=window.stored[..., :20, :20], valid=window.valid[..., :20, :20])
    _, (note,) = check_positions({"landsat": replace(sensors["landsat"], windows=(small,))})
    assert "not assessed" in note
