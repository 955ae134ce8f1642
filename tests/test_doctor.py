"""`agrifm doctor`: machines and projects with one fault each, that is named; others are fine."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from agrifm import doctor as examined
from agrifm.doctor import Examination, doctor, examinations
from agrifm.errors import ConfigError
from agrifm.init import init
from agrifm.installed_packages import Extra


@pytest.fixture(autouse=True)
def packages(monkeypatch: pytest.MonkeyPatch) -> list[Extra]:
    """Imports of all packages take seconds, and are tested with `look_at_packages`."""
    found = [Extra("", {"numpy": "2.4"}, ()), Extra("deep", {"torch": "2.6"}, ()), Extra("dev", {"mypy": None}, ())]
    monkeypatch.setattr(examined, "look_at_packages", lambda: (found, None))
    monkeypatch.setattr(examined, "free_memory", lambda: 8_000_000_000)
    monkeypatch.setattr(examined, "LEAST_DISK", 0)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    return found


@pytest.fixture
def server() -> Iterator[tuple[str, list[int]]]:
    """A catalogue, and the status with which it answers."""
    status = [200]

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status[0])
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Answer) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{found.server_port}/stac", status
        found.shutdown()
        thread.join()


def of(path: Path) -> dict[str, Examination]:
    return {one.subject: one for one in examinations(path)}


def project(directory: Path, catalog: str) -> Path:
    init(directory)
    file = directory / "agrifm.toml"
    file.write_text(
        "[season]\narea = [4.0, 51.0, 4.1, 51.1]\nstart = 2024-03-01\nend = 2024-10-01\n"
        f'[imagery]\ncatalog = "{catalog}"\n'
        'products = ["sentinel-2-c1-l2a"]\n[labels]\nfile = "fields.gpkg"\n'
    )
    return file


def test_a_machine_that_can_do_the_work_has_no_fault(tmp_path: Path) -> None:
    shown: list[str] = []
    doctor(tmp_path, shown.append)
    found = of(tmp_path)
    assert {one.state for one in found.values()} <= {"fine", "note"}
    assert found["project"].state == "note"
    assert "extra dev" not in found
    assert shown[0].splitlines() == [str(one) for one in found.values()]
    assert list(tmp_path.iterdir()) == []


def test_faults_are_shown_before_they_are_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(examined, "free_memory", lambda: 1_000_000_000)
    shown: list[str] = []
    with pytest.raises(ConfigError) as error:
        doctor(tmp_path, shown.append, json=True)
    assert error.value.facts["faults"] == ["memory"]
    states = {one["subject"]: one["state"] for one in json.loads(shown[0])}
    assert states["memory"] == "fault"
    assert states["writing"] == "fine"


@pytest.mark.parametrize(
    ("extra", "state"),
    [
        (Extra("", {"zarr": None}, ()), "fault"),
        (Extra("deep", {"torch": None}, ()), "note"),
        (Extra("deep", {"torch": "1.0"}, ("torch 1.0 is installed, and agrifm needs >=2.6",)), "fault"),
        (Extra("deep", {"torch": "2.6", "lightning": None}, ("torch cannot be imported (OSError)",)), "fault"),
    ],
    ids=["core missing", "extra missing", "too old", "broken"],
)
def test_packages_that_are_missing_old_or_broken(
    extra: Extra, state: str, packages: list[Extra], tmp_path: Path
) -> None:
    packages[:] = [extra]
    found = of(tmp_path)[f"extra {extra.name}" if extra.name else "packages"]
    assert found.state == state
    assert "pip install" in found.said


def test_another_program_s_definitions_of_projections_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("DATABASE.LAYOUT.VERSION.MINOR = 2")

    monkeypatch.setattr("pyproj.Transformer.from_crs", broken)
    monkeypatch.setenv("PROJ_LIB", "/usr/share/postgis/proj")
    found = of(tmp_path)["projections"]
    assert found.state == "fault"
    assert "PROJ_LIB" in found.said


def test_a_directory_without_the_right_to_write_is_a_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr("tempfile.TemporaryDirectory", refused)
    assert of(tmp_path)["writing"].state == "fault"


def test_few_threads_and_little_disk_are_notes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(examined, "LEAST_DISK", 1e30)
    found = of(tmp_path)
    assert (found["processor"].state, found["disk"].state) == ("note", "note")


@pytest.mark.parametrize(("status", "state"), [(200, "fine"), (401, "fine"), (404, "fault"), (503, "fault")])
def test_the_catalogue_of_a_project_is_asked(
    status: int, state: str, server: tuple[str, list[int]], tmp_path: Path
) -> None:
    address, answer = server
    answer[0] = status
    assert of(project(tmp_path, address))["catalogue"].state == state


def test_a_catalogue_that_does_not_answer_is_a_fault_without_its_password(tmp_path: Path) -> None:
    found = of(project(tmp_path, "http://name:secret@127.0.0.1:9/stac"))["catalogue"]
    assert found.state == "fault"
    assert "secret" not in found.said


def test_files_that_a_project_names_are_looked_for(tmp_path: Path) -> None:
    found = of(project(tmp_path, "scenes/catalog.json"))
    assert found["catalogue"].state == "fault"
    assert found["labels"].state == "fault"
    (tmp_path / "scenes").mkdir()
    (tmp_path / "scenes" / "catalog.json").touch()
    (tmp_path / "fields.gpkg").touch()
    found = of(tmp_path)
    assert found["catalogue"].state == "fine"
    assert "labels" not in found


def test_a_damaged_project_file_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "agrifm.toml").write_text("[seasn]")
    assert of(tmp_path)["project"].state == "fault"
