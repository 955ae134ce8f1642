"""Days on which composites were seen, and terrain as a series of one date, in both forms of a table."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agrifm.errors import LabelError
from agrifm.samples.series_files import read_series_table
from agrifm.samples.table import SeriesTable
from agrifm.scene.table_products import find_table_product
from agrifm.season import day_date
from agrifm.series_columns import SeriesColumns

MODIS, SENTINEL_2, TERRAIN = map(find_table_product, ("modis-13Q1-dtwsat", "sentinel-2-worldcereal", "terrain"))
FIRST = ["2011-09-14", "2011-09-30", "2011-12-19", "2012-01-01"]
"""First days of composites of 16 days; the third one ends in the next year."""
SEEN = [260, -1, 3, 11]
"""17 September, unknown, 3 January and 11 January."""


def read(frame: pd.DataFrame, folder: Path, *products: Any, **options: Any) -> SeriesTable:
    frame.to_csv(folder / "table.csv", index=False)
    return read_series_table(folder / "table.csv", products, **options)


def composites(**more: Any) -> pd.DataFrame:
    """Two places of two classes, with the same numbers."""
    place = {"sample_id": np.repeat(["a", "b"], 4), "label": np.repeat(["soy", "cotton"], 4)}
    return pd.DataFrame({**place, "date": FIRST * 2, "ndvi": [2000, 3000, 8000, 7000] * 2, **more})


def dates(table: SeriesTable) -> list[str]:
    (series,) = table.series.values()
    return [str(day_date(day)) for day in series.date[0, : series.length[0]]]


def test_a_product_s_days_of_the_year_are_the_dates_of_its_composites(tmp_path: Path) -> None:
    expected = ["2011-09-17", "2011-10-07", "2012-01-03", "2012-01-11"]  # unknown: the middle of 16 days
    assert dates(read(composites(doy=SEEN * 2), tmp_path, MODIS)) == expected
    columns = {
        f"{name}_{day.replace('-', '')}": [number, number]
        for name, numbers in (("NDVI", [2000, 3000, 8000, 7000]), ("doy", SEEN))
        for day, number in zip(FIRST, numbers, strict=True)
    }
    wide = pd.DataFrame({"sample_id": ["a", "b"], "label": ["soy", "cotton"], **columns})
    assert dates(read(wide, tmp_path, MODIS)) == expected


def test_a_column_of_days_may_be_stated_and_has_days_of_the_year(tmp_path: Path) -> None:
    frame = composites(when=SEEN * 2)
    assert dates(read(frame, tmp_path, MODIS, columns=SeriesColumns(day="when")))[2] == "2012-01-03"
    with pytest.raises(LabelError) as error:
        read(composites(when=[20110914] * 8), tmp_path, MODIS, columns=SeriesColumns(day="when"))
    assert error.value.facts["column"] == "when"


def test_of_two_composites_that_were_seen_on_a_day_the_later_is_kept(tmp_path: Path) -> None:
    table = read(composites(doy=[260, 275, 5, 5] * 2), tmp_path, MODIS)
    assert dates(table) == ["2011-09-17", "2011-10-02", "2012-01-05"]
    np.testing.assert_allclose(table.series["modis-250m"].values[0, :3, 0], [0.2, 0.3, 0.7], atol=1e-6)
    with pytest.raises(LabelError) as error:  # but a composite that is there twice is a fault
        read(composites(doy=[260, 275, 5, 5] * 2).assign(date=[*FIRST[:3], FIRST[2]] * 2), tmp_path, MODIS)
    assert error.value.facts["place"] == "a"


def optical(**more: Any) -> pd.DataFrame:
    place = {"sample_id": np.repeat(["a", "b", "c"], 3), "label": np.repeat(["soy", "maize", "soy"], 3)}
    date = ["2018-03-01", "2018-05-01", "2018-06-30"] * 3
    return pd.DataFrame({**place, "date": date, "B04": 500, "B08": 3000, **more})


def test_terrain_is_a_series_of_one_date(tmp_path: Path) -> None:
    terrain = {"elevation": np.repeat([646, 12, 65535], 3), "DEM-slo-20m": np.repeat([3, 0, 1], 3)}
    table = read(optical(**terrain), tmp_path, SENTINEL_2, TERRAIN)
    series = table.series["terrain"]
    assert series.input.bands == ("altitude", "slope")
    assert series.values[:2, 0].tolist() == [[646, 3], [12, 0]]
    assert series.valid.tolist() == [[True], [True], [False]]  # its altitude is nodata
    assert str(day_date(series.date[0, 0])) == "2018-05-01"  # 61 of 122 days after 1 March
    assert list(table.series) == ["sentinel-2", "terrain"]
    assert "terrain" not in read(optical(**terrain), tmp_path, SENTINEL_2).series


def test_terrain_may_be_in_the_table_of_places(tmp_path: Path) -> None:
    places = tmp_path / "places.csv"
    pd.DataFrame({"sample_id": ["c", "a", "b"], "label": ["x", "y", "x"], "elevation": [7, 8, 9]}).to_csv(places)
    table = read(optical().drop(columns="label"), tmp_path, SENTINEL_2, TERRAIN, places=places)
    assert dict(zip(table.place, table.series["terrain"].values[:, 0, 0].tolist(), strict=True)) == {
        "a": 8, "b": 9, "c": 7,
    }  # fmt: skip
    assert table.series["terrain"].input.bands == ("altitude",)


def test_terrain_without_a_column_or_without_a_series_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelError) as absent:
        read(optical(), tmp_path, SENTINEL_2, TERRAIN)
    assert absent.value.facts["product"] == "terrain"
    with pytest.raises(LabelError) as alone:
        read(optical(elevation=5), tmp_path, TERRAIN)
    assert alone.value.facts["key"] == "products"
