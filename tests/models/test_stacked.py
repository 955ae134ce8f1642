"""Series of several sensors become one, and networks of such series do not see padding or the content of gaps."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from agrifm.errors import ModelError
from agrifm.models.agrifm.timeseries import ObservedSeries
from agrifm.models.family import FAMILIES
from agrifm.models.stacked import StackedConfig, StackedSeries, stack_sensors
from agrifm.record import SensorRecord, SeriesKind

STACKED = [name for name, family in FAMILIES.items() if issubclass(family.config, StackedConfig)]
SENSORS = tuple(
    SensorRecord(sensor=name, bands=("a", "b"), quantity="index", scale=1e-4, resolution=side, mean=(0, 0), std=(1, 1))
    for name, side in (("fine", 10), ("coarse", 30))
)


def observed(frames: int, seed: int = 0, side: int = 8) -> ObservedSeries:
    """Two samples with random gaps and days."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(2, frames, 2, side, side, generator=generator)
    valid = torch.rand(2, frames, side, side, generator=generator) < 0.7
    day = torch.randint(0, 170, (2, frames), generator=generator).sort().values.float()
    return ObservedSeries(image, valid, day, torch.tensor([91.0, 120.0]), frames=torch.tensor([frames, frames]))


def lengthened(series: ObservedSeries, more: int, content: float) -> ObservedSeries:
    """The series with `more` padded frames of any content."""
    filled = torch.full_like(series.image[:, :1], content).expand(-1, more, -1, -1, -1)
    never = torch.zeros_like(series.valid[:, :1]).expand(-1, more, -1, -1)
    return series._replace(
        image=torch.cat([series.image, filled], dim=1),
        valid=torch.cat([series.valid, never], dim=1),
        day=torch.cat([series.day, series.day[:, -1:].expand(-1, more)], dim=1),
    )


def network_of(name: str, frames: int, series: SeriesKind = "observed") -> nn.Module:
    """A tiny network of a family with random weights and statistics."""
    family = FAMILIES[name]
    torch.manual_seed(0)
    sensors = SENSORS[:1] if series == "observed" else SENSORS
    network = family.network(family.preset("tiny", sensors, 3, frames, series, 180)).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            nn.init.normal_(module.running_mean)
            nn.init.normal_(module.bias)
    return network


@pytest.mark.parametrize("name", STACKED)
def test_padding_with_invalid_frames_changes_no_answer(name: str) -> None:
    network = network_of(name, frames=5)

    @settings(max_examples=8, deadline=None)
    @given(st.integers(1, 6), st.integers(1, 7), st.floats(-9, 9), st.integers(0, 99))
    def hold(frames: int, more: int, content: float, seed: int) -> None:
        series = observed(frames, seed)
        with torch.no_grad():
            alone, padded = network({"fine": series}), network({"fine": lengthened(series, more, content)})
        torch.testing.assert_close(padded, alone, atol=1e-5, rtol=1e-5)

    hold()


@pytest.mark.parametrize("name", STACKED)
def test_the_content_of_a_gap_changes_no_answer(name: str) -> None:
    network, series = network_of(name, frames=5), observed(5)
    other = series._replace(image=torch.where(series.valid[:, :, None], series.image, 7.0))
    with torch.no_grad():
        assert torch.equal(network({"fine": other}), network({"fine": series}))


@pytest.mark.parametrize("name", STACKED)
def test_samples_of_a_batch_have_the_answers_that_they_have_alone(name: str) -> None:
    network, series = network_of(name, frames=5), observed(5)
    with torch.no_grad():
        both = network({"fine": series})
        for number in (0, 1):
            one = ObservedSeries(*(part if part is None else part[number : number + 1] for part in series))
            torch.testing.assert_close(network({"fine": one})[0], both[number], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", STACKED)
@pytest.mark.parametrize("side", [1, 7, 48])
def test_windows_of_one_pixel_and_of_many_have_finite_answers(name: str, side: int) -> None:
    """Also where no pixel is valid."""
    network, series = network_of(name, frames=4), observed(4, side=side)
    nothing = series._replace(valid=torch.zeros_like(series.valid))
    with torch.no_grad():
        for one in (series, nothing):
            logits = network({"fine": one})
            assert logits.shape == (2, 3, side, side)
            assert logits.isfinite().all()


@pytest.mark.parametrize("name", STACKED)
def test_interpolated_and_composite_series_of_two_sensors_are_read(name: str) -> None:
    """Composites without gaps on the middle days of their periods are the interpolated series."""
    fine, coarse = torch.randn(1, 4, 2, 6, 6), torch.randn(1, 4, 2, 2, 2)
    day = torch.tensor([22.0, 67.0, 112.0, 157.0])[None, :, None, None]

    def composite(image: Tensor) -> ObservedSeries:
        shape = (1, 4, *image.shape[-2:])
        return ObservedSeries(image, torch.ones(shape, dtype=torch.bool), day.expand(shape), torch.ones(1))

    with torch.no_grad():
        plain = network_of(name, 4, "interpolated")({"fine": fine, "coarse": coarse})
        found = network_of(name, 4, "composites")({"fine": composite(fine), "coarse": composite(coarse)})
        absent = network_of(name, 4, "interpolated")({"fine": fine, "coarse": None})
        mean = network_of(name, 4, "interpolated")({"fine": fine, "coarse": torch.zeros_like(coarse)})
    torch.testing.assert_close(found, plain)
    assert torch.equal(absent, mean)


@pytest.mark.parametrize("name", STACKED)
def test_observed_series_of_two_sensors_are_refused(name: str) -> None:
    with pytest.raises(ModelError) as caught:
        FAMILIES[name].preset("tiny", SENSORS, 3, 4, "observed", 180)
    assert caught.value.facts == {"sensors": ("fine", "coarse")}


@pytest.mark.parametrize("name", STACKED)
def test_an_unknown_preset_of_a_family_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match="'tiny'") as caught:
        FAMILIES[name].preset("tinny", SENSORS, 3, 4, "interpolated", 180)
    assert caught.value.facts == {"preset": "tinny"}


def test_coarse_pixels_are_repeated_and_the_first_valid_sensor_has_the_day() -> None:
    fine = ObservedSeries(
        torch.ones(1, 1, 1, 3, 4),
        torch.tensor([[[[True, False, True, False]] * 3]]),
        torch.full((1, 1), 5.0),
        torch.ones(1),
    )
    coarse = ObservedSeries(
        torch.tensor([[[[[2.0, 3.0]]]]]),
        torch.tensor([[[[True, False]]]]),
        torch.full((1, 1, 1, 2), 9.0),
        torch.ones(1),
    )
    series = stack_sensors({"fine": fine, "coarse": coarse}, {"fine": 1, "coarse": 1}, 90)
    assert series.image[0, 0, :, 1].tolist() == [[1, 0, 1, 0], [2, 2, 2, 0]]
    assert series.valid[0, 0, 1].tolist() == [True, True, True, False]
    assert series.day[0, 0, 1, :3].tolist() == [5, 9, 5]


def test_days_of_cells_are_means_of_their_valid_pixels() -> None:
    valid = torch.tensor([[[[True, True, False, False], [False, True, False, False]]]])
    day = torch.tensor([[[[100.0, 103, 50, 50], [7, 109, 50, 50]]]])
    known, mean = StackedSeries(torch.zeros(1, 1, 1, 2, 4), valid, day).cells(2)
    assert known[0, 0].tolist() == [[True, False]]
    torch.testing.assert_close(mean[0, 0], torch.tensor([[104.0, 0]]))  # (100 + 103 + 109) / 3


def test_interpolated_series_have_the_middle_days_of_equal_periods() -> None:
    series = stack_sensors({"fine": torch.zeros(1, 3, 1, 1, 1)}, {"fine": 1}, season_days=90)
    assert series.day.flatten().tolist() == [15, 45, 75]
    assert series.valid.all()


@pytest.mark.parametrize("name", STACKED)
def test_bfloat16_answers_are_near_those_of_float32(name: str) -> None:
    """A number has 8 significant bits in it, so logits differ by a few percent."""
    network, series = network_of(name, frames=5), observed(5)
    with torch.no_grad():
        full = network({"fine": series})
        with torch.autocast("cpu", torch.bfloat16):
            half = network({"fine": series})
    assert (half.float() - full).abs().mean() < 0.05 * full.std()
