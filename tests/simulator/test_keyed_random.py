"""Random numbers that depend on seed, purpose and keys alone, against known sequences and distributions."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import kstest

from agrifm.simulator.keyed_random import _mixed, normal, smooth_noise, uniform


def test_the_mixing_is_that_of_splitmix64():
    """First outputs of Vigna's splitmix64.c for a state that begins at 0, which adds its golden number each time."""
    golden = np.uint64(0x9E3779B97F4A7C15)
    with np.errstate(over="ignore"):
        states = np.arange(3, dtype=np.uint64) * golden
    assert _mixed(states).tolist() == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


def test_numbers_do_not_depend_on_what_else_is_drawn():
    keys = np.arange(1000)
    order = np.random.default_rng(0).permutation(1000)
    np.testing.assert_array_equal(uniform(3, "a", keys)[order], uniform(3, "a", keys[order]))
    np.testing.assert_array_equal(uniform(3, "a", keys, 7)[500:501], uniform(3, "a", np.array([500]), 7))
    np.testing.assert_array_equal(normal(3, "a", keys[:, None], keys[None, :5])[:, 2], normal(3, "a", keys, 2))


@pytest.mark.parametrize(
    ("seed", "purpose", "keys"),
    [(4, "a", (1, 2)), (3, "b", (1, 2)), (3, "a", (2, 1)), (3, "a", (1, 3)), (3, "a", (-1, 2))],
)
def test_another_seed_purpose_or_key_gives_other_numbers(seed: int, purpose: str, keys: tuple[int, int]):
    rows = np.arange(2000)
    first, other = uniform(3, "a", rows, 1, 2), uniform(seed, purpose, rows, *keys)
    assert abs(np.corrcoef(first, other)[0, 1]) < 0.08  # 3.5 standard errors


def test_numbers_are_uniform_and_normal():
    keys = np.arange(20_000)
    flat, bell = uniform(0, "flat", keys), normal(0, "bell", keys)
    assert flat.min() > 0
    assert flat.max() < 1
    assert kstest(flat, "uniform").pvalue > 0.01
    assert kstest(bell, "norm").pvalue > 0.01
    assert abs(np.corrcoef(flat[1:], flat[:-1])[0, 1]) < 0.025


def _noise(x: NDArray[np.float64], y: NDArray[np.float64], scale: float) -> NDArray[np.float32]:
    return smooth_noise(1, "noise", x[None], y[:, None], scale)


def test_noise_at_a_place_is_the_same_in_every_window_and_alone():
    x, y = np.arange(400_000, 403_000, 10.0), np.arange(5_200_000, 5_197_000, -10.0)
    whole = _noise(x, y, 250)
    np.testing.assert_array_equal(whole[100:150, 37:200], _noise(x[37:200], y[100:150], 250))
    some = np.array([5, 120, 299])
    alone = smooth_noise(1, "noise", x[some], y[some], 250)
    np.testing.assert_allclose(alone, whole[some, some], atol=2e-5)


def test_noise_has_mean_0_and_deviation_1_and_varies_over_its_scale():
    x = np.arange(0, 200_000, 500.0)
    noise = _noise(x, x + 1e6, 1000)
    assert abs(noise.mean()) < 0.02
    assert noise.std() == pytest.approx(1, abs=0.02)
    flat = noise - noise.mean()

    def correlation(steps: int) -> float:
        return float((flat[:, steps:] * flat[:, :-steps]).mean() / flat.var())

    # The correlation of cubic B-splines is the B-spline of degree 7, (2416, 1191, 120, 1) / 5040 at the whole numbers.
    assert [correlation(2 * scales) for scales in (1, 2, 4)] == pytest.approx([1191 / 2416, 120 / 2416, 0], abs=0.03)
