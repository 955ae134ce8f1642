"""Augmentation changes what it says, within its limits, and leaves the original batch and the labels alone."""

import pytest
import torch
from torch import Tensor

from agrifm.models.batch import TensorBatch
from agrifm.recipe import Augmentation
from agrifm.train.augmentation import augment

SAMPLES, FRAMES, BANDS, SEASON = 400, 24, 4, 360


def batch() -> TensorBatch:
    """Samples of one pixel of two sensors, one with a day per frame, one with a day per pixel."""
    days = torch.arange(0, SEASON, SEASON // FRAMES, dtype=torch.float32).expand(SAMPLES, FRAMES)
    image = torch.rand(SAMPLES, FRAMES, BANDS, 1, 1, generator=torch.Generator().manual_seed(0))
    known = torch.ones(SAMPLES, FRAMES, 1, 1, dtype=torch.bool)
    return TensorBatch(
        images={"sentinel-2": image, "modis": image.clone()},
        valid={"sentinel-2": known, "modis": known.clone()},
        day={"sentinel-2": days, "modis": days[:, :, None, None]},
        first_day=torch.full((SAMPLES,), 1.0),
        absent={},
        frames={},
        label=torch.zeros(SAMPLES, 1, 1),
    )


def changed(seed: int = 0, **how: float) -> TensorBatch:
    torch.manual_seed(seed)
    return augment(batch(), Augmentation(**how), SEASON)


def untouched(parts: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    return all(torch.equal(parts[name], expected[name]) for name in expected)


def test_without_augmentation_the_batch_is_the_same_object() -> None:
    original = batch()
    assert augment(original, Augmentation(), SEASON) is original


def test_a_shift_moves_all_dates_of_a_sample_alike_and_within_its_limit() -> None:
    moved, original = changed(shift=30), batch()
    by = moved.day["sentinel-2"] - original.day["sentinel-2"]
    torch.testing.assert_close(by, by[:, :1].expand_as(by), atol=1e-3, rtol=0)
    assert by.abs().max() < 30.001
    assert by.std() == pytest.approx(30 / 3**0.5, rel=0.1)  # of a uniform distribution
    torch.testing.assert_close(moved.day["modis"][:, :, 0, 0], moved.day["sentinel-2"])
    assert untouched(moved.images, original.images)
    assert untouched(moved.valid, original.valid)


def test_a_stretch_moves_the_middle_and_keeps_order_and_ends() -> None:
    moved, original = changed(stretch=40), batch()
    by = moved.day["sentinel-2"] - original.day["sentinel-2"]
    assert by[:, 0].abs().max() < 1e-3
    assert 30 < by[:, FRAMES // 2].abs().max() <= 40
    assert (moved.day["sentinel-2"].diff(dim=1) > 0).all()


def test_a_cut_hides_the_end_of_some_samples() -> None:
    valid = changed(cut=0.5).valid["sentinel-2"][:, :, 0, 0]
    shortened = ~valid.all(dim=1)
    assert shortened.float().mean() == pytest.approx(0.5, abs=0.1)
    assert valid[:, : FRAMES // 2].all()
    assert (valid.int().diff(dim=1) <= 0).all()  # what is hidden is the end


def test_a_cut_may_fall_earlier_than_the_second_half() -> None:
    first = FRAMES // 4
    valid = changed(cut=1.0, cut_from=0.25).valid["sentinel-2"][:, :, 0, 0]
    assert valid[:, :first].all()
    kept = valid.sum(dim=1)
    assert (kept < FRAMES // 2).float().mean() == pytest.approx(1 / 3, abs=0.15)


def test_hidden_frames_are_a_different_share_of_each_sample() -> None:
    share = (~changed(hidden=0.6).valid["sentinel-2"]).float().mean(dim=(1, 2, 3))
    assert share.mean() == pytest.approx(0.3, abs=0.03)
    assert share.max() <= 0.85


def test_a_sample_is_never_left_without_bands() -> None:
    absent = changed(bands=0.9).absent["sentinel-2"]
    assert (~absent).any(dim=1).all()
    assert changed(bands=0.2).absent["sentinel-2"].float().mean() == pytest.approx(0.2, abs=0.05)


def test_absent_bands_stay_absent() -> None:
    original = batch()
    lacking = torch.zeros(SAMPLES, BANDS, dtype=torch.bool)
    lacking[:, 1:] = True
    original.absent["modis"] = lacking
    torch.manual_seed(0)
    absent = augment(original, Augmentation(bands=0.9), SEASON).absent["modis"]
    assert torch.equal(absent, lacking)


def test_light_is_one_factor_for_all_values_of_a_sample() -> None:
    bright, original = changed(light=0.1), batch()
    factor = bright.images["sentinel-2"] / original.images["sentinel-2"]
    torch.testing.assert_close(factor, factor[:, :1, :1].expand_as(factor))
    torch.testing.assert_close(bright.images["modis"], bright.images["sentinel-2"])
    assert factor[:, 0, 0].std().item() == pytest.approx(0.1, rel=0.15)


def test_the_original_is_not_changed() -> None:
    original, copy = batch(), batch()
    everything = Augmentation(hidden=0.5, shift=20, stretch=20, cut=0.5, bands=0.3, light=0.1)
    torch.manual_seed(0)
    augment(original, everything, SEASON)
    for name in ("images", "valid", "day"):
        assert untouched(getattr(original, name), getattr(copy, name))
    assert original.absent == {}
