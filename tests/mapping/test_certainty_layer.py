"""Maps with a layer of certainty: known levels, whatever the windows, the interruptions and the executor."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pystac
import pytest
import rasterio
from tests.mapping.small_maps import LEGEND, SEASON, SENTINEL, PixelModel, make_cube, make_record, utm_grid

from agrifm.certainty import CandidateSets
from agrifm.grid import Window
from agrifm.inference.certainty_levels import certainty_levels
from agrifm.legend import Legend
from agrifm.mapping import map_rasters
from agrifm.mapping.predict import predict_samples
from agrifm.mapping.run import map_cube
from agrifm.samples.patches import read_patch

SETS = CandidateSets(nominal=0.9, least=(0.3, 0.25, 0.2), blocks=(5, 5, 5))
RASTERS = ("classes.tif", "confidence.tif", "certainty.tif", "second.tif")


def pixels(path):
    with rasterio.open(path) as source:
        return source.read(1)


def shares(path):
    stated = json.loads((path / "item.json").read_text())["properties"]["agrifm:certainty"]
    return [stated[code] for code in ("certain", "two", "unknown")]


def test_a_pixel_is_certain_has_two_candidates_or_is_unknown():
    """One candidate, two, three, none, two of which none is the class of highest probability, and NaN."""
    first, second = [0.8, 0.5, 0.34, 0.2, 0.1, 0.2, np.nan], [0.1, 0.3, 0.33, 0.2, 0.5, 0.5, np.nan]
    probabilities = np.array([first, second, [0.1, 0.2, 0.33, 0.2, 0.4, 0.3, np.nan]])
    sets = CandidateSets(nominal=0.9, least=(0.3, 0.3, 0.3), blocks=(5, 5, 5))
    level, second = certainty_levels(sets, probabilities)
    assert level.tolist() == [0, 1, 2, 2, 1, 1, 255]
    assert second.tolist() == [255, 1, 255, 255, 2, 2, 255]
    strict = CandidateSets(nominal=0.9, least=(0.1, 0.6, 0.3), blocks=(5, 5, 5))
    level, second = certainty_levels(strict, probabilities)
    assert level.tolist() == [0, 0, 1, 0, 2, 2, 255]
    assert second.tolist() == [255, 255, 2, 255, 255, 255, 255]


@pytest.fixture
def cube(tmp_path):
    return make_cube(tmp_path / "cube.zarr", utm_grid((3, 4)), unseen=(slice(0, 10), slice(0, 20)))


def naive(cube):
    """Level and second candidate by a loop over the pixels of the whole cube."""
    window = Window(0, 0, 144, 192)
    found = predict_samples(PixelModel(), [read_patch(cube, window, [SENTINEL], SEASON.steps(4))], window)
    level, second = np.full((144, 192), 255, np.uint8), np.full((144, 192), 255, np.uint8)
    for row, col in np.ndindex(144, 192):
        share = found[:, row, col].astype(float).tolist()
        if share[0] == share[0]:
            inside = [number for number in range(3) if share[number] >= SETS.least[number]]
            top = share.index(max(share))
            level[row, col] = {1: 0, 2: 1}.get(len(inside), 2) if top in inside else 2
            if level[row, col] == 1:
                second[row, col] = next(number for number in inside if number != top)
    return level, second


def test_the_layer_is_that_of_each_pixel_however_the_map_is_cut_or_interrupted(tmp_path, cube, monkeypatch):
    record = make_record(candidates=SETS)
    summary = map_cube(cube, PixelModel(record), "a", tmp_path / "whole", 192, 0)
    level, second = naive(cube)
    assert (pixels(tmp_path / "whole" / "certainty.tif") == level).all()
    assert (pixels(tmp_path / "whole" / "second.tif") == second).all()
    counts = np.bincount(level[level < 255], minlength=3)
    assert (counts > 500).all()
    assert shares(tmp_path / "whole") == pytest.approx(counts / counts.sum(), abs=1e-6)
    assert sum("candidate" in line for line in summary.trust) == 1
    map_cube(cube, PixelModel(record), "a", tmp_path / "tiled", 48, 20)

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(map_rasters, "map_picture", interrupted)
        with pytest.raises(KeyboardInterrupt):
            map_cube(cube, PixelModel(record), "a", tmp_path / "resumed", 48, 20)
    model = PixelModel(record)
    map_cube(cube, model, "a", tmp_path / "resumed", 48, 20)
    assert model.windows == []
    for name in RASTERS:
        expected = (tmp_path / "whole" / name).read_bytes()
        assert (tmp_path / "tiled" / name).read_bytes() == expected
        assert (tmp_path / "resumed" / name).read_bytes() == expected


def test_windows_of_an_executor_make_the_same_layer(tmp_path, cube):
    model = PixelModel(make_record(candidates=SETS))

    def elsewhere(windows):
        with ThreadPoolExecutor(2) as executor:
            samples = [(one, read_patch(cube, one, [SENTINEL], SEASON.steps(4))) for one in windows]
            yield from zip(
                [one for one, _ in samples],
                executor.map(lambda pair: predict_samples(model, [pair[1]], pair[0]), samples),
                strict=True,
            )

    map_cube(cube, model, "a", tmp_path / "here", 48, 20)
    map_cube(cube, model, "a", tmp_path / "there", 48, 20, predict=elsewhere)
    for name in RASTERS:
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()


def test_the_layer_has_colours_names_and_a_place_in_the_item(tmp_path, cube):
    map_cube(cube, PixelModel(make_record(candidates=SETS)), "a", tmp_path / "map", 192, 0)
    with rasterio.open(tmp_path / "map" / "certainty.tif") as source:
        assert (source.dtypes, source.nodata) == (("uint8",), 255)
        assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert [source.colormap(1)[number] for number in range(3)] == [
            (0x00, 0x77, 0xBB, 255), (0xEE, 0x77, 0x33, 255), (0xBB, 0xBB, 0xBB, 255),
        ]  # fmt: skip
        assert Legend.model_validate_json(source.tags()["AGRIFM_LEGEND"]).codes == ("certain", "two", "unknown")
    with rasterio.open(tmp_path / "map" / "second.tif") as source:
        assert Legend.model_validate_json(source.tags()["AGRIFM_LEGEND"]) == LEGEND
    assert "Two candidates" in (tmp_path / "map" / "certainty.tif.aux.xml").read_text()
    assets = pystac.Item.from_file(str(tmp_path / "map" / "item.json")).assets
    values = [entry["value"] for entry in assets["certainty"].extra_fields["classification:classes"]]
    assert values == [0, 1, 2, 255]
    assert assets["second"].href == "./second.tif"


@pytest.mark.parametrize("sets", [None, CandidateSets(nominal=0.9, least=(None, None, None), blocks=(2, 2, 1))])
def test_a_model_without_sets_has_no_such_layer_and_says_so(tmp_path, cube, sets):
    summary = map_cube(cube, PixelModel(make_record(candidates=sets)), "a", tmp_path / "map", 192, 0)
    assert not (tmp_path / "map" / "certainty.tif").exists()
    assert len([line for line in summary.lines() if "layer of certainty" in line]) == 1
    item = pystac.Item.from_file(str(tmp_path / "map" / "item.json"))
    assert set(item.assets) == {"classes", "confidence", "preview"}
    assert "agrifm:certainty" not in item.properties
