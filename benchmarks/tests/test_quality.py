"""The benchmark of quality rules: truth and counts by hand."""

import numpy as np
import pytest
import quality

from agrifm.simulator.acquisition.sky import Sky


def test_a_pixel_is_spoiled_by_a_cloud_before_its_shadow_and_cirrus() -> None:
    """Four pixels: cloud with shadow, shadow with cirrus, cirrus, nothing; a fifth is too faint for either."""
    sky = Sky(
        cloud=np.array([[0.5, -1, 0, -2, 0.1]], np.float32),
        shadow=np.array([[0.5, 0.3, -1, -2, 0]], np.float32),
        cirrus=np.array([[0.02, 0.02, 0.02, 0, 0]], np.float32),
        haze=np.zeros((1, 5), np.float32),
    )
    truth = quality.truth_of(sky, 1)
    assert [part[0].tolist() for part in truth] == np.eye(4, 5).tolist()


def test_shares_of_a_pixel_are_counted() -> None:
    cloud = np.array([[1, 1, -1, -1], [1, -1, -1, -1]], np.float32)
    nothing = np.full((2, 4), -1, np.float32)
    truth = quality.truth_of(Sky(cloud, nothing, np.zeros((2, 4), np.float32), nothing), 2)
    assert truth.cloud.tolist() == [[0.75, 0]]
    assert truth.clear.tolist() == [[0.25, 1]]


def test_omission_and_commission_are_counted() -> None:
    """Six pixels: three clouds of which one is usable, two clear of which one is masked, and one not recorded."""
    cloud = np.array([[1, 1, 0.5, 0, 0, 1]])
    clear = np.array([[0, 0, 0, 1, 1, 0]])
    truth = quality.Truth(cloud, np.zeros((1, 6)), np.zeros((1, 6)), clear)
    usable = np.array([[False, True, False, True, False, True]])
    recorded = np.array([[True] * 5 + [False]])
    counts = quality.judge(truth, usable, recorded)
    assert counts == {"cloud": (1, 3), "shadow": (0, 0), "cirrus": (0, 0), "clear": (1, 2)}
    found = quality.rates(counts)
    assert found["cloud"] == pytest.approx(100 / 3)
    assert found["clear"] == 50
    assert np.isnan(found["shadow"])


def test_cells_have_the_mean_and_the_range_of_the_seeds() -> None:
    """Of 10 clouds 1 and 3 are left in: 20 percent, 10 to 30; the second seed has no cirrus, neither has shadows."""
    seeds = [
        {"cloud": (1, 10), "shadow": (0, 0), "cirrus": (1, 4), "clear": (0, 1000)},
        {"cloud": (3, 10), "shadow": (0, 0), "cirrus": (0, 0), "clear": (15, 1000)},
    ]
    (row,) = quality.rows([{("landsat", "default"): counts} for counts in seeds])
    assert row[2:] == ("20.0 (10.0-30.0)", "-", "25.0 (25.0-25.0)", "0.8 (0.0-1.5)", "0.0", "2.0")
