"""Series tables are read in every usual form, in the unit of their product, and faulty ones are refused."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.data_sets import DATA

from agrifm.errors import AgriFMError, ConfigError, LabelError
from agrifm.samples.series_files import read_series_table
from agrifm.samples.table import SeriesTable
from agrifm.scene.products import PRODUCTS
from agrifm.scene.table_products import TableProduct, find_table_product
from agrifm.season import Season, day_date
from agrifm.series_columns import SeriesColumns

SENTINEL_2 = find_table_product("sentinel-2-worldcereal")
SENTINEL_1 = find_table_product("sentinel-1-worldcereal-amplitude")
WEATHER = find_table_product("agera5-worldcereal")
DAYS = [date(2018, 3, 1) + timedelta(days=10 * step) for step in range(6)]


def places(count: int = 4) -> pd.DataFrame:
    """Places in the west of France, of two classes."""
    return pd.DataFrame(
        {
            "sample_id": [f"p{index}" for index in range(count)],
            "longitude": 0.1 + 0.05 * np.arange(count),
            "latitude": 47.5,
            "label": ["maize", "wheat"] * (count // 2),
        }
    )


def numbers(count: int = 4) -> np.ndarray[Any, Any]:
    """(place, date, band), integers as WorldCereal writes them."""
    return 1000 + 100 * np.arange(count)[:, None, None] + 10 * np.arange(6)[:, None] + np.arange(3)


def long_table(count: int = 4, bands: Sequence[str] = ("B02", "B04", "B08"), **more: object) -> pd.DataFrame:
    """A row for each date."""
    rows = [
        {**place, "date": str(day), **dict(zip(bands, numbers(count)[index, step], strict=True))}
        for index, place in enumerate(places(count).to_dict("records"))
        for step, day in enumerate(DAYS)
    ]
    return pd.DataFrame(rows).assign(**more)


def wide_table(form: str) -> pd.DataFrame:
    """A row for each place; `form` has {band}, {date} or {step}."""
    table = places()
    for band, name in enumerate(("B02", "B04", "B08")):
        for step, day in enumerate(DAYS):
            column = form.format(band=name, date=f"{day:%Y%m%d}", step=step)
            table[column] = numbers()[:, step, band]
    return table


def read(frame: pd.DataFrame, directory: Path, *products: TableProduct, **more: Any) -> SeriesTable:
    """Write a table as CSV and read it."""
    frame.to_csv(directory / "points.csv", index=False)
    return read_series_table(directory / "points.csv", products or (SENTINEL_2,), **more)


def refusal(frame: pd.DataFrame, directory: Path, *products: TableProduct, **more: Any) -> AgriFMError:
    """The error that a table is refused with."""
    with pytest.raises(LabelError) as error:
        read(frame, directory, *products, **more)
    assert len(str(error.value)) < 700
    return error.value


def require_same(table: SeriesTable) -> None:
    """The table holds the numbers, dates and places above."""
    series = table.series["sentinel-2"]
    assert series.input.bands == ("B02", "B04", "B08")
    np.testing.assert_allclose(series.values, numbers() * 1e-4, atol=1e-6)
    assert [day_date(number) for number in series.date[0]] == DAYS
    assert series.valid.all()
    assert table.legend.codes == ("maize", "wheat")
    assert table.label.tolist() == [0, 1, 0, 1]
    np.testing.assert_allclose(table.lon, [0.1, 0.15, 0.2, 0.25])


@pytest.mark.parametrize(
    "bands", [("B02", "B04", "B08"), ("S2-L2A-B02", "S2-L2A-B04", "S2-L2A-B08"), ("b2", "b4", "b8")]
)
def test_a_table_with_a_row_for_each_date_is_read(tmp_path: Path, bands: tuple[str, ...]) -> None:
    require_same(read(long_table(bands=bands), tmp_path))


def test_rows_may_come_in_any_order_and_in_another_file_than_the_places(tmp_path: Path) -> None:
    shuffled = long_table().drop(columns=["label", "longitude", "latitude"]).sample(frac=1, random_state=0)
    shuffled.to_parquet(tmp_path / "series.parquet")
    places().to_csv(tmp_path / "places.csv", index=False)
    table = read_series_table(tmp_path / "series.parquet", [SENTINEL_2], places=tmp_path / "places.csv")
    order = [table.place.index(f"p{index}") for index in range(4)]
    require_same(table.of(np.array(order)))


@pytest.mark.parametrize("form", ["{band}_{date}", "{date}_{band}", "S2-{band}-{date}"])
def test_columns_with_dates_in_their_names_are_read(tmp_path: Path, form: str) -> None:
    require_same(read(wide_table(form), tmp_path))


@pytest.mark.parametrize("form", ["OPTICAL-{band}-ts{step}-10m", "{band}_ts{step}", "{band}_t{step}"])
def test_numbered_columns_have_dates_from_the_first_one_and_a_period(tmp_path: Path, form: str) -> None:
    table = wide_table(form).assign(start_date="2018-02-24")  # the middle of ten days is the fifth
    read_columns = SeriesColumns(period=10)
    table_of_steps = read(table.assign(start_date="2018-02-25"), tmp_path, columns=read_columns)
    require_same(table_of_steps)


def test_the_form_of_sits_with_bands_and_numbers_is_read(tmp_path: Path) -> None:
    index = TableProduct(replace(PRODUCTS["modis-13Q1-dtwsat"], scale=1.0, valid_range=(-1, 1), period=1))
    table = places().assign(start_date="2013-09-14", end_date="2014-02-18")
    for step in range(1, 11):
        table[f"NDVI{step}"] = 0.05 * step
    series = read(table, tmp_path, index, columns=SeriesColumns(period=16)).series["modis-250m"]
    np.testing.assert_allclose(series.values[0, :, 0], 0.05 * np.arange(1, 11), atol=1e-6)
    # composites of sixteen days: the eighth day is the middle
    assert [str(day_date(number)) for number in series.date[0, :3]] == ["2013-09-21", "2013-10-07", "2013-10-23"]


def test_the_period_of_numbered_months_follows_from_first_and_last_date(tmp_path: Path) -> None:
    table = wide_table("OPTICAL-{band}-ts{step}-10m").assign(start_date="2016-12-01", end_date="2017-05-01")
    series = read(table, tmp_path).series["sentinel-2"]
    assert [str(day_date(number)) for number in series.date[0]] == [
        "2016-12-16", "2017-01-16", "2017-02-14", "2017-03-16", "2017-04-15", "2017-05-16",
    ]  # fmt: skip


def test_a_missing_band_is_filled_from_its_own_neighbours_in_time_and_counted(tmp_path: Path) -> None:
    table = long_table().astype({"B04": float})
    table.loc[2, "B04"] = 65535
    table.loc[9, ["B02", "B04", "B08"]] = 65535
    read_table = read(table, tmp_path)
    series = read_table.series["sentinel-2"]
    assert series.valid.sum() == 23
    assert not series.valid[1, 3]
    np.testing.assert_allclose(series.values[0, 2], numbers()[0, 2] * 1e-4, atol=1e-6)  # linear in time
    assert any("1 numbers of single bands" in note for note in read_table.notes)


def test_a_band_that_is_missing_everywhere_is_dropped_and_named(tmp_path: Path) -> None:
    table = read(long_table(B11=65535), tmp_path)
    assert table.series["sentinel-2"].input.bands == ("B02", "B04", "B08")
    assert any("B11" in note for note in table.notes)


def test_a_quality_column_masks_by_the_rule_of_the_product(tmp_path: Path) -> None:
    # Sen2Cor's scene classification: 4 vegetation, 9 cloud of high probability
    table = read(long_table(SCL=[4, 9, 4, 4, 4, 4] * 4), tmp_path)
    assert table.series["sentinel-2"].valid.tolist() == [[True, False, True, True, True, True]] * 4


def test_dates_outside_the_season_are_dropped_and_counted(tmp_path: Path) -> None:
    season = Season(date(2018, 3, 5), date(2018, 4, 5))
    table = read(long_table(), tmp_path, season=season)
    assert table.series["sentinel-2"].length.tolist() == [3] * 4
    assert table.season_days == 32
    assert any("12 of 24 dates" in note for note in table.notes)


def test_each_place_may_have_its_season(tmp_path: Path) -> None:
    table = long_table(sowing=["2018-03-01"] * 12 + ["2018-03-21"] * 12)
    season = Season(date(2018, 1, 1), date(2018, 1, 30))
    read_table = read(table, tmp_path, season=season, columns=SeriesColumns(start="sowing"))
    first = [str(day_date(number)) for number in read_table.series["sentinel-2"].date[:, 0]]
    assert first == ["2018-03-01", "2018-03-01", "2018-03-21", "2018-03-21"]
    assert read_table.season_days == 30


def test_weather_and_terrain_are_read_with_the_bands(tmp_path: Path) -> None:
    columns = {"AGERA5-TMEAN": 29315, "AGERA5-PRECIP": 1234, "elevation": 120, "DEM-slo-20m": 3}
    table = read(long_table(**columns), tmp_path, SENTINEL_2, WEATHER)
    np.testing.assert_allclose(table.series["agera5"].values[0, 0], [293.15, 12.34], rtol=1e-6)
    assert table.static["altitude"].tolist() == [120.0] * 4
    assert table.static["slope"].tolist() == [3.0] * 4


def test_codes_written_as_floats_are_the_codes_without_a_point(tmp_path: Path) -> None:
    table = read(
        long_table(label=[1110.0, 1120.0] * 12).assign(label=lambda t: [1110.0] * 12 + [1120.0] * 12), tmp_path
    )
    assert table.legend.codes == ("1110", "1120")


def test_names_that_differ_in_case_or_blanks_are_named_and_blanks_dropped(tmp_path: Path) -> None:
    labels = ["maize"] * 6 + ["Maize "] * 6 + ["wheat"] * 6 + [" wheat"] * 6
    table = read(long_table(label=labels), tmp_path)
    assert table.legend.codes == ("Maize", "maize", "wheat")
    assert any("'Maize'" in note and "'maize'" in note for note in table.notes)


def test_blocks_are_squares_of_that_many_metres(tmp_path: Path) -> None:
    # 0.05 degrees of longitude at 47.5 degrees north are 3.76 km
    near, far = (read(long_table(), tmp_path, block=side).block.tolist() for side in (1000.0, 40_000.0))
    assert len(set(near)) == 4
    assert len(set(far)) <= 2


def test_a_table_without_dates_is_refused(tmp_path: Path) -> None:
    assert refusal(long_table().drop(columns="date"), tmp_path).facts["key"] == "date"
    numbered = wide_table("{band}_ts{step}")
    assert refusal(numbered, tmp_path).facts["key"] == "date"


def test_two_scales_under_one_product_are_refused(tmp_path: Path) -> None:
    table = long_table().astype(dict.fromkeys(("B02", "B04", "B08"), float))
    table.loc[:5, ["B02", "B04", "B08"]] /= 10_000
    assert refusal(table, tmp_path).facts["places"] == 1
    table.loc[6:, ["B02", "B04", "B08"]] /= 10_000
    assert refusal(table, tmp_path).facts["product"] == "sentinel-2-worldcereal"


def test_numbers_outside_the_range_of_the_product_are_refused(tmp_path: Path) -> None:
    table = long_table()
    table[["B02", "B04", "B08"]] += 30_000
    assert refusal(table, tmp_path).facts["outside"] == 72


def test_exchanged_coordinates_are_refused(tmp_path: Path) -> None:
    table = long_table().rename(columns={"longitude": "latitude", "latitude": "longitude"})
    assert refusal(table, tmp_path).facts["exchanged"] == 24 / 6


def test_places_at_sea_are_counted(tmp_path: Path) -> None:
    table = long_table()
    table.loc[:5, ["longitude", "latitude"]] = (-30.0, 45.0)
    assert any("1 of 4 places are outside any land" in note for note in read(table, tmp_path).notes)


def test_folds_that_share_a_parcel_are_refused(tmp_path: Path) -> None:
    folds = long_table(fold=[0] * 6 + [1] * 6 + [0] * 6 + [1] * 6, field=["a"] * 12 + ["b"] * 12)
    stated = SeriesColumns(fold="fold", parcel="field")
    assert refusal(folds, tmp_path, columns=stated).facts["shared"] == 2
    assert read(folds, tmp_path, columns=SeriesColumns(fold="fold")).fold is not None


def test_folds_that_share_a_place_are_refused(tmp_path: Path) -> None:
    table = long_table(fold=["train"] * 12 + ["test"] * 12, longitude=0.1)
    assert refusal(table, tmp_path, columns=SeriesColumns(fold="fold")).facts["shared"] == 1


def test_gaps_in_most_dates_of_a_class_are_said(tmp_path: Path) -> None:
    table = long_table()
    table.loc[[0, 1, 2, 3, 12, 13, 14, 15], ["B02", "B04", "B08"]] = 65535
    assert any("maize 67%" in note for note in read(table, tmp_path).notes)


def test_two_rows_of_a_date_are_refused(tmp_path: Path) -> None:
    table = pd.concat([long_table(), long_table().iloc[:1]])
    assert refusal(table, tmp_path).facts["place"] == "p0"


def test_rows_of_a_sample_with_two_classes_are_refused(tmp_path: Path) -> None:
    table = long_table(label=["maize", "wheat"] * 12)
    assert refusal(table, tmp_path).facts["sample"] == "p0"


def test_a_column_that_is_stated_and_absent_is_refused(tmp_path: Path) -> None:
    assert refusal(long_table(), tmp_path, columns=SeriesColumns(weight="wieght")).facts["key"] == "weight"


def test_columns_of_no_product_are_refused_with_their_names(tmp_path: Path) -> None:
    table = long_table().rename(columns={"B02": "blau", "B04": "rot", "B08": "nah"})
    columns = refusal(table, tmp_path).facts["columns"]
    assert isinstance(columns, list)
    assert "blau" in columns


def test_a_product_whose_offset_depends_on_the_scene_is_refused() -> None:
    with pytest.raises(ConfigError) as error:
        find_table_product("sentinel-2-c1-l2a")
    assert error.value.facts["name"] == "sentinel-2-c1-l2a"


@pytest.mark.skipif(not (DATA / "france_lpis_2023_dekads").exists(), reason="the data set is absent")
def test_the_france_table_has_the_numbers_of_its_file() -> None:
    folder = DATA / "france_lpis_2023_dekads"
    table = read_series_table(
        folder / "series.parquet",
        [SENTINEL_2, SENTINEL_1, WEATHER],
        columns=SeriesColumns(label="label", fold="fold", block="cell", period="dekad"),
        places=folder / "splits.csv",
    )
    place = table.place.index("2023_FRA_LPIS_POLY_110_10086")
    optical, radar = table.series["sentinel-2"], table.series["sentinel-1"]
    assert optical.input.bands == ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B11", "B12")
    # first rows of that parcel in the file: no optical number, VH 1103; then on 2022-09-21 B02 568, B12 2332
    assert [str(day_date(number)) for number in optical.date[place, :3]] == ["2022-09-05", "2022-09-15", "2022-09-25"]
    assert optical.valid[place, :3].tolist() == [False, False, True]
    np.testing.assert_allclose(optical.values[place, 2, [0, -1]], [0.0568, 0.2332], atol=1e-6)
    np.testing.assert_allclose(radar.values[place, 0], 20 * np.log10([1786, 1103]) - 83, rtol=1e-5)
    assert (table.fold == -1).sum() == 33
    assert len(table) == 500


@pytest.mark.skipif(not (DATA / "africa_smallholders_2017").exists(), reason="the data set is absent")
def test_the_african_table_has_the_numbers_of_its_file() -> None:
    table = read_series_table(
        DATA / "africa_smallholders_2017" / "extractions.parquet",
        [SENTINEL_2, SENTINEL_1, WEATHER],
        columns=SeriesColumns(label="sampling_label", block="h3_l3_cell"),
    )
    optical = table.series["sentinel-2"]
    # first row of the file: B02 of the first months 638 736 736 553, from December 2016 on; 646 m high
    np.testing.assert_allclose(optical.values[0, :4, 0], [0.0638, 0.0736, 0.0736, 0.0553], atol=1e-6)
    assert str(day_date(optical.date[0, 0])) == "2016-12-16"
    assert table.static["altitude"][0] == 646
    assert len(set(table.block)) == 7
    assert dict(zip(*np.unique(table.label, return_counts=True), strict=True))[table.legend.number("sorghum")] == 305
