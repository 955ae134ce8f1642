"""Blocks and folds: training, validation and test are apart in space, because random pixels would not be."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import LabelError
from agrifm.legend import UNLABELLED
from agrifm.samples.labels import Labels
from agrifm.scores import scored_classes

FOLDS = ("train", "validation", "test")
SHARES = (0.55, 0.15, 0.30)
"""Share of the blocks in each fold."""
CANDIDATES = 300
"""Random divisions compared; the one that divides the classes most evenly is used."""


@dataclass(frozen=True)
class Split:
    """Which fold and block each labelled pixel belongs to."""

    fold: NDArray[np.uint8]
    """(H, W), 0 train, 1 validation, 2 test."""
    block: NDArray[np.int32]
    """(H, W), number of the block; all pixels of a parcel are in the block of its representative point."""
    place_fold: NDArray[np.uint8]
    """(places,), fold of each parcel or point."""
    blocks: dict[str, int]
    """Number of blocks with labels in each fold."""

    def label_of(self, labels: Labels, fold: str) -> NDArray[np.uint8]:
        """Return the labels of one fold (H, W); all others are 255."""
        return np.where(self.fold == FOLDS.index(fold), labels.label, np.uint8(UNLABELLED))


@dataclass(frozen=True)
class HeldOutBlocks:
    """The test blocks of a labelled cube, and which classes are scored there."""

    label: NDArray[np.uint8]
    """(H, W), labels of the test blocks, 255 elsewhere."""
    block: NDArray[np.int32]
    """(H, W), number of the block."""
    place: NDArray[np.int32]
    """(H, W), number of the parcel or point, -1 none."""
    scored: NDArray[np.bool_]
    """(classes,), whether the class counts in the macro F1 of the scored classes."""
    has_parcels: bool = True
    """Whether places are parcels or points; the connected regions of a raster are neither."""


def held_out_blocks(labels: Labels, split: Split) -> HeldOutBlocks:
    """Return the test fold; a class is scored if it has at least `agrifm.scores.MIN_PLACES` test parcels or points."""
    numbers = labels.places["number"].to_numpy()
    test = split.place_fold == FOLDS.index("test")
    per_class = np.bincount(numbers[test], minlength=len(labels.legend))
    scored = scored_classes(labels.legend, per_class.tolist())
    return HeldOutBlocks(split.label_of(labels, "test"), split.block, labels.place, scored, labels.has_parcels)


def split_blocks(labels: Labels, block: float, seed: int) -> Split:
    """Divide blocks among the folds; labelled shapes that have a fold already keep it.

    Args:
        block: side of the squares in CRS units, a multiple of the pixel side.

    Raises:
        LabelError: a fold is unknown, or a class has no label in training or test.
    """
    side = round(block / labels.grid.resolution)
    rows, cols = (np.arange(length) // side for length in labels.label.shape)
    # Blocks are numbered row by row.
    number = (rows[:, None] * (cols[-1] + 1) + cols).astype(np.int32)
    places = labels.places
    points = places.geometry.representative_point()
    inverse = ~labels.grid.transform
    place_cols, place_rows = inverse * (points.x.to_numpy(), points.y.to_numpy())
    height, width = labels.label.shape
    # Parcels may reach beyond the grid: then the nearest block counts.
    place_block = number[np.clip(place_rows.astype(int), 0, height - 1), np.clip(place_cols.astype(int), 0, width - 1)]
    fold_of_block = _divide(place_block, places["number"].to_numpy(), labels, number, seed)
    place_fold = fold_of_block[place_block]
    if "fold" in places:
        unknown = set(places["fold"]) - set(FOLDS)
        if unknown:
            raise LabelError(
                f"dividing the labels: unknown fold {sorted(unknown)[0]!r}; write train, validation or test",
                fold=sorted(unknown)[0],
            )
        place_fold = np.array([FOLDS.index(name) for name in places["fold"]], np.uint8)
        # With folds given, each parcel or point is a block, numbered after the squares.
        place_block = np.arange(len(places), dtype=np.int32) + number.max() + 1
    covered = labels.place >= 0
    # Where a pixel has no parcel, -1 reads the last entry, which `where` drops.
    pixel_block = np.where(covered, place_block[labels.place], number)
    pixel_fold = np.where(covered, place_fold[labels.place], fold_of_block[number])
    labelled = labels.label != UNLABELLED
    counts = {name: len(np.unique(pixel_block[labelled & (pixel_fold == fold)])) for fold, name in enumerate(FOLDS)}
    _require_classes(labels, pixel_fold, counts)
    return Split(pixel_fold.astype(np.uint8), pixel_block.astype(np.int32), place_fold.astype(np.uint8), counts)


def _divide(
    place_block: NDArray[np.int32],
    place_class: NDArray[np.uint8],
    labels: Labels,
    number: NDArray[np.int32],
    seed: int,
) -> NDArray[np.uint8]:
    """Fold of each block: of many random divisions the one that divides the places of each class most evenly."""
    blocks = int(number.max()) + 1
    classes = len(labels.legend)
    counts = np.zeros((blocks, classes))
    np.add.at(counts, (place_block, place_class), 1)
    alone = (labels.label != UNLABELLED) & (labels.place < 0)
    # Land without parcels counts by pixel, a thousand pixels as much as one parcel.
    np.add.at(counts, (number[alone], labels.label[alone]), 1e-3)
    totals = np.maximum(counts.sum(axis=0), 1e-9)
    generator = np.random.default_rng(seed)
    wanted = np.repeat(np.arange(3, dtype=np.uint8), _sizes(blocks))
    best, best_cost = wanted, np.inf
    for _ in range(CANDIDATES):
        candidate = generator.permutation(wanted)
        shares = np.stack([counts[candidate == fold].sum(axis=0) for fold in range(3)]) / totals
        # A class that is absent from a fold costs more than any uneven division.
        cost = np.abs(shares - np.array(SHARES)[:, None]).sum() + 10 * (shares == 0).sum()
        if cost < best_cost:
            best, best_cost = candidate, cost
    return best


def _sizes(blocks: int) -> list[int]:
    """Number of blocks of each fold; at least one each if there are three."""
    validation = max(1, round(blocks * SHARES[1]))
    test = max(1, round(blocks * SHARES[2]))
    # Training gets what is left.
    return [max(blocks - validation - test, 0), min(validation, blocks), min(test, max(blocks - validation, 0))]


def _require_classes(labels: Labels, fold: NDArray[np.uint8], blocks: dict[str, int]) -> None:
    # labels of fields may have one class, where fields are all that is known
    least = min(2, len(np.unique(labels.label[labels.label != UNLABELLED])))
    for name in ("train", "test"):
        classes = np.unique(labels.label[(labels.label != UNLABELLED) & (fold == FOLDS.index(name))])
        if len(classes) < least:
            raise LabelError(
                f"dividing the labels: the {name} blocks ({blocks[name]}) have labels of {len(classes)} classes, and "
                f"{least} are needed; use smaller "
                "blocks (`block`), or label more of the area",
                fold=name,
            )
