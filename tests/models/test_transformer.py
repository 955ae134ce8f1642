"""The plain transformer reads observations with their dates; padding and absent sensors change nothing."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agrifm.errors import ModelError
from agrifm.models.agrifm.timeseries import ObservedSeries
from agrifm.models.transformer import Transformer, transformer_preset
from agrifm.record import SensorRecord

SENSORS = [
    SensorRecord(
        sensor=name,
        bands=tuple(f"B{number}" for number in range(bands)),
        quantity="surface reflectance",
        scale=1e-4,
        resolution=resolution,
        mean=(0.0,) * bands,
        std=(1.0,) * bands,
    )
    for name, bands, resolution in (("fine", 3, 10), ("coarse", 2, 30))
]


def network() -> Transformer:
    torch.manual_seed(0)
    return Transformer(transformer_preset("tiny", SENSORS, 4, 6, "observed", 120)).eval()


def series(generator: torch.Generator, frames: int, bands: int, side: int) -> ObservedSeries:
    return ObservedSeries(
        torch.randn(2, frames, bands, side, side, generator=generator),
        torch.rand(2, frames, side, side, generator=generator) < 0.6,
        torch.arange(0.0, 10 * frames, 10).expand(2, frames),
        torch.tensor([60.0, 300.0]),
    )


@settings(max_examples=15)
@given(seed=st.integers(0, 999), padding=st.integers(1, 5))
def test_padding_and_pixels_that_are_not_valid_change_nothing(seed: int, padding: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    fine, coarse = series(generator, 5, 3, 6), series(generator, 4, 2, 2)
    longer = ObservedSeries(
        torch.cat(
            [torch.where(fine.valid[:, :, None], fine.image, 1e3), torch.full((2, padding, 3, 6, 6), 9.0)], dim=1
        ),
        torch.cat([fine.valid, torch.zeros(2, padding, 6, 6, dtype=torch.bool)], dim=1),
        torch.cat([fine.day, fine.day[:, -1:].expand(2, padding)], dim=1),
        fine.first_day,
    )
    with torch.no_grad():
        usual = network()({"fine": fine, "coarse": coarse})
        padded = network()({"fine": longer, "coarse": coarse})
    torch.testing.assert_close(padded, usual, atol=1e-5, rtol=1e-5)
    assert usual.isfinite().all()


def test_an_absent_sensor_counts_as_one_without_valid_observations() -> None:
    generator = torch.Generator().manual_seed(0)
    fine, coarse = series(generator, 5, 3, 6), series(generator, 4, 2, 2)
    with torch.no_grad():
        absent = network()({"fine": fine, "coarse": None})
        empty = network()({"fine": fine, "coarse": coarse._replace(valid=torch.zeros_like(coarse.valid))})
    torch.testing.assert_close(absent, empty, atol=1e-5, rtol=1e-5)


def test_the_order_of_observations_does_not_matter_but_their_days_do() -> None:
    generator = torch.Generator().manual_seed(0)
    fine = series(generator, 5, 3, 3)
    with torch.no_grad():
        usual = network()({"fine": fine, "coarse": None})
        turned = ObservedSeries(fine.image.flip(1), fine.valid.flip(1), fine.day.flip(1), fine.first_day)
        torch.testing.assert_close(network()({"fine": turned, "coarse": None}), usual, atol=1e-5, rtol=1e-5)
        later = network()({"fine": fine._replace(day=fine.day + 30), "coarse": None})
    assert (later - usual).abs().max() > 1e-3


def test_interpolated_series_have_the_middle_days_of_their_periods() -> None:
    """120 days in six periods: days 10, 30, 50, 70, 90 and 110."""
    image = torch.randn(1, 6, 3, 2, 2)
    valid = torch.ones(1, 6, 2, 2, dtype=torch.bool)
    dated = ObservedSeries(image, valid, torch.tensor([[10.0, 30.0, 50.0, 70.0, 90.0, 110.0]]), torch.tensor([60.0]))
    with torch.no_grad():
        torch.testing.assert_close(
            network()({"fine": image, "coarse": None}), network()({"fine": dated, "coarse": None})
        )


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ModelError) as refused:
        transformer_preset("tinny", SENSORS, 4, 6, "observed", 120)
    assert refused.value.facts == {"preset": "tinny"}
