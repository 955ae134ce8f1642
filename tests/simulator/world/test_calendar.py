"""The crop calendar of the pretraining world, and what is left out of it."""

import numpy as np
import pandas as pd
import pytest
from tests.data_sets import DATA

from agrifm.simulator.region import REGIONS, read_region
from agrifm.simulator.world.calendar import is_excluded, read_calendar

SOURCE = DATA / "crop_calendar" / "seasonality.parquet"


@pytest.mark.parametrize("name", REGIONS)
def test_regions_of_simulated_seasons_are_excluded(name: str):
    place = read_region(name).place
    lat = np.array([place.lat, *place.latitudes])
    for lon in (place.lon - 0.6, place.lon, place.lon + 0.6):
        assert is_excluded(np.full(3, lon), lat).all()


@pytest.mark.skipif(not DATA.is_dir(), reason="no data sets")
@pytest.mark.parametrize(
    ("file", "lon", "lat"),
    [
        ("africa_smallholders_2017/extractions.parquet", "lon", "lat"),
        ("mato_grosso_modis_cube/field_samples.csv", "longitude", "latitude"),
        ("sudan_area_2022_2023/set1_2022.csv", "lon", "lat"),
    ],
)
def test_places_of_real_sets_are_excluded(file: str, lon: str, lat: str):
    path = DATA / file
    table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    assert is_excluded(table[lon].to_numpy(), table[lat].to_numpy()).all()


def test_no_point_of_the_calendar_is_in_an_excluded_region():
    calendar = read_calendar()
    assert not is_excluded(calendar.lon, calendar.lat).any()
    assert len(calendar) > 20_000  # most of the world is left
    assert is_excluded(np.array([1.7]), np.array([46.9])).all()


@pytest.mark.skipif(not SOURCE.exists(), reason="no crop calendar")
def test_the_seasons_are_those_of_worldcereal():
    calendar = read_calendar()
    columns = ["lon", "lat", "s1_sos_date", "s1_eos_date", "s2_sos_date", "s2_eos_date", "annual_sos_date"]
    source = pd.read_parquet(SOURCE, columns=columns).set_index(["lon", "lat"])
    new_year = pd.Timestamp("2024-01-01")
    for index in range(0, len(calendar), 997):
        row = source.loc[(calendar.lon[index], calendar.lat[index])]
        days = [(row[column] - new_year).days for column in columns[2:]]
        assert [*calendar.seasons[index].ravel(), calendar.year_start[index]] == days
