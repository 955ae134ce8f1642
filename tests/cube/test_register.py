"""Shifts that are known because the ground is a formula, sampled where the image is said to lie."""

import numpy as np
import pytest
from numpy.typing import NDArray

from agrifm.cube.register import measure_shift

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


def test_a_cloudy_image_is_not_judged() -> None:
    image = ground(0, 0)
    image[:, :60] = np.nan
    assert measure_shift(image, ground(0, 0)) is None


def test_images_without_common_texture_are_not_judged() -> None:
    draw = np.random.default_rng(5)
    assert measure_shift(*(draw.normal(0.1, 0.01, (2, 2, SIDE, SIDE)).astype(np.float32))) is None
    flat = np.full((2, SIDE, SIDE), 0.2, np.float32)
    assert measure_shift(flat, flat) is None


def test_a_window_of_a_few_pixels_is_not_judged() -> None:
    assert measure_shift(ground(0, 0)[:, :20, :20], ground(0, 0)[:, :20, :20]) is None
