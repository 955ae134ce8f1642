"""`agrifm status`: what is done and what is next, for a project at every step and without one."""

import json
from pathlib import Path

import pytest

from agrifm.config import Project
from agrifm.errors import ConfigError, SceneError
from agrifm.files import MARKER
from agrifm.init import init
from agrifm.plan.make_plan import plan_project
from agrifm.plan.project_plan import ProjectPlan
from agrifm.plan.remaining_time import RemainingTime
from agrifm.scene.providers import PROVIDERS
from agrifm.status import Forecast, status
from tests.toy import toy_project


def lines(path: Path, forecast: Forecast | None = None) -> dict[str, str]:
    return dict(line.partition(": ")[::2] for line in status(path, forecast=forecast))


def test_without_a_project_the_machine_is_described(tmp_path: Path) -> None:
    found = lines(tmp_path)
    assert found["project"] == f"none at {tmp_path / 'agrifm.toml'}; `agrifm init DIR` writes one"
    assert found["versions"].startswith("python 3.")
    assert "agrifm 0" in found["versions"]
    assert "cores" in found["processor"]
    assert all(f"credentials of {name}" in found for name in PROVIDERS)


def test_each_step_that_is_done_makes_another_one_the_next(tmp_path: Path) -> None:
    init(tmp_path)
    assert (lines(tmp_path)["fetch"], lines(tmp_path)["next"]) == ("not done", "`agrifm fetch`")
    (tmp_path / "cube.zarr.partial").mkdir()
    assert lines(tmp_path)["fetch"].startswith("started")
    for command, following, made in (
        ("fetch", "train", Path("cube.zarr", MARKER)),
        ("train", "map", Path("models", "scores.json")),
        ("map", "assess design`, then `agrifm assess", Path("map", "classes.tif")),
    ):
        (tmp_path / made).parent.mkdir()
        (tmp_path / made).touch()
        found = lines(tmp_path / "agrifm.toml")
        assert found[command].startswith("done")
        assert found["next"] == f"`agrifm {following}`"


def test_the_time_of_each_step_that_is_not_done_is_stated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = RemainingTime({"train": 780.0, "map": 40.0}, {"train": 0.0, "map": 0.25}, "costs of before")

    def remaining(project: Project, steps: list[str], forecast: object) -> RemainingTime:
        assert (steps, forecast) == (["train", "map"], plan_project)
        return times

    monkeypatch.setattr("agrifm.status.remaining_time", remaining)
    project = toy_project(tmp_path / "p")
    (project.cube / MARKER).touch()
    found = lines(project.directory, plan_project)
    assert found["train"] == "not done, about 13 min"
    assert found["map"].endswith("about 40 s for the rest (25 % is kept)")
    assert found["next"] == "`agrifm train`, about 13 min"
    assert found["time"] == "about 14 min in all; costs of before"
    stated = json.loads(status(project.directory, True, plan_project)[0])["project"]
    assert (stated["seconds"], stated["next"]) == ({"train": 780.0, "map": 40.0}, "train")


def test_a_time_that_cannot_be_forecast_is_not_known(tmp_path: Path) -> None:
    def unanswered(project: Project) -> ProjectPlan:
        raise SceneError("planning: the catalogue does not answer")

    project = toy_project(tmp_path / "p")
    assert lines(project.directory, unanswered)["time"].startswith("not known: ")
    assert json.loads(status(project.directory, True, unanswered)[0])["project"]["seconds"] == {}


@pytest.mark.parametrize("source", ['provider = "earth-search"', 'catalog = "https://stac.example.org/v1"'])
def test_no_server_is_asked_for_scenes(tmp_path: Path, source: str) -> None:
    def asked(project: Project) -> ProjectPlan:
        raise AssertionError("the forecast searches for scenes")

    init(tmp_path)
    (tmp_path / "agrifm.toml").write_text(
        f"[season]\narea = [6, 49, 6.1, 49.1]\nstart = 2024-03-01\nend = 2024-10-31\n[imagery]\n{source}\n"
        'products = ["sentinel-2-c1-l2a"]\n[labels]\nfile = "labels.gpkg"\n'
    )
    assert "agrifm plan" in lines(tmp_path, asked)["time"]


def test_a_damaged_project_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "agrifm.toml").write_text("[seasn]")
    with pytest.raises(ConfigError, match="unknown key 'seasn'"):
        status(tmp_path)
