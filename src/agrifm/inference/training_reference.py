"""How unlike its training data a pixel is: a sample of the training pixels, their scale, and the index of new ones.

Dissimilarity index and area of applicability of Meyer and Pebesma 2021 ("Predicting into unknown space? Estimating the
area of applicability of spatial prediction models", Methods in Ecology and Evolution 12: 1620-1633, sections 2.1 to
2.3): the distance to the nearest training pixel, divided by the mean distance of two training pixels. A pixel is
outside where its index is above the upper whisker of the training pixels' index towards other folds of whole blocks.
Which features there are is docs/decisions/0014-area-of-applicability.md.

Shape letters: P pixels, F features, D dimensions, N training pixels.
"""

import io
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agrifm.classic.features import Part
from agrifm.classic.numbers import Rows
from agrifm.classic.training_rows import scaling
from agrifm.errors import ModelError, doing
from agrifm.files import AnyPath, as_path, write_bytes
from agrifm.record import ModelRecord, SensorInput
from agrifm.validation import Frozen

REFERENCE = "training-features.npz"
"""File, in the directory of models, with what is here; it is read without pickle."""
FARTHEST_MAPPED = 2.54
"""Greatest index that a layer states; pixels that are farther have it too."""
KEPT_VARIANCE = 0.99
"""Share of the features' variance in the dimensions."""
WHISKER = 1.5
"""Interquartile ranges above the third quartile (Tukey), beyond which a training pixel is an outlier."""
AT_ONCE = 2048
"""Pixels whose distances are computed together."""

Floats = NDArray[np.float64]


class ReferenceFacts(Frozen):
    """What the features are of."""

    format: Literal[1] = 1
    sensors: tuple[SensorInput, ...] = Field(min_length=1)
    """In the order of the features."""
    frames: int = Field(ge=1)
    """Equal steps of the season to which series are interpolated."""
    parts: tuple[Part, ...] = Field(min_length=1)
    """Of rows of features (`agrifm.classic.features`)."""
    classes: tuple[str, ...]
    """Codes of the legend."""
    spread: float = Field(gt=0)
    """Mean distance of two training pixels."""
    threshold: float = Field(ge=0)
    """Index above which a pixel is outside the area of applicability."""
    blocks: int
    """Blocks of the training pixels."""


@dataclass(frozen=True)
class TrainingReference:
    """Training pixels in the space of distances."""

    facts: ReferenceFacts
    mean: Floats
    """(F,), of the features."""
    projection: Floats
    """(F, D), from features less their mean to dimensions."""
    points: Floats
    """(N, D), the training pixels."""
    lonlat: Floats
    """(N, 2), degrees; NaN where a table states no place."""

    def why_unlike(self, record: ModelRecord) -> str | None:
        """Return why it is not of the training data of a model, in words; None if it may be."""
        if record.legend.codes != self.facts.classes:
            return "the classes are others"
        wanted = {(sensor.sensor, sensor.bands) for sensor in record.sensors}
        return None if wanted == {(one.sensor, one.bands) for one in self.facts.sensors} else "the bands are others"

    def dissimilarity(self, rows: Rows) -> Floats:
        """Return the index (P,) of rows of features (P, F)."""
        if not len(rows):
            return np.zeros(0)
        parts = [rows[first : first + AT_ONCE] for first in range(0, len(rows), AT_ONCE)]
        return np.concatenate([self._nearest((part - self.mean) @ self.projection) for part in parts])

    def _nearest(self, places: Floats) -> Floats:
        return nearest_distances(places, self.points) / self.facts.spread

    @property
    def digest(self) -> str:
        """SHA-256 of what decides an index."""
        content = [array.tobytes() for array in (self.mean, self.projection, self.points)]
        return sha256(b"".join([self.facts.model_dump_json().encode(), *content])).hexdigest()

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all; the same content is the same bytes."""
        content = io.BytesIO()
        np.savez_compressed(
            content,
            facts=np.array(self.facts.model_dump_json()),
            mean=self.mean,
            projection=self.projection,
            points=self.points,
            lonlat=self.lonlat,
        )
        write_bytes(path, content.getvalue())

    @classmethod
    def read(cls, path: AnyPath) -> Self:
        """Read the file.

        Raises:
            ModelError: it is absent or damaged.
        """
        path = as_path(path)
        with doing(f"reading the training features {path}", ModelError, "train again, or remove it", path=path):
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as content:
                facts = ReferenceFacts.model_validate_json(str(content["facts"]))
                found = cls(facts, *(content[name] for name in ("mean", "projection", "points", "lonlat")))
            features, dimensions = found.projection.shape
            if found.mean.shape != (features,) or found.points.shape != (len(found.lonlat), dimensions):
                raise ValueError("its arrays do not fit each other")
        return found


def nearest_distances(places: Floats, points: Floats) -> Floats:
    """Return the distance (P,) of each of the places (P, D) to the nearest of the points (N, D).

    Squares are by the binomial formula, which is one matrix product, in 64 bits.
    """
    squares = np.einsum("pd,pd->p", places, places)[:, None] - 2 * (places @ points.T)
    squares += np.einsum("nd,nd->n", points, points)
    return np.asarray(np.sqrt(np.maximum(squares.min(axis=1), 0)))


def fit_reference(
    rows: Rows,
    label: NDArray[np.uint8],
    fold: NDArray[np.integer],
    lonlat: Floats,
    sensors: tuple[SensorInput, ...],
    frames: int,
    parts: tuple[Part, ...],
    classes: tuple[str, ...],
    blocks: int,
) -> TrainingReference:
    """Return the reference of training pixels, with the threshold of their cross-validation.

    Features are standardised, weighted by the share of their variance that is between classes (the squared correlation
    ratio, as importance), and turned to the principal components with `KEPT_VARIANCE`, which keeps their distances.

    Args:
        rows: (N, F), features of training pixels, at least two of which differ.
        label: (N,), class numbers.
        fold: (N,), of each pixel's block; at least two folds.
        lonlat: (N, 2), degrees.
        sensors, frames, parts, classes, blocks: see `ReferenceFacts`.
    """
    mean, std = scaling(rows)
    standard = (rows - mean).astype(np.float64) / std
    weight = np.sqrt(_share_between(standard, label))
    standard *= weight
    values, vectors = np.linalg.eigh(standard.T @ standard)
    values, vectors = values[::-1], vectors[:, ::-1]
    kept = int(np.searchsorted(np.cumsum(values) / values.sum(), KEPT_VARIANCE)) + 1
    projection = vectors[:, :kept] * (weight / std)[:, None]
    points = (rows - mean.astype(np.float64)) @ projection
    spread = _mean_distance(points)
    index = np.zeros(len(points))
    for number in np.unique(fold):
        held_out = fold == number
        index[held_out] = nearest_distances(points[held_out], points[~held_out]) / spread
    low, high = np.quantile(index, [0.25, 0.75])
    threshold = min(float(high + WHISKER * (high - low)), float(index.max()))
    facts = ReferenceFacts(
        sensors=sensors,
        frames=frames,
        parts=parts,
        classes=classes,
        spread=spread,
        threshold=threshold,
        blocks=blocks,
    )
    return TrainingReference(facts, mean.astype(np.float64), projection, points, lonlat)


def _share_between(standard: Floats, label: NDArray[np.uint8]) -> Floats:
    """Share (F,) of each standardised column's variance between classes; equal weights where there is one class."""
    classes = np.unique(label)
    if len(classes) < 2:
        return np.ones(standard.shape[1])
    means = [(label == one).mean() * standard[label == one].mean(axis=0) ** 2 for one in classes]
    return np.asarray(np.sum(means, axis=0))


def _mean_distance(points: Floats) -> float:
    """Of two different points, over all pairs."""
    total = 0.0
    for first in range(0, len(points), AT_ONCE):
        part = points[first : first + AT_ONCE]
        squares = (part**2).sum(axis=1)[:, None] - 2 * part @ points.T + (points**2).sum(axis=1)
        total += float(np.sqrt(np.maximum(squares, 0)).sum())
    return total / (len(points) * (len(points) - 1))
