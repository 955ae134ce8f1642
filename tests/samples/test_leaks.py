"""Leaks between training and test, with distances of pyproj as the oracle."""

from dataclasses import replace

import numpy as np
import pytest
from pyproj import Geod
from tests.samples.tables import series_table

from agrifm.errors import LabelError
from agrifm.samples.leaks import find_leaks, require_no_leaks, series_digests

TABLE = series_table()
TRAINING, TEST = np.flatnonzero(TABLE.block < 8), np.flatnonzero(TABLE.block >= 8)


def test_blocks_apart_leak_nothing() -> None:
    leaks = find_leaks(TABLE, TRAINING, TEST, 1000)
    assert set(leaks.counts.values()) == {0}
    require_no_leaks(TABLE, leaks, 0, 1000)


def test_shared_names_series_and_blocks_are_found() -> None:
    first, test = TRAINING[0], TEST[0]
    place = [*TABLE.place]
    place[TRAINING[3]] = place[test]
    series = TABLE.series["sentinel-2"]
    values, valid = series.values.copy(), series.valid.copy()
    values[first], valid[first] = values[test], valid[test]
    block = TABLE.block.copy()
    block[TRAINING[5]] = block[test]
    copied = {"sentinel-2": replace(series, values=values, valid=valid)}
    leaks = find_leaks(replace(TABLE, place=tuple(place), series=copied, block=block), TRAINING, TEST, 0)
    assert {kind: places.tolist() for kind, places in leaks.found.items()} == {
        "place": [TRAINING[3]],
        "series": [first],
        "block": [TRAINING[5]],
    }
    assert leaks.places.tolist() == sorted([TRAINING[3], first, TRAINING[5]])
    assert series_digests(replace(TABLE, series=copied))[first] == series_digests(TABLE)[test]


def test_neighbours_are_those_of_a_geodesic_oracle() -> None:
    generator = np.random.default_rng(0)
    lon = 179.9 + generator.random(len(TABLE)) * 0.2  # across the date line
    lon = np.where(lon > 180, lon - 360, lon)
    lat = 64 + generator.random(len(TABLE)) * 0.1
    table = replace(TABLE, lon=lon, lat=lat)
    geod = Geod(a=6_371_008.8, b=6_371_008.8)
    near, close = set(), set()
    for one in TRAINING:
        for other in TEST:
            metres = geod.inv(lon[one], lat[one], lon[other], lat[other])[2]
            near |= {one} if metres < 800 else set()
            close |= {one} if metres < 10 else set()
    assert 5 < len(near) < len(TRAINING)
    leaks = find_leaks(table, TRAINING, TEST, 800)
    assert set(leaks.found["neighbour"].tolist()) == near
    assert set(leaks.found.get("pixel", np.zeros(0)).tolist()) == close


def test_a_pixel_of_the_test_is_found_without_any_distance() -> None:
    lon = TABLE.lon.copy()
    lon[TRAINING[7]], lon[TRAINING[8]] = lon[TEST[0]] + 9 / 71_600, lon[TEST[0]] + 30 / 71_600  # 9 m and 30 m at 50 N
    leaks = find_leaks(replace(TABLE, lon=lon), TRAINING, TEST, 0)
    assert {kind: places.tolist() for kind, places in leaks.found.items()} == {"pixel": [TRAINING[7]]}


def test_places_without_coordinates_are_counted() -> None:
    lon = TABLE.lon.copy()
    lon[TRAINING[:4]] = np.nan
    assert find_leaks(replace(TABLE, lon=lon), TRAINING, TEST, 100).unplaced == 4


def test_leaks_are_refused_with_their_counts() -> None:
    leaks = find_leaks(TABLE, TRAINING, TEST, 9_000)
    with pytest.raises(LabelError) as error:
        require_no_leaks(TABLE, leaks, 2, 9_000)
    assert error.value.facts["fold"] == 2
    assert error.value.facts["neighbour"] == len(leaks.places) > 0
    assert error.value.facts["block"] == 0
