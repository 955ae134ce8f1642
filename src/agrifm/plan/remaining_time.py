"""How long the steps of a project that are not done will take: a forecast, less what a stopped run has kept."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from agrifm.area_tiles import LISTED, read_tile_list
from agrifm.config import Project
from agrifm.cube.project_scenes import SCENES
from agrifm.files import MARKER
from agrifm.outputs import unfinished
from agrifm.plan.forecast import StepForecast
from agrifm.plan.project_plan import ProjectPlan
from agrifm.record import model_file, seed_names


@dataclass(frozen=True)
class RemainingTime:
    """Seconds of some steps, and what they rest on."""

    seconds: dict[str, float]
    """By step; a step that the plan does not forecast is absent."""
    kept: dict[str, float]
    """Share of each step that a stopped run has kept, 0..1."""
    rests_on: str
    """Where the unit costs come from."""


def remaining_time(
    project: Project, steps: Collection[str], forecast: Callable[[Project], ProjectPlan]
) -> RemainingTime:
    """Forecast some steps of a project; writes nothing into the project.

    Scenes of a finished cube are those that its fetch found, so that no server is asked for them again.

    Args:
        steps: names of the steps that are not done.
        forecast: `agrifm.plan.make_plan.plan_project`.

    Raises:
        ConfigError, SceneError, CubeError, LabelError, MapError: as of `forecast`.
    """
    plan = forecast(_of_found_scenes(project))
    forecasts = {step.name: step for step in plan.steps if step.name in steps}
    kept = {name: _kept_share(project, step) for name, step in forecasts.items()}
    seconds = {name: round(step.seconds * (1 - kept[name]), 1) for name, step in forecasts.items()}
    return RemainingTime(seconds, kept, plan.notes[-1])


def _of_found_scenes(project: Project) -> Project:
    """The project, once its cube is finished with the answer that is next to the cube as its catalogue."""
    if project.season.tiles is not None:
        return project
    found = project.results / SCENES
    if not ((project.observed_cube / MARKER).exists() and found.exists()):
        return project
    imagery = project.imagery.model_copy(update={"catalog": str(found), "provider": None})
    return project.model_copy(update={"imagery": imagery})


def _kept_share(project: Project, step: StepForecast) -> float:
    """The share of a step that a stopped run has kept; the piece in work counts as not begun."""
    if project.season.tiles is not None:
        return _kept_tiles(project) if step.name == "map" else 0.0
    if step.name == "train":
        staging, done = unfinished(project.models), 0.0
        for name, seconds in step.model_seconds.items():
            stems = seed_names(name, project.training.seeds)
            done += seconds * sum(model_file(staging, stem).exists() for stem in stems) / len(stems)
        return min(done / step.seconds, 1.0)
    if not step.pieces:
        return 0.0
    if step.name == "map":
        return min(sum(1 for _ in unfinished(project.maps).glob("windows/*.npz")) / step.pieces, 1.0)
    journal = unfinished(project.observed_cube)
    journal = journal.with_name(f"{journal.name}.journal")
    # its first line says what the work is about
    lines = journal.read_bytes().count(b"\n") - 1 if journal.exists() else 0
    return min(max(lines, 0) / step.pieces, 1.0)


def _kept_tiles(project: Project) -> float:
    """The share of the tiles of a divided area that have a map; what their cubes hold is in the forecast."""
    listed = project.path("tiles") / LISTED
    tiles = read_tile_list(listed) if listed.exists() else ()
    return sum((project.of_tile(tile).maps / MARKER).exists() for tile in tiles) / max(len(tiles), 1)
