"""Data of a training run: tiles for the networks and the forest, statistics of the valid pixels."""

from pathlib import Path

import numpy as np
import pytest
import zarr
from tests.toy import toy_project

from agrifm.config import Project
from agrifm.cube.store import open_cube
from agrifm.errors import LabelError
from agrifm.train.data import Data, prepare, project_labels


def prepared(project: Project) -> Data:
    cube = open_cube(project.cube)
    return prepare(cube, project_labels(project, cube), project.labels.block, project.model)


def test_a_network_of_interpolated_series_shares_the_forest_s_tiles(tmp_path: Path) -> None:
    data = prepared(toy_project(tmp_path, names='"agrifm", "random-forest"'))
    assert data.network_tiles is data.tiles
    assert data.tiles_of("interpolated") is data.tiles


@pytest.mark.parametrize(("kind", "frames"), [("composites", 4), ("observed", 9)])
def test_the_network_and_the_forest_each_have_tiles(tmp_path: Path, kind: str, frames: int) -> None:
    """Nine acquisitions, ten days apart, in the toy season; statistics are those of the valid pixels of the windows."""
    data = prepared(toy_project(tmp_path, names='"agrifm", "random-forest"', more=f'series = "{kind}"'))
    window = data.training.windows[0]
    assert len(data.training[0].series["sentinel-2"].date) == frames
    assert len(data.tiles.sample(window).series["sentinel-2"].date) == 4
    assert data.tiles_of(data.network_tiles.kind) is data.network_tiles
    assert data.tiles_of("interpolated") is data.tiles
    seen = [data.training[number].series["landsat"] for number in range(len(data.training))]
    red = np.concatenate([own.image[:, 0][own.valid] for own in seen]).astype(np.float64)
    assert data.sensors[1].mean[0] == pytest.approx(red.mean(), rel=1e-6)
    assert data.sensors[1].std[0] == pytest.approx(red.std(), rel=1e-6)


@pytest.mark.parametrize("kind", ["interpolated", "composites", "observed"])
def test_a_sensor_without_a_valid_pixel_is_refused(tmp_path: Path, kind: str) -> None:
    project = toy_project(tmp_path, more=f'series = "{kind}"')
    zarr.open_group(project.cube)["landsat"]["valid"][...] = False
    with pytest.raises(LabelError) as error:
        prepared(project)
    assert error.value.facts == {"sensor": "landsat"}
