"""`agrifm status`: which steps of the project are done and what is next; versions, processor, credentials present."""

import os
import platform
from pathlib import Path

from agrifm.config import PROJECT_FILE, Project, read_project
from agrifm.files import MARKER, AnyPath, as_path
from agrifm.outputs import unfinished
from agrifm.record import running_versions
from agrifm.scene.access import credentials_present
from agrifm.scene.providers import PROVIDERS

LIBRARIES = ("rasterio", "zarr", "xarray", "pystac", "torch", "lightning")


def status(path: AnyPath) -> list[str]:
    """Describe the progress of a project and this machine, line by line, without any secret.

    Args:
        path: agrifm.toml or its directory; if it does not exist, only the machine is described.

    Raises:
        ConfigError: the project file cannot be read.
    """
    path = as_path(path)
    file = path / PROJECT_FILE if path.is_dir() else path
    if file.exists():
        lines = _project(read_project(path))
    else:
        lines = [f"project: none at {file}; `agrifm init DIR` writes one"]
    versions = ", ".join(f"{name} {version}" for name, version in running_versions(*LIBRARIES).items())
    return [*lines, f"versions: {versions}", f"processor: {_processor()}", *_credentials()]


def _project(project: Project) -> list[str]:
    """Describe each step as done, begun or not done, and name the first that is not done as the next."""
    steps = {
        "fetch": (project.cube / MARKER, _begun_cube(project)),
        "train": (project.models / "scores.json", project.models),
        "map": (project.maps / _main_raster(project), unfinished(project.maps)),
    }
    if project.parcels is not None:
        steps["parcels"] = (project.parcel_crops / "summary.json", unfinished(project.parcel_crops))
    season = project.season.season
    lines = [f"project: {project.directory.resolve()}, {season.start} to {season.end}"]
    following = None
    for command, (done, begun) in steps.items():
        if done.exists():
            lines.append(f"{command}: done ({done.parent.name})")
            continue
        following = following or command
        lines.append(f"{command}: {'started; run it again to continue' if begun.exists() else 'not done'}")
    after = "`agrifm assess design`, then `agrifm assess`"
    return [*lines, f"next: {after if following is None else f'`agrifm {following}`'}"]


def _main_raster(project: Project) -> str:
    return "yield.tif" if project.model.task == "yield" else "classes.tif"


def _begun_cube(project: Project) -> Path:
    """What exists while `agrifm fetch` is not done: the unfinished cube, or the one that is to be resampled."""
    partial = unfinished(project.observed_cube)
    is_resampled = project.cube != project.observed_cube
    return project.observed_cube if is_resampled and project.observed_cube.exists() else partial


def _processor() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else None
    found = f"{platform.machine()}, {os.cpu_count()} cores"
    return found if memory is None else f"{found}, {memory:.0f} GiB of memory"


def _credentials() -> list[str]:
    lines = []
    for provider in PROVIDERS.values():
        found = credentials_present(provider)
        said = ", ".join(f"{scheme} {state}" for scheme, state in found.items()) or "not needed"
        lines.append(f"credentials of {provider.name}: {said}")
    return lines
