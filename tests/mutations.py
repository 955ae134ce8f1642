"""Damaged and odd inputs by the thousand: each must end in a sentence or a result.

    python -m tests.mutations [--quick] [--share 0.1] [--only KIND] [--list]

Every input is a small project in which one value of one document, or some bytes of one file, are changed. The same
seeds give the same inputs. Each runs in a child process that may be killed, and is counted by what the user sees:

    sentence   exit code 2 and one line on standard error
    accepted   exit code 0
    failed     exit code 1, or 2 without a sentence
    traceback  Python's, on the screen
    hang       longer than `LIMIT` seconds
    crash      ended by a signal
    noise      in addition: a line that a library wrote
"""

import argparse
import json
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECORD_KEY = "agrifm_record"
"""Of the metadata of safetensors."""
LIMIT = 60
"""Seconds for one input."""
Change = tuple[str, Callable[[Path], None]]
"""A name, and what it does in the directory of a project."""

FOREST, NETWORK = "models/random-forest.skops", "network.safetensors"
COMMANDS = {
    "status": "status",
    "fetch": "fetch --project scenes",
    "fetch again": "fetch --project again",
    "fetch stopped": "fetch --project stopped",
    "fetch files": "fetch --project files",
    "fetch netcdf": "fetch --project netcdf",
    "train": "train",
    "map": f"map --model {FOREST} --out new",
    "map network": f"map --model {NETWORK} --out new",
    "assess": "assess --map map/classes.tif --reference points.gpkg --out report --scores models/scores.json",
    "assess design": "assess design --map map/classes.tif --n 30 --out drawn.gpkg",
    "cube info": "cube info .",
    "cube check": "cube check .",
    "model info": f"model info {NETWORK}",
    "model info forest": f"model info {FOREST}",
    "model check": f"model check {FOREST} cube.zarr",
    "model convert": "model convert weights.pth new.safetensors",
    "model export": f"model export {NETWORK} new.pt2",
    "init": "init new",
}
PROJECT = """\
[season]
area = "area.geojson"
start = 2024-04-01
end = 2024-06-29
buffer = 0.0
[imagery]
{source}
cloud = 90
skip = ["none"]
native_grid = false
offset = "refuse"
masked = ["cloud"]
dilate = 0.0
masks = []
[labels]
file = "labels.geojson"
column = "crop"
legend = "legend.json"
other = "labels.gpkg"
block = 480
[model]
names = ["random-forest"]
preset = "tiny"
frames = 4
series = "interpolated"
side = 48
steps = 1
batch = 2
learning_rate = 0.001
seed = 0
sensor_dropout = 0.0
[map]
model = "random-forest"
window = 96
overlap = 0
[assess]
column = "label"
"""
SOURCES = {
    ".": 'catalog = "unused.json"\nproducts = ["sentinel-2-c1-l2a"]',
    "scenes": 'catalog = "catalog.json"\nproducts = ["sentinel-2-c1-l2a"]',
    "again": 'catalog = "../scenes/found.json"\nproducts = ["sentinel-2-c1-l2a"]',
    "stopped": 'catalog = "../scenes/catalog.json"\nproducts = ["sentinel-2-c1-l2a"]',
    "files": 'files = [{ product = "sentinel-2-c1-l2a", pattern = "*.tif", baseline = "05.10" }]',
    "netcdf": 'files = [{ product = "sentinel-2-c1-l2a", pattern = "*.nc", baseline = "05.10" }]',
}

TOML_VALUES = (
    "true", "-1", "0", "1", "7", "1e308", "-1e400", "nan", "inf", "9223372036854775808", "1" + "0" * 400, "0.1", '""',
    '"x"', '"../../../etc/passwd"', '"/dev/null"', '"a/b"', '"."', '"小麦 \\u202e \\u001b[2J"', '"\\u0000"', "[]",
    "[1]", "[1, 2, 3, 4]", "[nan, nan, nan, nan]", "[2.31, 46.91, 2.34]", '["a", "a"]', "[[1, 2], [3]]", "{}",
    "{ a = 1 }", "2024-04-01", "9999-12-31", "0001-01-01", "07:32:00", '"' + "x" * 5000 + '"', "[" * 3000, '"$x_^$"',
    '"http://127.0.0.1:9/x"', "1_0", "'''", "=",
)  # fmt: skip
JSON_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1, 0.5, 1e308, 10**40, float("nan"), float("inf"), "", "x", "nan", "../../../etc/passwd",
    "/dev/null", "小麦 \u202e \x1b[2J", "\x00", "x" * 5000, [], [1], [1, 2, 3, 4], [None], [[1, 2], [3]], {}, {"a": {}},
    {"type": "Point"}, "2024-02-30", "9999-12-31T00:00:00Z", "$x_^$",
)  # fmt: skip


def places(content: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every key of a document; of a list, the first two and the last place."""
    yield at
    if isinstance(content, dict):
        for key in content:
            yield from places(content[key], (*at, key))
    elif isinstance(content, list):
        for number in sorted({0, 1, len(content) - 1} & set(range(len(content)))):
            yield from places(content[number], (*at, number))


def changed(content: Any, at: tuple[Any, ...], value: Any) -> Any:
    """The document with another value at a place; `changed` itself as the value removes the place."""
    if not at:
        return value
    copy = dict(content) if isinstance(content, dict) else list(content)
    if len(at) == 1 and value is changed:
        del copy[at[0]]
    else:
        copy[at[0]] = changed(copy[at[0]], at[1:], value)
    return copy


def json_changes(read: Callable[[Path], Any], write: Callable[[Path, str], None], root: Path) -> list[Change]:
    """Every place of a document with every odd value, and some whole texts."""
    content = read(root)
    changes: list[Change] = []
    for at in places(content):
        for value in (*JSON_VALUES, *((changed,) if at else ())):
            new = changed(content, at, value)
            text = json.dumps(new) if new is not changed else ""
            name = "removed" if value is changed else json.dumps(value)[:40]
            changes.append((f"{'.'.join(map(str, at))} = {name}", lambda path, text=text: write(path, text)))
    whole = json.dumps(content)
    texts = (
        "",
        "null",
        "[" * 100_000,
        '{"a":' * 100_000,
        whole[: len(whole) // 2],
        f"{whole}x",
        f'{whole[:-1]},"a":1e999}}',
    )
    return changes + [(text[:20], lambda path, text=text: write(path, text)) for text in texts] * 3


def document(name: str) -> Callable[[Path], list[Change]]:
    """Changes of a JSON file."""

    def read(root: Path) -> Any:
        return json.loads((root / name).read_text(encoding="utf-8"))

    def write(root: Path, text: str) -> None:
        (root / name).write_text(text, encoding="utf-8")

    return lambda root: json_changes(read, write, root)


def network_record(root: Path) -> list[Change]:
    """Changes of the record in a safetensors file."""

    def header(path: Path) -> tuple[dict[str, Any], bytes]:
        content = (path / NETWORK).read_bytes()
        end = 8 + int.from_bytes(content[:8], "little")
        return json.loads(content[8:end]), content[end:]

    def read(path: Path) -> Any:
        return json.loads(header(path)[0]["__metadata__"][RECORD_KEY])

    def write(path: Path, text: str) -> None:
        about, rest = header(path)
        about["__metadata__"][RECORD_KEY] = text
        coded = json.dumps(about).encode()
        (path / NETWORK).write_bytes(len(coded).to_bytes(8, "little") + coded + rest)

    return json_changes(read, write, root)


def in_zip(name: str, inner: Callable[[Any], Any], outer: Callable[[Any, str], Any]) -> Callable[[Path], list[Change]]:
    """Changes of the JSON of a skops file, or of the record in it."""

    def members(path: Path) -> dict[str, bytes]:
        with zipfile.ZipFile(path / name) as file:
            return {entry: file.read(entry) for entry in file.namelist()}

    def read(path: Path) -> Any:
        return inner(json.loads(members(path)["schema.json"]))

    def write(path: Path, text: str) -> None:
        entries = members(path)
        entries["schema.json"] = outer(json.loads(entries["schema.json"]), text)
        with zipfile.ZipFile(path / name, "w") as file:
            for entry, content in entries.items():
                file.writestr(entry, content)

    return lambda root: json_changes(read, write, root)


def forest_text(schema: Any) -> Any:
    """The place of the record in the schema of a skops file, a dictionary whose `content` is the JSON of a text."""
    return next(
        value
        for value in schema["content"].values()
        if isinstance(value, dict) and "format" in str(value.get("content"))
    )


def forest_record(schema: Any) -> Any:
    return json.loads(json.loads(forest_text(schema)["content"]))


def with_forest_record(schema: Any, text: str) -> str:
    forest_text(schema)["content"] = json.dumps(text)
    return json.dumps(schema)


def project_file(directory: str) -> Callable[[Path], list[Change]]:
    """Every line of a project file with every odd value, without it, and twice."""

    def list_changes(root: Path) -> list[Change]:
        file = Path(directory, "agrifm.toml")
        lines = (root / file).read_text(encoding="utf-8").splitlines()
        changes: list[Change] = []
        for number, line in enumerate(lines):
            key = line.partition(" = ")[0]
            new = [f"{key} = {value}" for value in TOML_VALUES] if " = " in line else ["[x]", "[season.x]", "[[model]]"]
            for text in (*new, "", f"{line}\n{line}", f"{line}\n{key}x = 1"):
                whole = "\n".join([*lines[:number], text, *lines[number + 1 :]])
                changes.append((text[:40], lambda path, whole=whole: write_text(path / file, whole)))
        return changes

    return list_changes


def write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


OTHERS = ("map/map.png", "labels.gpkg", "map/classes.tif", FOREST, NETWORK, "legend.csv", "netcdf/season.nc")


def damaged(pattern: str) -> Callable[[Path], list[Change]]:
    """Files cut, zeroed, flipped, swapped with files of another kind, and written in another encoding."""

    def list_changes(root: Path) -> list[Change]:
        changes: list[Change] = []
        for path in sorted(path for path in root.glob(pattern) if path.is_file()):
            name, content = path.relative_to(root), path.read_bytes()
            size, dice = len(content), random.Random(str(name := path.relative_to(root)))
            new = [b"", content[:1], content[: size // 2], content[:-1], bytes(size), content * 2, content[::-1]]
            new += [content[:4] + bytes(60) + content[64:], content[: size // 2] + bytes(size - size // 2)]
            new += [b"\xef\xbb\xbf" + content, content.replace(b"\n", b"\r\n"), b"<html>404</html>"]
            for reach in (64, 512, 4096, size) * 6:
                flipped = bytearray(content)
                for _ in range(4):
                    flipped[dice.randrange(min(reach, size))] ^= 1 << dice.randrange(8)
                new.append(bytes(flipped))
            for other in OTHERS:
                if (root / other).exists() and other != str(name):
                    new.append((root / other).read_bytes())
            with suppress(UnicodeDecodeError):
                new += [content.decode().encode("utf-16"), content.decode().encode("utf-16-le")]
            changes += [
                (
                    f"{name} bytes {number}",
                    lambda path, name=name, one=one: bool((path / name).write_bytes(one)) or None,
                )
                for number, one in enumerate(new)
            ]
            changes.append((f"{name} removed", lambda path, name=name: (path / name).unlink()))
            changes.append(
                (f"{name} folder", lambda path, name=name: ((path / name).unlink(), (path / name).mkdir())[0])
            )
        return changes

    return list_changes


@dataclass(frozen=True)
class Kind:
    """A kind of input: its changes, the commands that read it, and how many changes each of them tries."""

    changes: Callable[[Path], list[Change]]
    commands: tuple[str, ...]
    count: int


CUBE = ("cube info", "cube check", "map", "train")
KINDS = {
    "project file": Kind(project_file("."), ("status", "train", "map", "assess"), 60),
    "project file, imagery": Kind(project_file("scenes"), ("fetch",), 90),
    "project file, files": Kind(project_file("files"), ("fetch files",), 40),
    "cube, zarr.json": Kind(document("cube.zarr/zarr.json"), CUBE, 45),
    "cube, values": Kind(document("cube.zarr/sentinel-2/values/zarr.json"), CUBE, 25),
    "cube, valid": Kind(document("cube.zarr/sentinel-2/valid/zarr.json"), CUBE, 15),
    "cube, time": Kind(document("cube.zarr/landsat/time/zarr.json"), CUBE, 15),
    "cube, band": Kind(document("cube.zarr/landsat/band/zarr.json"), CUBE, 10),
    "cube, spatial_ref": Kind(document("cube.zarr/landsat/spatial_ref/zarr.json"), CUBE, 20),
    "cube, marker": Kind(document("cube.zarr/.agrifm.json"), ("status", "map"), 15),
    "cube, bytes": Kind(damaged("cube.zarr/sentinel-2/*/**/[0-9]*"), CUBE, 15),
    "cube, small arrays": Kind(damaged("cube.zarr/landsat/[tb]*/c/*"), CUBE, 15),
    "network, record": Kind(network_record, ("model info", "model export", "map network"), 50),
    "network, bytes": Kind(damaged(NETWORK), ("model info", "map network"), 25),
    "forest, record": Kind(
        in_zip(FOREST, forest_record, with_forest_record), ("model info forest", "model check", "map"), 50
    ),
    "forest, schema": Kind(in_zip(FOREST, lambda schema: schema, lambda _, text: text), ("map", "model check"), 45),
    "forest, bytes": Kind(damaged(FOREST), ("map", "model check"), 20),
    "weights, bytes": Kind(damaged("weights.pth"), ("model convert",), 30),
    "catalogue": Kind(document("scenes/catalog.json"), ("fetch",), 40),
    "item": Kind(document("scenes/item.json"), ("fetch",), 150),
    "scenes.json": Kind(document("scenes/found.json"), ("fetch again",), 60),
    "scene, bytes": Kind(damaged("scenes/red.tif"), ("fetch",), 30),
    "image, bytes": Kind(damaged("files/S2_20240510_B04.tif"), ("fetch files",), 30),
    "netcdf, bytes": Kind(damaged("netcdf/season.nc"), ("fetch netcdf",), 40),
    "stopped, journal": Kind(damaged("stopped/cube.zarr.partial.journal"), ("fetch stopped",), 30),
    "stopped, zarr.json": Kind(document("stopped/cube.zarr.partial/zarr.json"), ("fetch stopped",), 30),
    "legend": Kind(document("legend.json"), ("train",), 40),
    "labels, GeoJSON": Kind(document("labels.geojson"), ("train",), 60),
    "labels, bytes": Kind(damaged("labels.gpkg"), ("train",), 25),
    "area": Kind(document("scenes/area.geojson"), ("fetch",), 50),
    "scores": Kind(document("models/scores.json"), ("assess", "status"), 30),
    "map item": Kind(document("map/item.json"), ("assess",), 40),
    "map, bytes": Kind(damaged("map/classes.tif"), ("assess", "assess design"), 20),
    "points, bytes": Kind(damaged("points.gpkg"), ("assess",), 25),
}  # fmt: skip


def make_projects(root: Path, with_networks: bool) -> None:
    """What is changed: a trained and mapped project, and others that are to be fetched."""
    import geopandas
    import h5netcdf  # noqa: F401 - loaded once, before the children
    import numpy as np
    import xarray as xr
    from shapely import box

    from agrifm.cli import main
    from agrifm.legend import Legend, legend_json
    from tests.scenes import S2_BANDS, S2_KEYS, UTM, reflectance, s2_numbers, write_tiff
    from tests.toy import toy_project

    toy_project(root, steps=1, names='"random-forest"')
    area = geopandas.GeoDataFrame({"name": ["a"]}, geometry=[box(447_900, 5_196_700, 448_500, 5_197_300)], crs=UTM)
    area = area.to_crs("EPSG:4326")
    labels = geopandas.read_file(root / "labels.gpkg")
    labels[labels.crop != "other"].to_file(root / "labels.geojson", driver="GeoJSON")
    labels[labels.crop == "other"].to_file(root / "labels.gpkg", driver="GPKG")
    legend = Legend.of(["maize", "wheat", "other"])
    write_text(root / "legend.json", legend_json(legend))
    write_text(root / "legend.csv", "code,name,color\nmaize,maize,#ddcc77\nwheat,wheat,#117733\n")
    for name, source in SOURCES.items():
        (root / name).mkdir(exist_ok=True)
        write_text(root / name / "agrifm.toml", PROJECT.format(source=source))
        area.to_file(root / name / "area.geojson", driver="GeoJSON")
    assert main(["train", "--project", str(root)]) == 0
    assert main(["map", "--project", str(root)]) == 0
    points = root / "points.gpkg"
    assert main(["assess", "design", "--map", str(root / "map/classes.tif"), "--n", "30", "--out", str(points)]) == 0
    drawn = geopandas.read_file(points)
    drawn.assign(label=drawn.map_class).to_file(points, driver="GPKG")
    if with_networks:
        import torch

        from tests.models.exported_networks import save_network

        save_network(root / NETWORK, "interpolated")
        torch.save({"state_dict": {"a.weight": torch.zeros(3, 3)}}, root / "weights.pth")
    square = (447_840, 5_197_440, 960)
    numbers = s2_numbers(reflectance(10, 48))
    for name, band, values in zip(S2_KEYS, S2_BANDS, numbers, strict=True):
        write_tiff(root / "scenes" / f"{name}.tif", values, square, nodata=0)
        write_tiff(root / "files" / f"S2_20240510_{band}.tif", values, square, nodata=0)
    clear = np.full((48, 48), 4, np.uint8)
    write_tiff(root / "scenes/scl.tif", clear, square)
    write_tiff(root / "files/S2_20240510_scl.tif", clear, square)
    _write_catalogue(root / "scenes", area.total_bounds.tolist())
    layers = dict(zip((*S2_KEYS, "scl"), (*numbers, clear), strict=True))
    axis = np.arange(48) * 20 + 10.0
    dataset = xr.Dataset(
        {name: (("time", "y", "x"), values[None]) for name, values in layers.items()},
        {"time": np.array(["2024-05-10"], "datetime64[ns]"), "y": square[1] - axis, "x": square[0] + axis},
        {"crs": UTM},
    )
    dataset.to_netcdf(root / "netcdf/season.nc", engine="h5netcdf")
    assert main(["fetch", "--project", str(root / "stopped")]) == 2  # for want of a file, which comes now
    shutil.copy(root / "scenes/nir.tif", root / "scenes/later.tif")


def _write_catalogue(directory: Path, bounds: list[float]) -> None:
    from shapely import box
    from shapely.geometry import mapping

    from tests.scenes import S2_KEYS

    assets = {name: {"href": f"./{name}.tif", "type": "image/tiff", "roles": ["data"]} for name in (*S2_KEYS, "scl")}
    assets["red"]["raster:bands"] = [{"nodata": 0, "scale": 0.0001, "offset": -0.1, "data_type": "uint16"}]  # type: ignore[assignment]
    item: dict[str, Any] = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [],
        "id": "S2A_T31UDQ_20240510",
        "collection": "sentinel-2-c1-l2a",
        "geometry": json.loads(json.dumps(mapping(box(*bounds).buffer(0.01)))),
        "bbox": bounds,
        "properties": {
            "datetime": "2024-05-10T10:50:00Z",
            "s2:processing_baseline": "05.10",
            "eo:cloud_cover": 3.5,
            "proj:epsg": 32631,
            "created": "2024-05-10T20:00:00Z",
        },
        "links": [],
        "assets": assets,
    }
    later = {**item, "id": "S2A_T31UDQ_20240520"}
    later["properties"] = {**item["properties"], "datetime": "2024-05-20T10:50:00Z"}
    later["assets"] = {**assets, "nir": {**assets["nir"], "href": "./later.tif"}}
    links = [{"rel": "item", "href": f"./{name}.json", "type": "application/json"} for name in ("item", "later")]
    write_text(directory / "later.json", json.dumps(later))
    catalogue = {"type": "Catalog", "stac_version": "1.0.0", "id": "made", "description": "made", "links": links}
    write_text(directory / "item.json", json.dumps(item))
    write_text(directory / "catalog.json", json.dumps(catalogue))
    write_text(directory / "found.json", json.dumps({"type": "FeatureCollection", "features": [item, later]}))


def quicker() -> None:
    """Forests of few trees; everything else is as users have it."""
    from agrifm.classic import trees

    trees.FOREST_TREES = 3


def in_child(work: Callable[[], int], output: Path, limit: float) -> tuple[int | None, str]:
    """Run in a child process: its exit code (None: killed at the limit), and what it wrote to standard error."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            for stream, name in ((1, "out"), (2, "err")):
                os.dup2(os.open(output / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
            sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
            code = work()
        except SystemExit as error:
            code = int(error.code or 0)
        except BaseException:
            import traceback

            traceback.print_exc()
            code = 1
        finally:
            for stream_ in (sys.stdout, sys.stderr):
                stream_.flush()
            os._exit(code)
    end = time.monotonic() + limit
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.005)
    else:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return None, ""
    return os.waitstatus_to_exitcode(status), (output / "err").read_text(encoding="utf-8", errors="replace")


PROGRESS = re.compile(r"elapsed \d|^\s*$|^agrifm |^\s*[━╸╺ ]+")


def judge(code: int | None, error: str) -> str:
    """What the user sees."""
    if code is None:
        return "hang"
    if code < 0:
        return "crash"
    if "Traceback (most recent call last)" in error:
        return "traceback"
    if code == 0:
        return "accepted"
    return "sentence" if code == 2 and re.search("^(agrifm |usage: )", error, re.MULTILINE) else "failed"


def noise(error: str) -> str | None:
    """What a library wrote to the screen: the first line before our own sentence that is not a progress bar."""
    lines = error.splitlines()
    ours = next((number for number, line in enumerate(lines) if line.startswith("agrifm ")), len(lines))
    return next((line for line in lines[:ours] if not PROGRESS.search(line)), None)


def attempt(template: Path, change: Callable[[Path], None], words: list[str], scratch: Path) -> tuple[str, str]:
    """Change a copy of the projects, run a command in it: the judgement and what was written."""
    from agrifm.cli import main as agrifm

    directory = scratch / "project"
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(template, directory)
    change(directory)

    def work() -> int:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**28, 2**28))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**32, used + 2**32))
        os.chdir(directory)
        return agrifm(words)

    code, error = in_child(work, scratch, LIMIT)
    return judge(code, error), error


COLUMNS = ("sentence", "accepted", "failed", "traceback", "hang", "crash", "noise")


def run_kind(name: str, command: str, share: float, show: bool, template: Path, scratch: Path) -> Counter[str]:
    """Try a share of the changes of one kind with one command; what failed is written to standard error."""
    kind, changes = KINDS[name], KINDS[name].changes(template)
    count = min(len(changes), max(1, round(share * kind.count)))
    seen = Counter[str](tried=count)
    for what, change in random.Random(f"{name} {command}").sample(changes, count):
        judgement, error = attempt(template, change, COMMANDS[command].split(), scratch)
        seen[judgement] += 1
        strange = noise(error)
        seen["noise"] += strange is not None
        if judgement not in ("sentence", "accepted") or strange is not None or show:
            last = (strange or (error.strip().splitlines() or [""])[-1])[:200]
            about = f"{judgement}{'' if strange is None else ' noise'} | {name} | {command} | {what!r}"
            print(f"{about} | {last!r}", file=sys.stderr, flush=True)
    return seen


def row(name: str, command: str, seen: Counter[str]) -> str:
    """A row of the table."""
    return f"{name:<22} {command:<18} {seen['tried']:>6} " + " ".join(f"{seen[column]:>9}" for column in COLUMNS)


def refused_good_input(template: Path, scratch: Path) -> str | None:
    """The first command that does not take its unchanged input, if there is one."""
    for command, words in COMMANDS.items():
        judgement, error = attempt(template, lambda _: None, words.split(), scratch)
        if judgement != "accepted" and command not in ("cube check", "model convert"):  # findings; weights of nothing
            return f"agrifm {words} does not take its good input: {judgement}, {error}"
    return None


def main(argv: list[str] | None = None) -> int:
    """Run the inputs and print the table; exit code 1 if anything but a sentence or a result came out."""
    parser = argparse.ArgumentParser(description="Run damaged inputs through the command line and count what came out.")
    parser.add_argument("--share", type=float, default=1.0, help="share of the inputs to try (default: all)")
    parser.add_argument("--quick", action="store_true", help="one input of every second kind, without networks")
    parser.add_argument("--only", default="", help="kinds in which this pattern is found")
    parser.add_argument("--list", action="store_true", help="show every input, not only those that failed")
    options = parser.parse_args(argv)
    share, only = (0.0, "^(?!network|weights)") if options.quick else (options.share, options.only)
    began, totals = time.monotonic(), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        template, scratch = Path(folder, "template"), Path(folder, "scratch")
        scratch.mkdir()
        libraries = ["rasterio", "geopandas", "sklearn.ensemble", "skops.io", "xarray", "matplotlib.figure"]
        for module in libraries if options.quick else [*libraries, "torch"]:
            __import__(module)  # once; children begin with them
        quicker()
        code, error = in_child(lambda: make_projects(template, not options.quick) or 0, scratch, 300)
        refused = error if code else None if options.quick else refused_good_input(template, scratch)
        if refused is not None:
            print(refused)
            return 2
        print(f"{'input':<22} {'command':<18} {'tried':>6} " + " ".join(f"{column:>9}" for column in COLUMNS))
        names = [name for name in KINDS if re.search(only, name)]
        for name in names[:: 2 if options.quick else 1]:
            for command in KINDS[name].commands[: 1 if options.quick else None]:
                seen = run_kind(name, command, share, options.list, template, scratch)
                totals.update(seen)
                print(row(name, command, seen), flush=True)
    print(row("all", "", totals))
    print(f"{time.monotonic() - began:.0f} s")
    return int(any(totals[column] for column in COLUMNS[2:]))


if __name__ == "__main__":
    sys.exit(main())
