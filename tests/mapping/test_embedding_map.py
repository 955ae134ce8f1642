"""Embeddings of an area: what the network computes, within half a step of int8; resumed as uninterrupted; refusals."""

import json
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
import torch
import xarray
import zarr
from matplotlib.image import imread
from tests.cube.tiled import tiled_project
from tests.toy import toy_project

from agrifm.cli import main
from agrifm.config import Project
from agrifm.cube.store import open_cube
from agrifm.errors import ConfigError, MapError, ModelError
from agrifm.grid import Window
from agrifm.inference.predictor import load_model
from agrifm.inference.tensors import tensor_batch
from agrifm.mapping import embedding_map
from agrifm.mapping.again import map_again
from agrifm.mapping.embedding_map import embed_project, principal_colors
from agrifm.mapping.embedding_raster import open_embedding
from agrifm.mapping.predict import read_inputs
from agrifm.mapping.run import map_project
from agrifm.train.project import train_project

UNSEEN = slice(0, 30), slice(0, 40)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = toy_project(tmp_path_factory.mktemp("toy") / "season", names='"agrifm", "logistic"')
    valid = zarr.open_group(made.cube, mode="r+", use_consolidated=False)["sentinel-2/valid"]
    content = valid[...]
    content[:, *UNSEEN] = False
    valid[...] = content
    landsat = zarr.open_group(made.cube, mode="r+", use_consolidated=False)["landsat/valid"]
    content = landsat[...]
    content[:, : UNSEEN[0].stop // 3, : -(-UNSEEN[1].stop // 3)] = False
    landsat[...] = content
    train_project(made)
    return made


@pytest.fixture(scope="module")
def made(project: Project) -> Path:
    assert main(["embed", "--project", str(project.directory)]) == 0
    return project.directory / "embedding"


def test_vectors_are_those_of_the_network(project: Project, made: Path) -> None:
    model = load_model(project.models / "agrifm.safetensors")
    raster, cube = open_embedding(made / "embedding.tif"), open_cube(project.cube)
    for row, col in ((0, 0), (48, 96), (144, 144)):
        window = Window(row, col, 48, 48)
        (sample,) = read_inputs(cube, model, window)
        batch = tensor_batch([sample], model.record.sensors, model.record.absent_sensors)
        with torch.inference_mode():
            found = model.classifier.network.features(model.classifier.network_input(batch))[0].numpy()
        expected = found[:, *window.within(sample.window).slices]
        stored, known = raster.read(window), sample.any_valid[*window.within(sample.window).slices]
        assert np.isnan(stored).any(axis=0).tolist() == (~known).tolist()
        step = raster.scale[:, None]
        limit = 127 * step
        error = np.abs(stored[:, known] - expected[:, known].clip(-limit, limit))
        assert (error <= 0.5 * step + 2e-3 * np.abs(expected[:, known])).all()  # windows are kept in 16 bits


def test_the_last_layer_finds_the_classes_of_the_map_in_them(project: Project, made: Path) -> None:
    map_project(project, project.models / "agrifm.safetensors", project.directory / "map")
    with rasterio.open(project.directory / "map/classes.tif") as source:
        classes = source.read(1)
    raster = open_embedding(made / "embedding.tif")
    vectors = raster.read(Window(0, 0, *raster.grid.shape))
    head = load_model(project.models / "agrifm.safetensors").classifier.network.decoder.head
    with torch.inference_mode():
        logits = head(torch.from_numpy(np.nan_to_num(vectors))[None])[0].numpy()
    known = ~np.isnan(vectors[0])
    assert known.tolist() == (classes != 255).tolist()
    assert (logits.argmax(axis=0) == classes)[known].mean() > 0.98


def test_pixels_without_an_observation_are_nodata(made: Path) -> None:
    with rasterio.open(made / "embedding.tif") as source:
        stored = source.read()
        assert (source.nodata, set(source.dtypes)) == (-128, {"int8"})
    assert (stored[:, *UNSEEN] == -128).all()
    assert (stored[:, 60:, 60:] != -128).all()


def test_the_item_says_what_the_vectors_are_of(project: Project, made: Path) -> None:
    item = pystac.Item.from_dict(json.loads((made / "item.json").read_text(encoding="utf-8")))
    assert set(item.assets) == {"embedding", "preview"}
    raster = open_embedding(made / "embedding.tif")
    bands = item.assets["embedding"].extra_fields["bands"]
    assert [band["name"] for band in bands] == list(raster.names)
    assert [band["raster:scale"] for band in bands] == pytest.approx(raster.scale.tolist())
    links = {link.title for link in item.get_links("derived_from")}
    assert links == {"model", "cube"}
    assert imread(made / "map.png").shape[0] > 200


def test_the_vectors_as_zarr_are_those_of_the_raster(project: Project, made: Path, tmp_path: Path) -> None:
    """xarray is the reader."""
    out = tmp_path / "embedding"
    assert main(["embed", "--project", str(project.directory), "--out", str(out), "--zarr"]) == 0
    assert (out / "embedding.tif").read_bytes() == (made / "embedding.tif").read_bytes()
    raster = open_embedding(out / "embedding.tif")
    with xarray.open_zarr(out / "embedding.zarr", chunks=None, mask_and_scale=False, decode_coords="all") as content:
        assert content.embedding.dims == ("band", "y", "x")
        assert content.band.values.tolist() == list(raster.names)
        stored = content.embedding.values
        with rasterio.open(out / "embedding.tif") as source:
            np.testing.assert_array_equal(stored, source.read())
            assert content.spatial_ref.attrs["crs_wkt"] == raster.grid.crs.to_wkt()
            left, top = source.xy(0, 0)
            assert (content.x.values[0], content.y.values[0]) == (left, top)
        vectors = np.where(stored[0] == -128, np.nan, stored * content["scale"].values[:, None, None])
        np.testing.assert_allclose(vectors, raster.read(Window(0, 0, *raster.grid.shape)), rtol=1e-6)


def test_a_stopped_run_ends_with_the_same_bytes(
    project: Project, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, computed = embedding_map.network_vectors, []

    def stopping(model, sample):
        computed.append(sample.window)
        if len(computed) == 5:
            raise KeyboardInterrupt
        return before(model, sample)

    monkeypatch.setattr(embedding_map, "network_vectors", stopping)
    with pytest.raises(KeyboardInterrupt):
        embed_project(project, out=tmp_path / "embedding")
    assert not (tmp_path / "embedding").exists()
    embed_project(project, out=tmp_path / "embedding")
    assert len(computed) == 16 + 1  # 4 x 4 windows, of which one was computed twice
    for name in ("embedding.tif", "map.png"):
        assert (tmp_path / "embedding" / name).read_bytes() == (made / name).read_bytes()


def test_other_models_and_divided_areas_are_refused(project: Project, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as error:
        embed_project(project, project.models / "logistic.skops", tmp_path / "out")
    assert error.value.facts["family"] == "logistic"
    (tmp_path / "divided").mkdir()
    divided = tiled_project(tmp_path / "divided", (2.98, 49.79, 3.0, 49.8))
    with pytest.raises(ConfigError) as refused:
        embed_project(divided, project.models / "agrifm.safetensors", tmp_path / "out")
    assert refused.value.facts["key"] == "tiles"
    assert not (tmp_path / "out").exists()


def test_an_item_of_embeddings_makes_no_map(made: Path, tmp_path: Path) -> None:
    with pytest.raises(MapError) as error:
        map_again(made / "item.json", tmp_path / "again")
    assert error.value.facts["path"] == made / "item.json"
    assert not (tmp_path / "again").exists()


def test_like_vectors_have_like_colours() -> None:
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(3, 12))
    group = np.repeat(np.arange(3), 200)
    colors = principal_colors((centres[group] + 0.05 * generator.normal(size=(600, 12))).astype(np.float32))
    assert colors.min() >= 0
    assert colors.max() <= 1
    means = np.array([colors[group == number].mean(axis=0) for number in range(3)])
    within = max(np.linalg.norm(colors[group == number] - means[number], axis=1).mean() for number in range(3))
    between = min(np.linalg.norm(means[a] - means[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
    assert between > 3 * within
