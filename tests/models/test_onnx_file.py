"""An ONNX file must hold all its numbers itself: tensors in other files are found wherever ONNX may have them."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agrifm.errors import ModelError
from agrifm.models.export_record import start_session
from agrifm.models.onnx_file import require_own_tensors

onnx = pytest.importorskip("onnx", reason="needs agrifm[export]")
helper = onnx.helper


def tensor(name: str, elsewhere: bool) -> "onnx.TensorProto":
    found = onnx.numpy_helper.from_array(np.arange(4, dtype=np.float32), name)
    if elsewhere:
        found.ClearField("raw_data")
        found.data_location = onnx.TensorProto.EXTERNAL
        found.external_data.append(onnx.StringStringEntryProto(key="location", value="secret.bin"))
    return found


def model(initializer: bool = False, constant: bool = False, branch: bool = False, function: bool = False) -> bytes:
    """y = x + a + b, where each of the flags puts one tensor into another file."""
    inner = helper.make_graph(
        [helper.make_node("Constant", [], ["c"], value=tensor("value", branch))],
        "then", [], [helper.make_tensor_value_info("c", 1, [4])],
    )  # fmt: skip
    nodes = [
        helper.make_node("Constant", [], ["b"], value=tensor("value", constant)),
        helper.make_node("If", ["yes"], ["d"], then_branch=inner, else_branch=inner),
        helper.make_node("Add", ["x", "a"], ["e"]), helper.make_node("Add", ["e", "b"], ["f"]),
        helper.make_node("Add", ["f", "d"], ["y"]),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes, "graph", [helper.make_tensor_value_info("x", 1, [4])], [helper.make_tensor_value_info("y", 1, [4])],
        [tensor("a", initializer), onnx.numpy_helper.from_array(np.array(True), "yes")],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 18)]
    functions = []
    if function:
        node = helper.make_node("Constant", [], ["z"], value=tensor("value", True))
        functions = [helper.make_function("own", "f", [], ["z"], [node], opsets)]
    made = helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=9)
    return bytes(made.SerializeToString())


@pytest.mark.parametrize("place", ["initializer", "constant", "branch", "function"])
def test_numbers_in_another_file_are_refused_before_it_is_opened(tmp_path: Path, place: str) -> None:
    path = tmp_path / "model.onnx"
    np.full(4, 4242, np.float32).tofile(tmp_path / "secret.bin")
    path.write_bytes(model(**{place: True}))
    with pytest.raises(ModelError) as error:
        start_session(path)
    assert error.value.facts["path"] == path
    assert isinstance(error.value.__cause__, ValueError)


def test_a_file_that_holds_its_numbers_runs(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs agrifm[export]")
    path = tmp_path / "model.onnx"
    path.write_bytes(model())
    (found,) = start_session(path, threads=1).run(None, {"x": np.ones(4, np.float32)})
    assert found.tolist() == [1, 4, 7, 10]


@pytest.mark.parametrize(
    "change",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: b"\x0b" + content,  # a group, which protobuf has given up
        lambda content: b"\x3a" + b"\xff" * 12,  # a length of more than ten bytes
        lambda content: b"\x3a\xff\xff\xff\xff\x7f" + content,  # a graph of 34 GB
        lambda content: random.Random(1).randbytes(300),
    ],
    ids=["empty", "half", "group", "long number", "long graph", "noise"],
)
def test_what_is_not_onnx_is_refused(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(change(model()))
    with pytest.raises(ValueError, match=r"ONNX|bytes"):
        require_own_tensors(path)


def test_a_graph_in_a_graph_in_a_graph_takes_no_stack(tmp_path: Path) -> None:
    """Ten thousand nested graphs of protobuf: graph (7), node (1), attribute (5), graph (6) and so on."""
    content = b""
    for number in range(10_000):
        for key in (0x32, 0x2A, 0x0A) if number else (0x0A,):
            length = len(content)
            coded = bytearray()
            while length > 127:
                coded.append(length & 127 | 128)
                length >>= 7
            content = bytes([key]) + bytes([*coded, length]) + content
    path = tmp_path / "model.onnx"
    length, coded = len(content), bytearray()
    while length > 127:
        coded.append(length & 127 | 128)
        length >>= 7
    path.write_bytes(b"\x3a" + bytes([*coded, length]) + content)
    require_own_tensors(path)
