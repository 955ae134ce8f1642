"""The plan of a divided area: the sum of its tiles, or an estimate from some of them."""

import json
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
from tests.cube.tiled import catalogue_around, tiled_project
from tests.plan.test_make_plan import fake

from agrifm.config import Project
from agrifm.cube.project_tiles import project_tiles
from agrifm.errors import SceneError
from agrifm.plan import measured_costs, tile_plan
from agrifm.plan.make_plan import plan_project
from agrifm.plan.tile_plan import plan_tiles
from agrifm.status import status

EDGES = (5.985, 48.985, 6.015, 49.015)
"""2.2 x 3.3 km over two zones: some tiles with sides of 1.92 km."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    directory = tmp_path_factory.mktemp("tiles")
    catalogue_around(directory, 6.0, 49.0, "EPSG:32631").save()
    return tiled_project(directory, EDGES, "2")


@pytest.fixture(autouse=True)
def _round_costs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(measured_costs, "own_process", fake)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_a_plan_of_all_tiles_is_their_sum(project: Project) -> None:
    tiles = project_tiles(project)[0]
    assert 3 < len(tiles) <= tile_plan.PLANNED  # all of them are looked at
    plan, alone = plan_project(project), [plan_project(project.of_tile(tile)) for tile in tiles]
    for number, step in enumerate(plan.steps):
        parts = [one.steps[number] for one in alone]
        assert step.disk_bytes == pytest.approx(sum(part.disk_bytes for part in parts), abs=len(tiles))
        assert step.memory_bytes == max(part.memory_bytes for part in parts)
        working = sum(part.core_seconds - part.start_seconds for part in parts)
        assert step.core_seconds == pytest.approx(working + max(part.start_seconds for part in parts))
    assert plan.hectares == pytest.approx(sum(one.hectares for one in alone), abs=1)
    assert [step.name for step in plan.steps] == ["fetch", "map"]


def test_all_tiles_are_estimated_from_some(project: Project) -> None:
    """The plan of every tile is the reference; two of the tiles are looked at, one in each zone."""
    every = plan_project(project)
    with patch.object(tile_plan, "PLANNED", 2):
        some = plan_project(project)
    for estimated, known in zip(some.steps, every.steps, strict=True):
        assert estimated.disk_bytes == pytest.approx(known.disk_bytes, rel=0.35)
        assert estimated.core_seconds == pytest.approx(known.core_seconds, rel=0.35)
    assert some.hectares == every.hectares
    assert some.sensors[0].opened < every.sensors[0].opened


def test_status_says_how_long_tiles_will_take(project: Project) -> None:
    found = json.loads(status(project.directory, json=True, forecast=plan_project)[0])["project"]
    seconds = {step.name: step.seconds for step in plan_project(project).steps}
    assert found["seconds"] == {name: pytest.approx(value, abs=0.1) for name, value in seconds.items()}


def test_a_tile_without_scenes_costs_nothing_and_is_counted(project: Project) -> None:
    tiles = project_tiles(project)[0]
    whole, asked = plan_project(project), []

    def failing(one: Project):
        asked.append(one.tile)
        if len(asked) == 1:
            raise SceneError("nothing was found")
        return replace(plan_project(one), notes=("the units",))

    plan = plan_tiles(project, failing)
    assert asked == list(tiles)
    assert plan.steps[0].disk_bytes < whole.steps[0].disk_bytes
    assert any(f"{len(tiles)} of {len(tiles)}" in note and "1 of them" in note for note in plan.notes)
    with pytest.raises(SceneError), patch("agrifm.plan.make_plan.find_scenes", side_effect=SceneError("none")):
        plan_project(project)
