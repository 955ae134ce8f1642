"""Damaged and hostile headers of model files and of HDF5, by the hundred: each is refused, or read rightly.

    python -m tests.fuzzing KIND FILE COUNT

KIND is one of `READERS`, and FILE a good file of it. The same count gives the same inputs. Each is a copy with another
header, read in this process, which a signal ends after `LIMIT` seconds and which may use `MEMORY` bytes more; so it is
started by `judge`, which finds what ended it.
"""

import io
import json
import random
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

LIMIT = 20
"""Seconds for one input."""
MEMORY = 3 * 2**30
NUMBERS = (0, 1, -1, 7, 255, 2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1, 10**30)
VALUES: tuple[Any, ...] = (*NUMBERS, None, True, 0.5, 1e308, float("nan"), "", "F32", "F64", "I8", "BOOL", "x" * 3000,
                           [], [0], [0, 0], [[]], [1, 2, 3], {}, {"a": {}}, "\x00", "../../etc/passwd")  # fmt: skip


def flipped(content: bytes, dice: random.Random, first: int, last: int) -> bytes:
    """A few bits of a part of the bytes are others."""
    changed = bytearray(content)
    for _ in range(dice.choice((1, 1, 2, 4, 16))):
        changed[dice.randrange(first, last)] ^= 1 << dice.randrange(8)
    return bytes(changed)


def numbered(content: bytes, dice: random.Random, first: int, last: int) -> bytes:
    """A whole number of one to eight bytes is an odd one."""
    width = dice.choice((1, 2, 4, 8))
    place = dice.randrange(first, max(last - width, first + 1))
    number = dice.choice(NUMBERS) % 2 ** (8 * width)
    return content[:place] + number.to_bytes(width, "little") + content[place + width :]


def cut(content: bytes, dice: random.Random, first: int, last: int) -> bytes:
    """Bytes are lost, doubled or added."""
    place, length = dice.randrange(first, last), dice.choice((1, 2, 8, 64, 4096))
    return dice.choice((
        content[:place], content[:place] + content[place + length :], content[:place] + bytes(length) + content[place:],
        content[: place + length] + content[place:],
    ))  # fmt: skip


def damaged(content: bytes, dice: random.Random, first: int, last: int) -> bytes:
    return dice.choice((flipped, numbered, cut))(content, dice, first, min(last, len(content)))


def safetensors_inputs(content: bytes, dice: random.Random) -> bytes:
    """Lengths, offsets, shapes, types and names in the header (8 bytes of its length, JSON, numbers)."""
    end = 8 + int.from_bytes(content[:8], "little")
    header, rest = json.loads(content[8:end]), content[end:]
    way = dice.randrange(8)
    if way == 0:
        return damaged(content, dice, 0, end)
    if way == 1:
        length = dice.choice((*NUMBERS[:3], end - 9, end - 7, len(content), *NUMBERS[5:])) % 2**64
        return length.to_bytes(8, "little") + content[8:]
    names = [name for name in header if name != "__metadata__"]
    one, other = dice.sample(names, 2)
    if way == 2:
        header[one][dice.choice(("dtype", "shape", "data_offsets"))] = dice.choice(VALUES)
    elif way == 3:
        key = dice.choice(("shape", "data_offsets"))
        header[one][key][dice.randrange(len(header[one][key]) or 1) :] = [dice.choice(NUMBERS)]
    elif way == 4:
        header[one], header[other] = header[other], header[one]
    elif way == 5:
        header[dice.choice(("", "x", other, "__metadata__"))] = header.pop(one)
    elif way == 6:
        header["__metadata__"] = dice.choice((*VALUES, {**header["__metadata__"], "a": dice.choice(VALUES)}))
    else:
        header[one]["data_offsets"] = list(header[other]["data_offsets"])
    text = json.dumps(header)
    if dice.random() < 0.1:
        text = dice.choice(
            (text[:-1], text + "}", text.replace(":", "::", 1), "[" * 50_000, '{"a":' * 50_000, text * 2)
        )
    coded = text.encode()
    return len(coded).to_bytes(8, "little") + coded + rest


def onnx_inputs(content: bytes, dice: random.Random) -> bytes:
    """Fields of messages, everywhere but in the numbers of large tensors."""
    import onnx

    way = dice.randrange(8)
    if way < 3:
        return damaged(content, dice, 0, dice.choice((64, 4096, len(content))))
    model = onnx.load_from_string(content)
    tensor, node = dice.choice(model.graph.initializer), dice.choice(model.graph.node)
    if way == 3:
        tensor.dims[:] = dice.choice(([2**62, 4], [-1], [10**12], [0], [], [2**31, 2**31]))
    elif way == 4:
        tensor.data_type = dice.randrange(-1, 40)
    elif way == 5:
        place = dice.choice(("../secret.bin", "secret.bin", "/etc/passwd", "", "model.onnx"))
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.extend([onnx.StringStringEntryProto(key="location", value=place)])
        if dice.random() < 0.5:
            tensor.ClearField("raw_data")
    elif way == 6:
        values = list(node.input)
        dice.shuffle(values)
        node.input[:] = values or [node.output[0]]
        if dice.random() < 0.5:
            node.input[:] = [node.output[0]]  # a circle
    else:
        node.op_type = dice.choice(("Loop", "If", "ConstantOfShape", "Scan", "NoSuch", "", "Tile", "Reshape"))
    return bytes(model.SerializeToString())


def hdf5_inputs(content: bytes, dice: random.Random) -> bytes:
    """The superblock, and the structures of HDF5 by their signatures."""
    places = [0]
    for signature in (
        b"OHDR",
        b"TREE",
        b"SNOD",
        b"HEAP",
        b"GCOL",
        b"FRHP",
        b"FHDB",
        b"BTHD",
        b"BTLF",
        b"OCHK",
        b"FSHD",
    ):
        place = content.find(signature)
        while place >= 0:
            places.append(place)
            place = content.find(signature, place + 1)
    start = dice.choice(places)
    return damaged(content, dice, start, start + dice.choice((16, 96, 400)))


def skops_inputs(content: bytes, dice: random.Random) -> bytes:
    """The directory of the archive, the headers of its members and of their arrays."""
    way = dice.randrange(4)
    if way == 0:
        return damaged(content, dice, max(len(content) - 2000, 0), len(content))
    if way == 1:
        place = dice.choice([hit for hit in range(len(content) - 4) if content[hit : hit + 4] == b"PK\x03\x04"])
        return damaged(content, dice, place, place + 60)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = dice.choice([name for name in members if name.endswith(".npy")])
    if way == 2:
        members[name] = damaged(members[name], dice, 0, 128)
    else:
        other = {"descr": dice.choice(("<f8", "|O", "<U100000000", ">i4", "<i8")), "fortran_order": False,
                 "shape": (dice.choice(NUMBERS[:9]),)}  # fmt: skip
        text = (str(other) + "\n").encode()
        members[name] = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + members[name][128:]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for one, inside in members.items():
            archive.writestr(one, inside)
    return buffer.getvalue()


def read_safetensors(path: Path) -> list[Any]:
    from agrifm.models.weights.file import load_network

    network, record = load_network(path)
    return [record.model_dump_json(), *(tensor.numpy() for _, tensor in sorted(network.state_dict().items()))]


def read_onnx(path: Path) -> list[Any]:
    """Whatever the graph makes of ones; other numbers in it are not noticed."""
    from agrifm.inference.onnx import open_exported

    model = open_exported(path, threads=1)
    arrays = {
        note.name: np.ones([1 if isinstance(axis, str) else axis for axis in note.axes], note.dtype)
        for note in model.exported.inputs
    }
    try:
        model.session.run(None, arrays)
    except Exception:  # onnxruntime's errors have no common class; a map reports them with its window
        return []
    return []


def read_hdf5(path: Path) -> list[Any]:
    """Every variable through the readers of NetCDF scenes and of rasters."""
    from rasterio.errors import RasterioError

    from agrifm.errors import SceneError
    from agrifm.grid import Window
    from agrifm.rasters import open_raster
    from agrifm.scene.netcdf import dataset_acquisitions, open_netcdf
    from agrifm.scene.open_band import array_band

    try:
        with open_raster(path) as source:
            if source.count:
                source.read(1, window=((0, 1), (0, 1)))
    except RasterioError:
        pass
    found: list[Any] = []
    for moment, _, assets in dataset_acquisitions(
        open_netcdf(path, "reading"), {"B04": "red", "scl": "scl"}, "reading"
    ):
        for key, asset in sorted(assets.items()):
            try:
                band = array_band(asset)
                found += [moment, key, np.asarray(band.read(Window(0, 0, *band.shape), 0)), list(band.transform)]
            except (OSError, ValueError, KeyError, RuntimeError) as error:  # `scene.read.opened` names the scene
                raise SceneError(str(error)) from error
    return found


def read_skops(path: Path) -> list[Any]:
    from agrifm.classic.forest import load_forest

    forest = load_forest(path)
    shape = (4, forest.classifier.n_features_in_)
    return [forest.record.model_dump_json(), forest.classifier.predict_proba(np.zeros(shape, np.float32))]


Input = Callable[[bytes, random.Random], bytes]
READERS: dict[str, tuple[Input, Callable[[Path], list[Any]]]] = {
    "safetensors": (safetensors_inputs, read_safetensors),
    "onnx": (onnx_inputs, read_onnx),
    "hdf5": (hdf5_inputs, read_hdf5),
    "skops": (skops_inputs, read_skops),
}


def are_equal(one: list[Any], other: list[Any]) -> bool:
    """Whether two readings have the same records and the same numbers."""
    return len(one) == len(other) and all(
        np.array_equal(left, right, equal_nan=True) if isinstance(left, np.ndarray) else left == right
        for left, right in zip(one, other, strict=True)
    )


def outcomes(kind: str, file: Path, count: int) -> Iterator[str]:
    """What becomes of each input: "error" (agrifm's), "result" or "other" (numbers than the good file's)."""
    from agrifm.errors import AgriFMError

    change, read = READERS[kind]
    good, whole = read(file), file.read_bytes()
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    for number in range(count):
        content = change(whole, random.Random(f"{kind} {number}"))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, file.name)
            path.write_bytes(content)
            signal.alarm(LIMIT)
            try:
                yield "result" if are_equal(read(path), good) else "other"
            except AgriFMError:
                yield "error"
            except Exception as error:
                yield f"traceback {type(error).__name__}: {str(error)[:200]}"
            finally:
                signal.alarm(0)


def judge(kind: str, file: Path, count: int) -> Counter[str]:
    """Run inputs in a process of their own; returns how often each outcome came, the signal that ended it included."""
    command = [sys.executable, "-m", "tests.fuzzing", kind, str(file), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1], check=False)
    found = [line for line in done.stdout.splitlines() if line]
    if done.returncode:
        found.append(f"signal {-done.returncode} (input {len(found)}): {done.stderr[-300:]}")
    return Counter(found)


def main() -> int:
    kind, file, count = sys.argv[1:]
    began = time.monotonic()
    for outcome in outcomes(kind, Path(file), int(count)):
        print(outcome, flush=True)
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
