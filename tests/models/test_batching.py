"""Samples scored together get what they get alone."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.agrifm.test_timeseries import SIDES, SMALL, SOURCES, build, observed, stirred

from agrifm.errors import ModelError
from agrifm.models.agrifm.network import AgriFM, preset
from agrifm.models.agrifm.timeseries import ObservedSeries
from agrifm.models.batching import group_samples, score_samples

Sample = dict[str, torch.Tensor | ObservedSeries | None]


@pytest.fixture(scope="module")
def model() -> AgriFM:
    return stirred(build(SMALL))


def sample(frames: int, rows: int, absent: str | None, seed: int) -> Sample:
    return {
        name: None if name == absent else observed(name, frames=frames + shift, side=side * rows, seed=seed)
        for shift, (name, side) in enumerate(SIDES.items())
    }


@settings(max_examples=6, deadline=None)
@given(
    kinds=st.lists(
        st.tuples(st.integers(1, 14), st.integers(1, 2), st.sampled_from([None, *SOURCES]), st.integers(0, 99)),
        min_size=2,
        max_size=5,
    ),
    most=st.integers(1, 4),
)
def test_a_sample_alone_and_in_any_mixed_batch_agrees(
    model: AgriFM, kinds: list[tuple[int, int, str | None, int]], most: int
) -> None:
    samples = [sample(*kind) for kind in kinds]
    with torch.no_grad():
        together = score_samples(model, samples, most)
        backwards = score_samples(model, samples[::-1], most)[::-1]
        for own, mixed, turned in zip(samples, together, backwards, strict=True):
            alone = model(own)[0]
            torch.testing.assert_close(mixed, alone, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(turned, alone, atol=1e-5, rtol=1e-5)


def test_samples_of_equal_token_count_share_a_batch_and_others_do_not() -> None:
    samples = [sample(frames, rows, absent, 0) for frames, rows, absent in SHAPES]
    assert group_samples(samples, SMALL) == [[0, 1], [2], [3], [4]]


SHAPES = [(5, 1, None), (6, 1, None), (9, 1, None), (5, 2, None), (5, 1, "landsat")]
"""Patches of four frames; Landsat has one frame more, MODIS two."""


def test_plain_series_of_equal_token_count_share_a_batch(model: AgriFM) -> None:
    torch.manual_seed(0)
    plain = build(preset("tiny", {"sentinel-2": 10}, classes=3))
    samples: list[Sample] = [{"sentinel-2": torch.randn(1, frames, 10, 16, 16)} for frames in (5, 8, 7)]
    assert group_samples(samples, plain.config) == [[0, 1, 2]]
    with torch.no_grad():
        for own, mixed in zip(samples, score_samples(plain, samples), strict=True):
            torch.testing.assert_close(mixed, plain(own)[0], atol=1e-5, rtol=1e-5)


def test_a_sample_that_does_not_fit_is_refused(model: AgriFM) -> None:
    with pytest.raises(ModelError, match="landsat"):
        score_samples(model, [{"sentinel-2": observed()}])
