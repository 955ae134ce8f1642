"""Samples in one batch get the logits that they get alone."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.agrifm.test_timeseries import SIDES, SMALL, SOURCES, build, stirred

from agrifm.errors import ModelError
from agrifm.grid import Window
from agrifm.inference.batching import group_samples, predict_logits
from agrifm.models.agrifm.network import preset
from agrifm.models.classifier import Classifier
from agrifm.record import SensorRecord, SeriesKind
from agrifm.samples.sample import Sample, Series

SENSORS = tuple(
    SensorRecord(
        sensor=name,
        bands=tuple(f"band{band}" for band in range(bands)),
        quantity="index",
        scale=1e-4,
        resolution=480 / SIDES[name],
        mean=(0.1,) * bands,
        std=(2.0,) * bands,
    )
    for name, bands in SOURCES.items()
)
SHAPES = [(5, 1, None), (6, 1, None), (9, 1, None), (5, 2, None), (5, 1, "landsat")]
"""Frames of Sentinel-2, side, absent sensor. A token has four frames; Landsat has one frame more, MODIS two."""


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(stirred(build(SMALL)), SENSORS, "observed").eval()


def series_of(name: str, frames: int, side: int, generator: np.random.Generator) -> Series:
    """A cloudy series with irregular dates; MODIS has a day for each pixel."""
    valid = generator.random((frames, side, side)) > 0.4
    valid[:: max(2, frames // 3)] = False  # frames without a usable pixel
    image = generator.standard_normal((frames, SOURCES[name], side, side)).astype(np.float32) * valid[:, None]
    date = 19_000 + np.sort(generator.choice(300, frames, replace=False)).astype(np.int32)
    day = date[:, None, None] + generator.integers(0, 8, valid.shape, np.int32) if name == "modis" else None
    return Series(image, valid, date, day)


def sample(frames: int, rows: int, absent: str | None, seed: int = 0) -> Sample:
    generator = np.random.default_rng(seed)
    series = {
        name: series_of(name, frames + shift, side * rows, generator)
        for shift, (name, side) in enumerate(SIDES.items())
        if name != absent
    }
    side = SIDES["sentinel-2"] * rows
    return Sample(series, np.zeros((side, side), np.uint8), Window(0, 0, side, side), 19_000)


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
    classifier: Classifier, kinds: list[tuple[int, int, str | None, int]], most: int
) -> None:
    samples = [sample(*kind) for kind in kinds]
    with torch.no_grad():
        together = predict_logits(classifier, samples, SENSORS, SOURCES, most)
        backwards = predict_logits(classifier, samples[::-1], SENSORS, SOURCES, most)[::-1]
        for single, mixed, reverse in zip(samples, together, backwards, strict=True):
            alone = predict_logits(classifier, [single], SENSORS, SOURCES)[0]
            torch.testing.assert_close(mixed, alone, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(reverse, alone, atol=1e-5, rtol=1e-5)


def test_samples_of_equal_token_count_share_a_batch_and_others_do_not(classifier: Classifier) -> None:
    assert group_samples(classifier, [sample(*shape) for shape in SHAPES]) == [[0, 1], [2], [3], [4]]


@pytest.mark.parametrize(
    ("kind", "groups"), [("observed", [[0, 1, 2], [3]]), ("interpolated", [[0], [1, 3], [2]])], ids=str
)
def test_a_batch_of_interpolated_series_is_not_padded(kind: SeriesKind, groups: list[list[int]]) -> None:
    fine = Classifier(build(preset("tiny", {"sentinel-2": 10}, classes=3)), SENSORS[:1], kind).eval()
    generator = np.random.default_rng(0)
    window, label = Window(0, 0, 16, 16), np.zeros((16, 16), np.uint8)
    lengths = (5, 8, 7, 8 if kind == "interpolated" else 9)
    samples = [
        Sample({"sentinel-2": series_of("sentinel-2", frames, 16, generator)}, label, window, 19_000)
        for frames in lengths
    ]
    assert group_samples(fine, samples) == groups
    with torch.no_grad():
        for single, mixed in zip(samples, predict_logits(fine, samples, SENSORS[:1]), strict=True):
            alone = predict_logits(fine, [single], SENSORS[:1])[0]
            torch.testing.assert_close(mixed, alone, atol=1e-5, rtol=1e-5)


def test_a_sample_that_does_not_fit_is_refused(classifier: Classifier) -> None:
    with pytest.raises(ModelError, match="landsat"):
        predict_logits(classifier, [sample(8, 1, "landsat")], SENSORS)
