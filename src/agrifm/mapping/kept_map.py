"""A map that need not be made again because nothing that decides it has changed: for loops that follow a season."""

import hashlib
import json
from pathlib import Path
from typing import Any

from agrifm.files import content_digest, write_json
from agrifm.object_store import Place
from agrifm.record import running_versions
from agrifm.stac import MAP_ITEM
from agrifm.work import fingerprint

REQUEST = "request.json"
"""File in the directory of a map: what decided it, and its files."""


def request_for_map(cube: Place, model: Path, settings: object) -> str:
    """SHA-256 of what decides a map: its cube, the files next to its model, settings, and versions of libraries.

    Args:
        settings: as something that JSON can hold, or whose text says all of it.
    """
    return fingerprint([cube_digest(cube), request_for_maps(model, settings)])


def cube_digest(cube: Place) -> str:
    """SHA-256 of the metadata of a cube, which name all that is in it."""
    return hashlib.sha256((cube / "zarr.json").read_bytes()).hexdigest()


def request_for_maps(model: Path, settings: object) -> str:
    """SHA-256 of what decides the maps of any cubes: see `request_for_map`."""
    models = {file.name: content_digest(file) for file in sorted(model.parent.iterdir()) if file.is_file()}
    versions = running_versions("rasterio", "torch", "onnxruntime", "scikit-learn")
    return fingerprint([model.name, models, json.loads(json.dumps(settings, default=str)), versions])


def hectares_if_current(directory: Path, request: str) -> tuple[dict[str, float], float] | None:
    """Mapped hectares by class code and those without a valid observation, of a map of this request; None of another.

    A map of which a file is absent, or has another size or time of change, counts as another.
    """
    try:
        if json.loads((directory / REQUEST).read_bytes()) != {"request": request, "files": _files(directory)}:
            return None
        stated = json.loads((directory / MAP_ITEM).read_bytes())["properties"]
        return stated["agrifm:hectares"], stated["agrifm:nodata_hectares"]
    except (OSError, ValueError, LookupError, TypeError):
        return None


def note_request(directory: Path, request: str) -> None:
    """Note what decided the finished map in a directory."""
    write_json(directory / REQUEST, {"request": request, "files": _files(directory)})


def renew_note(directory: Path) -> None:
    """Note the files of a map again, after its item has changed without the map."""
    path = directory / REQUEST
    if path.exists():
        note_request(directory, json.loads(path.read_bytes())["request"])


def _files(directory: Path) -> dict[str, Any]:
    """Size and time of change of the files of a map, by name."""
    files = [file for file in sorted(directory.iterdir()) if file.is_file() and file.name != REQUEST]
    return {file.name: [file.stat().st_size, file.stat().st_mtime_ns] for file in files}
