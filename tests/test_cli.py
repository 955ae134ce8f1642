"""The command line: one sentence and exit code 2 for bad input, nothing half written."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio

from agrifm.cli import main
from agrifm.commands import COMMANDS
from agrifm.config import read_project
from tests.toy import toy_project

Complaint = Callable[..., str]


@pytest.fixture
def complaint(capsys: pytest.CaptureFixture[str]) -> Complaint:
    """Run a command that must fail with exit code 2 and one sentence; returns the sentence."""

    def run(*words: object) -> str:
        assert main([str(word) for word in words]) == 2
        captured = capsys.readouterr()
        # progress bars go to the same stream; the sentence is its last line
        sentence = captured.err.strip().splitlines()[-1]
        assert sentence.startswith(f"agrifm {words[0]}")
        assert "Traceback" not in captured.err
        return sentence

    return run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("trained")
    toy_project(directory, steps=1, names='"random-forest"')
    assert main(["train", "--project", str(directory)]) == 0
    return directory


def forest_map(project: Path, out: Path) -> Path:
    """Map a project with its forest into `out`."""
    forest = project / "models/random-forest.skops"
    assert main(["map", "--project", str(project), "--model", str(forest), "--out", str(out)]) == 0
    return out


def edit(project: Path, old: str, new: str) -> None:
    text = project.read_text()
    assert old in text
    project.write_text(text.replace(old, new))


def test_an_unknown_key_is_refused_with_the_nearest_known_one(complaint: Complaint, tmp_path: Path) -> None:
    toy_project(tmp_path)
    edit(tmp_path / "agrifm.toml", "frames", "farmes")
    sentence = complaint("fetch", "--project", tmp_path)
    assert "'model.farmes'" in sentence
    assert "'frames'" in sentence


def test_an_unknown_product_is_refused_with_the_nearest_known_one(complaint: Complaint, tmp_path: Path) -> None:
    toy_project(tmp_path)
    edit(tmp_path / "agrifm.toml", "sentinel-2-c1-l2a", "sentinel-2-c1-l1c")
    sentence = complaint("fetch", "--project", tmp_path)
    assert "did you mean 'sentinel-2-c1-l2a'?" in sentence


def test_an_empty_area_is_refused(complaint: Complaint, tmp_path: Path) -> None:
    toy_project(tmp_path)
    edit(tmp_path / "agrifm.toml", "[2.31, 46.91, 2.34, 46.93]", "[2.34, 46.91, 2.34, 46.93]")
    assert "empty" in complaint("fetch", "--project", tmp_path)


def test_a_catalogue_that_is_absent_is_refused(complaint: Complaint, tmp_path: Path) -> None:
    toy_project(tmp_path)
    shutil.rmtree(tmp_path / "cube.zarr")
    assert "unused.json" in complaint("fetch", "--project", tmp_path)
    assert not (tmp_path / "cube.zarr").exists()


def test_training_without_a_cube_says_what_to_run(complaint: Complaint, tmp_path: Path) -> None:
    toy_project(tmp_path)
    shutil.rmtree(tmp_path / "cube.zarr")
    assert "`agrifm fetch`" in complaint("train", "--project", tmp_path)
    assert not (tmp_path / "models").exists()


def test_labels_outside_the_area_are_refused(complaint: Complaint, tmp_path: Path) -> None:
    toy_project(tmp_path)
    labels = geopandas.read_file(tmp_path / "labels.gpkg")
    labels.geometry = labels.translate(100_000, 0)
    labels.to_file(tmp_path / "labels.gpkg")
    sentence = complaint("train", "--project", tmp_path)
    assert "256" in sentence
    assert not (tmp_path / "models").exists()


def test_an_unknown_label_code_is_refused(complaint: Complaint, tmp_path: Path) -> None:
    toy_project(tmp_path)
    (tmp_path / "legend.csv").write_text("code,name,color\nmaize,maize,#ddcc77\nother,other,#dddddd\n")
    edit(tmp_path / "agrifm.toml", "[labels]", '[labels]\nlegend = "legend.csv"')
    assert "'wheat'" in complaint("train", "--project", tmp_path)


def test_labels_of_a_single_class_are_refused(complaint: Complaint, tmp_path: Path) -> None:
    toy_project(tmp_path)
    labels = geopandas.read_file(tmp_path / "labels.gpkg")
    labels["crop"] = "maize"
    labels.to_file(tmp_path / "labels.gpkg")
    assert "(maize)" in complaint("train", "--project", tmp_path)


def test_a_models_directory_that_is_not_ours_is_refused_and_kept(complaint: Complaint, tmp_path: Path) -> None:
    toy_project(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "thesis.txt").write_text("mine")
    assert "models" in complaint("train", "--project", tmp_path)
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["thesis.txt"]


def test_a_model_for_other_bands_is_refused_naming_the_first(
    trained: Path, complaint: Complaint, tmp_path: Path
) -> None:
    import zarr

    toy_project(tmp_path)
    zarr.open_group(tmp_path / "cube.zarr/sentinel-2")["band"][...] = np.array(["B03", "B08"], dtype=object)
    sentence = complaint("map", "--project", tmp_path, "--model", trained / "models/random-forest.skops")
    assert "'B04'" in sentence
    assert "B03, B08" in sentence
    assert not (tmp_path / "map").exists()


def test_a_cube_of_another_scale_or_quantity_is_refused(trained: Path, complaint: Complaint, tmp_path: Path) -> None:
    import zarr

    toy_project(tmp_path)
    values = zarr.open_group(tmp_path / "cube.zarr/landsat")["values"]
    values.attrs["scale_factor"] = 1e-3
    sentence = complaint("map", "--project", tmp_path, "--model", trained / "models/random-forest.skops")
    assert "scale 0.0001" in sentence
    assert "0.001" in sentence.split("scale 0.0001")[1]


def test_an_unknown_model_is_refused(complaint: Complaint, trained: Path) -> None:
    other = trained / "network.toml"
    text = (trained / "agrifm.toml").read_text(encoding="utf-8")
    other.write_text(text.replace("[map]", '[map]\nmodel = "agrifm"'), encoding="utf-8")
    assert "agrifm.safetensors" in complaint("map", "--project", other)


def test_a_map_class_with_fewer_than_two_reference_points_is_refused(
    trained: Path, complaint: Complaint, tmp_path: Path
) -> None:
    out = forest_map(trained, tmp_path / "map")
    points = tmp_path / "points.gpkg"
    assert main(["assess", "design", "--map", str(out / "classes.tif"), "--n", "30", "--out", str(points)]) == 0
    frame = geopandas.read_file(points)
    frame["label"] = frame["map_class"]
    frame[frame.map_class != "wheat"].to_file(points)
    sentence = complaint("assess", "--map", out / "classes.tif", "--reference", points, "--out", tmp_path / "report")
    assert "wheat" in sentence
    assert not (tmp_path / "report").exists()


def test_init_writes_a_project_file_once(complaint: Complaint, tmp_path: Path) -> None:
    assert main(["init", str(tmp_path / "new")]) == 0
    assert "agrifm.toml" in complaint("init", tmp_path / "new")


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agrifm", "fetch", "--project", str(tmp_path), "--debug"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" in done.stderr


def test_the_map_is_clipped_and_its_classes_are_in_the_legend(trained: Path, tmp_path: Path) -> None:
    out = forest_map(trained, tmp_path / "map")
    with rasterio.open(out / "classes.tif") as source:
        assert set(np.unique(source.read(1))) <= {0, 1, 2, 255}


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (PermissionError(13, "Permission denied", "models"), 2, "'models'"),
        (MemoryError(), 2, "memory"),
        (RecursionError("maximum recursion depth exceeded"), 1, "report"),
        (ZeroDivisionError("division by zero"), 1, "ZeroDivisionError"),
        (OverflowError("too large \x1b[2J"), 1, "\\x1b[2J"),
    ],
)
def test_any_error_is_one_sentence_and_the_traceback_is_for_debug(
    error: Exception,
    code: int,
    words: str,
    debug: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(_: object) -> None:
        raise error

    monkeypatch.setitem(COMMANDS, "status", replace(COMMANDS["status"], run=fail))
    assert main(["status", *(["--debug"] if debug else [])]) == code
    said = capsys.readouterr().err
    assert words in said.splitlines()[-1]
    assert ("Traceback" in said) == debug
    assert debug or len(said.splitlines()) == 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_project_file_of_any_editor_is_read(encoding: str, end: str, tmp_path: Path) -> None:
    project = toy_project(tmp_path)
    file = tmp_path / "agrifm.toml"
    text = "# Maïs, 小麦\n" + file.read_text(encoding="utf-8").replace(" = ", "\t=\t")
    file.write_bytes(text.replace("\n", end).encode(encoding))
    assert read_project(tmp_path) == project


@pytest.mark.parametrize("variable", ["PROJ_LIB", "PROJ_DATA", "GDAL_DATA", "GDAL_DRIVER_PATH"])
def test_data_of_another_program_is_not_used(variable: str, tmp_path: Path) -> None:
    script = "import agrifm, rasterio, os; print(rasterio.crs.CRS.from_epsg(32631).to_epsg(), *os.environ)"
    environment = {**os.environ, variable: str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.startswith("32631"), done.stderr
    assert variable not in done.stdout.split()


@pytest.mark.parametrize("change", [{"HOME": None}, {"TMPDIR": "/nowhere"}, {"TZ": "Nowhere/Else"}, {"LC_ALL": "xx"}])
def test_status_answers_in_any_environment(change: dict[str, str | None], tmp_path: Path) -> None:
    environment = {**os.environ, **{name: text for name, text in change.items() if text is not None}}
    for name in change:
        if change[name] is None:
            environment.pop(name, None)
    toy_project(tmp_path)
    if "HOME" not in change:  # a project that is done, because a forecast takes seconds
        for made in ("models/scores.json", "map/classes.tif"):
            (tmp_path / made).parent.mkdir()
            (tmp_path / made).touch()
    command = [sys.executable, "-m", "agrifm", "status", "--project", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert f"next: `agrifm {'train' if 'HOME' in change else 'assess design'}`" in done.stdout
    assert done.stderr == ""


def test_a_working_directory_that_was_deleted_is_one_sentence(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = "import os, sys; os.rmdir(os.getcwd()); from agrifm.cli import main; sys.exit(main(['fetch']))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=gone, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
