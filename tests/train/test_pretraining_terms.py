"""Terms of pretraining, on numbers worked out by hand."""

import math

import pytest
import torch

from agrifm.models.batch import TensorBatch
from agrifm.train.pretraining_terms import (
    SEASON_STEPS,
    Seen,
    cover_term,
    days_term,
    fractions_term,
    places_term,
    pretraining_tasks,
    reconstruction_term,
)


def seen(day: torch.Tensor, standard: torch.Tensor, hidden: torch.Tensor, **targets: torch.Tensor) -> Seen:
    samples = len(day)
    batch = TensorBatch(
        {}, {}, {"modis": day}, torch.ones(samples), {}, {}, torch.zeros(samples, 1, 1), targets=dict(targets)
    )
    return Seen(batch, "modis", hidden, standard, 365)


def some(**targets: torch.Tensor) -> Seen:
    return seen(torch.zeros(2, 1), torch.zeros(2, 1, 1), torch.zeros(2, 1, dtype=torch.bool), **targets)


def test_shares_of_land_cover_count_by_their_absolute_error():
    """Equal logits are shares of a half; the labels are (1, 0) and (0.5, 0.5)."""
    error, count = fractions_term(
        {"classes": torch.zeros(2, 2, 1, 1)}, some(fractions=torch.tensor([[1.0, 0.0], [0.5, 0.5]]))
    )
    assert float(error) == pytest.approx(1.0)
    assert float(count) == 2


def test_mixed_pixels_do_not_count_for_the_cover():
    logits = torch.tensor([[0.0, math.log(3)], [5.0, -5.0]])[:, :, None, None]
    error, count = cover_term({"cover": logits}, some(cover=torch.tensor([1, 255])))
    assert float(error) == pytest.approx(-math.log(0.75), abs=1e-6)
    assert float(count) == 1


def test_a_sample_is_compared_with_the_means_of_the_others_of_its_place():
    """Place 1 has the cover 0 at 0 and 2, and the cover 1 at 5 once; the other place has one cover."""
    features = torch.tensor([0.0, 2.0, 5.0, 0.0, 0.0, 9.0])[:, None, None, None]
    targets = {"place": torch.tensor([1, 1, 1, 7, 7, 1]), "cover": torch.tensor([0, 0, 1, 0, 0, 255])}
    error, count = places_term({"features": features}, some(**targets))
    # squared distances to the other of cover 0 and to cover 1: 4 and 25, 4 and 9
    expected = math.log(1 + math.exp(4 - 25)) + math.log(1 + math.exp(4 - 9))
    assert float(error) == pytest.approx(expected, rel=1e-5)
    assert float(count) == 2


def test_places_without_a_comparison_have_no_error():
    features = torch.ones(3, 2, 1, 1, requires_grad=True)
    targets = {"place": torch.tensor([1, 2, 2]), "cover": torch.tensor([0, 255, 255])}
    error, count = places_term({"features": features}, some(**targets))
    assert float(error.detach()) == 0
    assert float(count) == 0


def test_days_that_are_not_known_do_not_count():
    days = torch.tensor([[100.0, 200.0], [50.0, 0.0]], requires_grad=True)
    error, count = days_term(
        {"days": days[:, :, None, None]}, some(days=torch.tensor([[190.0, math.nan], [math.nan, math.nan]]))
    )
    assert float(error.detach()) == pytest.approx(1.0)  # 90 days
    assert float(count) == 1
    error.backward()
    assert days.grad is not None
    assert days.grad[0, 1] == 0
    assert days.grad.isfinite().all()


def test_a_straight_line_is_reconstructed_between_steps_and_hidden_ones_count():
    """A series that is its day is met exactly by steps that are the days of their middles."""
    middles = (torch.arange(SEASON_STEPS) + 0.5) * 365 / SEASON_STEPS
    steps = torch.stack([middles, 2 * middles], dim=1).reshape(1, -1, 1, 1)
    day = torch.tensor([[20.0, 101.0, 300.0]])
    standard = torch.stack([day, 2 * day], dim=2)
    outputs = {"modis_steps": steps}
    every = torch.tensor([[True, True, True]])
    error, count = reconstruction_term(outputs, seen(day, standard, every))
    assert float(error) == pytest.approx(0.0, abs=1e-3)
    assert float(count) == 3
    standard[0, 1, 0] += 4  # a mean of 2 over both bands
    standard[0, 2] += 100  # was seen
    error, count = reconstruction_term(outputs, seen(day, standard, torch.tensor([[True, True, False]])))
    assert float(error) == pytest.approx(2.0, abs=1e-3)
    assert float(count) == 2


def test_each_sensor_has_steps_for_its_bands():
    tasks = pretraining_tasks({"modis": ("B01", "B02"), "landsat": ("B04",)}, covers=5)
    assert tasks["modis_steps"].channels == 2 * SEASON_STEPS
    assert tasks["landsat_steps"].channels == SEASON_STEPS
    assert tasks["cover"].channels == 5
