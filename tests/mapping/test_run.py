import json
import re
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from multiprocessing import get_context

import numpy as np
import pystac
import pytest
import rasterio
import rasterio.shutil
import torch
from affine import Affine
from scipy.special import softmax
from shapely import Polygon, box
from shapely.geometry import shape
from tests.mapping.small_maps import (
    LEGEND,
    MODIS,
    SEASON,
    SENTINEL,
    PixelModel,
    WindowModel,
    make_cube,
    make_record,
    utm_grid,
)

from agrifm.calibration import Calibration, calibrated
from agrifm.classic.features import parts_of_kind, pixel_features
from agrifm.classic.forest import ForestConfig, fit_forest, load_forest, save_forest
from agrifm.config import read_project
from agrifm.errors import CubeError, MapError, ModelError, OutputError
from agrifm.grid import LONLAT, Grid, Window, geodesic_hectares, reproject
from agrifm.inference.predictor import load_model
from agrifm.legend import UNLABELLED, Legend, legend_json
from agrifm.mapping import run
from agrifm.mapping.run import map_area, map_cube, map_project
from agrifm.mapping.windows import plan_map
from agrifm.models.agrifm.network import AgriFM, preset
from agrifm.models.precision import Compute
from agrifm.models.weights.file import save_model
from agrifm.record import ModelRecord
from agrifm.samples.patches import read_patch

FILES = [
    ".agrifm.json", "classes.qml", "classes.tif", "classes.tif.aux.xml", "confidence.qml", "confidence.tif",
    "item.json", "map.png",
]  # fmt: skip


def pixels(path):
    with rasterio.open(path) as source:
        return source.read(1)


@pytest.mark.parametrize("series", ["interpolated", "composites"])
def test_the_tiled_map_equals_the_whole_one(tmp_path, series):
    cube = make_cube(tmp_path / "cube.zarr", utm_grid((3, 4)))
    model = PixelModel(make_record(series=series))
    map_cube(cube, model, "a", tmp_path / "tiled", 48, 20)
    map_cube(cube, model, "a", tmp_path / "whole", 192, 0)
    sample = read_patch(cube, Window(0, 0, 144, 192), [SENTINEL], SEASON.steps(4), series)
    expected = PixelModel().probabilities(sample)
    for name in ("classes.tif", "confidence.tif"):
        assert (tmp_path / "tiled" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert (pixels(tmp_path / "tiled" / "classes.tif") == expected.argmax(0)).mean() > 0.999
    assert np.abs(pixels(tmp_path / "tiled" / "confidence.tif") - 100 * expected.max(0)).max() <= 0.55


@dataclass
class CalibratedModel:
    """The answers of `PixelModel`, calibrated as a record says."""

    record: ModelRecord

    def probabilities(self, sample):
        return calibrated(self.record.calibration, PixelModel().probabilities(sample))


def test_a_map_is_calibrated_once_and_a_temperature_changes_no_class(tmp_path):
    cube = make_cube(tmp_path / "cube.zarr", utm_grid((3, 4)))
    model = CalibratedModel(make_record(calibration=Calibration(kind="temperature", temperature=2.0)))
    map_cube(cube, PixelModel(), "a", tmp_path / "plain", 48, 20)
    map_cube(cube, model, "a", tmp_path / "tiled", 48, 20)
    map_cube(cube, model, "a", tmp_path / "whole", 192, 0)
    for name in ("classes.tif", "confidence.tif"):
        assert (tmp_path / "tiled" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    np.testing.assert_array_equal(*(pixels(tmp_path / name / "classes.tif") for name in ("plain", "tiled")))
    scores = np.log(PixelModel().probabilities(read_patch(cube, Window(0, 0, 144, 192), [SENTINEL], SEASON.steps(4))))
    expected = 100 * softmax(scores / 2, axis=0).max(0)
    assert np.abs(pixels(tmp_path / "tiled" / "confidence.tif") - expected).max() <= 0.55
    assert (
        "temperature 2"
        in json.loads((tmp_path / "tiled" / "item.json").read_text())["properties"]["processing:lineage"]
    )


def test_windows_that_disagree_are_blended(tmp_path):
    """The oracle blends whole windows by squared distance from their edges, in plain floating point."""
    cube = make_cube(tmp_path / "cube.zarr", utm_grid((2, 3)))
    map_cube(cube, WindowModel(), "a", tmp_path / "map", 48, 12)
    total, weight = np.zeros((3, 96, 144)), np.zeros((96, 144))
    ramp = np.minimum(np.arange(1, 49), 13) / 13
    ramp = np.minimum(ramp, ramp[::-1]) ** 2
    for row, col in product((0, 36, 48), (0, 36, 72, 96)):
        window = Window(row, col, 48, 48)
        found = WindowModel().probabilities(read_patch(cube, window, [SENTINEL], SEASON.steps(4)))
        total[:, *window.slices] += np.outer(ramp, ramp) * found
        weight[window.slices] += np.outer(ramp, ramp)
    mean = total / weight
    assert np.abs(pixels(tmp_path / "map" / "confidence.tif") - 100 * mean.max(0)).max() <= 0.55
    assert (pixels(tmp_path / "map" / "classes.tif") == mean.argmax(0)).mean() > 0.998


def test_two_sensors_are_mapped_on_the_finer_grid(tmp_path):
    sensors = (SENTINEL, MODIS)
    cube = make_cube(tmp_path / "cube.zarr", utm_grid((3, 4)), sensors)
    summary = map_cube(cube, PixelModel(make_record(sensors)), "a", tmp_path / "map", 96, 48)
    assert pixels(tmp_path / "map" / "classes.tif").shape == (144, 192)
    assert summary.windows == 2 * 3
    with pytest.raises(MapError) as error:
        map_cube(cube, PixelModel(make_record(sensors)), "a", tmp_path / "other", 96, 20)
    assert error.value.facts == {"window": 96, "overlap": 20, "multiple": 48}


def test_a_sensor_that_may_be_absent_is_left_out_and_named(tmp_path):
    cube = make_cube(tmp_path / "cube.zarr", utm_grid((2, 3)))
    with pytest.raises(ModelError, match="modis"):
        plan_map(cube, make_record((SENTINEL, MODIS)), 48, 0)
    model = PixelModel(make_record((SENTINEL, MODIS), absent_sensors=("modis",)))
    summary = map_cube(cube, model, "a", tmp_path / "map", 48, 0)
    map_cube(cube, PixelModel(), "a", tmp_path / "other", 48, 0)
    assert (pixels(tmp_path / "map" / "classes.tif") == pixels(tmp_path / "other" / "classes.tif")).all()
    assert summary.absent_sensors == ("modis",)
    assert len([line for line in summary.lines() if "modis" in line]) == 1
    both = make_cube(tmp_path / "both.zarr", utm_grid((2, 3)), (SENTINEL, MODIS))
    assert plan_map(both, model.record, 48, 0).absent_sensors == ()


def test_a_model_of_the_coarser_sensor_is_mapped_on_that_sensor_s_grid(tmp_path):
    cube = make_cube(tmp_path / "cube.zarr", utm_grid((3, 4)), (SENTINEL, MODIS))
    map_cube(cube, PixelModel(make_record((MODIS,))), "a", tmp_path / "map", 2, 1)
    assert pixels(tmp_path / "map" / "classes.tif").shape == (3, 4)


def test_pixels_outside_the_area_and_unobserved_ones_are_counted_apart(tmp_path):
    """A rotated square of known size, of which a part was never seen."""
    grid = utm_grid((10, 10))
    x, y = 482_400, 5_517_600
    diamond = Polygon([(x - 1800, y), (x, y + 1800), (x + 1800, y), (x, y - 1800)])
    area = reproject(diamond, str(grid.crs), LONLAT)
    unseen = slice(200, 240), slice(200, 260)
    cube = make_cube(tmp_path / "cube.zarr", grid, area=area, unseen=unseen)
    model = PixelModel()
    summary = map_cube(cube, model, "a", tmp_path / "map", 96, 24)
    centres = np.meshgrid(grid.x, grid.y)
    inside = np.abs(centres[0] - x) + np.abs(centres[1] - y) < 1800
    expected = inside.copy()
    expected[unseen] = False
    for name in ("classes.tif", "confidence.tif"):
        difference = (pixels(tmp_path / "map" / name) != UNLABELLED) != expected
        assert not difference[np.abs(np.abs(centres[0] - x) + np.abs(centres[1] - y) - 1800) > 1].any()
    assert summary.nodata_hectares == pytest.approx(40 * 60 / 100, rel=1e-4)
    assert summary.area_hectares == pytest.approx(648, rel=1e-3)
    classes = pixels(tmp_path / "map" / "classes.tif")
    for number, code in enumerate(LEGEND.codes):
        assert summary.hectares[code] == pytest.approx((classes == number).sum() / 100)
    assert 0 < len(model.windows) == summary.windows < len(range(0, 480, 72)) ** 2


def test_windows_without_any_observation_are_not_predicted(tmp_path):
    cube = make_cube(tmp_path / "cube.zarr", utm_grid((2, 3)), unseen=(slice(0, 96), slice(0, 96)))
    model = PixelModel()
    map_cube(cube, model, "a", tmp_path / "map", 48, 0)
    assert model.windows == [Window(0, 96, 48, 48), Window(48, 96, 48, 48)]


def test_hectares_are_geodesic_where_pixels_are_in_degrees(tmp_path):
    grid = Grid.of("EPSG:4326", Affine(0.001, 0, 20, 0, -0.001, 60), (60, 80))
    degrees = SENTINEL.model_copy(update={"resolution": 0.001})
    cube = make_cube(tmp_path / "cube.zarr", grid, (degrees,), area=box(20, 59.94, 20.08, 60))
    summary = map_cube(cube, PixelModel(make_record((degrees,))), "a", tmp_path / "map", 32, 8)
    assert summary.area_hectares == pytest.approx(geodesic_hectares(box(20, 59.94, 20.08, 60)), rel=1e-5)
    assert summary.nodata_hectares == 0


def test_the_part_of_an_area_beyond_its_grid_counts_as_nodata(tmp_path):
    """A grid of local files may be smaller than the area."""
    grid = utm_grid((2, 3))
    left, bottom, right, top = grid.bounds
    area = reproject(box(left, bottom, right, top + 100), str(grid.crs), LONLAT)
    summary = map_cube(make_cube(tmp_path / "cube.zarr", grid, area=area), PixelModel(), "a", tmp_path / "map")
    assert summary.nodata_hectares == pytest.approx(1440 * 100 / 1e4, rel=1e-3)
    assert sum(summary.hectares.values()) == 96 * 144 / 100


def test_the_cogs_hold_colours_names_legend_and_overviews(tmp_path):
    cube = make_cube(tmp_path / "cube.zarr", utm_grid((12, 12)))
    map_cube(cube, PixelModel(), "a", tmp_path / "map")
    out = tmp_path / "map"
    assert sorted(path.name for path in out.iterdir()) == FILES
    assert not (tmp_path / "map.partial").exists()
    for name in ("classes.tif", "confidence.tif"):
        with rasterio.open(out / name) as source:
            assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert (source.dtypes, source.nodata, source.block_shapes) == (("uint8",), 255, [(512, 512)])
            assert source.compression.name == "deflate"
            assert source.overviews(1) == [2]
            assert source.crs.to_epsg() == 32631
            assert source.transform == cube.target.transform
            assert source.tags()["AGRIFM_SEASON"] == "2024-03-01/2024-09-30"
            assert source.tags()["AGRIFM_MODEL"] == "fake"
    with rasterio.open(out / "classes.tif") as source:
        assert Legend.model_validate_json(source.tags()["AGRIFM_LEGEND"]) == LEGEND
        assert source.descriptions == ("class",)
        assert source.colormap(1)[2] == (0xDD, 0xDD, 0xDD, 255)
        assert source.colormap(1)[255][3] == 0
    full = np.stack([pixels(out / name) for name in ("classes.tif", "confidence.tif")]).reshape(2, 288, 2, 288, 2)
    with rasterio.open(out / "classes.tif", overview_level=0) as overview:
        counts = np.stack([(full[0] == number).sum((1, 3)) for number in range(3)])
        shown = np.take_along_axis(counts, overview.read(1)[None], axis=0)[0]
        assert (shown == counts.max(0)).all()
    with rasterio.open(out / "confidence.tif", overview_level=0) as overview:
        assert np.abs(overview.read(1) - full[1].mean((1, 3))).max() <= 0.5
    rasterio.shutil.copy(out / "classes.tif", tmp_path / "copy.vrt", driver="VRT")
    names = re.findall("<Category>(.*?)</Category>", (tmp_path / "copy.vrt").read_text())
    assert names == ["Maize &amp; millet", "Winter wheat", "Other land"]


def test_the_item_says_what_where_when_and_from_what(tmp_path):
    cube = make_cube(tmp_path / "cube.zarr", utm_grid((2, 3)), unseen=(slice(0, 10), slice(0, 10)))
    model_item = tmp_path / "models" / "fake.json"
    model_item.parent.mkdir()
    model_item.write_text("{}")
    summary = map_cube(cube, PixelModel(), "a", tmp_path / "map", model_item=model_item)
    item = pystac.Item.from_file(str(tmp_path / "map" / "item.json"))
    assert shape(item.geometry).equals(cube.area)
    assert item.bbox == pytest.approx(cube.area.bounds)
    assert item.common_metadata.start_datetime.date() == SEASON.start
    assert item.common_metadata.end_datetime.date() == SEASON.end
    assert item.properties["agrifm:hectares"] == pytest.approx(summary.hectares)
    assert item.properties["agrifm:nodata_hectares"] == pytest.approx(1, abs=1e-4)
    assert item.properties["proj:code"] == "EPSG:32631"
    assert item.properties["proj:shape"] == [96, 144]
    assert item.properties["proj:transform"][:6] == list(cube.target.transform)[:6]
    assert item.properties["processing:software"]["agrifm"]
    classes = item.assets["classes"].extra_fields["classification:classes"]
    assert [entry["value"] for entry in classes] == [0, 1, 2, 255]
    assert classes[0] == {"value": 0, "name": "1110", "title": "Maize & millet", "color_hint": "CC6677"}
    for asset in item.assets.values():
        assert asset.href.startswith("./")
        assert (tmp_path / "map" / asset.href).exists()
    links = json.loads((tmp_path / "map" / "item.json").read_text())["links"]
    assert [(link["rel"], link["href"]) for link in links] == [
        ("derived_from", "../models/fake.json"),
        ("derived_from", "../cube.zarr"),
    ]


def test_a_map_is_replaced_by_a_new_one(tmp_path):
    cube = make_cube(tmp_path / "cube.zarr", utm_grid())
    map_cube(cube, PixelModel(), "a", tmp_path / "map", 48, 0)
    map_cube(cube, WindowModel(), "b", tmp_path / "map", 48, 0)
    map_cube(cube, WindowModel(), "b", tmp_path / "fresh", 48, 0)
    name = "confidence.tif"
    assert (tmp_path / "map" / name).read_bytes() == (tmp_path / "fresh" / name).read_bytes()


MISFITS = {
    "missing sensor": (make_record((MODIS,)), ("modis", "sentinel-2")),
    "other band": (make_record((SENTINEL.model_copy(update={"bands": ("red", "swir1")}),)), ("swir1", "nir")),
    "other scale": (make_record((SENTINEL.model_copy(update={"scale": 1.0}),)), ("1.0", "0.0001")),
    "other quantity": (
        make_record((SENTINEL.model_copy(update={"quantity": "index"}),)),
        ("'index'", "'surface reflectance'"),
    ),
    "other grid": (make_record((SENTINEL.model_copy(update={"resolution": 20.0}),)), ("20.0", "10.0")),
}


@pytest.mark.parametrize(("record", "facts"), MISFITS.values(), ids=MISFITS)
def test_a_cube_that_the_model_does_not_fit_is_refused_at_once(tmp_path, record, facts):
    cube = make_cube(tmp_path / "cube.zarr", utm_grid())
    with pytest.raises(ModelError) as error:
        map_cube(cube, PixelModel(record), "a", tmp_path / "map")
    assert all(fact in str(error.value) for fact in facts)
    assert [path.name for path in tmp_path.iterdir()] == ["cube.zarr"]


def test_a_directory_that_is_not_a_map_is_left_alone(tmp_path):
    cube = make_cube(tmp_path / "cube.zarr", utm_grid())
    (tmp_path / "map").mkdir()
    (tmp_path / "map" / "thesis.doc").write_text("years of work")
    with pytest.raises(OutputError, match="agrifm did not"):
        map_cube(cube, PixelModel(), "a", tmp_path / "map")
    assert [path.name for path in (tmp_path / "map").iterdir()] == ["thesis.doc"]
    assert not (tmp_path / "map.partial").exists()


def test_an_area_without_any_observation_is_an_error_and_no_map(tmp_path):
    cube = make_cube(tmp_path / "cube.zarr", utm_grid(), unseen=(slice(None), slice(None)))
    with pytest.raises(MapError, match="fetch more scenes"):
        map_cube(cube, PixelModel(), "a", tmp_path / "map")
    assert not (tmp_path / "map").exists()


def test_an_area_off_the_grid_is_an_error(tmp_path):
    cube = make_cube(tmp_path / "cube.zarr", utm_grid(), area=box(10, 50, 10.1, 50.1))
    with pytest.raises(MapError, match="fetch a larger"):
        map_cube(cube, PixelModel(), "a", tmp_path / "map")


@pytest.mark.parametrize(
    ("answer", "fact"),
    [(np.ones((2, 96, 144), np.float32), "(2, 96, 144)"), (np.full((3, 96, 144), np.nan), "between 0 and 1")],
)
def test_a_model_s_impossible_answer_is_an_error(tmp_path, answer, fact):
    class Wrong(PixelModel):
        def probabilities(self, sample):
            return answer

    cube = make_cube(tmp_path / "cube.zarr", utm_grid())
    with pytest.raises(MapError) as error:
        map_cube(cube, Wrong(), "a", tmp_path / "map")
    assert fact in str(error.value)


def test_map_area_names_the_missing_cube_and_the_missing_model(tmp_path):
    with pytest.raises(CubeError, match=r"cube\.zarr"):
        map_area(tmp_path / "cube.zarr", tmp_path / "a.skops", tmp_path / "map")
    make_cube(tmp_path / "cube.zarr", utm_grid())
    with pytest.raises(ModelError, match=r"a\.skops"):
        map_area(tmp_path / "cube.zarr", tmp_path / "a.skops", tmp_path / "map")


def make_forest(path, kind, flipped=False, side=96):
    """Write a random forest trained on the classes of `PixelModel`, or on their opposites, in `side` rows."""
    cube = make_cube(path.parent / f"training-{flipped}.zarr", utm_grid(), seed=1)
    sample = read_patch(cube, Window(0, 0, side, 144), [SENTINEL], SEASON.steps(4))
    classes = PixelModel().probabilities(sample).argmax(0).astype(np.uint8)
    rows = pixel_features(sample, np.ones(classes.shape, bool), [SENTINEL], parts_of_kind(kind), SEASON.days)
    labels = 2 - classes if flipped else classes
    save_forest(path, fit_forest(rows, labels.ravel(), make_record(name="random-forest"), ForestConfig(kind)))
    return path


@pytest.fixture
def forest(tmp_path):
    return make_forest(tmp_path / "forest.skops", "series", side=16)


@pytest.mark.check
@pytest.mark.parametrize(("same", "noted"), [(True, False), (False, True)])
def test_a_legend_other_than_the_model_s_is_pointed_out(tmp_path, forest, same, noted):
    make_cube(tmp_path / "cube.zarr", utm_grid())
    legend = LEGEND if same else Legend.of(["rye", "oats"])
    (tmp_path / "legend.json").write_text(legend_json(legend))
    (tmp_path / "agrifm.toml").write_text(
        f"[season]\nstart = {SEASON.start}\nend = {SEASON.end}\narea = [2.72, 49.82, 2.74, 49.83]\n"
        '[imagery]\ncatalog = "c.json"\nproducts = ["sentinel-2-c1-l2a"]\n'
        '[labels]\nfile = "l.gpkg"\nlegend = "legend.json"\n[map]\nwindow = 48\noverlap = 0\n'
    )
    summary = map_project(read_project(tmp_path), forest)
    assert any("oats, rye" in line for line in summary.lines()) == noted
    assert len(summary.notes) == noted


@pytest.mark.check
@pytest.mark.parametrize("kind", ["series", "neighbourhood"])
def test_a_forest_s_file_maps_what_the_forest_says(tmp_path, kind):
    forest = make_forest(tmp_path / "forest.skops", kind)
    cube = make_cube(tmp_path / "cube.zarr", utm_grid())
    summary = map_area(cube.path, forest, tmp_path / "map", 48, 12)
    sample = read_patch(cube, Window(0, 0, 96, 144), [SENTINEL], SEASON.steps(4))
    expected = load_forest(forest).probabilities(sample)
    top = np.sort(expected, axis=0)
    clear = top[-1] - top[-2] > 1e-3
    assert (pixels(summary.path / "classes.tif") == expected.argmax(0))[clear].all()
    assert (pixels(summary.path / "classes.tif") == PixelModel().probabilities(sample).argmax(0)).mean() > 0.9


@pytest.mark.check
def test_windows_predicted_in_other_processes_make_the_same_bytes(tmp_path, forest):
    """Four windows in this process, in two threads, and in two processes that share nothing but the files."""
    cube = make_cube(tmp_path / "cube.zarr", utm_grid((1, 3)), unseen=(slice(0, 48), slice(0, 48)))
    map_area(cube.path, forest, tmp_path / "here", 48, 12)
    with ThreadPoolExecutor(2) as threads:
        map_area(cube.path, forest, tmp_path / "threads", 48, 12, executor=threads)
    with ProcessPoolExecutor(2, get_context("spawn")) as processes:
        map_area(cube.path, forest, tmp_path / "processes", 48, 12, executor=processes)
    for name in ("classes.tif", "confidence.tif"):
        expected = (tmp_path / "here" / name).read_bytes()
        assert (tmp_path / "threads" / name).read_bytes() == expected
        assert (tmp_path / "processes" / name).read_bytes() == expected


@pytest.mark.check
def test_another_run_in_the_same_process_opens_the_files_again(tmp_path, forest):
    """A model that was trained again has the same path."""
    cube = make_cube(tmp_path / "cube.zarr", utm_grid())
    with ThreadPoolExecutor(1) as executor:
        map_area(cube.path, forest, tmp_path / "first", 96, 0, executor=executor)
        make_forest(forest, "series", flipped=True, side=16)
        map_area(cube.path, forest, tmp_path / "second", 96, 0, executor=executor)
    first, second = (pixels(tmp_path / name / "classes.tif") for name in ("first", "second"))
    assert (first == 2 - second).mean() > 0.8


def test_agrifm_s_file_maps_what_the_network_says(tmp_path):
    """Two sensors; the window is as large as the grid, so that there is nothing to blend."""
    sensors = (SENTINEL, MODIS)
    torch.manual_seed(0)
    config = preset("tiny", {"sentinel-2": 2, "modis": 2}, len(LEGEND))
    record = make_record(sensors, architecture=config.model_dump(mode="json"))
    model_path = tmp_path / "agrifm.safetensors"
    save_model(model_path, AgriFM(config), record)
    cube = make_cube(tmp_path / "cube.zarr", utm_grid(), sensors)
    summary = map_area(cube.path, model_path, tmp_path / "map", 144, 48)
    sample = read_patch(cube, Window(0, 0, 96, 144), sensors, SEASON.steps(4))
    expected = load_model(model_path).probabilities(sample)
    assert np.abs(pixels(summary.path / "confidence.tif") - 100 * expected.max(0)).max() <= 0.55
    assert (pixels(summary.path / "classes.tif") == expected.argmax(0)).mean() > 0.99


def test_a_map_is_computed_in_the_precision_that_was_asked_for(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("agrifm.models.precision.bfloat16_is_native", lambda: True)  # so that it is not warned of
    monkeypatch.setattr(run, "map_cube", lambda cube, model, model_id, *_: asked.append((model.precision, model_id)))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    config = preset("tiny", {"sentinel-2": 2}, len(LEGEND))
    model_path, cube = tmp_path / "agrifm.safetensors", make_cube(tmp_path / "cube.zarr", utm_grid()).path
    save_model(model_path, AgriFM(config), make_record(architecture=config.model_dump(mode="json")))
    for precision in ("float32", "bfloat16", "float32"):
        map_area(cube, model_path, tmp_path / "map", compute=Compute(precision))
    assert [precision for precision, _ in asked] == ["float32", "bfloat16", "float32"]
    assert asked[0] == asked[2]
    assert asked[0][1] != asked[1][1]
    for precision, fact in (("float16", "bfloat16"), ("double", "precision")):
        with pytest.raises(ModelError, match=fact):
            map_area(cube, model_path, tmp_path / "map", compute=Compute(precision))
    for other in ("forest.skops", "agrifm.onnx"):
        with pytest.raises(ModelError, match=r"\.safetensors"):
            map_area(cube, tmp_path / other, tmp_path / "map", compute=Compute("bfloat16"))
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ModelError, match="no-such-compiler"):
        map_area(cube, model_path, tmp_path / "map", compute=Compute(compiled=True))


def test_the_plan_states_the_scratch_that_a_map_needs(tmp_path):
    cube = make_cube(tmp_path / "cube.zarr", utm_grid((2, 3)))
    plan = plan_map(cube, make_record(), 48, 0)
    assert plan.scratch_bytes == 6 * 48 * 48 * (3 + 1) * 2 + 6 * 96 * 144
