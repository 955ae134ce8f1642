"""Compare two demo directories, such as those of two commits: scenes, cube, weights, scores, map and report.

    python benchmarks/compare_demos.py OLD NEW [--names 83d3979 863de22] [--out FILE]

A change that should not change results passes if every line says `equal`.
"""

import argparse
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from measure import Command, table
from safetensors.numpy import load_file

IGNORED = ("versions", "created", "seconds", "processing:software", "waiting_share", "datetime", "fingerprint")
"""Keys of JSON documents that differ between runs (times) or commits (versions, the fingerprint of a training)."""


def files(directory: Path) -> dict[str, str]:
    """SHA-256 of the files in a directory by their relative path, without a cube's metadata."""
    paths = (path for path in directory.rglob("*") if path.is_file() and path.name not in ("zarr.json", ".agrifm.json"))
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def leaves(content: Any, prefix: str = "") -> dict[str, Any]:
    """The leaves of a JSON document by their path, without those that differ between any two runs."""
    if isinstance(content, dict):
        entries = [(str(key), value) for key, value in content.items() if key not in IGNORED]
    elif isinstance(content, list):
        entries = [(str(position), value) for position, value in enumerate(content)]
    else:
        return {prefix: content}
    return {path: leaf for key, value in entries for path, leaf in leaves(value, f"{prefix}/{key}").items()}


def read_json(path: Path) -> Any:
    """The content of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def raster(path: Path) -> dict[str, Any]:
    """Georeference, pixels and bytes of a raster."""
    with rasterio.open(path) as source:
        return {"grid": source.transform, "pixels": source.read(), "bytes": path.read_bytes()}


def headline(demo: Path) -> dict[str, str]:
    """Macro F1 of every model on unseen blocks, and the hectares of every class."""
    report = read_json(demo / "report/report.json")
    scores = {f"macro F1, {name}": f"{model['macro_f1']:.6f}" for name, model in report["models"].items()}
    return scores | {
        f"hectares, {entry['name']}": f"{entry['mapped_ha']:.2f} mapped, {entry['area_ha']:.4f} estimated"
        for entry in report["areas"]
    }


CONTENTS: dict[str, Callable[[Path], Mapping[str, Any]]] = {
    "season": files,
    "cube.zarr": files,
    "models/agrifm.safetensors": load_file,
    "models/scores.json": lambda path: leaves(read_json(path)),
    "map/classes.tif": raster,
    "map/confidence.tif": raster,
    "report/report.json": lambda path: leaves(read_json(path)),
}


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Say whether all values are equal, and name the first that is not."""
    different = [
        key for key in before.keys() | after.keys() if not np.array_equal(before.get(key, ()), after.get(key, ()))
    ]
    if not different:
        return f"equal ({len(before)} values)"
    first = min(different)
    return f"{len(different)} differ, first {first}: {before.get(first)!r:.40} -> {after.get(first)!r:.40}"


def report(options: argparse.Namespace) -> Iterator[str]:
    """A line for each part of the demos, then one for each number of the report's headline."""
    yield f"demo of {options.names[0]} compared with demo of {options.names[1]}"
    rows = [(path, compare(read(options.old / path), read(options.new / path))) for path, read in CONTENTS.items()]
    old, new = headline(options.old), headline(options.new)
    for name in sorted(old.keys() | new.keys()):
        same = old.get(name) == new.get(name)
        rows.append((name, f"equal ({old[name]})" if same else f"{old.get(name)} -> {new.get(name)}"))
    yield from table(("part", "comparison"), rows, left=(0, 1))


OPTIONS = {
    "old": {"type": Path},
    "new": {"type": Path},
    "--names": {"nargs": 2, "default": ["OLD", "NEW"], "help": "what the demos are of, such as two commits"},
}
main = Command(__doc__, report, OPTIONS)

if __name__ == "__main__":
    main()
