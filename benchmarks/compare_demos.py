"""Compare two demo directories, such as those of two commits: scenes, cube, weights, scores, map and report.

    python benchmarks/compare_demos.py OLD NEW --commits 83d3979 1a2b3c4 [--out FILE]

A change that should not change results passes if every line says `equal`. Exit code 1 if a line does not.
"""

import argparse
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from safetensors.numpy import load_file

IGNORED = ("versions", "created", "seconds", "processing:software", "waiting_share", "datetime", "fingerprint")
"""Keys of JSON documents that differ between runs (times) or commits (versions, the fingerprint of a training)."""


def files(directory: Path, keep: Callable[[Path], bool]) -> dict[str, str]:
    """SHA-256 of the files in a directory by their relative path."""
    paths = sorted(path for path in directory.rglob("*") if path.is_file() and keep(path))
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def compare_files(old: Path, new: Path, keep: Callable[[Path], bool] = lambda path: True) -> str:
    """Say how many files are equal, and name the first that is not."""
    before, after = files(old, keep), files(new, keep)
    different = [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]
    return f"equal ({len(before)} files)" if not different else f"{len(different)} differ, first {min(different)}"


def flat(content: Any, prefix: str = "") -> dict[str, Any]:
    """The leaves of a JSON document by their path, without those that differ between any two runs."""
    if isinstance(content, dict):
        entries = [(str(key), value) for key, value in content.items() if key not in IGNORED]
    elif isinstance(content, list):
        entries = [(str(number), value) for number, value in enumerate(content)]
    else:
        return {prefix: content}
    return {path: leaf for key, value in entries for path, leaf in flat(value, f"{prefix}/{key}").items()}


def compare_json(old: Path, new: Path) -> str:
    """Say whether the numbers and texts of two JSON documents are equal, and name the first that is not."""
    before, after = (flat(json.loads(path.read_text(encoding="utf-8"))) for path in (old, new))
    different = [key for key in before.keys() | after.keys() if before.get(key) != after.get(key)]
    if not different:
        return f"equal ({len(before)} values)"
    first = min(different)
    return f"{len(different)} of {len(before)} differ, first {first}: {before.get(first)!r} -> {after.get(first)!r}"


def compare_weights(old: Path, new: Path) -> str:
    """Say whether two safetensors files hold the same tensors, bit for bit."""
    before, after = load_file(old), load_file(new)
    if before.keys() != after.keys():
        return f"names differ: {sorted(before.keys() ^ after.keys())[:3]}"
    different = [name for name in before if not np.array_equal(before[name], after[name])]
    size = sum(tensor.size for tensor in before.values())
    return f"equal ({len(before)} tensors, {size} numbers)" if not different else f"{len(different)} tensors differ"


def compare_rasters(old: Path, new: Path) -> str:
    """Say whether two rasters have the same pixels, and whether the files are the same bytes."""
    with rasterio.open(old) as before, rasterio.open(new) as after:
        same = before.transform == after.transform and np.array_equal(before.read(), after.read())
        pixels = before.width * before.height
    bytes_equal = old.read_bytes() == new.read_bytes()
    return f"equal ({pixels} pixels; file {'' if bytes_equal else 'not '}byte for byte)" if same else "pixels differ"


def headline(demo: Path) -> dict[str, str]:
    """Macro F1 of every model on unseen blocks, and the hectares of every class, as printed."""
    report = json.loads((demo / "report/report.json").read_text(encoding="utf-8"))
    scores = {f"macro F1, {name}": f"{model['macro_f1']:.6f}" for name, model in report["models"].items()}
    areas = {f"hectares, {entry['name']}": f"{entry['mapped_ha']:.2f} mapped, {entry['area_ha']:.4f} estimated"
             for entry in report["areas"]}  # fmt: skip
    return scores | areas


def is_chunk(path: Path) -> bool:
    """Whether a file of a Zarr store holds pixels, not metadata."""
    return path.name not in ("zarr.json", ".agrifm.json")


def compare(old: Path, new: Path) -> list[tuple[str, str]]:
    """What is compared, and how it compares."""
    lines = [
        ("scenes, STAC and truth", compare_files(old / "season", new / "season")),
        ("cube chunks", compare_files(old / "cube.zarr", new / "cube.zarr", is_chunk)),
        ("AgriFM weights", compare_weights(old / "models/agrifm.safetensors", new / "models/agrifm.safetensors")),
        ("scores on unseen blocks", compare_json(old / "models/scores.json", new / "models/scores.json")),
        ("classes.tif", compare_rasters(old / "map/classes.tif", new / "map/classes.tif")),
        ("confidence.tif", compare_rasters(old / "map/confidence.tif", new / "map/confidence.tif")),
        ("report.json", compare_json(old / "report/report.json", new / "report/report.json")),
    ]
    before, after = headline(old), headline(new)
    for name in before.keys() | after.keys():
        same = before.get(name) == after.get(name)
        lines.append((name, f"equal ({before[name]})" if same else f"{before.get(name)} -> {after.get(name)}"))
    return lines[:7] + sorted(lines[7:])


def main() -> int:
    """Print the table, and write it where it is asked for."""
    parser = argparse.ArgumentParser(description="Compare the results of two demos.")
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--commits", nargs=2, default=("old", "new"), metavar=("OLD", "NEW"))
    parser.add_argument("--out", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    lines = compare(options.old, options.new)
    table = [f"demo of {options.commits[0]} compared with demo of {options.commits[1]}", ""]
    table += [f"{name:<34} {result}" for name, result in lines]
    print("\n".join(table))
    if options.out:
        options.out.write_text("\n".join(table) + "\n", encoding="utf-8")
    return int(not all(result.startswith("equal") for _, result in lines))


if __name__ == "__main__":
    raise SystemExit(main())
