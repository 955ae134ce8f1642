"""Scores on unseen blocks: per pixel and per parcel, with intervals over blocks, and the content of `scores.json`."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.choice import describe_choices
from agrifm.files import finite_or_none
from agrifm.legend import UNLABELLED, Legend, is_named_as_land
from agrifm.samples.legends.levels import Level, level_notes, levels_of
from agrifm.samples.split import HeldOutBlocks
from agrifm.scores import (
    Counts,
    block_interval,
    class_scores,
    confusion_counts,
    f1_per_class,
    macro_f1,
    merged_counts,
    overall_accuracy,
    paired_interval,
)


def score(predicted: NDArray[np.uint8], unseen: HeldOutBlocks, legend: Legend) -> dict[str, Any]:
    """Score predicted classes (H, W) on unseen blocks; the result can be written as JSON, with None for NaN.

    `macro_f1` is the mean over all classes of the test, and `macro_f1_scored` over the scored classes alone. A raster
    of labels has no parcels, so its `macro_f1_parcels` is None. `levels` has scores of merged classes, by level of the
    legend's hierarchy, if it has any. `one_class` has those of the class that is asked for, if the other one of two is
    other land.
    """
    classes = len(legend)
    counted = (unseen.label != UNLABELLED) & (predicted != UNLABELLED)
    per_block = counts_by_block(predicted, unseen, counted, classes)
    counts = per_block.sum(axis=0)
    scores: dict[str, Any] = finite_or_none(
        {
            "overall_accuracy": overall_accuracy(counts),
            "overall_accuracy_interval": block_interval(per_block, overall_accuracy),
            "macro_f1": macro_f1(counts),
            "macro_f1_interval": block_interval(per_block, macro_f1),
            "macro_f1_scored": macro_f1(counts, unseen.scored),
            "macro_f1_scored_interval": block_interval(per_block, lambda drawn: macro_f1(drawn, unseen.scored)),
            "macro_f1_parcels": macro_f1(_parcel_counts(predicted, unseen, classes)) if unseen.has_parcels else None,
            "f1": dict(zip(legend.codes, f1_per_class(counts).tolist(), strict=True)),
            "counts": counts.tolist(),
            **({"levels": _level_scores(per_block, levels)} if (levels := levels_of(legend)) else {}),
            **({} if legend.one_class is None else {"one_class": _one_class(per_block, legend, legend.one_class)}),
        }
    )
    return scores


def _one_class(per_block: NDArray[np.int64], legend: Legend, number: int) -> dict[str, Any]:
    """Scores of the one class of a task of two, from confusion counts (block, predicted class, true class)."""
    found: dict[str, Any] = {"code": legend.codes[number], "name": legend.classes[number].name}

    def one(key: str, counts: Counts) -> float:
        return class_scores(counts, number)[key]

    for key, value in class_scores(per_block.sum(axis=0), number).items():
        found[key], found[f"{key}_interval"] = value, block_interval(per_block, partial(one, key))
    return found


def _level_scores(per_block: NDArray[np.int64], levels: Sequence[Level]) -> dict[str, Any]:
    """Scores of the classes merged at each level, from confusion counts (block, predicted class, true class)."""
    scores = {}
    for level in levels:
        merged, groups = merged_counts(per_block, level.groups)
        counts = merged.sum(axis=0)
        scores[level.name] = {
            "overall_accuracy": overall_accuracy(counts),
            "overall_accuracy_interval": block_interval(merged, overall_accuracy),
            "macro_f1": macro_f1(counts),
            "macro_f1_interval": block_interval(merged, macro_f1),
            "f1": dict(zip(groups, f1_per_class(counts).tolist(), strict=True)),
        }
    return scores


def compare_predictions(
    first: NDArray[np.uint8], second: NDArray[np.uint8], unseen: HeldOutBlocks, classes: int
) -> dict[str, Any]:
    """Return the macro F1 of the first prediction (H, W) minus that of the second; it can be written as JSON.

    Both are counted on the same pixels, and the interval draws the same blocks for both.
    """
    counted = (unseen.label != UNLABELLED) & (first != UNLABELLED) & (second != UNLABELLED)
    of_first, of_second = (counts_by_block(predicted, unseen, counted, classes) for predicted in (first, second))
    better, worse = (macro_f1(counts.sum(axis=0)) for counts in (of_first, of_second))
    difference: dict[str, Any] = finite_or_none(
        {
            "macro_f1": better - worse,
            "macro_f1_interval": paired_interval(of_first, of_second, macro_f1),
            "blocks": len(of_first),
        }
    )
    return difference


def majority_accuracy(unseen: HeldOutBlocks, training: NDArray[np.uint8], classes: int) -> float:
    """Return the overall accuracy of predicting the most frequent class of the training labels everywhere."""
    common = np.bincount(training[training != UNLABELLED], minlength=classes).argmax()
    known = unseen.label[unseen.label != UNLABELLED]
    return float((known == common).mean())


def counts_by_block(
    predicted: NDArray[np.uint8], unseen: HeldOutBlocks, counted: NDArray[np.bool_], classes: int
) -> NDArray[np.int64]:
    """Return confusion counts (block, predicted class, true class) of the counted pixels (H, W)."""
    blocks, index = np.unique(unseen.block[counted], return_inverse=True)
    per_block = np.zeros((len(blocks), classes, classes), np.int64)
    # Indices repeat: `+=` would count each of them once.
    np.add.at(per_block, (index, predicted[counted], unseen.label[counted]), 1)
    return per_block


def _parcel_counts(predicted: NDArray[np.uint8], unseen: HeldOutBlocks, classes: int) -> NDArray[np.int64]:
    """Confusion counts of parcels, each predicted as the class of most of its pixels."""
    inside = (unseen.label != UNLABELLED) & (predicted != UNLABELLED) & (unseen.place >= 0)
    parcels, index = np.unique(unseen.place[inside], return_inverse=True)
    votes = np.zeros((len(parcels), classes), np.int64)
    np.add.at(votes, (index, predicted[inside]), 1)
    true = np.zeros(len(parcels), np.uint8)
    # A parcel has one label, so any of its pixels gives it.
    true[index] = unseen.label[inside]
    return confusion_counts(votes.argmax(axis=1).astype(np.uint8), true, classes)


def summarise_scores(
    legend: Legend,
    unseen: HeldOutBlocks,
    labels: Mapping[str, NDArray[np.uint8]],
    blocks: dict[str, int],
    notes: Sequence[str],
    scores: dict[str, Any],
    predictions: dict[str, NDArray[np.uint8]],
) -> dict[str, Any]:
    """Return the content of `scores.json`.

    Args:
        labels: by fold, class numbers (H, W) of its labels, 255 elsewhere.
        blocks: number of blocks with labels in each fold.
        notes: on the labels.
        scores: of each model, from `agrifm.train.evaluate.score`, with its record's `training`.
        predictions: class numbers (H, W) of each model, 255 = not predicted.
    """
    classes = len(legend)
    choices = describe_choices({name: entry["training"] for name, entry in scores.items()})
    return {
        "models": scores,
        "differences": [
            {
                "model": first,
                "against": second,
                **compare_predictions(predictions[first], predictions[second], unseen, classes),
            }
            for first, second in combinations(predictions, 2)
        ],
        "majority_class": {"overall_accuracy": majority_accuracy(unseen, labels["train"], classes)},
        "legend": legend.model_dump(mode="json"),
        "scored": [code for code, wanted in zip(legend.codes, unseen.scored, strict=True) if wanted],
        "tested": [legend.codes[number] for number in _classes_of(unseen.label)],
        "blocks": blocks,
        **({"levels": [level.about(legend.codes) for level in levels]} if (levels := levels_of(legend)) else {}),
        "notes": [
            *notes,
            *level_notes(legend),
            *_lacking(legend, labels, blocks),
            *_only_crops(legend),
            *_start_notes(scores),
            *choices,
        ],
    }


def _start_notes(scores: dict[str, Any]) -> list[str]:
    return [note for entry in scores.values() for note in entry["training"].get("start", {}).get("notes", [])]


def _only_crops(legend: Legend) -> list[str]:
    """A note on land that is not a crop, if the legend says of no class that it is such land."""
    if not all(entry.scored for entry in legend.classes):
        return []
    land = [entry.name for entry in legend.classes if is_named_as_land(entry)]
    if land:
        return [
            f"{', '.join(land)}: by the name land that is not a crop, yet counted as scored; `scored` = false in the "
            "legend says that it is other land"
        ]
    return [
        "the legend has no other land (`other`, or classes with `scored` = false), so land of other kinds, such "
        "as towns, will be mapped as one of them"
    ]


def _classes_of(label: NDArray[np.uint8]) -> list[int]:
    """Numbers of the classes that occur in labels."""
    return [int(number) for number in np.unique(label[label != UNLABELLED])]


def _lacking(legend: Legend, labels: Mapping[str, NDArray[np.uint8]], blocks: dict[str, int]) -> list[str]:
    """A note for each fold that lacks a class which another fold has."""
    present = {fold: set(_classes_of(label)) for fold, label in labels.items()}
    notes = []
    for fold, own in present.items():
        names = [legend.classes[number].name for number in sorted(set().union(*present.values()) - own)]
        if names:
            notes.append(f"no label in the {fold} blocks ({blocks[fold]}): {', '.join(names)}")
    return notes
