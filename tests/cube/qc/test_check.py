"""Faults planted in a small season of known physics: each is found and named, and clean cubes pass."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from tests.cube.small_season import STEP, group_of, small_season
from tests.scenes import make_cube

from agrifm.cli import main
from agrifm.cube.qc.check import check_cube
from agrifm.cube.resample import resample_cube, resampler
from agrifm.cube.store import open_cube
from agrifm.errors import CubeError
from agrifm.grid import Window


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("season") / "cube.zarr"
    small_season(path)
    return path


def test_a_clean_cube_passes_with_code_0_and_a_note_on_what_was_read(
    clean: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cube", "check", str(clean.parent)]) == 0
    said = capsys.readouterr().out
    assert "sentinel-2, landsat" in said
    assert "100%" in said


def swap(one: int, other: int) -> Callable[[Path], None]:
    def plant(path: Path) -> None:
        values = group_of(path, "sentinel-2")["values"]
        stored = values[...]
        stored[:, [one, other]] = stored[:, [other, one]]
        values[...] = stored

    return plant


def add(amount: int, frames: slice = slice(None), sensor: str = "sentinel-2") -> Callable[[Path], None]:
    def plant(path: Path) -> None:
        values = group_of(path, sensor)["values"]
        values[frames] = values[frames] + amount

    return plant


def scale(factor: float, sensor: str) -> Callable[[Path], None]:
    def plant(path: Path) -> None:
        values = group_of(path, sensor)["values"]
        values[...] = np.rint(values[...] * factor)

    return plant


def roll(pixels: int, frames: slice, sensor: str) -> Callable[[Path], None]:
    def plant(path: Path) -> None:
        values = group_of(path, sensor)["values"]
        values[frames] = np.roll(values[frames], pixels, axis=-1)

    return plant


def move_dates(path: Path) -> None:
    """By 30 days, in the provenance too; none leaves the season."""
    root = zarr.open_group(path, mode="r+")
    time = root["landsat"]["time"]
    time[...] = time[...] + 30
    about = dict(root.attrs["agrifm"])
    for frame, day in zip(about["provenance"]["sensors"]["landsat"]["frames"], time[...], strict=True):
        frame["day"] = str(np.datetime64(int(day), "D"))
    root.attrs["agrifm"] = about


def empty(path: Path) -> None:
    """The files are there, and all of their pixels are not valid; files that were lost would be refused."""
    with zarr.config.set({"array.write_empty_chunks": True}):
        group_of(path, "sentinel-2")["valid"][4:7] = False


def fill_as_data(path: Path) -> None:
    """Digital number 0 times 0.0001 less 0.1, marked usable."""
    values = group_of(path, "sentinel-2")["values"]
    frame = values[5]
    frame[:, 20:40, 20:40] = -1000
    values[5] = frame


def in_decibel(path: Path) -> None:
    values = group_of(path, "landsat")["values"]
    values[3] = np.rint(10 * np.log10(np.maximum(values[3] * 1e-4, 1e-3)) * 1e3)


def call_it_index(path: Path) -> None:
    group_of(path, "landsat")["values"].attrs["quantity"] = "index"


def cut_a_file(path: Path) -> None:
    file = path / "sentinel-2" / "values" / "c" / "3" / "0" / "0" / "0"
    file.write_bytes(file.read_bytes()[:-200])


FAULTS = {
    "bands 3 and 4 swapped": (swap(1, 2), "swapped bands", "B03 and B04"),
    "bands 8 and 8A swapped": (swap(6, 7), "swapped bands", "B08 and B8A"),
    "missing offset": (add(1000), "missing offset", "sentinel-2"),
    "doubled offset": (add(-1000), "doubled offset", "sentinel-2"),
    "missing offset in two frames": (add(1000, slice(6, 8)), "missing offset", "2 of 19 frames"),
    "half the scale": (scale(0.5, "landsat"), "wrong scale", "landsat"),
    "a frame one pixel off": (roll(1, slice(8, 9), "sentinel-2"), "shifted grid", "1 of"),
    "a sensor one pixel off": (roll(1, slice(None), "landsat"), "shifted grid", "sentinel-2 or landsat"),
    "dates off": (move_dates, "wrong dates", "sentinel-2 or landsat"),
    "all-invalid frames": (empty, "all-invalid frames", "3 of 19 frames"),
    "nodata stored as data": (fill_as_data, "nodata stored as data", "1 of 19 frames"),
    "a frame in decibel": (in_decibel, "mixed quantities", "1 of 10 frames"),
    "another quantity": (call_it_index, "mixed quantities", "landsat"),
    "damaged chunk": (cut_a_file, "damaged chunk", "sentinel-2/values/c/3/0/0/0"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_and_named(fault: str, clean: Path, tmp_path: Path) -> None:
    plant, kind, where = FAULTS[fault]
    path = tmp_path / "cube.zarr"
    shutil.copytree(clean, path)
    plant(path)
    report = check_cube(open_cube(path))
    assert kind in report.kinds, report
    assert any(where in str(finding) for finding in report.findings if finding.kind == kind), report.findings


@pytest.mark.parametrize(
    ("file", "place"),
    [
        ("sentinel-2/values/c/3/0/0/0", 0.3),
        ("sentinel-2/values/c/11/0/0/0", 0.7),
        ("sentinel-2/valid/c/5/0/0", 0.01),
        ("landsat/values/c/0/0/0/0", 0.5),
        ("landsat/x/c/0", 0.5),
    ],
)
def test_one_changed_bit_is_found_and_not_read(
    file: str, place: float, clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bit of a chunk's bytes, wherever it lies: what decompresses all the same has another checksum."""
    path = tmp_path / "cube.zarr"
    shutil.copytree(clean, path)
    flip(path / file, place)
    report = check_cube(open_cube(path))
    assert [(finding.kind, finding.where) for finding in report.findings] == [("damaged chunk", file.split("/c/0")[0]
                                                                               if "/x/" in file else file)]  # fmt: skip
    sensor, array = file.split("/")[:2]
    opened = open_cube(path).sensors[sensor]
    if array != "x":
        with pytest.raises(CubeError) as caught:
            opened.read(Window(0, 0, *opened.grid.shape))
        assert caught.value.facts["path"] == path / file
    assert main(["cube", "check", str(path)]) == 2
    assert "Traceback" not in capsys.readouterr().err


def flip(file: Path, place: float) -> None:
    """One bit of the written chunks; the shard's index behind them has a checksum by itself."""
    data = bytearray(file.read_bytes())
    data[int(place * len(data))] ^= 4
    file.write_bytes(data)


def test_changed_dates_are_refused_in_a_sentence(clean: Path, tmp_path: Path) -> None:
    path = tmp_path / "cube.zarr"
    shutil.copytree(clean, path)
    flip(path / "sentinel-2" / "time" / "c" / "0", 0.5)
    with pytest.raises(CubeError, match="checksum"):
        open_cube(path)


def test_a_cube_written_without_checksums_is_read(clean: Path, tmp_path: Path) -> None:
    """As cubes were written first: the same numbers, chunks that end without a checksum."""
    path = tmp_path / "cube.zarr"
    shutil.copytree(clean, path)
    group = group_of(path, "landsat")
    stored, about = group["values"][...], dict(group["values"].attrs)
    plain = group.create_array(
        "values", shape=stored.shape, dtype="int16", chunks=(1, stored.shape[1], 96, 96), fill_value=-32768,
        dimension_names=("time", "band", "y", "x"), overwrite=True,
    )  # fmt: skip
    plain[...] = stored
    plain.attrs.update(about)
    assert "crc32c" not in (path / "landsat" / "values" / "zarr.json").read_text()
    assert check_cube(open_cube(path)).findings == ()


def test_a_fault_ends_with_code_2_and_one_line_each(
    clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cube.zarr"
    shutil.copytree(clean, path)
    cut_a_file(path)
    assert main(["cube", "check", str(path)]) == 2
    said = capsys.readouterr().err
    assert [line.split(":")[0] for line in said.splitlines()[1:]] == ["- sentinel-2/values/c/3/0/0/0"]
    assert "Traceback" not in said


def test_positions_without_texture_are_noted_as_not_assessed(tmp_path: Path) -> None:
    """Random numbers in two bands."""
    report = check_cube(make_cube(tmp_path / "cube.zarr"))
    assert any("not assessed" in note for note in report.notes)


@pytest.mark.parametrize(
    "other", [pytest.param("hls-s30", marks=pytest.mark.check), "landsat"], ids=["one instrument", "the same days"]
)
def test_sensors_of_the_same_acquisitions_do_not_confirm_each_other(
    other: str, clean: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STEP, "landsat", 20)
    report = check_cube(small_season(tmp_path / "cube.zarr", ("sentinel-2", other)))
    assert report.findings == ()
    assert any("same acquisitions" in note and other in note for note in report.notes)
    assert any("alone" in note for note in report.notes)
    assert not any("acquisitions" in note or "alone" in note for note in check_cube(open_cube(clean)).notes)


@pytest.mark.parametrize("method", ["median", pytest.param("linear", marks=pytest.mark.check)])
def test_a_clean_cube_stays_clean_when_it_is_resampled(clean: Path, tmp_path: Path, method: Any) -> None:
    """Its frames begin on other days and its values are outside of no product's range."""
    cube = open_cube(clean)
    of = {name: resampler(method, sensor, cube.season, 12) for name, sensor in cube.sensors.items()}
    assert check_cube(resample_cube(cube, tmp_path / "new.zarr", of)).findings == ()
