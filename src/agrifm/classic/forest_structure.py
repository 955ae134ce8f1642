"""Structure of stored forests: what scikit-learn's compiled trees take on trust, checked before they are built.

A tree whose children are out of range crashes the process, and one with a circle never ends. So the arrays of every
tree are read from the file and checked before skops makes objects of them.
"""

import json
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

MAX_FOREST_BYTES = 8 * 1024**3
"""Bytes of a forest's file, unpacked."""
MAX_FEATURES = 100_000
_LEAF = -1
"""Child of a leaf, as scikit-learn marks it."""


def require_sound_trees(path: Path) -> None:
    """Check the arrays of every tree in a skops file.

    Raises:
        ValueError: the file is too large when it is unpacked, or a tree is not one.
        KeyError, TypeError, OSError, BadZipFile: the file has another form.
    """
    with ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
        if size > MAX_FOREST_BYTES:
            raise ValueError(f"it unpacks to {size} bytes")
        schema = json.loads(archive.read("schema.json"))
        _require_one_content_per_id(schema)
        for node in _nodes(schema):
            if node.get("__class__") == "Tree" and node.get("__loader__") not in ("TypeNode", "JsonNode"):
                _require_sound_tree(node, archive)


def require_sound_forest(classifier: Any, classes: int) -> None:
    """Check that a classifier is a forest over a legend, whose trees agree with it, after `require_sound_trees`.

    Args:
        classes: number of classes of the legend.

    Raises:
        ValueError: it is not.
    """
    from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
    from sklearn.tree import DecisionTreeClassifier, ExtraTreeClassifier
    from sklearn.tree._tree import Tree

    if type(classifier) not in (RandomForestClassifier, ExtraTreesClassifier):
        raise ValueError(f"it holds a {type(classifier).__name__}, not a forest")
    known = np.asarray(classifier.classes_)
    if known.ndim != 1 or known.dtype.kind not in "iu" or not len(known) or len(set(known.tolist())) != len(known):
        raise ValueError("its classes are not whole numbers")
    if known.min() < 0 or known.max() >= classes or classifier.n_classes_ != len(known):
        raise ValueError(f"its {len(known)} classes do not fit the {classes} classes of its legend")
    if not isinstance(classifier.estimators_, list) or not classifier.estimators_ or classifier.n_outputs_ != 1:
        raise ValueError("it has no trees")
    for estimator in classifier.estimators_:
        tree: Any = getattr(estimator, "tree_", None)
        if type(estimator) not in (DecisionTreeClassifier, ExtraTreeClassifier) or type(tree) is not Tree:
            raise ValueError(f"it holds a {type(estimator).__name__}, not a tree")
        if tree.n_features != classifier.n_features_in_ or tree.max_n_classes != len(known):
            raise ValueError("a tree has other features or classes than the forest")
        if np.ndim(estimator.n_classes_) or estimator.n_classes_ != len(known) or estimator.n_outputs_ != 1:
            raise ValueError("a tree has other classes or outputs than the forest")
        if estimator.n_features_in_ != tree.n_features or len(estimator.classes_) != len(known):
            raise ValueError("a tree has other features or classes than it states")


def _nodes(content: Any) -> Iterator[dict[str, Any]]:
    """Every node of a schema, at any depth."""
    waiting = [content]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _require_one_content_per_id(schema: Any) -> None:
    """Refuse two nodes of one id that differ: skops would build the first, and the other would be checked."""
    known: dict[Any, str] = {}
    for node in _nodes(schema):
        if "__id__" in node and "__loader__" in node:
            content = re.sub(r'"__id__": \d+', "", json.dumps(node, sort_keys=True))
            if known.setdefault(node["__id__"], content) != content:
                raise ValueError("two objects have one name")


def _require_sound_tree(node: dict[str, Any], archive: ZipFile) -> None:
    features, per_output, outputs = node["__reduce__"]["args"]["content"]
    state = node["content"]["content"]
    nodes, values = _array(state["nodes"], archive), _array(state["values"], archive)
    classes, count = _array(per_output, archive), len(nodes)
    if node["__loader__"] != "TreeNode" or json.loads(outputs["content"]) != 1 or classes.shape != (1,):
        raise ValueError("a tree has not one output")
    if not 1 <= int(classes[0]) <= 256 or values.shape != (count, 1, int(classes[0])):
        raise ValueError(f"a tree has values of the shape {values.shape} for {count} nodes")
    if json.loads(state["node_count"]["content"]) != count or not count:
        raise ValueError(f"a tree states another number of nodes than its {count}")
    width = json.loads(features["content"])
    if not isinstance(width, int) or not 1 <= width <= MAX_FEATURES:
        raise ValueError(f"a tree has {width} features")
    _require_sound_nodes(nodes, width)
    leaves = nodes["left_child"] == _LEAF
    if not np.isfinite(values).all() or (values < 0).any() or not (values[leaves].sum(axis=(1, 2)) > 0).all():
        raise ValueError("a leaf of a tree has no class")


def _require_sound_nodes(nodes: NDArray[Any], features: int) -> None:
    """Children come after their parent, and every node but the first has one parent: so there is no circle."""
    left, right = nodes["left_child"].astype(np.int64), nodes["right_child"].astype(np.int64)
    index, inner = np.arange(len(nodes)), left != _LEAF
    if (right[~inner] != _LEAF).any():
        raise ValueError("a leaf of a tree has a child")
    children = np.concatenate([left[inner], right[inner]])
    parents = np.concatenate([index[inner], index[inner]])
    if (children <= parents).any() or (children >= len(nodes)).any():
        raise ValueError("a node of a tree leads out of the tree, or back")
    if len(np.unique(children)) != len(children) or len(children) != len(nodes) - 1:
        raise ValueError("a node of a tree has two parents, or none")
    feature = nodes["feature"][inner]
    if (feature < 0).any() or (feature >= features).any():
        raise ValueError(f"a node of a tree tests a feature outside its {features}")
    if not np.isfinite(nodes["threshold"][inner]).all():
        raise ValueError("a threshold of a tree is not a number")


def _array(node: dict[str, Any], archive: ZipFile) -> NDArray[Any]:
    if node["__loader__"] != "NdArrayNode" or node["type"] != "numpy":
        raise ValueError("an array of a tree is stored in another form")
    array: NDArray[Any] = np.load(BytesIO(archive.read(node["file"])), allow_pickle=False)
    return array
