"""Crafted forests end in a sentence: none crashes the process, hangs, or maps with numbers that are not its own."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skops import io
from tests.classic.test_forest import RECORD, sample_of

from agrifm.classic.features import pixel_features
from agrifm.classic.forest import ForestConfig, RandomForest, grow_trees, load_forest, save_forest
from agrifm.errors import ModelError
from agrifm.record import ModelRecord

Arrays = dict[str, np.ndarray]


def small_forest() -> RandomForest:
    """Three trees on two features, of classes 0 and 2 of the legend's three."""
    rows = np.random.default_rng(0).random((200, 2)).astype(np.float32)
    config = ForestConfig()
    record = RECORD.model_copy(update=config.record())
    return RandomForest(record, grow_trees(rows, np.where(rows[:, 0] > 0.5, 2, 0).astype(np.uint8), config, 3, 0))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("forest") / "forest.skops"
    save_forest(path, small_forest())
    return path


def trees(node: Any) -> list[dict[str, Any]]:
    own = [node] if isinstance(node, dict) and node.get("__class__") == "Tree" else []
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
    return own + [tree for child in inner for tree in trees(child)]


def crafted(source: Path, target: Path, change: Callable[[dict[str, Any], Arrays], None]) -> Path:
    """A copy with the last tree's node of the schema and its arrays changed; arrays may get other values and shapes."""
    with zipfile.ZipFile(source) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(content["schema.json"])
    tree = trees(schema)[-1]
    places = {**{key: tree["content"]["content"][key]["file"] for key in ("nodes", "values")}}
    places["classes"] = tree["__reduce__"]["args"]["content"][1]["file"]
    with zipfile.ZipFile(source) as archive:
        arrays = {key: np.load(archive.open(name)).copy() for key, name in places.items()}
    change(tree, arrays)
    for key, name in places.items():
        with (target.parent / "array.npy").open("wb") as file:
            np.save(file, arrays[key])
        content[name] = (target.parent / "array.npy").read_bytes()
    content["schema.json"] = json.dumps(schema).encode()
    with zipfile.ZipFile(target, "w") as archive:
        for name, own in content.items():
            archive.writestr(name, own)
    return target


def node(field: str, value: float, index: int = 0) -> Callable[[dict[str, Any], Arrays], None]:
    def change(_: dict[str, Any], arrays: Arrays) -> None:
        arrays["nodes"][field][index] = value

    return change


def misnamed(tree: dict[str, Any], _: Arrays) -> None:
    """A sound array whose name is that of another object, which would be built in its place."""
    tree["content"]["content"]["nodes"]["__id__"] = tree["content"]["content"]["values"]["__id__"]


def state(key: str, value: object) -> Callable[[dict[str, Any], Arrays], None]:
    def change(tree: dict[str, Any], _: Arrays) -> None:
        tree["content"]["content"][key]["content"] = json.dumps(value)

    return change


def argument(place: int, value: object) -> Callable[[dict[str, Any], Arrays], None]:
    def change(tree: dict[str, Any], _: Arrays) -> None:
        tree["__reduce__"]["args"]["content"][place]["content"] = json.dumps(value)

    return change


def arrays_with(**more: Callable[[np.ndarray], np.ndarray]) -> Callable[[dict[str, Any], Arrays], None]:
    def change(_: dict[str, Any], arrays: Arrays) -> None:
        for key, make in more.items():
            arrays[key] = make(arrays[key])

    return change


def loaded_by(loader: str) -> Callable[[dict[str, Any], Arrays], None]:
    return lambda tree, _: tree.__setitem__("__loader__", loader)


CHANGES = {
    "a child far outside": node("left_child", 10**9),
    "a child just outside": node("right_child", 10**6),
    "a negative child": node("left_child", -5),
    "a circle to the root": node("left_child", 0),
    "a child that is its own parent": node("left_child", 1, 1),
    "one child twice": lambda _, arrays: arrays["nodes"]["right_child"].__setitem__(
        0, arrays["nodes"]["left_child"][0]
    ),
    "half a leaf": node("right_child", -1),
    "a leaf with a child": node("right_child", 0, -1),
    "a feature outside": node("feature", 2),
    "a feature far outside": node("feature", 2**40),
    "a negative feature": node("feature", -7),
    "a threshold without a number": node("threshold", np.nan),
    "an endless threshold": node("threshold", np.inf),
    "values without a number": arrays_with(values=lambda values: values * np.nan),
    "endless values": arrays_with(values=lambda values: values + np.inf),
    "negative values": arrays_with(values=lambda values: -values),
    "empty leaves": arrays_with(values=lambda values: values * 0),
    "values of another shape": arrays_with(values=lambda values: values[:, :, :1]),
    "too few values": arrays_with(values=lambda values: values[:-1]),
    "too few nodes": arrays_with(nodes=lambda nodes: nodes[:1]),
    "no node": arrays_with(nodes=lambda nodes: nodes[:0], values=lambda values: values[:0]),
    "nodes as numbers": arrays_with(nodes=lambda nodes: np.zeros(len(nodes))),
    "other fields": arrays_with(nodes=lambda nodes: nodes[["left_child", "right_child"]].copy()),
    "more nodes stated": state("node_count", 10**9),
    "fewer nodes stated": state("node_count", 1),
    "a negative number of nodes": state("node_count", -1),
    "a text as number of nodes": state("node_count", "many"),
    "many outputs": argument(2, 10**9),
    "no output": argument(2, 0),
    "many features": argument(0, 10**12),
    "other features": argument(0, 7),
    "no feature": argument(0, 0),
    "many classes": arrays_with(classes=lambda _: np.array([10**9])),
    "no class": arrays_with(classes=lambda classes: classes[:0]),
    "one class": arrays_with(classes=lambda _: np.array([1]), values=lambda values: values[:, :, :1]),
    "one name for two": misnamed,
    "another loader": loaded_by("ObjectNode"),
    "a loader that reduces": loaded_by("ReduceNode"),
    "an unknown loader": loaded_by("NoNode"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_crafted_tree_is_refused(written: Path, tmp_path: Path, name: str) -> None:
    path = crafted(written, tmp_path / "forest.skops", CHANGES[name])
    with pytest.raises(ModelError) as error:
        load_forest(path)
    assert error.value.facts["path"] == path
    assert "\n" not in str(error.value)


def test_a_copy_that_is_not_changed_gives_the_same_probabilities(written: Path, tmp_path: Path) -> None:
    path = crafted(written, tmp_path / "forest.skops", lambda *_: None)
    sample = sample_of(np.random.default_rng(1).random((2, 1, 5, 5)))
    expected = small_forest().probabilities(sample)
    assert np.array_equal(load_forest(path).probabilities(sample), expected)
    rows = pixel_features(sample, np.ones((5, 5), bool), RECORD.sensors, ("series",), 153)
    assert expected[0].ravel() == pytest.approx(small_forest().classifier.predict_proba(rows)[:, 0], abs=1e-6)


def other(change: Callable[[Any, ModelRecord], Any]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        forest = small_forest()
        record, classifier = change(forest.classifier, forest.record) or (forest.record, forest.classifier)
        path.write_bytes(io.dumps({"record": record.model_dump_json(), "forest": classifier}))

    return write


def attribute(name: str, value: object) -> Callable[[Path], None]:
    return other(lambda classifier, _: setattr(classifier, name, value))


FILES: dict[str, Callable[[Path], None]] = {
    "classes outside the legend": attribute("classes_", np.array([0, 9])),
    "negative classes": attribute("classes_", np.array([-1, 2])),
    "one class twice": attribute("classes_", np.array([2, 2])),
    "classes as texts": attribute("classes_", np.array(["a", "b"])),
    "classes as fractions": attribute("classes_", np.array([0.5, 1.5])),
    "more classes": attribute("classes_", np.array([0, 1, 2])),
    "other number of classes": attribute("n_classes_", 3),
    "other number of features": attribute("n_features_in_", 3),
    "two outputs": attribute("n_outputs_", 2),
    "no trees": attribute("estimators_", []),
    "trees that are numbers": attribute("estimators_", [1, 2]),
    "a forest that is a list": other(lambda _, record: (record, [1])),
    "a forest that is one tree": other(lambda classifier, record: (record, classifier.estimators_[0])),
    "a legend of one class": other(lambda classifier, record: (
        record.model_copy(update={"legend": record.legend.model_copy(update={"classes": record.legend.classes[:1]})}),
        classifier,
    )),
    "a tree of other classes": other(lambda forest, _: setattr(forest.estimators_[0], "n_classes_", 3)),
    "a tree of an array of classes": other(
        lambda forest, _: setattr(forest.estimators_[0], "n_classes_", np.array([2, 2]))
    ),
    "a tree of two outputs": other(lambda forest, _: setattr(forest.estimators_[0], "n_outputs_", 2)),
    "no file of skops": lambda path: path.write_bytes(b"PK\3\4 nothing"),
    "a deep schema": lambda path: zipped(path, b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "no schema": lambda path: zipped(path, b""),
    "an empty schema": lambda path: zipped(path, b"{}"),
    "a list as schema": lambda path: zipped(path, b"[]"),
}  # fmt: skip


def zipped(path: Path, schema: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("schema.json", schema)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_not_a_sound_forest_is_refused(tmp_path: Path, name: str) -> None:
    FILES[name](tmp_path / "forest.skops")
    with pytest.raises(ModelError):
        load_forest(tmp_path / "forest.skops")


def test_a_forest_starts_no_threads_because_a_file_says_so(tmp_path: Path) -> None:
    attribute("n_jobs", 10**6)(tmp_path / "forest.skops")
    assert load_forest(tmp_path / "forest.skops").classifier.n_jobs == -1


def test_a_forest_of_other_features_than_its_record_is_refused(written: Path) -> None:
    with pytest.raises(ModelError):
        load_forest(written).probabilities(sample_of(np.zeros((3, 1, 2, 2))))
