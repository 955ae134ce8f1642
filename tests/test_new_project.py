"""`agrifm init --area --year`: a project that can be read, with the season of the place and labels looked through."""

from collections.abc import Collection
from datetime import date
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest
import rasterio
from rasterio.transform import from_origin
from shapely import box

from agrifm.cli import main
from agrifm.config import PROJECT_FILE, read_project
from agrifm.crop_calendar import seasons_near
from agrifm.errors import ConfigError, LabelError
from agrifm.new_project import new_project
from tests.data_sets import DATA

SOURCE = DATA / "crop_calendar" / "seasonality.parquet"
EAST, NORTH = 1.7, 46.9


def area_file(folder: Path, lon: float = EAST, lat: float = NORTH) -> Path:
    path = folder / "area.geojson"
    geopandas.GeoDataFrame(geometry=[box(lon - 0.05, lat - 0.05, lon + 0.05, lat + 0.05)], crs=4326).to_file(path)
    return path


def label_file(folder: Path, lon: float = EAST, **columns: list[object]) -> Path:
    path = folder / "fields.gpkg"
    count = len(next(iter(columns.values())))
    squares = [box(lon + 1e-4 * at, NORTH, lon + 1e-4 * at + 5e-5, NORTH + 5e-5) for at in range(count)]
    geopandas.GeoDataFrame(columns, geometry=squares, crs=4326).to_file(path)
    return path


FIELDS = {
    "parcel_id": [f"p{at}" for at in range(40)],
    "year": [2024] * 40,
    "area_ha": [1.5 + 0.1 * at for at in range(40)],
    "farm": ["north", "south"] * 20,
    "CODE_CULTU": ["BTH", "MIS"] * 18 + ["PTR"] * 4,
}


@pytest.mark.parametrize(("lon", "lat"), [(EAST, NORTH), (30.2, -15.3), (80.1, 24.0), (-179.0, 65.0)])
@pytest.mark.skipif(not SOURCE.exists(), reason="no crop calendar")
def test_the_season_is_that_of_the_nearest_place_in_the_calendar_of_worldcereal(lon: float, lat: float) -> None:
    source = pd.read_parquet(SOURCE).query("-56 <= lat <= 66")
    found = seasons_near(lon, lat, 2024)
    days = {(str(one.start), str(one.end)) for one in found.seasons}
    # the calendar that is shipped has one point of four in a square degree
    east = np.abs((source.lon - lon + 180) % 360 - 180) * np.cos(np.radians(lat))
    near = source[east**2 + (source.lat - lat) ** 2 < (found.kilometres / 111 + 0.1) ** 2]
    known = [
        {(str(row.s1_sos_date)[:10], str(row.s1_eos_date)[:10]), (str(row.s2_sos_date)[:10], str(row.s2_eos_date)[:10])}
        for row in near.itertuples()
    ]
    assert days in known


def test_the_task_and_its_crop_are_written_and_checked_with_the_labels(tmp_path: Path) -> None:
    new_project(tmp_path / "edit", task="cropland")
    assert read_project(tmp_path / "edit").model.task == "cropland"
    labels, area = label_file(tmp_path, **FIELDS), area_file(tmp_path)
    arguments = ["--area", str(area), "--year", "2024", "--labels", str(labels), "--task", "one-crop", "--crop", "BTH"]
    assert main(["init", str(tmp_path / "mine"), *arguments]) == 0
    assert (read_project(tmp_path / "mine").model.task, read_project(tmp_path / "mine").model.crop) == (
        "one-crop",
        ("BTH",),
    )
    for task, crop in (("one-crop", None), ("one-crop", ["BTN"]), ("cropland", ["BTH"]), ("crop-land", None)):
        with pytest.raises(ConfigError) as error:
            new_project(tmp_path / "no", area, 2024, labels, task=task, crop=crop)
        assert not (tmp_path / "no").exists()
        assert ("BTH" in str(error.value)) == (crop == ["BTN"])


def test_a_project_of_yields_has_their_column_and_unit(tmp_path: Path) -> None:
    labels = label_file(tmp_path, **FIELDS, yield_t_ha=[6.0 + 0.1 * at for at in range(40)])
    new_project(tmp_path / "mine", area_file(tmp_path), 2024, labels, task="yield", crop=["BTH"])
    found = read_project(tmp_path / "mine").labels
    assert (found.value, found.unit, found.column) == ("yield_t_ha", "t/ha", "CODE_CULTU")


def test_a_project_can_be_read_and_has_what_was_found(tmp_path: Path) -> None:
    labels = label_file(tmp_path, **FIELDS)
    lines = new_project(tmp_path / "mine", area_file(tmp_path), 2024, labels, parcels=labels)
    project = read_project(tmp_path / "mine")
    assert project.path(project.season.area).samefile(tmp_path / "area.geojson")
    assert project.season.start < date(2024, 3, 1) < date(2024, 9, 30) < project.season.end
    assert project.imagery.provider == "planetary-computer"
    assert [name.split("-")[0] for name in project.imagery.products] == ["sentinel", "landsat", "modis"]
    assert project.labels.column == "CODE_CULTU"
    assert project.labels.file is not None
    assert project.path(project.labels.file).samefile(labels)
    assert project.parcels is not None
    assert project.path(project.parcels.file).samefile(labels)
    text = "\n".join(lines)
    assert all(one in text for one in ("BTH 18", "MIS 18", "PTR 4", "farm"))
    assert [line for line in lines if line.startswith("warning: ") and "PTR" in line]


def test_a_column_that_is_named_is_taken(tmp_path: Path) -> None:
    new_project(tmp_path / "mine", area_file(tmp_path), 2024, label_file(tmp_path, **FIELDS), "farm")
    assert read_project(tmp_path / "mine").labels.column == "farm"


def test_an_early_year_has_the_sensors_of_its_time(tmp_path: Path) -> None:
    new_project(tmp_path / "mine", area_file(tmp_path), 2010)
    assert read_project(tmp_path / "mine").imagery.products == ("modis-09A1-061",)


def test_labels_elsewhere_and_labels_of_one_class_are_warned_of(tmp_path: Path) -> None:
    labels = label_file(tmp_path, lon=9.0, crop=["wheat"] * 20)
    lines = new_project(tmp_path / "mine", area_file(tmp_path), 2024, labels)
    warnings = [line for line in lines if line.startswith("warning: ")]
    assert len(warnings) == 2
    assert any("9.000" in line for line in warnings)


def test_a_raster_of_classes_is_looked_at_in_the_area(tmp_path: Path) -> None:
    path = tmp_path / "classes.tif"
    about = {"driver": "GTiff", "height": 100, "width": 100, "count": 1, "dtype": "uint8", "crs": 4326}
    codes = np.repeat(np.array([3, 7], np.uint8), [25, 75])[:, None].repeat(100, axis=1)
    with rasterio.open(path, "w", transform=from_origin(EAST - 0.05, NORTH + 0.05, 1e-3, 1e-3), **about) as target:
        target.write(codes, 1)
    lines = new_project(tmp_path / "mine", area_file(tmp_path), 2024, path)
    assert any("7 75.0 %, 3 25.0 %" in line for line in lines)
    with rasterio.open(path, "r+") as target:
        target.write(np.arange(10_000).reshape(100, 100) % 251, 1)
    with pytest.raises(LabelError) as error:
        new_project(tmp_path / "other", area_file(tmp_path), 2024, path)
    assert error.value.facts["values"] == 251


@pytest.mark.parametrize(
    ("arguments", "kind", "facts"),
    [
        ({"year": 2024}, ConfigError, {}),
        ({"area": "area.geojson"}, ConfigError, {}),
        ({"labels": "fields.gpkg"}, ConfigError, {}),
        ({"area": "area.geojson", "year": date.today().year + 3}, ConfigError, {"start"}),
        ({"area": "area.geojson", "year": 1990}, ConfigError, {"end"}),
        ({"area": "area.geojson", "year": 2024, "parcels": "none.parquet"}, ConfigError, {"path"}),
        ({"area": "area.geojson", "year": 2024, "labels": "fields.gpkg", "column": "kultur"}, LabelError, {"column"}),
        ({"area": "area.geojson", "year": 2024, "labels": "bare.gpkg"}, LabelError, {"columns"}),
    ],
)
def test_what_cannot_be_a_project_is_refused_and_writes_nothing(
    tmp_path: Path, arguments: dict[str, object], kind: type[Exception], facts: Collection[str]
) -> None:
    area_file(tmp_path)
    label_file(tmp_path, parcel_id=FIELDS["parcel_id"], area_ha=FIELDS["area_ha"]).rename(tmp_path / "bare.gpkg")
    label_file(tmp_path, **FIELDS)
    given = {
        name: tmp_path / value if name != "column" and isinstance(value, str) else value
        for name, value in arguments.items()
    }
    with pytest.raises(kind) as error:
        new_project(tmp_path / "mine", **given)  # type: ignore[arg-type]
    assert set(facts) <= error.value.facts.keys()  # type: ignore[attr-defined]
    assert not (tmp_path / "mine" / PROJECT_FILE).exists()


def test_the_command_says_what_it_chose(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", str(tmp_path / "mine"), "--area", str(area_file(tmp_path)), "--year", "2024"]) == 0
    assert "2024-" in capsys.readouterr().out
    assert main(["init", str(tmp_path / "mine"), "--area", str(tmp_path / "area.geojson"), "--year", "2024"]) == 2
    assert main(["init", str(tmp_path / "other"), "--year", "2024"]) == 2


def test_an_area_over_two_zones_becomes_a_project_of_tiles(tmp_path: Path) -> None:
    lines = new_project(tmp_path / "over", area_file(tmp_path, 6.0, 49.0), 2024)
    assert read_project(tmp_path / "over").season.tiles == 100
    assert any(line.startswith("tiles:") for line in lines)
    new_project(tmp_path / "within", area_file(tmp_path), 2024)
    assert read_project(tmp_path / "within").season.tiles is None
