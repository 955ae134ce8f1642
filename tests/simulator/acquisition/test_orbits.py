"""Orbits against scenes that were really taken; their ids and outlines are in public catalogues."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from agrifm.season import Season, day_date
from agrifm.simulator.acquisition.orbits import ORBITS, Orbits, Overpass, composite_periods, overpasses, sun_position


def taken_on(sensor: str, day: date, lon: float, lat: float) -> list[Overpass]:
    return overpasses(sensor, Season(day, day + timedelta(days=1)), lon, lat)


@pytest.mark.parametrize(
    ("satellite", "orbit", "day", "lon", "lat"),
    [  # scenes over tiles 31TDH, 31TCJ, 31TCN, 31TEJ, 31TFJ, 30TXR, 30TXM, 28QCH, 06VVN
        ("sentinel-2a", 51, date(2018, 1, 1), 2.4, 42.8),
        ("sentinel-2b", 51, date(2018, 4, 6), 1.3, 43.8),
        ("sentinel-2a", 51, date(2021, 6, 14), 1.0, 47.4),
        ("sentinel-2a", 8, date(2021, 7, 11), 3.7, 43.8),
        ("sentinel-2b", 8, date(2022, 7, 31), 5.0, 43.8),
        ("sentinel-2a", 94, date(2020, 6, 22), -1.2, 44.6),
        ("sentinel-2b", 94, date(2024, 6, 16), -1.2, 41.9),
        ("sentinel-2a", 123, date(2020, 7, 14), -16.9, 20.6),
        ("sentinel-2b", 43, date(2019, 6, 29), -147.8, 60.8),
    ],
)
def test_sentinel_2_passes_on_the_days_of_real_scenes(satellite: str, orbit: int, day: date, lon: float, lat: float):
    found = [one for one in taken_on("sentinel-2", day, lon, lat) if one.satellite == satellite]
    assert [(one.track, day_date(one.day)) for one in found] == [(orbit, day)]


@pytest.mark.parametrize(
    ("satellite", "path", "row", "day", "lon", "lat"),
    [  # LC08 028030, LC08 199029, LC08 199025, LC09 196030, LC09 198030
        ("landsat-8", 28, 30, date(2020, 1, 14), -95.5, 43.2),
        ("landsat-8", 199, 29, date(2021, 12, 16), 1.0, 44.6),
        ("landsat-8", 199, 25, date(2022, 8, 13), 3.0, 50.3),
        ("landsat-9", 196, 30, date(2022, 7, 15), 5.0, 43.2),
        ("landsat-9", 198, 30, date(2026, 7, 8), 1.9, 43.2),
    ],
)
def test_landsat_passes_on_the_days_of_real_scenes(
    satellite: str, path: int, row: int, day: date, lon: float, lat: float
):
    found = [one for one in taken_on("landsat", day, lon, lat) if day_date(one.day) == day and one.track == path]
    assert [(one.satellite, one.row) for one in found] == [(satellite, row)]


@pytest.mark.parametrize(
    ("sensor", "moment", "lon", "lat"),
    [
        ("sentinel-2", datetime(2020, 7, 14, 11, 55, 52, tzinfo=UTC), -16.9, 20.4),  # S2A 28QCH
        ("landsat", datetime(2020, 1, 14, 17, 5, 46, tzinfo=UTC), -95.5, 43.2),  # LC08 028030
        ("landsat", datetime(2026, 7, 8, 10, 35, 30, tzinfo=UTC), 1.9, 43.2),  # LC09 198030, to the minute
    ],
)
def test_passes_are_within_a_minute_and_a_half_of_real_ones(sensor: str, moment: datetime, lon: float, lat: float):
    found = taken_on(sensor, moment.date(), lon, lat)
    assert min(abs(one.moment - moment) for one in found) < timedelta(seconds=90)


@pytest.mark.parametrize(
    ("orbit", "side", "places"),
    [  # corners of the outlines of S2A 28QCH of 2020-07-14, and of S2A 37MCQ of 2022-08-08
        (123, 1, [(-16.9113, 20.0530), (-16.7260, 20.7916)]),
        (49, -1, [(37.4627, -5.5147), (37.6835, -4.5222)]),
    ],
)
def test_swath_edges_are_those_of_real_scenes(orbit: int, side: int, places: list[tuple[float, float]]):
    own = ORBITS["sentinel-2"]
    for lon, lat in places:
        across, _ = own.across(orbit, lon, lat)
        assert across == pytest.approx(side * own.half_swath, abs=2)


def test_sun_angles_are_those_in_real_metadata():
    """S2B 06VVN of 2019-06-29 (when the satellite was over the tile) and LC08 028030 of 2020-01-14."""
    zenith, azimuth = sun_position(datetime(2019, 6, 29, 21, 28, 15, tzinfo=UTC), -147.85, 60.84)
    assert (zenith, azimuth) == pytest.approx((37.913, 170.148), abs=0.3)
    zenith, azimuth = sun_position(datetime(2020, 1, 14, 17, 5, 46, tzinfo=UTC), -95.56, 43.18)
    assert (zenith, azimuth) == pytest.approx((90 - 22.580, 158.452), abs=0.3)


def test_the_sun_is_overhead_in_the_tropics_and_north_in_the_south():
    """Equinox: at noon on the equator the zenith angle is 0; midwinter at 23.44 S: twice the declination."""
    zenith, _ = sun_position(datetime(2024, 3, 20, 12, 7, tzinfo=UTC), 0, 0)
    assert zenith < 0.5
    zenith, azimuth = sun_position(datetime(2024, 6, 21, 12, 2, tzinfo=UTC), 0, -23.44)
    assert zenith == pytest.approx(46.88, abs=0.2)
    assert min(azimuth, 360 - azimuth) < 1


def test_a_place_is_seen_every_five_and_eight_days_by_each_track():
    year = Season(date(2024, 1, 1), date(2024, 12, 31))
    for sensor, days in (("sentinel-2", 5), ("landsat", 8)):
        found = overpasses(sensor, year, 2.35, 46.9)
        for track, count in Counter(one.track for one in found).items():
            own = [one.day for one in found if one.track == track]
            assert count in (366 // days, 366 // days + 1)
            assert set(np.diff(own)) == {days}
    daily = {one.day for one in overpasses("modis", year, 2.35, 46.9)}
    assert len(daily) == 366


def test_views_at_the_swaths_edges_are_as_slanted_as_documented():
    """MODIS scans to 55 degrees from the vertical, seen from the ground 65; MSI sees 12, OLI 8.5 at the most."""
    for sensor, zenith, off in (("modis", 65.0, 1.0), ("sentinel-2", 11.8, 0.5), ("landsat", 8.3, 0.5)):
        assert ORBITS[sensor].view_zenith(ORBITS[sensor].half_swath) == pytest.approx(zenith, abs=off)


def test_the_sensor_is_on_the_side_of_its_track():
    for one in overpasses("sentinel-2", Season(date(2024, 5, 1), date(2024, 5, 20)), 1.71, 46.9):
        assert (one.view_azimuth > 180) == (one.across > 0)
        assert 0 <= one.relative_azimuth <= 180


def test_composites_start_anew_each_year():
    season = Season(date(2023, 10, 1), date(2024, 7, 31))
    firsts = [day_date(first) for first in composite_periods(season)]
    assert {first.timetuple().tm_yday % 8 for first in firsts} == {1}
    assert firsts[0] == date(2023, 9, 30)
    assert {date(2023, 12, 27), date(2024, 1, 1)} <= set(firsts)
    assert firsts[-1] <= season.end


def test_seasons_may_cross_new_year():
    season = Orbits(start="09-01", end="08-15").season(2024)
    assert (season.start, season.end) == (date(2023, 9, 1), date(2024, 8, 15))
    season = Orbits(start="03-01", end="10-31").season(2024)
    assert (season.start, season.end) == (date(2024, 3, 1), date(2024, 10, 31))
