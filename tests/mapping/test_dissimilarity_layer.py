"""Maps with a layer of dissimilarity: known indices, whatever the windows, the interruptions and the executor."""

import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pystac
import pytest
import rasterio
from pyproj import Geod, Transformer
from tests.mapping.small_maps import LEGEND, SEASON, SENTINEL, PixelModel, make_cube, make_record, utm_grid

from agrifm.classic.features import parts_of_kind, pixel_features
from agrifm.classic.forest import ForestConfig, fit_forest, save_forest
from agrifm.grid import Window
from agrifm.inference.training_reference import REFERENCE, fit_reference
from agrifm.mapping import map_rasters
from agrifm.mapping.predict import predict_windows
from agrifm.mapping.run import map_area, map_cube
from agrifm.samples.patches import read_patch

RASTERS = ("classes.tif", "dissimilarity.tif", "applicability.tif")
WHOLE = Window(0, 0, 144, 192)


def pixels(path):
    with rasterio.open(path) as source:
        return source.read(1)


def stated(path):
    return json.loads((path / "item.json").read_text())["properties"]["agrifm:applicability"]


@pytest.fixture(scope="module")
def cube(tmp_path_factory):
    path = tmp_path_factory.mktemp("mapped") / "cube.zarr"
    return make_cube(path, utm_grid((3, 4)), unseen=(slice(0, 10), slice(0, 20)), seed=3)


def features(cube, frames=6):
    sample = read_patch(cube, WHOLE, [SENTINEL], SEASON.steps(frames))
    return pixel_features(sample, np.ones((144, 192), bool), [SENTINEL], ("series",), SEASON.days)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """Of 300 pixels of another cube, which are at one place 0.1 degrees north of the map."""
    other = make_cube(tmp_path_factory.mktemp("training") / "cube.zarr", utm_grid((3, 4)), seed=4)
    chosen = np.random.default_rng(0).choice(144 * 192, 300, replace=False)
    lonlat = np.tile([2.73, 49.93], (300, 1))
    rows, label = features(other)[chosen], (chosen % 3).astype(np.uint8)
    return fit_reference(rows, label, chosen // 4000, lonlat, (SENTINEL,), 6, ("series",), LEGEND.codes, 7)


def test_the_layer_is_that_of_each_pixel_and_its_shares_are_stated(tmp_path, cube, reference):
    summary = map_cube(cube, PixelModel(), "a", tmp_path / "map", 192, 0, reference=reference)
    percent = pixels(tmp_path / "map" / "dissimilarity.tif")
    known = np.ones((144, 192), bool)
    known[:10, :20] = False
    assert ((percent == 255) == ~known).all()
    expected = 100 * reference.dissimilarity(features(cube)).reshape(144, 192)
    assert np.abs(percent - np.minimum(expected, 254))[known].max() < 0.6
    outside = pixels(tmp_path / "map" / "applicability.tif")
    np.testing.assert_array_equal(outside[known], percent[known] > 100 * reference.facts.threshold)
    share = (outside == 1).sum() / known.sum()
    assert 0.005 < share < 0.995
    facts = stated(tmp_path / "map")
    assert facts["outside_share"] == pytest.approx(share, abs=1e-6)
    assert (facts["training_pixels"], facts["training_blocks"]) == (300, 7)
    assert len([line for line in summary.trust if f"{100 * share:.1f} %" in line]) == 1


def test_the_distance_to_the_training_data_is_that_of_the_farthest_place(tmp_path, cube, reference):
    """The oracle is the geodesic from the corner pixels to the place of the training pixels."""
    map_cube(cube, PixelModel(), "a", tmp_path / "map", 192, 0, reference=reference)
    grid = cube.target
    lon, lat = Transformer.from_crs(str(grid.crs), "EPSG:4326", always_xy=True).transform(
        grid.x[[0, 0, -1, -1]], grid.y[[0, -1, 0, -1]]
    )
    metres = Geod(ellps="WGS84").inv(lon, lat, [2.73] * 4, [49.93] * 4)[2]
    assert stated(tmp_path / "map")["farthest_km"] == pytest.approx(max(metres) / 1000, rel=0.005)


def test_tiled_equals_whole_and_resumed_equals_uninterrupted(tmp_path, cube, reference, monkeypatch):
    map_cube(cube, PixelModel(), "a", tmp_path / "whole", 192, 0, reference=reference)
    map_cube(cube, PixelModel(make_record(frames=6)), "a", tmp_path / "tiled", 48, 20, reference=reference)

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(map_rasters, "map_picture", interrupted)
        with pytest.raises(KeyboardInterrupt):
            map_cube(cube, PixelModel(), "a", tmp_path / "resumed", 48, 20, reference=reference)
    model = PixelModel()
    map_cube(cube, model, "a", tmp_path / "resumed", 48, 20, reference=reference)
    assert model.windows == []
    for name in RASTERS[1:]:
        expected = (tmp_path / "whole" / name).read_bytes()
        assert (tmp_path / "tiled" / name).read_bytes() == expected
        assert (tmp_path / "resumed" / name).read_bytes() == expected


def test_windows_of_a_map_without_the_reference_are_not_used(tmp_path, cube, reference, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(map_rasters, "map_picture", interrupted)
        with pytest.raises(KeyboardInterrupt):
            map_cube(cube, PixelModel(), "a", tmp_path / "map", 96, 0)
    model = PixelModel()
    map_cube(cube, model, "a", tmp_path / "map", 96, 0, reference=reference)
    assert len(model.windows) == 4
    item = pystac.Item.from_file(str(tmp_path / "map" / "item.json"))
    assert {"dissimilarity", "applicability"} <= set(item.assets)
    assert "classification:classes" not in item.assets["dissimilarity"].extra_fields


def test_a_reference_of_other_data_makes_no_layer_and_the_map_says_so(tmp_path, cube, reference):
    other = reference.__class__(
        reference.facts.model_copy(update={"classes": ("rye",)}),
        reference.mean,
        reference.projection,
        reference.points,
        reference.lonlat,
    )
    for name, found in (("other", other), ("none", None)):
        summary = map_cube(cube, PixelModel(), "a", tmp_path / name, 192, 0, reference=found)
        assert not (tmp_path / name / "dissimilarity.tif").exists()
        assert len([line for line in summary.trust if REFERENCE in line]) == 1


@pytest.mark.check
def test_an_executor_finds_the_reference_next_to_the_model(tmp_path, cube, reference):
    sample = read_patch(cube, WHOLE, [SENTINEL], SEASON.steps(4))
    label = PixelModel().probabilities(sample).argmax(0).astype(np.uint8)
    rows = pixel_features(sample, np.ones(label.shape, bool), [SENTINEL], parts_of_kind("series"), SEASON.days)
    forest = fit_forest(rows[::50], label.ravel()[::50], make_record(name="random-forest"), ForestConfig("series"))
    save_forest(tmp_path / "forest.skops", forest)
    reference.write(tmp_path / REFERENCE)
    map_area(cube.path, tmp_path / "forest.skops", tmp_path / "here", 48, 12)
    with ThreadPoolExecutor(2) as threads:
        map_area(cube.path, tmp_path / "forest.skops", tmp_path / "threads", 48, 12, executor=threads)
    for name in RASTERS:
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "threads" / name).read_bytes()


def test_windows_in_any_order_make_the_same_layer(tmp_path, cube, reference):
    def backwards(windows):
        yield from reversed(list(predict_windows(cube, PixelModel(), windows, reference)))

    run = partial(map_cube, cube, PixelModel(), "a", window=96, overlap=24, reference=reference)
    run(out=tmp_path / "here")
    run(out=tmp_path / "there", predict=backwards)
    for name in RASTERS:
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()
