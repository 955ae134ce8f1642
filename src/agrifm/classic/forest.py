"""Random forests: the baseline that every map is compared with, as good as features and tuning make it.

`agrifm.classic.features` says what a forest sees of a pixel. Which features and which shape of the trees are best is
decided on the validation blocks, in two short rounds of small forests; the best one is then grown in full.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal
from zipfile import ZIP_DEFLATED, BadZipFile

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

from agrifm.classic.features import KINDS, Kind, Rows, features, margin, parts
from agrifm.errors import ModelError
from agrifm.files import write_bytes
from agrifm.grid import Window
from agrifm.legend import UNLABELLED
from agrifm.record import ModelRecord, SensorInput
from agrifm.samples.sample import Sample
from agrifm.scores import confusion_counts, macro_f1

TREES = 300
TUNING_TREES = 40
PIXELS_PER_PLACE = 8
"""Training pixels drawn from a parcel; more repeat each other."""
PIXELS_PER_BLOCK = 40
"""Training pixels drawn per block from land of the class `other`."""
_TRUSTED = ["sklearn.tree._tree.Tree"]
"""Type outside of skops' own safe list that a stored forest may hold."""
Classes = NDArray[np.uint8]


@dataclass(frozen=True)
class Shape:
    """What a forest sees, and how its trees are grown."""

    features: Kind = "series"
    split: Literal["best", "random"] = "best"
    """Thresholds: the best of each feature (Breiman 2001), or one drawn for each (Geurts et al. 2006)."""
    share: float | Literal["sqrt"] = "sqrt"
    """Features tried at each split: a share of all, or the square root of their number."""
    leaf: int = 2
    """Fewest training pixels in a leaf."""

    @classmethod
    def of(cls, record: ModelRecord) -> "Shape":
        """The shape that a record tells of."""
        return cls(**record.architecture["shape"])

    def record(self) -> dict[str, Any]:
        """The part of a record that tells of this shape."""
        return {
            "family": "random-forest",
            "architecture": {"kind": "random forest", "shape": asdict(self)},
            "margin": margin(self.features),
        }


TREES_TRIED = (
    Shape(leaf=5),
    Shape(split="random", share=0.2),
    Shape(split="random", share=0.2, leaf=5),
)
"""Tried beside the usual trees once the features are chosen."""


@dataclass(frozen=True)
class RandomForest:
    """A trained forest and its record."""

    record: ModelRecord
    classifier: RandomForestClassifier | ExtraTreesClassifier

    def probabilities(self, sample: Sample) -> NDArray[np.float32]:
        """Class probabilities (classes, H, W) of an interpolated sample; pixels never seen are 0 before the forest."""
        everywhere = np.ones(sample.label.shape, bool)
        rows = features(sample, everywhere, self.record.sensors, Shape.of(self.record).features)
        found = self.classifier.predict_proba(rows).astype(np.float32)
        result = np.zeros((len(rows), len(self.record.legend)), np.float32)
        result[:, self.classifier.classes_] = found
        return result.T.reshape(-1, *sample.label.shape)


def draw_pixels(
    label: NDArray[np.uint8], place: NDArray[np.int32], block: NDArray[np.int32], seed: int
) -> NDArray[np.bool_]:
    """Training pixels (H, W): at most `PIXELS_PER_PLACE` of a parcel, `PIXELS_PER_BLOCK` of a block's other land."""
    generator = np.random.default_rng(seed)
    labelled = np.flatnonzero(label.ravel() != UNLABELLED)
    shuffled = generator.permutation(labelled)
    group = np.where(place.ravel() >= 0, place.ravel(), -1 - block.ravel().astype(np.int64))[shuffled]
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    first = np.r_[0, np.flatnonzero(np.diff(ordered)) + 1]
    rank = np.arange(len(ordered)) - np.repeat(first, np.diff(np.r_[first, len(ordered)]))
    allowed = np.where(ordered >= 0, PIXELS_PER_PLACE, PIXELS_PER_BLOCK)
    chosen = np.zeros(label.size, bool)
    chosen[shuffled[order[rank < allowed]]] = True
    return chosen.reshape(label.shape)


def pixel_rows(
    samples: Iterable[tuple[Window, Sample]], chosen: NDArray[np.bool_], sensors: Sequence[SensorInput]
) -> tuple[dict[Kind, Rows], NDArray[np.intp]]:
    """Features of every kind of the chosen pixels, each taken once though windows may overlap.

    Args:
        samples: windows with the sample of each, which may show more around it.
        chosen: (H, W) of the whole target grid; pixels that no sensor saw are left out.

    Returns:
        Rows of each kind, and the place of each row's pixel in the flattened grid.
    """
    left = chosen.copy()
    number = np.arange(chosen.size).reshape(chosen.shape)
    found, places = [], []
    for window, sample in samples:
        own = np.zeros(sample.label.shape, bool)
        inside = window.within(sample.window).slices
        own[inside] = left[window.slices] & sample.seen[inside]
        found.append(parts(sample, own, sensors, KINDS[-1]))
        places.append(number[window.slices][own[inside]])
        left[window.slices] = False
    rows = np.concatenate([np.concatenate(own, axis=1) for own in found])
    widths = np.cumsum([part.shape[1] for part in found[0]])
    return {kind: rows[:, :width] for kind, width in zip(KINDS, widths, strict=True)}, np.concatenate(places)


def grow(rows: Rows, classes: Classes, shape: Shape, trees: int, seed: int) -> Any:
    """A classifier of scikit-learn grown on rows (pixels, features) and class numbers (pixels,)."""
    kind = RandomForestClassifier if shape.split == "best" else ExtraTreesClassifier
    forest = kind(trees, min_samples_leaf=shape.leaf, max_features=shape.share, n_jobs=-1, random_state=seed)
    return forest.fit(rows, classes)


def fit(rows: Rows, classes: Classes, record: ModelRecord, shape: Shape | None = None) -> RandomForest:
    """Train a forest of `TREES` trees on rows (pixels, features) and class numbers (pixels,)."""
    shape = shape or Shape()
    record = record.model_copy(update=shape.record())
    return RandomForest(record, grow(rows, classes, shape, TREES, int(record.training.get("seed", 0))))


def tune(
    training: dict[Kind, Rows],
    classes: Classes,
    validation: dict[Kind, Rows],
    validation_classes: Classes,
    scored: NDArray[np.bool_],
    seed: int,
) -> tuple[Shape, list[dict[str, Any]]]:
    """The best shape by macro F1 on validation pixels, of which there are some: first the features, then the trees.

    Args:
        training, validation: rows of each kind of features.
        scored: (classes,), which classes count, as far as they occur in validation.

    Returns:
        The shape, and every shape tried with its macro F1.
    """
    tried: dict[Shape, float] = {}

    def best_of(shapes: Iterable[Shape]) -> Shape:
        for shape in shapes:
            forest = grow(training[shape.features], classes, shape, TUNING_TREES, seed)
            counts = confusion_counts(forest.predict(validation[shape.features]), validation_classes, len(scored))
            tried[shape] = macro_f1(counts, scored & (counts.sum(axis=0) > 0))
        return max(tried, key=lambda shape: tried[shape])

    best = best_of(Shape(kind) for kind in KINDS)
    best = best_of(replace(shape, features=best.features) for shape in TREES_TRIED)
    return best, [{**asdict(shape), "validation_macro_f1": round(score, 4)} for shape, score in tried.items()]


def save_forest(path: Path, forest: RandomForest) -> None:
    """Write the forest and its record as one skops file, whole or not at all."""
    from skops import io

    content = {"record": forest.record.model_dump_json(), "forest": forest.classifier}
    write_bytes(path, io.dumps(content, compression=ZIP_DEFLATED, compresslevel=1))


def load_forest(path: Path) -> RandomForest:
    """Read a forest; a file that holds any other type than those of a forest is refused unread.

    Raises:
        ModelError: the file is absent, damaged, or not a forest written by agrifm.
    """
    from skops import io
    from skops.io.exceptions import UntrustedTypesFoundException

    about = f"reading the model {path}"
    try:
        content = io.load(path, trusted=_TRUSTED)
        record = ModelRecord.model_validate_json(content["record"])
        Shape.of(record)
        return RandomForest(record, content["forest"])
    except UntrustedTypesFoundException as error:
        raise ModelError(f"{about}: it holds types that no random forest has ({error}); do not use it") from error
    except (OSError, ValueError, KeyError, TypeError, ValidationError, BadZipFile) as error:
        raise ModelError(f"{about}: {str(error).splitlines()[0]}; `agrifm train` writes it") from error
