"""`agrifm status`: which steps of the project are done, what is next and how long it takes; versions, credentials."""

import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agrifm.area_tiles import LISTED, read_tile_list
from agrifm.config import PROJECT_FILE, Project, read_project
from agrifm.errors import AgriFMError
from agrifm.files import MARKER, AnyPath, as_json, as_path
from agrifm.outputs import unfinished
from agrifm.plan.plan_lines import time_words
from agrifm.plan.project_plan import ProjectPlan
from agrifm.plan.remaining_time import remaining_time
from agrifm.record import NUMBERS, running_versions
from agrifm.scene.access import credentials_present
from agrifm.scene.providers import PROVIDERS

Forecast = Callable[[Project], ProjectPlan]
LIBRARIES = ("rasterio", "zarr", "xarray", "pystac", "torch", "lightning")


def status(path: AnyPath, json: bool = False, forecast: Forecast | None = None) -> list[str]:
    """Describe the progress of a project and this machine, line by line, without any secret.

    Args:
        path: agrifm.toml or its directory; if it does not exist, only the machine is described.
        json: one JSON text instead of lines.
        forecast: `agrifm.plan.make_plan.plan_project`, to say how long the steps that are not done will take, unless
            servers would have to be asked for scenes. Without it no time is stated.

    Raises:
        ConfigError: the project file cannot be read.
    """
    path = as_path(path)
    file = path / PROJECT_FILE if path.is_dir() else path
    project = read_project(path) if file.exists() else None
    content = {
        "project": None if project is None else _with_times(_progress(project), project, forecast),
        "versions": running_versions(*LIBRARIES),
        "processor": _processor(),
        "credentials": {one.name: credentials_present(one) for one in PROVIDERS.values()},
    }
    return [as_json(content).rstrip()] if json else _lines(content, file)


def _progress(project: Project) -> dict[str, Any]:
    """Each step as done, started or not done, and the first that is not done as the next."""
    if project.season.tiles is not None:
        return _progress_of_tiles(project)
    steps = {
        "fetch": (project.cube / MARKER, _begun_cube(project)),
        "train": (project.models / "scores.json", unfinished(project.models)),
        "map": (project.maps / _main_raster(project), unfinished(project.maps)),
    }
    if project.parcels is not None:
        steps["parcels"] = (project.parcel_crops / "summary.json", unfinished(project.parcel_crops))
    states = {
        command: "done" if done.exists() else "started" if begun.exists() else "not done"
        for command, (done, begun) in steps.items()
    }
    return _stated(project, states, {command: done.parent.name for command, (done, _) in steps.items()})


def _with_times(progress: dict[str, Any], project: Project, forecast: Forecast | None) -> dict[str, Any]:
    """The progress with the seconds that each step which is not done will take, and what these rest on."""
    steps = [command for command, state in progress["steps"].items() if state != "done"]
    found: dict[str, Any] = {"seconds": {}, "kept": {}, "time": None}
    if "fetch" in steps and _is_on_servers(project):
        found["time"] = "not known before `agrifm plan`, which asks the server for the scenes"
    elif steps and forecast is not None:
        try:
            times = remaining_time(project, steps, forecast)
            found = {"seconds": times.seconds, "kept": times.kept, "time": times.rests_on}
        except AgriFMError as error:
            found["time"] = f"not known: {error}"
    return {**progress, **found}


def _is_on_servers(project: Project) -> bool:
    """Whether the scenes of a project are searched on a server, which this command does not ask."""
    return project.imagery.provider is not None or (project.imagery.catalog or "").startswith(("http:", "https:"))


def _stated(project: Project, states: dict[str, str], results: dict[str, str]) -> dict[str, Any]:
    """What is said of a project whose steps have these states and results."""
    season = project.season.season
    return {
        "directory": str(project.directory.resolve()),
        "season": [str(season.start), str(season.end)],
        "of_numbers": project.model.task in NUMBERS,
        "steps": states,
        "results": results,
        "next": next((command for command, state in states.items() if state != "done"), None),
    }


def _progress_of_tiles(project: Project) -> dict[str, Any]:
    """The same of a divided area, with the number of its tiles that are done."""
    listed = project.path("tiles") / LISTED
    tiles = [project.of_tile(tile) for tile in read_tile_list(listed)] if listed.exists() else []
    counts = {
        "fetch": sum(one.is_fetched for one in tiles),
        "map": sum((one.maps / _main_raster(project)).exists() for one in tiles),
    }
    states = {
        "fetch": _state(counts["fetch"], len(tiles), begun=bool(tiles)),
        "train": "done" if (project.models / "scores.json").exists() else "not done",
        "map": _state(counts["map"], len(tiles), begun=counts["map"] > 0),
    }
    of_tiles = {command: f"{done} of {len(tiles)} tiles" for command, done in counts.items()}
    return {
        **_stated(project, states, {**of_tiles, "train": project.models.name}),
        "tiles": {"listed": len(tiles), **counts},
    }


def _state(done: int, tiles: int, begun: bool) -> str:
    """The state of a step of which so many tiles are done."""
    if tiles and done == tiles:
        return "done"
    return "started" if begun else "not done"


def _lines(content: dict[str, Any], file: Path) -> list[str]:
    project = content["project"]
    if project is None:
        lines = [f"project: none at {file}; `agrifm init DIR` writes one"]
    else:
        (begin, end), results = project["season"], project["results"]
        said = {"started": "started; run it again to continue", "not done": "not done"}
        lines = [f"project: {project['directory']}, {begin} to {end}"]
        for command, state in project["steps"].items():
            of_tiles = f", {results[command]}" if "tiles" in project and command != "train" else ""
            takes = f", {_about(project, command)}" if command in project["seconds"] else ""
            lines.append(
                f"{command}: {said[state] + of_tiles + takes if state in said else f'done ({results[command]})'}"
            )
        if project["time"] is not None:
            together = f"about {time_words(sum(project['seconds'].values()))} in all; " if project["seconds"] else ""
            lines.append(f"time: {together}{project['time']}")
        following = project["next"] or ("assess" if project["of_numbers"] else "assess design`, then `agrifm assess")
        soon = f", about {time_words(project['seconds'][following])}" if following in project["seconds"] else ""
        lines.append(f"next: `agrifm {following}`{soon}")
    versions = ", ".join(f"{name} {version}" for name, version in content["versions"].items())
    lines += [f"versions: {versions}", f"processor: {content['processor']}"]
    for name, found in content["credentials"].items():
        known = ", ".join(f"{scheme} {state}" for scheme, state in found.items()) or "not needed"
        lines.append(f"credentials of {name}: {known}")
    return lines


def _about(project: dict[str, Any], command: str) -> str:
    """How long a step takes, in words."""
    kept = project["kept"][command]
    rest = f" for the rest ({100 * kept:.0f} % is kept)" if kept else ""
    return f"about {time_words(project['seconds'][command])}{rest}"


def _main_raster(project: Project) -> str:
    return NUMBERS.get(project.model.task, "classes.tif")


def _begun_cube(project: Project) -> Path:
    """What exists while `agrifm fetch` is not done: the unfinished cube, or the one that is to be resampled."""
    partial = unfinished(project.observed_cube)
    is_resampled = project.cube != project.observed_cube
    return project.observed_cube if is_resampled and project.observed_cube.exists() else partial


def _processor() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else None
    found = f"{platform.machine()}, {os.cpu_count()} cores"
    return found if memory is None else f"{found}, {memory:.0f} GiB of memory"
