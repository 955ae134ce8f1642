"""Maps that keep probabilities and observation counts: those of each pixel, by a loop over the whole cube."""

import json

import numpy as np
import rasterio
import zarr
from scipy.stats import entropy
from tests.mapping.small_maps import LEGEND, MODIS, SEASON, SENTINEL, PixelModel, make_cube, utm_grid

from agrifm.grid import Window
from agrifm.mapping.predict import predict_samples
from agrifm.mapping.probability_layer import entropy_percent, observation_count
from agrifm.mapping.run import map_cube
from agrifm.samples.patches import read_patch


def test_probabilities_are_those_of_each_pixel_however_the_map_is_cut(tmp_path):
    cube = make_cube(tmp_path / "cube.zarr", utm_grid((2, 3)), unseen=(slice(0, 10), slice(0, 20)))
    window = Window(0, 0, 96, 144)
    expected = predict_samples(PixelModel(), [read_patch(cube, window, [SENTINEL], SEASON.steps(4))], window)
    map_cube(cube, PixelModel(), "a", tmp_path / "whole", 144, 0, probabilities=True)
    map_cube(cube, PixelModel(), "a", tmp_path / "tiled", 48, 20, probabilities=True)
    with rasterio.open(tmp_path / "whole" / "probabilities.tif") as source:
        stored, scales = source.read(), source.scales
        assert source.descriptions == LEGEND.codes
        assert source.nodata == 255
    seen = np.ones((96, 144), bool)
    seen[:10, :20] = False
    assert ((stored == 255) == ~seen).all()
    assert np.abs(stored * scales[0] - expected.astype(float))[:, seen].max() <= 0.002 + 1e-9
    assert np.ptp(stored[:, seen]) > 100
    for name in ("probabilities.tif", "entropy.tif", "observations.tif"):
        assert (tmp_path / "tiled" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    with rasterio.open(tmp_path / "whole" / "entropy.tif") as source:
        percent = source.read(1)
    assert (percent[~seen] == 255).all()
    most = np.log(len(LEGEND))
    for row, col in ((40, 50), (95, 0), (11, 21), (60, 140)):
        assert abs(percent[row, col] - 100 * entropy(expected[:, row, col].astype(float)) / most) <= 0.6
    with rasterio.open(tmp_path / "whole" / "observations.tif") as source:
        count = source.read(1)
    assert (count[seen] == 3).all()
    assert (count[~seen] == 255).all()
    assert "probabilities.tif" in json.dumps(json.loads((tmp_path / "whole" / "item.json").read_text())["assets"])


def test_entropy_is_nothing_where_one_class_is_sure_and_all_where_none_is():
    probabilities = np.array([[[1, 1 / 3, 0.5, 0]], [[0, 1 / 3, 0.5, 0.25]], [[0, 1 / 3, 0, 0.75]]])
    percent = entropy_percent(probabilities, np.ones((1, 4), bool))
    # log 2 / log 3 = 0.6309; (0.25 log 4 + 0.75 log 4/3) / log 3 = 0.5119
    assert percent.tolist() == [[0, 100, 63, 51]]


def test_observations_of_all_sensors_are_counted_pixel_by_pixel(tmp_path):
    grid = utm_grid((2, 2))
    cube = make_cube(tmp_path / "cube.zarr", grid, (SENTINEL, MODIS))
    rng = np.random.default_rng(0)
    fine, coarse = rng.random((3, 96, 96)) < 0.5, rng.random((3, 2, 2)) < 0.5
    zarr.open_group(cube.path)["sentinel-2"]["valid"][...] = fine
    zarr.open_group(cube.path)["modis"]["valid"][...] = coarse
    tile = Window(40, 13, 50, 70)
    found = observation_count(cube, tile)
    for row, col in ((0, 0), (7, 34), (8, 35), (49, 69), (20, 1)):
        at = row + 40, col + 13
        assert found[row, col] == fine[:, *at].sum() + coarse[:, at[0] // 48, at[1] // 48].sum()
