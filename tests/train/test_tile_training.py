"""Training on a divided area: each labelled parcel of the area once, from whichever tile it is in."""

from pathlib import Path

import geopandas
import numpy as np
import pandas
import pytest
import rasterio
from pyproj import Transformer
from shapely import box
from tests.cube.tiled import catalogue_around, tiled_project
from tests.train.tiled_labels import CROPS, crop_at, labelled_tiles

from agrifm.cli import main
from agrifm.config import Project, read_project
from agrifm.cube.fetch_tiles import fetch_tiles
from agrifm.errors import LabelError, OutputError
from agrifm.inference.predictor import load_record
from agrifm.mapping.map_tiles import map_tiles
from agrifm.samples.project_table import project_table
from agrifm.train.project import train_project
from agrifm.train.tile_training import parcels_of_tiles, write_parcels_of_tiles

CORNER = (499_200, 5_516_160)
"""A corner of squares of 1920 m in zone 31."""


def labelled_project(directory: Path, parcels: geopandas.GeoDataFrame) -> Project:
    """Two scenes of 4.8 km, an area of 1.2 km around the corner of four tiles, and parcels."""
    turn = Transformer.from_crs("EPSG:32631", "EPSG:4326", always_xy=True)
    catalogue_around(directory, *turn.transform(*CORNER), "EPSG:32631").save()
    west, south = turn.transform(CORNER[0] - 600, CORNER[1] - 600)
    east, north = turn.transform(CORNER[0] + 600, CORNER[1] + 600)
    parcels.to_file(directory / "labels.gpkg")
    return tiled_project(directory, (west, south, east, north), more="halo = 480")


def squares() -> geopandas.GeoDataFrame:
    """Squares of 100 m every 150 m; those of the outer ring have their middle outside the area, but in its halo."""
    places = [(150 * col + 40, 150 * row + 40) for row in range(-5, 5) for col in range(-5, 5)]
    shapes = [box(CORNER[0] + x, CORNER[1] + y, CORNER[0] + x + 100, CORNER[1] + y + 100) for x, y in places]
    return geopandas.GeoDataFrame(
        {"crop": ["rye" if n % 3 else "oats" for n in range(100)]}, geometry=shapes, crs=32631
    )


@pytest.mark.check
def test_each_parcel_of_the_area_is_a_sample_once(tmp_path: Path) -> None:
    parcels = squares()
    project = labelled_project(tmp_path, parcels)
    assert len(fetch_tiles(project).tiles) == 4
    of_table, _ = parcels_of_tiles(project)
    (south, north), (west, east) = (np.array([-600, 600]) + centre for centre in reversed(CORNER))
    middle = parcels.geometry.centroid
    inside = (middle.x > west) & (middle.x < east) & (middle.y > south) & (middle.y < north)
    assert 0 < inside.sum() < len(parcels)
    frame = pandas.read_parquet(tmp_path / "tiles/parcels.parquet")
    first = frame.drop_duplicates("sample_id")
    assert len(first) == inside.sum() == len(project_table(of_table).label)
    turn = Transformer.from_crs("EPSG:4326", "EPSG:32631", always_xy=True)
    x, y = turn.transform(first["longitude"], first["latitude"])
    found = parcels.iloc[[int(np.hypot(middle.x - a, middle.y - b).argmin()) for a, b in zip(x, y, strict=True)]]
    assert found.index.is_unique
    assert found["crop"].tolist() == first["label"].tolist()
    with rasterio.open(tmp_path / "scene0/nir.tif") as source:
        rows = frame[pandas.to_datetime(frame["date"]) == "2024-04-01"].set_index("sample_id").loc[first["sample_id"]]
        for (_, shape), value in zip(found.geometry.items(), rows["sentinel-2_B08_median"], strict=True):
            window = source.window(*shape.bounds)
            expected = (np.median(source.read(1, window=window)) - 1000) / 10_000
            assert value == pytest.approx(expected, abs=2e-4)  # 10 x 10 pixels


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("side = 48", 'side = 48\ntask = "boundaries"\nnames = ["agrifm"]', "task"),
        ('file = "labels.gpkg"', 'file = "labels.gpkg"\nother = "forest.gpkg"', "other"),
    ],
)
def test_what_tiles_cannot_be_trained_for_is_refused(
    tmp_path: Path, old: str, new: str, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tiled_project(tmp_path, (2.98, 49.79, 3.0, 49.8))
    file = tmp_path / "agrifm.toml"
    file.write_text(file.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    assert main(["train", "--project", str(tmp_path)]) == 2
    assert f"`{named}`" in capsys.readouterr().err


@pytest.mark.check
def test_labels_elsewhere_are_refused(tmp_path: Path) -> None:
    parcels = squares()
    parcels["geometry"] = parcels.geometry.translate(100_000, 0)
    project = labelled_project(tmp_path, parcels)
    fetch_tiles(project)
    with pytest.raises(LabelError) as error:
        parcels_of_tiles(project)
    assert error.value.facts["tiles"] == 4


@pytest.mark.check
def test_parcels_of_all_tiles_are_written_to_a_file(tmp_path: Path) -> None:
    project = labelled_tiles(tmp_path)
    lines = write_parcels_of_tiles(project, tmp_path / "inner.parquet", 30)
    assert 'series = "inner.parquet"' in lines
    assert "[labels.columns]" not in lines  # blocks are made from the places
    write_parcels_of_tiles(project, tmp_path / "whole.parquet")
    inner, whole = (pandas.read_parquet(tmp_path / f"{name}.parquet") for name in ("inner", "whole"))
    assert set(inner["sample_id"]) == set(whole["sample_id"])
    assert len(set(whole["sample_id"])) == 96
    assert inner.groupby("sample_id")["pixels"].first().lt(whole.groupby("sample_id")["pixels"].first()).all()
    june = whole[whole["date"].astype(str) == "2024-06-20"]
    assert (june["sentinel-2_B08_median"].gt(0.4) == june["label"].eq(CROPS[0])).all()
    (tmp_path / "notes.parquet").write_text("mine")
    with pytest.raises(OutputError):
        write_parcels_of_tiles(project, tmp_path / "notes.parquet")
    assert (tmp_path / "notes.parquet").read_text() == "mine"


@pytest.mark.parametrize(
    ("task", "codes"),
    [
        ('task = "one-crop"\ncrop = "wheat"', ("wheat", "other")),
        pytest.param('task = "cropland"\ncrops = ["maize"]', ("cropland", "other"), marks=pytest.mark.check),
        pytest.param('task = "land-cover"', CROPS, marks=pytest.mark.check),
    ],
)
def test_classes_of_a_task_are_trained_and_mapped_over_tiles(tmp_path: Path, task: str, codes: tuple[str, ...]) -> None:
    labelled_tiles(tmp_path)
    file = tmp_path / "agrifm.toml"
    file.write_text(file.read_text(encoding="utf-8").replace("[model]\n", f"[model]\n{task}\n"), encoding="utf-8")
    project = read_project(tmp_path)
    train_project(project)
    record = load_record(tmp_path / "models" / "logistic.skops")
    assert (record.task, record.legend.codes) == (project.model.task, codes)
    detailed = pandas.read_parquet(tmp_path / "tiles/parcels.parquet")["label"]
    assert set(detailed) == set(CROPS)  # of all tiles; those of one may be of one class
    map_tiles(project)
    for raster in sorted((tmp_path / "maps").glob("*/*/classes.tif")):
        with rasterio.open(raster) as source:
            classes = source.read(1)
            x = source.transform.c + 5 + 10 * np.arange(source.width)
            y = source.transform.f - 5 - 10 * np.arange(source.height)
            turn = Transformer.from_crs(source.crs, "EPSG:4326", always_xy=True)
        crop = crop_at(*turn.transform(*np.meshgrid(x, y)))
        first = CROPS.index({"wheat": "wheat", "cropland": "maize"}.get(codes[0], CROPS[0]))
        known = classes != 255
        assert ((classes == 0) == (crop == first))[known].mean() > 0.8  # single pixels are noisy
