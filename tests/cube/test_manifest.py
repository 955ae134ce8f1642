"""What is lost, damaged, replaced or edited in a finished cube: refused where it is read, and repaired by a fetch."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import zarr
from pydantic import ValidationError
from tests.cube.projects import add_scene, saved, write_project
from tests.damage import DAMAGES, cut, emptied, holed, lost, zeroed
from tests.scenes import AREA, SEASON, Catalogue, at, reflectance, write_tiff

from agrifm.cli import main
from agrifm.config import read_project
from agrifm.cube.build import build_cube
from agrifm.cube.coverage import draw_coverage
from agrifm.cube.fetch import fetch
from agrifm.cube.manifest import seal
from agrifm.cube.resample import resample_cube, resampler
from agrifm.cube.store import Cube, open_cube
from agrifm.errors import CubeError, SceneError
from agrifm.grid import Window
from agrifm.record import SensorRecord
from agrifm.samples.sample import read_sample
from agrifm.scene.products import find_product
from agrifm.scene.search import search_catalog

S2 = "sentinel-2-l2a-planetary-computer"
FRAMES = 4
LOST = "sentinel-2/values/c/2/0/0/0"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project and its finished cube of four days of a catalogue on disk, one of them without a usable pixel."""
    directory = tmp_path_factory.mktemp("made")
    catalogue = Catalogue(directory / "scenes")
    for number in range(FRAMES):
        add_scene(catalogue, S2, f"S{number}", at(5, 1 + 5 * number))
    project = write_project(directory, f'catalog = "{saved(catalogue)}"', [S2])
    fetch(read_project(project))
    return directory


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    """A copy of the project; its scenes stay where they are."""
    shutil.copytree(made / "cube.zarr", tmp_path / "cube.zarr")
    shutil.copy(made / "agrifm.toml", tmp_path)
    return tmp_path


def state(cube: Path) -> dict[str, tuple[bytes, int]]:
    """Bytes and time of change of every file of pixels."""
    files = [file for file in cube.rglob("*") if file.is_file() and "/c/" in str(file)]
    return {str(file.relative_to(cube)): (file.read_bytes(), file.stat().st_mtime_ns) for file in files}


def contents(cube: Path) -> dict[str, bytes]:
    return {name: content for name, (content, _) in state(cube).items()}


def whole(cube: Cube) -> None:
    cube.sensors["sentinel-2"].read(Window(0, 0, 96, 96))


READERS: dict[str, Callable[[Cube], object]] = {
    "read": whole,
    "sample": lambda cube: read_sample(cube, Window(0, 0, 48, 48), list(cube.inputs.values())),
    "picture": lambda cube: draw_coverage(cube, cube.path.parent / "coverage.png"),
    "resample": lambda cube: resample_cube(
        cube,
        cube.path.with_name("new.zarr"),
        {name: resampler("median", of, cube.season, 3) for name, of in cube.sensors.items()},
    ),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("damage", [*DAMAGES, "of another frame"])
def test_a_file_that_is_not_as_written_is_refused_by_every_reader(project: Path, reader: str, damage: Any) -> None:
    file = project / "cube.zarr" / ("sentinel-2/valid/c/2/0/0" if reader == "picture" else LOST)
    if callable(damage):
        damage(file)
    else:
        number = reflectance(10, 96, 500)[:, :96, :96][None]
        other = zarr.open_group(project / "cube.zarr", mode="r+")["sentinel-2"]
        other["values" if reader != "picture" else "valid"][1] = number[0] if reader != "picture" else False
        source = Path(str(file).replace("/c/2/", "/c/1/"))
        shutil.copy(source, file) if source.exists() else file.unlink()
    with pytest.raises(CubeError) as caught:
        READERS[reader](open_cube(project / "cube.zarr"))
    assert str(project / "cube.zarr" / "sentinel-2") in str(caught.value.facts["path"])


@pytest.mark.parametrize("one", ["values", "valid"])
def test_two_frames_that_change_places_are_refused(project: Path, one: str) -> None:
    """Both files have right checksums; in `valid`, chunks of one value have the same length too."""
    cube = project / "cube.zarr"
    group = zarr.open_group(cube, mode="r+")["sentinel-2"]
    group[one][0] = 0
    group[one][0, ..., 0, 0] = 1
    seal(cube)
    whole(open_cube(cube))
    middle = "0/0/0" if one == "values" else "0/0"
    first, second = (cube / "sentinel-2" / one / "c" / str(frame) / middle for frame in (0, 1))
    first.rename(cube / "aside")
    second.rename(first)
    (cube / "aside").rename(second)
    with pytest.raises(CubeError) as caught:
        whole(open_cube(cube))
    assert caught.value.facts["path"] in (first, second)


def test_a_file_that_was_never_written_is_no_loss_and_a_stranger_in_its_place_is_refused(project: Path) -> None:
    cube = project / "cube.zarr"
    group = zarr.open_group(cube, mode="r+")["sentinel-2"]
    group["valid"][1] = False  # Zarr deletes the file
    file = cube / "sentinel-2/valid/c/1/0/0"
    assert not file.exists()
    seal(cube)
    whole(open_cube(cube))
    shutil.copy(cube / "sentinel-2/valid/c/2/0/0", file.parent.mkdir(parents=True, exist_ok=True) or file)
    with pytest.raises(CubeError) as caught:
        whole(open_cube(cube))
    assert caught.value.facts["path"] == file


def edit(name: str, change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def edited(cube: Path) -> None:
        content = json.loads((cube / name).read_text())
        change(content)
        (cube / name).write_text(json.dumps(content))

    return edited


def inner(content: dict[str, Any]) -> dict[str, Any]:
    node = content["consolidated_metadata"]["metadata"]["sentinel-2/values"]
    return dict(node)


VALUES = "sentinel-2/values/zarr.json"
EDITS: dict[str, Callable[[Path], None]] = {
    "chunk shape": edit(VALUES, lambda c: c["chunk_grid"]["configuration"].update(chunk_shape=[1, 10, 48, 48])),
    "dtype": edit(VALUES, lambda c: c.update(data_type="uint16")),
    "fill value": edit(VALUES, lambda c: c.update(fill_value=0)),
    "codecs": edit(VALUES, lambda c: c.update(codecs=c["codecs"][:1] * 2)),
    "scale": edit(VALUES, lambda c: c["attributes"].update(scale_factor=1e-3)),
    "no attributes": edit(VALUES, lambda c: c.pop("attributes")),
    "consolidated scale": edit(
        "zarr.json",
        lambda c: c["consolidated_metadata"]["metadata"]["sentinel-2/values"]["attributes"].update(scale_factor=1e-3),
    ),
    "season": edit("zarr.json", lambda c: c["attributes"]["agrifm"].update(season=["2023-01-01", "2023-12-31"])),
    "no digest": edit("zarr.json", lambda c: c["attributes"]["agrifm"].pop("digest")),
    "no list of files": edit("zarr.json", lambda c: c["attributes"]["agrifm"].pop("files")),
    "metadata of an array lost": lambda cube: lost(cube / VALUES),
    "metadata cut": lambda cube: cut(cube / "zarr.json"),
    "metadata empty": lambda cube: emptied(cube / "zarr.json"),
    "metadata zeros": lambda cube: zeroed(cube / "zarr.json"),
    "metadata lost": lambda cube: lost(cube / "zarr.json"),
    "dates lost": lambda cube: lost(cube / "sentinel-2/time/c/0"),
    "dates holed": lambda cube: holed(cube / "sentinel-2/time/c/0"),
    "bands lost": lambda cube: lost(cube / "sentinel-2/band/c/0"),
}


def bands_turned(cube: Path) -> None:
    band = zarr.open_group(cube, mode="r+")["sentinel-2"]["band"]
    band[...] = band[...][::-1]


def dates_turned(cube: Path) -> None:
    time = zarr.open_group(cube, mode="r+")["sentinel-2"]["time"]
    time[...] = time[...][::-1]


@pytest.mark.parametrize("name", [*EDITS, "bands", "dates"])
def test_edited_or_lost_metadata_are_refused_at_opening_and_repaired(project: Path, name: str) -> None:
    cube = project / "cube.zarr"
    before = state(cube)
    {**EDITS, "bands": bands_turned, "dates": dates_turned}[name](cube)
    with pytest.raises(CubeError) as caught:
        open_cube(cube)
    assert "`agrifm fetch`" in str(caught.value)
    assert main(["fetch", "--project", str(project)]) == 0
    after = state(cube)
    pixels = [key for key in before if "/values/" in key or "/valid/" in key]
    assert {key: after[key] for key in pixels} == {key: before[key] for key in pixels}
    whole(open_cube(cube))


def test_dates_that_do_not_ascend_are_refused_even_when_listed(project: Path) -> None:
    dates_turned(project / "cube.zarr")
    seal(project / "cube.zarr")
    with pytest.raises(CubeError) as caught:
        open_cube(project / "cube.zarr")
    assert caught.value.facts["path"].name == "time"


@pytest.mark.parametrize("damage", DAMAGES)
def test_fetch_repairs_what_is_damaged_and_only_that(
    project: Path, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    cube = project / "cube.zarr"
    before, provenance = state(cube), open_cube(cube).provenance
    for name in (LOST, "sentinel-2/valid/c/0/0/0"):
        damage(cube / name)
    assert main(["fetch", "--project", str(project)]) == 0
    assert "2 frames; 2 are" in capsys.readouterr().out
    after = state(cube)
    assert {name: content for name, (content, _) in after.items()} == {
        name: content for name, (content, _) in before.items()
    }
    touched = {name.split("/c/")[1][0] for name in before if "/time/" not in name and after[name] != before[name]}
    assert {name for name in touched if name} <= {"0", "2"}
    kept = [name for name in before if "/c/1/" in name or "/c/3/" in name]
    assert kept
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert open_cube(cube).provenance == provenance
    assert main(["fetch", "--project", str(project)]) == 0
    assert "kept" in capsys.readouterr().out
    assert state(cube) == after


def test_a_repair_without_its_scene_names_the_frame_and_leaves_the_cube(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path / "scenes")
    for number in range(2):
        add_scene(catalogue, S2, f"S{number}", at(5, 1 + 5 * number))
    project = write_project(tmp_path / "p", f'catalog = "{saved(catalogue)}"', [S2])
    cube, _ = fetch(read_project(project))
    for image in (tmp_path / "scenes" / "S0").glob("*.tif"):
        image.unlink()
    cube, _ = fetch(read_project(project))  # nothing is damaged, so nothing is needed
    assert "kept" in cube.notes[0]
    lost(cube.path / "sentinel-2/values/c/1/0/0/0")
    fetch(read_project(project))  # from the scene that is there
    whole(open_cube(cube.path))
    lost(cube.path / "sentinel-2/values/c/0/0/0/0")
    before = state(cube.path)
    with pytest.raises(SceneError) as caught:
        fetch(read_project(project))
    assert "sentinel-2 2024-05-01" in str(caught.value)
    assert "2024-05-06" not in str(caught.value)
    assert state(cube.path) == before


def test_a_damaged_resampled_cube_is_repaired(project: Path) -> None:
    cube = open_cube(project / "cube.zarr")
    READERS["resample"](cube)
    path = project / "new.zarr"
    before = state(path)
    lost(path / "sentinel-2/values/c/1/0/0/0")
    with pytest.raises(CubeError):
        whole(open_cube(path))
    READERS["resample"](cube)
    assert {name: content for name, (content, _) in state(path).items()} == {
        name: content for name, (content, _) in before.items()
    }


def without_manifest(cube: Path) -> None:
    """As cubes of earlier versions are."""
    edit("zarr.json", lambda c: [c["attributes"]["agrifm"].pop(key) for key in ("files", "digest", "dates")])(cube)
    (cube / ".agrifm.zarr.json").unlink()


def test_a_cube_of_an_earlier_version_is_read_and_says_what_is_not_guarded(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cube = project / "cube.zarr"
    expected = open_cube(cube).sensors["sentinel-2"].read(Window(0, 0, 96, 96))[0]
    without_manifest(cube)
    opened = open_cube(cube)
    assert (opened.sensors["sentinel-2"].read(Window(0, 0, 96, 96))[0] == expected).all()
    assert main(["cube", "info", str(cube)]) == 0
    assert opened.notes[0] in capsys.readouterr().out


@pytest.mark.parametrize(
    "files", [[LOST], ["sentinel-2/valid/c/2/0/0"], [LOST, "sentinel-2/valid/c/2/0/0"], ["sentinel-2/valid/c/0/0/0"]]
)
def test_what_a_cube_of_an_earlier_version_provably_lost_is_refused_and_fetched_again(
    project: Path, files: list[str]
) -> None:
    cube = project / "cube.zarr"
    before = contents(cube)
    without_manifest(cube)
    for name in files:
        lost(cube / name)
    with pytest.raises(CubeError) as caught:
        open_cube(cube)
    assert caught.value.facts["path"] == cube / files[-1]
    fetch(read_project(project))
    assert contents(cube) == before


def test_a_frame_of_an_earlier_version_without_a_usable_pixel_is_no_loss(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path / "scenes")
    catalogue.add_sentinel_2("clear", at(5, 1))
    catalogue.add_sentinel_2("half", at(5, 6), scl=np.repeat(np.uint8([[9], [4]]), 48, axis=0).repeat(96, axis=1))
    catalogue.add_sentinel_2("clouds", at(5, 11), scl=np.full((96, 96), 9, np.uint8))
    search = search_catalog(catalogue.save(), [find_product("sentinel-2-c1-l2a")], SEASON, AREA)
    cube = build_cube(tmp_path / "cube.zarr", search, SEASON, AREA)
    without_manifest(cube.path)
    (cube.path / "sentinel-2" / "values" / "c" / "7" / "0" / "0").mkdir(parents=True)  # of an append that was stopped
    (cube.path / "sentinel-2" / "values" / "c" / "7" / "0" / "0" / "0").write_bytes(b"")
    valid = open_cube(cube.path).sensors["sentinel-2"].group["valid"][:]
    assert [int(frame.sum()) for frame in valid] == [96 * 96, 48 * 96, 0]


def test_a_replaced_image_is_one_new_frame(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same name, size and times: only the content tells."""
    catalogue = Catalogue(tmp_path / "scenes")
    for number in range(3):
        add_scene(catalogue, S2, f"S{number}", at(5, 1 + 5 * number))
    project = write_project(tmp_path / "p", f'catalog = "{saved(catalogue)}"', [S2])
    fetch(read_project(project))
    before = state(project / "cube.zarr")
    image = next((tmp_path / "scenes" / "S1").glob("*B04*"))
    times = (image.stat().st_atime_ns, image.stat().st_mtime_ns)
    with rasterio.open(image, "r+") as file:
        numbers = file.read(1)
        file.write(numbers[::-1].copy(), 1)
    os.utime(image, ns=times)
    assert image.stat().st_mtime_ns == times[1]
    capsys.readouterr()
    assert main(["fetch", "--project", str(project)]) == 0
    assert "1 frames; 2 are" in capsys.readouterr().out
    after = state(project / "cube.zarr")
    changed = {name for name in before if after[name] != before[name] and "/time/" not in name}
    assert {name.split("/c/")[1].split("/")[0] for name in changed if "/values/" in name} == {"1"}
    found = zarr.open_group(project / "cube.zarr", mode="r")["sentinel-2"]["values"][1, 2]
    assert (found == numbers[::-1].astype(int) - 1000).all()


def test_an_image_replaced_while_the_fetch_is_stopped_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = Catalogue(tmp_path / "scenes")
    for number in range(3):
        catalogue.add_sentinel_2(f"S{number}", at(5, 1 + 5 * number))
    search = search_catalog(catalogue.save(), [find_product("sentinel-2-c1-l2a")], SEASON, AREA)
    from agrifm.cube import build, failures

    write, written = failures.write_frame_tile, []

    def stopping(tile: Any) -> Any:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(tile.frame.index)
        return write(tile)

    monkeypatch.setattr(build, "THREADS", 1)
    monkeypatch.setattr(failures, "write_frame_tile", stopping)
    with pytest.raises(KeyboardInterrupt):
        build_cube(tmp_path / "cube.zarr", search, SEASON, AREA)
    red = Path(search.scenes[0].assets["red"].path)
    write_tiff(red, (reflectance(10, 96)[2] + 1234).astype(np.uint16))
    monkeypatch.setattr(failures, "write_frame_tile", lambda tile: written.append(tile.frame.index) or write(tile))
    cube = build_cube(tmp_path / "cube.zarr", search, SEASON, AREA)
    assert written == [0, 1, 0, 2]
    assert (cube.sensors["sentinel-2"].group["values"][0, 2] == reflectance(10, 96)[2] + 234).all()


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    "name",
    [
        "cube.zarr.partial.journal",
        "cube.zarr.partial/zarr.json",
        "cube.zarr.partial/sentinel-2/values/zarr.json",
        "cube.zarr.partial/sentinel-2/time/c/0",
        "cube.zarr.partial/sentinel-2/values/c/1/0/0/0",
        "cube.zarr.partial/sentinel-2/valid/c/0/0/0",
    ],
)
def test_damaged_leftovers_of_a_fetch_are_written_again(
    project: Path, monkeypatch: pytest.MonkeyPatch, name: str, damage: Callable[[Path], None]
) -> None:
    before = state(project / "cube.zarr")
    shutil.rmtree(project / "cube.zarr")
    with monkeypatch.context() as patch:
        patch.setattr("agrifm.work.finish_directory", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            fetch(read_project(project))
    damage(project / name)
    fetch(read_project(project))
    after = state(project / "cube.zarr")
    assert {name: content for name, (content, _) in after.items()} == {
        name: content for name, (content, _) in before.items()
    }
    whole(open_cube(project / "cube.zarr"))


def test_a_record_with_other_statistics_than_bands_is_refused(project: Path) -> None:
    content = open_cube(project / "cube.zarr").inputs["sentinel-2"].model_dump()
    bands = len(content["bands"])
    SensorRecord(**content, mean=(0.1,) * bands, std=(0.1,) * bands)
    for mean, std in (((0.1,), (0.1,) * bands), ((0.1,) * bands, (0.1,)), ((0.1,) * bands, (float("nan"),) * bands)):
        with pytest.raises(ValidationError):
            SensorRecord(**content, mean=mean, std=std)
