"""A random forest on gap-filled series: the naive baseline that every map is compared with.

A pixel's features are its bands at all steps of the interpolated season; coarser sensors lend the pixel their value.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZIP_DEFLATED, BadZipFile

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from sklearn.ensemble import RandomForestClassifier

from agrifm.errors import ModelError
from agrifm.files import write_bytes
from agrifm.legend import UNLABELLED
from agrifm.record import ModelRecord
from agrifm.samples.sample import Sample

TREES = 200
LEAF = 2
"""Fewest training pixels in a leaf."""
PIXELS_PER_PLACE = 20
"""Training pixels drawn from a parcel; more repeat each other."""
PIXELS_PER_BLOCK = 40
"""Training pixels drawn per block from land of the class `other`."""
_TRUSTED = ["sklearn.tree._tree.Tree"]
"""Type outside of skops' own safe list that a stored forest may hold."""


@dataclass(frozen=True)
class RandomForest:
    """A trained forest and its record."""

    record: ModelRecord
    classifier: RandomForestClassifier

    def probabilities(self, sample: Sample) -> NDArray[np.float32]:
        """Class probabilities (classes, H, W) of an interpolated sample; pixels never seen are 0 before the forest."""
        rows = features(sample)
        found = self.classifier.predict_proba(rows).astype(np.float32)
        result = np.zeros((len(rows), len(self.record.legend)), np.float32)
        result[:, self.classifier.classes_] = found
        return result.T.reshape(-1, *sample.label.shape)


def features(sample: Sample) -> NDArray[np.float32]:
    """Rows (H * W, features) of an interpolated sample: per sensor all bands at all steps."""
    height, width = sample.label.shape
    columns = []
    for series in sample.series.values():
        frames, bands, own_height, _ = series.image.shape
        pixels = series.image.reshape(frames * bands, *series.image.shape[2:])
        columns.append(_spread(pixels, height // own_height).reshape(frames * bands, height * width).T)
    return np.concatenate(columns, axis=1)


def _spread(pixels: NDArray[np.float32], ratio: int) -> NDArray[np.float32]:
    return pixels if ratio == 1 else pixels.repeat(ratio, axis=-2).repeat(ratio, axis=-1)


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


def training_rows(
    samples: Iterable[Sample], chosen: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Features and classes of the chosen pixels, each taken once though windows may overlap.

    Args:
        chosen: (H, W) of the whole target grid.
    """
    left = chosen.copy()
    rows, classes = [], []
    for sample in samples:
        own = left[sample.window.slices] & (sample.label != UNLABELLED)
        rows.append(features(sample)[own.ravel()])
        classes.append(sample.label[own])
        left[sample.window.slices] &= ~own
    return np.concatenate(rows), np.concatenate(classes)


def fit(rows: NDArray[np.float32], classes: NDArray[np.uint8], record: ModelRecord) -> RandomForest:
    """Train a forest on rows (pixels, features) and class numbers (pixels,)."""
    seed = int(record.training.get("seed", 0))
    classifier = RandomForestClassifier(TREES, min_samples_leaf=LEAF, n_jobs=-1, random_state=seed)
    return RandomForest(record, classifier.fit(rows, classes))


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
        return RandomForest(ModelRecord.model_validate_json(content["record"]), content["forest"])
    except UntrustedTypesFoundException as error:
        raise ModelError(f"{about}: it holds types that no random forest has ({error}); do not use it") from error
    except (OSError, ValueError, KeyError, TypeError, ValidationError, BadZipFile) as error:
        raise ModelError(f"{about}: {str(error).splitlines()[0]}; `agrifm train` writes it") from error
