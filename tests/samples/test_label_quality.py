"""Faults of labels are found where they were put, and nowhere else."""

from dataclasses import replace

import geopandas
import numpy as np
from shapely import Point, box
from tests.samples.tables import series_table

from agrifm.samples.label_quality import shape_faults, table_faults

CODES = ("maize", "wheat")


def test_a_table_without_faults_has_none() -> None:
    assert table_faults(series_table(20)) == []


def test_places_at_sea_and_places_named_twice_are_found() -> None:
    table = series_table(6)
    label = np.array([0, 0, 1, 0, 1, 1], np.uint8)
    lon, lat = table.lon.copy(), table.lat.copy()
    lon[0], lat[0] = -30.0, 40.0  # in the Atlantic
    lon[2], lat[2] = lon[1], lat[1]  # another class
    lon[5], lat[5] = lon[4], lat[4]  # the same class
    found = table_faults(replace(table, label=label, lon=lon, lat=lat))
    assert [(fault.place, fault.kind) for fault in found] == [
        (0, "place"), (1, "conflict"), (2, "conflict"), (5, "duplicate"),
    ]  # fmt: skip


def test_a_place_in_another_season_may_have_another_class() -> None:
    table = series_table(2)
    same = replace(table, label=np.array([0, 1], np.uint8), lon=np.full(2, 1.0), lat=np.full(2, 45.0))
    assert [fault.kind for fault in table_faults(same)] == ["conflict", "conflict"]
    other_year = replace(same, season_start=same.season_start + np.array([0, 365], np.int32))
    assert table_faults(other_year) == []


def test_shapes_of_different_classes_over_each_other_are_found() -> None:
    shapes = [
        box(0, 0, 100, 100),
        box(50, 0, 150, 100),  # over the first, of another class
        box(150, 0, 250, 100),  # touches the second
        box(200, 0, 300, 100),  # over the third, of its class
        box(0, 200, 100, 300),
        box(0, 200, 100, 300),  # the same outline and class
        box(400, 0, 500, 100),
        Point(450, 50),  # in it, of another class
    ]
    frame = geopandas.GeoDataFrame(geometry=shapes, crs="EPSG:32631")
    found = shape_faults(frame, np.array([0, 1, 0, 0, 1, 1, 0, 1]), CODES)
    assert [(fault.place, fault.kind) for fault in found] == [
        (0, "conflict"), (1, "conflict"), (5, "duplicate"), (6, "conflict"), (7, "conflict"),
    ]  # fmt: skip
    assert "0.50 ha" in found[0].text


def test_a_line_of_overlap_is_none() -> None:
    frame = geopandas.GeoDataFrame(geometry=[box(0, 0, 100, 100), box(99.5, 0, 200, 100)], crs="EPSG:32631")
    assert shape_faults(frame, np.array([0, 1]), CODES) == []
