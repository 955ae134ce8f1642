"""Tokens at another number of time steps: torch's own linear resampling, unseen tokens apart."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from tests.models.weights.weight_files import weight_files
from torch import Tensor
from torch.nn import functional

from agrifm.errors import ModelError
from agrifm.models.agrifm.lengths import at_length, weights_in_time
from agrifm.models.agrifm.network import AgriFM, AgriFMConfig, Source
from agrifm.models.agrifm.swin3d import SwinConfig
from agrifm.models.agrifm.timeseries import Observed, Tokens
from agrifm.models.batching import score_samples
from agrifm.models.weights.info import describe
from agrifm.models.weights.inspect import inspect

FRAMES = 32
STEPS = (8, 4, 2, 1)
"""Of 32 frames in patches of 4, as the released model has them."""


def encoder(resample_time: bool, known: bool = False) -> SwinConfig:
    return SwinConfig(
        embed_dim=8,
        depths=(1, 1, 2, 1),
        heads=(1, 2, 2, 4),
        drop_path=0.0,
        resample_time=resample_time,
        dates=known,
        validity=known,
    )


def model(resample_time: bool = True, known: bool = False) -> AgriFM:
    """The released shape, narrow."""
    torch.manual_seed(0)
    config = AgriFMConfig(
        sources=(Source(name="S2", channels=3, frames=FRAMES), Source(name="Landsat", channels=2, frames=FRAMES)),
        classes=2,
        encoder=encoder(resample_time, known),
        neck_sources=("S2", "Landsat"),
        neck_levels=(("S2", "Landsat"),) * 3,
    )
    return AgriFM(config).eval()


def images(frames: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(frames)
    return {
        "S2": torch.randn(1, frames, 3, 8, 8, generator=generator),
        "Landsat": torch.randn(1, FRAMES, 2, 4, 4, generator=generator),
    }


@pytest.mark.parametrize(("found", "steps"), [(1, 8), (3, 8), (7, 8), (9, 8), (17, 8), (50, 8), (5, 1), (4, 3)])
def test_weights_are_those_of_torch(found: int, steps: int) -> None:
    """Bilinear resampling of an image of one row, with antialiasing, is linear resampling in time."""
    series = torch.randn(1, 1, 1, found, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = functional.interpolate(series, size=(1, steps), mode="bilinear", antialias=True, align_corners=False)
    torch.testing.assert_close(weights_in_time(found, steps) @ series[0, 0, 0], expected[0, 0, 0])


def test_every_token_counts_where_there_are_more_than_steps() -> None:
    assert (weights_in_time(50, 8).sum(dim=0) > 0).all()


def test_tokens_that_are_as_many_stay_the_same_object() -> None:
    tokens = Tokens(torch.randn(1, 8, 2, 2, 3), torch.rand(1, 8, 2, 2))
    assert at_length(tokens, 8) is tokens


@pytest.mark.parametrize("count", [3, 20])
def test_equal_shares_change_nothing_and_stay_equal(count: int) -> None:
    grid = torch.randn(2, count, 2, 2, 3)
    plain = at_length(Tokens(grid, None), 8).grid
    weighted = at_length(Tokens(grid, torch.full((2, count, 2, 2), 0.4)), 8)
    assert weighted.share is not None
    torch.testing.assert_close(weighted.grid, plain)
    torch.testing.assert_close(weighted.share, torch.full((2, 8, 2, 2), 0.4))


def test_an_unseen_token_hardly_counts_beside_a_seen_one() -> None:
    """20 tokens at 8 steps: each step lies near several, and those that were seen hold 1."""
    share = (torch.arange(20) % 2 == 0).float().reshape(1, 20, 1, 1)
    grid = torch.where(share > 0, 1.0, 1000.0)[..., None]
    assert grid.max() == 1000
    found = at_length(Tokens(grid, share), 8)
    assert found.share is not None
    torch.testing.assert_close(found.grid, torch.ones(1, 8, 1, 1, 1), rtol=0, atol=0.01)
    assert (found.share > 0.3).all()
    assert (found.share < 0.7).all()


@torch.no_grad()
def test_cat_fusion_takes_1_to_200_frames() -> None:
    network = model()
    widths = [8 * 2**stage * steps for stage, steps in enumerate(STEPS)]
    logits = []
    for frames in range(1, 201):
        own = images(frames)
        features = network.encoders(own)["S2"]
        assert [len(one[0]) for one in features.features_list] == widths, frames
        logits.append(network(own))
        assert logits[-1].shape == (1, 2, 8, 8)
        assert logits[-1].isfinite().all()
    assert not torch.equal(logits[0], logits[-1])


@torch.no_grad()
@pytest.mark.parametrize("frames", [29, 32])
def test_the_pretrained_count_is_bit_equal_with_the_switch_off_and_on(frames: int) -> None:
    off, on, own = model(resample_time=False), model(), images(frames)
    on.load_state_dict(off.state_dict())
    assert torch.equal(on(own), off(own))
    assert on.notes_for(own) == off.notes_for(own) == []


@torch.no_grad()
def test_what_was_not_seen_does_not_matter_at_other_lengths() -> None:
    network, own = model(known=True), images(60)
    valid = torch.rand(1, 60, 8, 8, generator=torch.Generator().manual_seed(0)) < 0.3
    series = Observed(own["S2"], valid, torch.arange(0.0, 360.0, 6.0)[None], torch.tensor([60]))
    other = series._replace(image=torch.where(valid[:, :, None], series.image, torch.tensor(1e6)))
    assert torch.equal(network({**own, "S2": series}), network({**own, "S2": other}))


@torch.no_grad()
def test_samples_of_any_length_get_together_what_they_get_alone() -> None:
    network = model(known=True)
    samples = []
    for frames in (49, 52, 7, 5):  # 13 and 2 time steps
        own = images(frames)
        valid = torch.rand(1, frames, 8, 8, generator=torch.Generator().manual_seed(frames)) < 0.5
        days = torch.linspace(0, 360, frames)[None]
        samples.append({**own, "S2": Observed(own["S2"], valid, days, torch.tensor([60]))})
    for sample, together in zip(samples, score_samples(network, samples), strict=True):
        torch.testing.assert_close(together, network(sample)[0], atol=1e-5, rtol=1e-5)


def test_what_happens_is_told() -> None:
    (note,) = model().notes_for(images(50))
    assert note.startswith("S2: the 13 time steps of 50 frames are resampled to 8, those of 32 frames")
    assert model().notes_for({**images(50), "S2": None}) == []


def test_without_the_switch_the_refusal_names_it() -> None:
    with pytest.raises(ModelError, match=r"S2 have 50 frames, .* takes 29 to 32; .*set `resample_time` of the encoder"):
        model(resample_time=False)(images(50))


def test_mean_fusion_has_no_use_for_it() -> None:
    with pytest.raises(ValidationError, match="goes with `cat` fusion"):
        SwinConfig(fusion="mean", resample_time=True)


def test_the_table_of_a_file_says_that_other_lengths_are_resampled(tmp_path: Path) -> None:
    found = inspect(weight_files()["training.pth"].write(tmp_path))
    encoder = found.config.encoder.model_copy(update={"resample_time": True})
    allowed = replace(found, config=found.config.model_copy(update={"encoder": encoder}))
    rows = [next(line for line in describe(one) if line.startswith("fusion")) for one in (found, allowed)]
    assert rows[0].endswith("cat")
    assert rows[1].endswith("cat, series of other lengths resampled in time")
