"""`agrifm samples next` writes uncertain places of a cube or a table, marked as chosen, and never estimated from."""

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely
from pyproj import Transformer
from tests.mapping.small_maps import LEGEND, SEASON, SENTINEL, PixelModel, make_cube, make_record, utm_grid
from tests.train.test_table_run import write_project
from tests.train.tiled_labels import labelled_tiles

from agrifm.assess.report import assess
from agrifm.cli import main
from agrifm.config import read_project
from agrifm.cube.project_tiles import project_tiles
from agrifm.cube.store import open_cube
from agrifm.errors import AssessmentError, LabelError, OutputError
from agrifm.grid import Window
from agrifm.inference.active_learning import margin_uncertainty
from agrifm.mapping import next_places
from agrifm.mapping.next_places import APART, COLUMNS, write_next_places
from agrifm.mapping.run import map_cube
from agrifm.samples.patches import read_patch
from agrifm.train.project import train_project


@pytest.fixture
def cube_project(tmp_path, monkeypatch):
    """A cube of 96 x 144 pixels and a model of single pixels; the windows overlap at the end."""
    make_cube(tmp_path / "cube.zarr", utm_grid())
    (tmp_path / "agrifm.toml").write_text(
        f"[season]\nstart = {SEASON.start}\nend = {SEASON.end}\narea = [2.72, 49.82, 2.74, 49.83]\n"
        '[imagery]\ncatalog = "c.json"\nproducts = ["sentinel-2-c1-l2a"]\n'
        '[labels]\nfile = "l.gpkg"\n[map]\nwindow = 96\noverlap = 0\n'
    )
    monkeypatch.setattr(next_places, "load_model", lambda path: PixelModel())
    return read_project(tmp_path)


def test_places_of_a_cube_are_uncertain_and_apart(cube_project, tmp_path):
    out = tmp_path / "next.gpkg"
    lines = write_next_places(cube_project, 12, out, tmp_path / "m.skops")
    found = geopandas.read_file(out)
    assert set(found.columns) == {*COLUMNS, "geometry"}
    assert found["rank"].tolist() == list(range(1, 13))
    assert (found["sampling"] == "non-probability").all()
    cube = make_cube(tmp_path / "again.zarr", utm_grid())
    sample = read_patch(cube, Window(0, 0, 96, 144), [SENTINEL], SEASON.steps(4))
    probabilities = PixelModel().probabilities(sample)
    uncertainty = margin_uncertainty(probabilities.reshape(3, -1).T)
    col = ((found.geometry.x - 480_000) // 10).astype(int).to_numpy()
    row = ((5_520_000 - found.geometry.y) // 10).astype(int).to_numpy()
    here = uncertainty.reshape(96, 144)[row, col]
    np.testing.assert_allclose(found["uncertainty"], here, atol=2e-3)  # probabilities are kept in 16 bits
    assert here.mean() > uncertainty.mean()
    away = np.maximum(abs(row[:, None] - row), abs(col[:, None] - col))
    assert away[~np.eye(12, dtype=bool)].min() >= APART
    codes = np.array(LEGEND.codes)[probabilities[:, row, col].argmax(0)]
    assert found["class"].tolist() == codes.tolist()
    # every pixel counts once, although the last windows share pixels with those before them
    hectares = float(lines[0].split(" of ")[1].split(" ")[0])
    assert hectares == pytest.approx(uncertainty.sum() / 100, rel=0.1)


def test_chosen_places_are_never_a_design_based_reference(cube_project, tmp_path):
    cube = make_cube(tmp_path / "again.zarr", utm_grid())
    map_cube(cube, PixelModel(), "a", tmp_path / "map", 96, 0)
    for name in ("next.gpkg", "next.csv"):
        out = tmp_path / name
        write_next_places(cube_project, 6, out, tmp_path / "m.skops")
        frame = pd.read_csv(out, dtype=str) if out.suffix == ".csv" else geopandas.read_file(out)
        frame["label"] = frame["class"]
        frame.to_csv(out, index=False) if out.suffix == ".csv" else frame.to_file(out)
        with pytest.raises(AssessmentError) as error:
            assess(tmp_path / "map" / "classes.tif", out, "label", tmp_path / "report")
        assert error.value.facts["reason"] == "chosen"
        for sampling in ("simple", "stratified"):
            with pytest.raises(AssessmentError):
                assess(tmp_path / "map" / "classes.tif", out, "label", tmp_path / "report", sampling=sampling)
        # labels are never overwritten
        with pytest.raises(OutputError):
            write_next_places(cube_project, 6, out, tmp_path / "m.skops")


def test_a_pool_smaller_than_the_cube_gives_the_same_places_again(cube_project, tmp_path, monkeypatch):
    monkeypatch.setattr(next_places, "CANDIDATES", 50)
    write_next_places(cube_project, 5, tmp_path / "a.csv", tmp_path / "m.skops")
    write_next_places(cube_project, 5, tmp_path / "b.csv", tmp_path / "m.skops")
    first, again = (pd.read_csv(tmp_path / name) for name in ("a.csv", "b.csv"))
    pd.testing.assert_frame_equal(first, again)
    assert first["lon"].between(2.6, 2.8).all()


@pytest.mark.check
def test_places_of_a_table_are_those_without_a_label(tmp_path):
    project = write_project(tmp_path)
    points = pd.read_csv(tmp_path / "points.csv")
    names = sorted(points["sample_id"].unique())[::4]
    points.loc[points["sample_id"].isin(names), "label"] = None
    points.to_csv(tmp_path / "points.csv", index=False)
    config = project.model.model_copy(update={"names": ("logistic",)})
    project = project.model_copy(update={"model": config})
    train_project(project)
    out = tmp_path / "next.gpkg"
    write_next_places(project, 5, out, project.models / "logistic.skops")
    found = geopandas.read_file(out)
    assert set(found["place"]) <= set(names)
    assert len(set(found["place"])) == 5
    at = points.drop_duplicates("sample_id").set_index("sample_id").loc[found["place"]]
    np.testing.assert_allclose(found.geometry.x, at["longitude"])
    arguments = ["samples", "next", "--project", str(tmp_path), "--n", "3", "--out", str(tmp_path / "n.csv")]
    assert main([*arguments, "--model", str(project.models / "logistic.skops")]) == 0
    assert len(pd.read_csv(tmp_path / "n.csv")) == 3


def test_wrong_requests_are_refused(cube_project, tmp_path):
    with pytest.raises(LabelError):
        write_next_places(cube_project, 0, tmp_path / "n.gpkg", tmp_path / "m.skops")
    with pytest.raises(OutputError):
        write_next_places(cube_project, 5, tmp_path / "n.shp", tmp_path / "m.skops")


def test_a_table_without_unlabelled_places_is_refused(tmp_path):
    project = write_project(tmp_path)
    config = project.model.model_copy(update={"names": ("logistic",)})
    project = project.model_copy(update={"model": config})
    train_project(project)
    with pytest.raises(LabelError) as error:
        write_next_places(project, 5, tmp_path / "n.gpkg", project.models / "logistic.skops")
    assert error.value.facts["unlabelled"] == 0


@pytest.mark.check
def test_places_of_tiles_are_the_uncertain_ones_of_all_zones(tmp_path, monkeypatch):
    project = labelled_tiles(tmp_path)
    tiles = project_tiles(project)[0]
    sensor = open_cube(project.of_tile(tiles[0]).cube).inputs["sentinel-2"]
    model = PixelModel(make_record((sensor,), side=48))
    monkeypatch.setattr(next_places, "load_model", lambda path: model)
    lines = write_next_places(project, 30, tmp_path / "next.gpkg", tmp_path / "m.skops")
    found = geopandas.read_file(tmp_path / "next.gpkg")
    assert found.crs.to_epsg() == 4326
    assert set(found["place"].str[:5]) == {"32631", "32632"}
    total, here = 0.0, {}
    for tile in tiles:
        cube = open_cube(project.of_tile(tile).cube)
        grid = cube.target
        sample = read_patch(cube, Window(0, 0, *grid.shape), [sensor], project.season.season.steps(4))
        uncertainty = margin_uncertainty(model.probabilities(sample).reshape(3, -1).T).reshape(grid.shape)
        x, y = np.meshgrid(grid.x, grid.y)
        lon, lat = Transformer.from_crs(tile.crs, "EPSG:4326", always_xy=True).transform(x, y)
        west, south, east, north = tile.core
        total += uncertainty[shapely.contains_xy(tile.area, lon, lat)].sum() / 100
        places = found[[zone == tile.crs[5:] for zone in found["place"].str[:5]]].to_crs(tile.crs)
        for rank, point in zip(places["rank"], places.geometry, strict=True):
            if west < point.x < east and south < point.y < north:
                row, col = (int(part) for part in (~grid.transform @ (point.x, point.y))[::-1])
                here[rank] = uncertainty[row, col]
        gaps = np.maximum(
            *(abs(part[:, None] - part[None]) for part in np.array([places.geometry.x, places.geometry.y]))
        )
        assert gaps[~np.eye(len(places), dtype=bool)].min() >= 10 * APART - 0.01
    np.testing.assert_allclose(found["uncertainty"], [here[rank] for rank in found["rank"]], atol=2e-3)
    assert float(lines[0].split(" of ")[1].split(" ")[0]) == pytest.approx(total, rel=0.1)
    labelled = {"sample_id": ["a", "b", "b"], "label": [LEGEND.codes[0], LEGEND.codes[1], LEGEND.codes[1]]}
    middle = found.geometry.iloc[[0, 1, 1]]
    pd.DataFrame({**labelled, "longitude": middle.x, "latitude": middle.y}).to_parquet(
        tmp_path / "tiles/parcels.parquet"
    )
    lines = write_next_places(project, 30, tmp_path / "next.gpkg", tmp_path / "m.skops")
    assert "2 labelled places" in lines[0]
    again = geopandas.read_file(tmp_path / "next.gpkg").geometry.to_numpy()
    assert min(shapely.distance(again, place).min() for place in middle) > 1e-5  # degrees: a tenth of a pixel
