"""Months of dates, and which groups of bands sensors have."""

from datetime import date, timedelta

import pytest
import torch

from agrifm.errors import ModelError
from agrifm.models.agrifm.timeseries import ObservedSeries
from agrifm.models.monthly import group_places, month_number, monthly_groups, read_places, require_groups
from agrifm.record import SensorRecord


@pytest.mark.parametrize("start", [date(2022, 3, 1), date(2022, 10, 17), date(2021, 12, 31)])
def test_months_are_those_of_the_calendar(start: date) -> None:
    """500 days from the start, none of them in a leap year, by Python's calendar."""
    days = torch.arange(0.0, 500.0)[None]
    found = month_number(days, torch.tensor([float(start.timetuple().tm_yday)]))[0]
    dates = [start + timedelta(days=int(day)) for day in days[0]]
    assert [12 * (one.year - start.year) + one.month - 1 for one in dates] == found.tolist()


def test_in_a_leap_year_only_last_days_of_months_count_in_the_next() -> None:
    start = date(2024, 1, 1)
    found = month_number(torch.arange(0.0, 366.0)[None], torch.tensor([1.0]))[0].tolist()
    dates = [start + timedelta(days=day) for day in range(366)]
    wrong = [one for one, month in zip(dates, found, strict=True) if one.month - 1 != month]
    assert len(wrong) == 11
    assert all((one + timedelta(days=1)).day == 1 for one in wrong)


def test_a_group_needs_all_its_bands_of_one_sensor() -> None:
    sensors = {"landsat": ("B02", "B03", "B04"), "sentinel-2": ("B8A", "B04", "B08", "B11")}
    assert group_places(sensors) == {
        "S2_NIR_10m": ("sentinel-2", (2,)),
        "S2_NIR_20m": ("sentinel-2", (0,)),
        "NDVI": ("sentinel-2", (2, 1)),
    }


def series(image: torch.Tensor, valid: torch.Tensor, day: list[float]) -> ObservedSeries:
    days = torch.tensor([day] * len(image))
    return ObservedSeries(image, valid, days, torch.full((len(image),), 60.0))


def test_terrain_has_one_value_whatever_its_date_and_coarse_pixels_are_repeated() -> None:
    """Two dates of one coarse pixel, of which the first alone is valid in the first sample; none in the second."""
    sensors = {"sentinel-2": ("B08",), "terrain": ("slope", "altitude")}
    optical = series(torch.rand(2, 1, 1, 4, 4), torch.ones(2, 1, 4, 4, dtype=torch.bool), [0.0])
    image = torch.tensor([[[3.0, 646.0], [9.0, 999.0]]] * 2).reshape(2, 2, 2, 1, 1)
    valid = torch.tensor([[True, False], [False, False]]).reshape(2, 2, 1, 1)
    for day in ([0.0, 1.0], [400.0, 500.0]):
        images = {"sentinel-2": optical, "terrain": series(image, valid, day)}
        groups, shape = monthly_groups(images, group_places(sensors), 3, "sentinel-2", lambda bands: bands)
        assert shape == (2, 4, 4)
        assert groups.value["SRTM"].shape == (32, 1, 2)
        assert groups.value["SRTM"][:16].unique(dim=0).tolist() == [[[646.0, 3.0]]]
        assert groups.present["SRTM"].flatten().tolist() == [True] * 16 + [False] * 16
    both = series(image, torch.ones(2, 2, 1, 1, dtype=torch.bool), [0.0, 400.0])
    groups, _ = monthly_groups(
        {"sentinel-2": optical, "terrain": both}, group_places(sensors), 3, "sentinel-2", lambda bands: bands
    )
    assert groups.value["SRTM"].unique(dim=0).tolist() == [[[822.5, 6.0]]]
    assert "SRTM" not in read_places(sensors, terrain=False)


def terrain_record(quantity: str) -> SensorRecord:
    return SensorRecord(
        sensor="terrain",
        bands=("altitude", "slope"),
        quantity=quantity,
        scale=1.0,
        resolution=480,
        mean=(0.0, 0.0),
        std=(1.0, 1.0),
    )


def test_terrain_alone_is_refused() -> None:
    with pytest.raises(ModelError) as refused:
        require_groups("Presto", [terrain_record("terrain")], "observed", 120)
    assert refused.value.facts == {"sensors": ("terrain",)}


def test_terrain_of_another_quantity_is_refused() -> None:
    optical = terrain_record("surface reflectance").model_copy(
        update={"sensor": "sentinel-2", "bands": ("B08", "B04"), "scale": 1e-4, "resolution": 10}
    )
    with pytest.raises(ModelError) as refused:
        require_groups("Presto", [optical, terrain_record("index")], "observed", 120)
    assert refused.value.facts == {"sensor": "terrain", "quantity": "index"}
