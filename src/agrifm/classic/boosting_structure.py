"""Structure of stored boosters: LightGBM's text form, taken apart, checked and written anew.

LightGBM's compiled reader takes a text on trust: a child out of range crashes the process, and a circle never ends. So
it reads only texts that `sound_text` has made from numbers that were checked.
"""

import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

MAX_TEXT = 500_000_000
"""Characters of a text."""
MAX_TREES = 100_000
_WHOLE = ("split_feature", "decision_type", "left_child", "right_child", "leaf_count", "internal_count")
_NODES = ("split_feature", "split_gain", "threshold", "decision_type", "left_child", "right_child")
_INNER = ("internal_value", "internal_weight", "internal_count")
_LEAVES = ("leaf_value", "leaf_weight", "leaf_count")
_DECISIONS = (0, 2, 4, 6, 8, 10)
"""Comparisons with a threshold: where a missing value goes, and what is missing; an odd number would be a set."""


def sound_text(text: str, features: int, classes: int, objective: str = "multiclass") -> str:
    """Return the text of a booster, made from the checked numbers of its trees alone.

    Args:
        features: number of columns of its rows.
        classes: number of its classes; 1 for one of a number.
        objective: "multiclass" or "regression".

    Raises:
        ValueError: it is not the text of such a booster, or a tree is not one.
    """
    if not isinstance(text, str) or len(text) > MAX_TEXT or not text.startswith("tree\n"):
        raise ValueError("its booster is not a text of LightGBM")
    header, *blocks = re.split(r"\n+Tree=\d+\n", text.split("\nend of trees", 1)[0])
    stated = dict(line.split("=", 1) for line in header.splitlines() if "=" in line)
    for key, wanted in (("num_class", classes), ("num_tree_per_iteration", classes), ("max_feature_idx", features - 1)):
        if stated.get(key) != str(wanted):
            raise ValueError(f"its booster has {key} {stated.get(key)!r}, expected {wanted}")
    if not blocks or len(blocks) % classes or len(blocks) > MAX_TREES:
        raise ValueError(f"its booster has {len(blocks)} trees for {classes} classes")
    trees = [_tree(block, features) for block in blocks]
    names = " ".join(f"Column_{number}" for number in range(features))
    parts = [
        "tree\nversion=v4",
        f"num_class={classes}\nnum_tree_per_iteration={classes}\nlabel_index=0\nmax_feature_idx={features - 1}",
        f"objective={objective}{f' num_class:{classes}' if classes > 1 else ''}\nfeature_names={names}",
        f"feature_infos={' '.join(['[-1e+300:1e+300]'] * features)}\n",
    ]
    parts += [f"Tree={number}\n{tree}\n" for number, tree in enumerate(trees)]
    return "\n".join([*parts, "\nend of trees\n"])


def tree_entries(text: str) -> list[dict[str, str]]:
    """Return the lines of each tree of a booster's text, by their keys."""
    _, *blocks = re.split(r"\n+Tree=\d+\n", text.split("\nend of trees", 1)[0])
    return [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in blocks]


def _tree(block: str, features: int) -> str:
    """One tree's lines, after checks."""
    entries = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
    leaves = _whole(entries.get("num_leaves", ""))
    if leaves < 1 or entries.get("num_cat") != "0" or entries.get("is_linear", "0") != "0":
        raise ValueError("a tree of its booster is of another kind")
    lengths = {**dict.fromkeys(_NODES + _INNER, leaves - 1), **dict.fromkeys(_LEAVES, leaves)}
    if leaves == 1:  # LightGBM leaves out what a single leaf does not need
        lengths = {"leaf_value": 1}
        numbers = {"leaf_value": _numbers(entries, "leaf_value", 1)}
    else:
        numbers = {key: _numbers(entries, key, length) for key, length in lengths.items()}
        _require_sound_tree(numbers, leaves, features)
    shrinkage = _numbers(entries, "shrinkage", 1)
    lines = [f"num_leaves={leaves}", "num_cat=0"]
    for key, array in numbers.items():
        shown = (str(int(number)) for number in array) if key in _WHOLE else (repr(float(number)) for number in array)
        lines.append(f"{key}={' '.join(shown)}")
    return "\n".join([*lines, "is_linear=0", f"shrinkage={float(shrinkage[0])!r}", ""])


def _require_sound_tree(numbers: Mapping[str, NDArray[np.float64]], leaves: int, features: int) -> None:
    """Every node but the root and every leaf has one parent, which comes before it; so there is no circle."""
    split, decision = numbers["split_feature"], numbers["decision_type"]
    if (split < 0).any() or (split >= features).any():
        raise ValueError(f"a tree of its booster tests a feature outside its {features}")
    if not np.isin(decision, _DECISIONS).all():
        raise ValueError("a tree of its booster decides by something else than a threshold")
    left, right = numbers["left_child"].astype(np.int64), numbers["right_child"].astype(np.int64)
    children, parents = np.concatenate([left, right]), np.tile(np.arange(leaves - 1), 2)
    inner = children >= 0
    if (children[inner] <= parents[inner]).any() or (children >= leaves - 1).any() or (children < -leaves).any():
        raise ValueError("a node of its booster leads out of the tree, or back")
    if len(np.unique(children)) != len(children):
        raise ValueError("a node of its booster has two parents")


def _numbers(entries: Mapping[str, str], key: str, length: int) -> NDArray[np.float64]:
    if key not in entries:
        raise ValueError(f"a tree of its booster has no {key}")
    words = entries[key].split()
    if len(words) != length:
        raise ValueError(f"a tree of its booster has {len(words)} numbers of {key}, expected {length}")
    array = np.array([float(word) for word in words])
    whole = key in _WHOLE and ((array != np.round(array)).any() or (np.abs(array) > 2**31 - 1).any())
    if not np.isfinite(array).all() or whole:
        raise ValueError(f"{key} of its booster has something else than numbers")
    return array


def _whole(word: str) -> int:
    if not re.fullmatch(r"\d{1,6}", word):
        raise ValueError("a tree of its booster states no number of leaves")
    return int(word)
