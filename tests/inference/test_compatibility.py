"""A model is compared with a cube: what fits is listed, what differs is refused."""

from pathlib import Path

import pytest
from tests.models.weights.weight_files import weight_files
from tests.toy import toy_project

from agrifm.errors import CubeError, ModelError
from agrifm.inference.compatibility import check_model, describe_model
from agrifm.models.weights.convert import convert_weights
from agrifm.record import model_file
from agrifm.train.run import train


@pytest.fixture(scope="module")
def cube(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sentinel-2 with B04 and B08, Landsat with B04 and B05."""
    return toy_project(tmp_path_factory.mktemp("toy")).cube


def weights(directory: Path, bands: str, channels: int = 2) -> Path:
    file = weight_files()["one_source.pth"]
    kernel = "encoder.S2_patch_emd.weights"
    state = {**file.state, kernel: file.state[kernel][:, :channels].clone()}
    convert_weights(file.write(directory, state=state), directory / "w.safetensors", [f"sentinel-2={bands}"])
    return directory / "w.safetensors"


def test_what_fits_and_what_is_left_over_is_said(cube: Path, tmp_path: Path) -> None:
    assert check_model(weights(tmp_path, "B08,B04"), cube) == [
        "sentinel-2: fits, bands B08, B04",
        "landsat: in the cube, not used",
    ]


def test_a_cube_without_a_band_is_refused(cube: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="'B02'"):
        check_model(weights(tmp_path, "B04,B02"), cube)


def test_a_trained_model_whose_bands_differ_is_refused(cube: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="'B02'"):
        check_model(weight_files()["trained.safetensors"].write(tmp_path), cube)


def test_weights_without_a_record_and_an_absent_cube_are_refused(cube: Path, tmp_path: Path) -> None:
    path = weight_files()["one_source.pth"].write(tmp_path)
    with pytest.raises(ModelError, match="`agrifm model convert`"):
        check_model(path, cube)
    with pytest.raises(CubeError, match="finished"):
        check_model(path, tmp_path / "cube.zarr")


@pytest.mark.parametrize("family", ["tempcnn", pytest.param("random-forest", marks=pytest.mark.check)])
def test_models_of_other_families_are_described_and_checked(family: str, tmp_path: Path) -> None:
    project = toy_project(tmp_path, steps=1, names=f'"{family}"')
    train(project)
    path = model_file(project.models, family)
    lines = describe_model(path)
    expected = ["file", "family", "sentinel-2", "landsat", "series", "calibration", "record"]
    assert [line.split()[0] for line in lines] == expected
    assert lines[1].endswith(family)
    assert "B04, B08" in lines[2]
    fits = check_model(path, project.cube)
    assert [line.split(":")[0] for line in fits] == ["sentinel-2", "landsat"]
    assert all("fits" in line for line in fits)
