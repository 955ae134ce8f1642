"""Structure of an ONNX file, which is checked before onnxruntime reads it: it must hold all its numbers itself.

A tensor of ONNX may be a part of another file (`external_data`), which onnxruntime would read. The file is Protocol
Buffers (encoding: protobuf.dev/programming-guides/encoding; messages: onnx.proto3 of ONNX 1.16).
"""

import mmap
from collections.abc import Iterator
from pathlib import Path

_CHILDREN = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor", 23: "sparse tensor"},
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {13: "external data"},
}  # fmt: skip
"""By message, the numbers of the fields that hold messages which lead to tensors."""
_LOCATION, _ELSEWHERE = 14, 1
"""The field of a tensor that says where its numbers are, and its value for another file."""


def require_own_tensors(path: Path) -> None:
    """Refuse an ONNX file that takes numbers from another file.

    Raises:
        ValueError: it does, or it is not Protocol Buffers.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        if not path.stat().st_size:
            raise ValueError("it has 0 bytes")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            waiting = [("model", 0, len(content))]
            while waiting:
                message, start, end = waiting.pop()
                for number, value, inside in _fields(content, start, end):
                    child = _CHILDREN[message].get(number)
                    if child == "external data" or (message == "tensor" and (number, value) == (_LOCATION, _ELSEWHERE)):
                        raise ValueError("it takes numbers from another file (external data), which is not opened")
                    if child is not None and inside is not None:
                        waiting.append((child, *inside))


def _fields(content: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int | None, tuple[int, int] | None]]:
    """Number of each field of a message, and its value if it is a whole number, or where its bytes are."""
    place = start
    while place < end:
        key, place = _varint(content, place, end)
        kind, number = key & 7, key >> 3
        value, inside = None, None
        if kind == 0:
            value, place = _varint(content, place, end)
        elif kind in (1, 5):
            place += 8 if kind == 1 else 4
        elif kind == 2:
            length, place = _varint(content, place, end)
            inside = (place, place + length)
            place += length
        else:
            raise ValueError("it is not an ONNX file, or damaged")
        if place > end or not number:
            raise ValueError("it is not an ONNX file, or damaged")
        yield number, value, inside


def _varint(content: mmap.mmap, place: int, end: int) -> tuple[int, int]:
    """A number of at most ten bytes of seven bits, and the place after it."""
    number = 0
    for shift in range(0, 70, 7):
        if place >= end:
            break
        byte = content[place]
        place += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, place
    raise ValueError("it is not an ONNX file, or damaged")
