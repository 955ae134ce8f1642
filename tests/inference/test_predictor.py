"""A trained network predicts samples: invalid pixels change nothing, and samples that do not fit are refused."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
import torch

from agrifm.errors import ModelError
from agrifm.grid import Window
from agrifm.inference.predictor import TorchModel
from agrifm.inference.tensors import tensor_batch
from agrifm.legend import Legend
from agrifm.models.agrifm.network import AgriFM, preset
from agrifm.models.classifier import Classifier
from agrifm.record import ModelRecord, SensorRecord, SeriesKind
from agrifm.samples.sample import Sample, Series

START = 19_814
"""1 April 2024, days since 1970-01-01."""
SENSORS = tuple(
    SensorRecord(
        sensor=name, bands=bands, quantity="surface reflectance", scale=1e-4, resolution=side, mean=mean, std=mean
    )
    for name, bands, side, mean in (
        ("sentinel-2", ("B04", "B08"), 10, (0.2, 0.3)),
        ("landsat", ("B04",), 30, (0.2,)),
    )
)
KINDS: tuple[SeriesKind, ...] = ("interpolated", "composites", "observed")


def make_model(kind: SeriesKind) -> TorchModel:
    """A network of random weights that knows dates and validity."""
    torch.manual_seed(3)
    config = preset("tiny", {"sentinel-2": 2, "landsat": 1}, classes=3, frames=4, season_days=90)
    encoder = config.encoder.model_copy(update={"dates": True, "validity": True})
    network = AgriFM(config.model_copy(update={"encoder": encoder})).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    record = ModelRecord(
        name="agrifm",
        architecture={},
        sensors=SENSORS,
        frames=4,
        series=kind,
        absent_sensors=("landsat",),
        side=48,
        legend=Legend.of(["a", "b", "c"]),
        season=(date(2024, 4, 1), date(2024, 6, 29)),
    )
    return TorchModel(record, Classifier(network, SENSORS, kind).eval())


def make_sample(kind: SeriesKind) -> Sample:
    """Four frames over 48 x 48 pixels of 10 m, half of them seen; observed, the coarse sensor is a composite."""
    rng = np.random.default_rng(5)
    series = {}
    for sensor, side in zip(SENSORS, (48, 16), strict=True):
        valid = rng.random((4, side, side)) < 0.5
        image = rng.random((4, len(sensor.bands), side, side)).astype(np.float32) * valid[:, None]
        days = np.array([10, 30, 55, 80], np.int32) + START
        own_days = kind == "composites" or (kind == "observed" and sensor.sensor == "landsat")
        day = days[:, None, None] + rng.integers(0, 8, valid.shape).astype(np.int32) if own_days else None
        series[sensor.sensor] = Series(image, valid, days, day)
    return Sample(series, np.zeros((48, 48), np.uint8), Window(0, 0, 48, 48), START)


def changed(sample: Sample, sensor: str, **changes: object) -> Sample:
    return replace(sample, series={**sample.series, sensor: replace(sample.series[sensor], **changes)})


@pytest.mark.parametrize("kind", KINDS)
def test_the_numbers_in_invalid_pixels_change_nothing(kind: SeriesKind) -> None:
    model, sample = make_model(kind), make_sample(kind)
    expected = model.probabilities(sample)
    np.testing.assert_allclose(expected.sum(axis=0), 1, rtol=1e-5)
    own = sample.series["sentinel-2"]
    hidden = np.where(own.valid[:, None], own.image, np.nan).astype(np.float32)
    np.testing.assert_array_equal(model.probabilities(changed(sample, "sentinel-2", image=hidden)), expected)


@pytest.mark.parametrize("kind", ["composites", "observed"])
def test_dates_and_validity_matter_where_the_series_keeps_them(kind: SeriesKind) -> None:
    model, sample = make_model(kind), make_sample(kind)
    expected, own = model.probabilities(sample), sample.series["sentinel-2"]
    later = changed(sample, "sentinel-2", date=own.date + 9, day=None if own.day is None else own.day + 9)
    fewer = changed(sample, "sentinel-2", valid=own.valid & (np.arange(4) != 2)[:, None, None])
    for other in (later, fewer, replace(sample, season_start=START - 20)):
        assert np.abs(model.probabilities(other) - expected).max() > 1e-4


@pytest.mark.parametrize("kind", ["composites", "observed"])
def test_a_window_without_an_observation_has_probabilities(kind: SeriesKind) -> None:
    model, sample = make_model(kind), make_sample(kind)
    for sensor in ("landsat", "sentinel-2"):
        own = sample.series[sensor]
        sample = changed(sample, sensor, valid=np.zeros_like(own.valid), image=np.zeros_like(own.image))
        assert np.isfinite(model.probabilities(sample)).all()


def test_a_shorter_series_scores_in_a_batch_as_it_does_alone() -> None:
    """Three and four frames are one token of four frames each, so that filling up must change nothing."""
    model, long = make_model("observed"), make_sample("observed")
    own = long.series["sentinel-2"]
    short = changed(long, "sentinel-2", image=own.image[:3], valid=own.valid[:3], date=own.date[:3])
    batch = tensor_batch([short, long], SENSORS)
    with torch.inference_mode():
        together = model.classifier(batch).softmax(dim=1).numpy()
    for found, sample in zip(together, (short, long), strict=True):
        np.testing.assert_allclose(found, model.probabilities(sample), atol=1e-5)
    assert np.abs(together[0] - together[1]).max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_a_sensor_that_may_be_absent_may_be_missing_and_another_not(kind: SeriesKind) -> None:
    model, sample = make_model(kind), make_sample(kind)
    alone = replace(sample, series={"sentinel-2": sample.series["sentinel-2"]})
    np.testing.assert_allclose(model.probabilities(alone).sum(axis=0), 1, rtol=1e-5)
    with pytest.raises(ModelError, match="'sentinel-2'"):
        model.probabilities(replace(sample, series={"landsat": sample.series["landsat"]}))


def test_a_sample_that_does_not_fit_is_refused() -> None:
    sample = make_sample("observed")
    image = sample.series["landsat"].image.copy()
    image[sample.series["landsat"].valid.nonzero()[0][0]] = np.inf
    with pytest.raises(ModelError, match="inf"):
        make_model("observed").probabilities(changed(sample, "landsat", image=image))
