"""The table of parcels: its numbers, that models read it with the lines written for them, and what is refused."""

import tomllib
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely
import zarr
from tests.toy import toy_project

from agrifm.cli import main
from agrifm.config import Project, read_project
from agrifm.cube.store import open_cube
from agrifm.errors import ConfigError, LabelError, OutputError
from agrifm.samples import parcel_series
from agrifm.samples.project_table import project_table
from agrifm.samples.split import FOLDS, split_blocks
from agrifm.train.data import project_labels
from agrifm.train.parcel_file import write_parcels
from agrifm.train.project import train_project

LEFT, TOP = 447840, 5197440
"""Corner of the toy cube, EPSG:32631."""
PRODUCTS = '["sentinel-2-parcel-median", "landsat-parcel-mean", "sentinel-2-parcel-std"]'


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return toy_project(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def written(project: Project) -> tuple[Path, list[str]]:
    path = project.path("parcels.parquet")
    return path, write_parcels(project, path, inner=15)


def of_parcels(directory: Path, written: tuple[Path, list[str]], names: str) -> Project:
    """A project of the table, from the lines that were written for it."""
    path, lines = written
    text = "\n".join(lines[lines.index("") :])
    text = text.replace('series = "parcels.parquet"', f'series = "{path.as_posix()}"')
    chosen = next(line for line in text.splitlines() if line.startswith("products = "))
    text = text.replace(chosen, f"products = {PRODUCTS}")
    season = "[season]\nstart = 2024-04-01\nend = 2024-06-29\n"
    model = f"\n[model]\nnames = [{names}]\nsteps = 2\nbatch = 2\nframes = 4\n"
    (directory / "agrifm.toml").write_text(season + text + model, encoding="utf-8")
    return read_project(directory)


def test_rows_have_the_statistics_fold_and_place_of_their_parcel(
    project: Project, written: tuple[Path, list[str]]
) -> None:
    """The toy fields are squares of 12 pixels; with 15 m less on each side 9 to 10 pixels along a side remain."""
    frame = pd.read_parquet(written[0])
    root = zarr.open_group(project.cube, mode="r")
    fields = geopandas.read_file(project.path("labels.gpkg"))
    assert frame["sample_id"].nunique() == len(fields) == 256
    assert len(frame) == 256 * 9  # Landsat and Sentinel-2 have the same nine days
    for index in (0, 7, 200):
        row, col = divmod(index, 16)
        place = shapely.Point(fields.geometry[index].centroid)
        lon, lat = geopandas.GeoSeries([place], crs=32631).to_crs(4326)[0].coords[0]
        own = frame[np.hypot(frame.longitude - lon, frame.latitude - lat) < 2e-4].sort_values("date")
        assert own["sample_id"].nunique() == 1
        assert set(own["label"]) == {fields.crop[index]}
        # centres that are more than 15 m from the edge: 5, 15 and 25 m from it are pixels 0, 1 and 2
        rows, cols = slice(12 * row + 2, 12 * row + 10), slice(12 * col + 2, 12 * col + 10)
        usable = root["sentinel-2/valid"][:, rows, cols]
        strict = own["sentinel-2_pixels"].to_numpy()
        assert ((strict >= usable.sum(axis=(1, 2))) & (own["pixels"] >= 64)).all()
    assert (frame["sentinel-2_valid"] == (frame["sentinel-2_pixels"] > 0)).all()


def test_the_table_is_read_as_series_with_the_numbers_of_its_columns(
    project: Project, written: tuple[Path, list[str]], tmp_path: Path
) -> None:
    table = project_table(of_parcels(tmp_path, written, '"random-forest"'))
    frame = pd.read_parquet(written[0]).set_index(["sample_id", "date"]).sort_index()
    assert [(one.sensor, one.bands, one.quantity) for one in table.sensors] == [
        ("sentinel-2", ("B04", "B08"), "surface reflectance"),
        ("sentinel-2-std", ("B04_std", "B08_std"), "index"),
        ("landsat", ("B04", "B05"), "surface reflectance"),
    ]
    columns = {
        "sentinel-2": ["sentinel-2_B04_median", "sentinel-2_B08_median"],
        "sentinel-2-std": ["sentinel-2_B04_std", "sentinel-2_B08_std"],
        "landsat": ["landsat_B04_mean", "landsat_B05_mean"],
    }
    for index in (0, 100, 255):
        own = frame.loc[table.place[index]]
        for sensor, names in columns.items():
            series = table.series[sensor]
            np.testing.assert_array_equal(series.valid[index], own[names[0]].notna())
            np.testing.assert_allclose(series.values[index], own[names].fillna(0), atol=1e-7)
    cube = open_cube(project.cube)
    assert (table.sensors[0], table.sensors[2]) == (cube.inputs["sentinel-2"], cube.inputs["landsat"])
    labels = project_labels(project, cube)
    split = split_blocks(labels, 480, 0)
    assert table.fold is not None
    stated = [int(split.place_fold[int(name.removeprefix("parcel "))]) for name in table.place]
    assert table.fold.tolist() == stated
    assert {FOLDS[fold] for fold in stated} == set(FOLDS)
    codes = [labels.places["code"][int(name.removeprefix("parcel "))] for name in table.place]
    assert [table.legend.codes[number] for number in table.label] == codes


@pytest.mark.check
def test_agrifm_and_a_classic_model_learn_parcels(written: tuple[Path, list[str]], tmp_path: Path) -> None:
    """The classes of the toy season differ by far more than the noise of a parcel's median."""
    scores = train_project(of_parcels(tmp_path, written, '"agrifm", "random-forest"'))
    assert scores["models"]["random-forest"]["macro_f1"] >= 0.95
    assert np.isfinite(scores["models"]["agrifm"]["macro_f1"])


def test_small_tiles_give_the_same_table(
    project: Project, written: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parcel_series, "TILE", 48)
    write_parcels(project, tmp_path / "tiled.parquet", inner=15)
    order = ["sample_id", "date"]
    whole, tiled = (
        pd.read_parquet(path).sort_values(order, ignore_index=True) for path in (written[0], tmp_path / "tiled.parquet")
    )
    pd.testing.assert_frame_equal(whole, tiled)


def test_the_lines_written_are_toml_and_the_command_prints_them(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "parcels.parquet"
    assert main(["samples", "parcels", "--project", str(project.directory), "--out", str(out), "--inner", "50"]) == 0
    printed = capsys.readouterr().out
    content = tomllib.loads(printed[printed.index("[labels]") :])
    assert {product["name"] for product in content["imagery"]["product"]} == {
        f"{sensor}-parcel-{statistic}"
        for sensor in ("sentinel-2", "landsat")
        for statistic in ("mean", "median", "std", "iqr")
    }
    assert content["labels"]["columns"] == {"block": "block", "fold": "fold"}
    # of fields of 120 m squares of 20 m remain: 2 x 2 pixel centres
    assert set(pd.read_parquet(out)["pixels"]) == {4}
    assert main(["samples", "parcels", "--project", str(project.directory), "--out", str(out)]) == 0  # its own file


def test_impossible_requests_are_refused(project: Project, tmp_path: Path) -> None:
    with pytest.raises(LabelError) as error:
        write_parcels(project, tmp_path / "none.parquet", inner=60)
    assert error.value.facts == {"parcels": 256, "inner": 60}
    assert not (tmp_path / "none.parquet").exists()
    with pytest.raises(ConfigError):
        write_parcels(project, tmp_path / "none.parquet", inner=-1)
    with pytest.raises(OutputError):
        write_parcels(project, tmp_path / "parcels.csv")
    foreign = tmp_path / "mine.parquet"
    pd.DataFrame({"a": [1]}).to_parquet(foreign)
    with pytest.raises(OutputError):
        write_parcels(project, foreign)
