"""Scores of a comparison, each with its interval over blocks.

Shape letters: B blocks, D draws of labels, S bootstrap samples, K classes, P tested places.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.files import finite_or_none
from agrifm.legend import Legend
from agrifm.samples.folds import Budget
from agrifm.samples.legends.levels import Level, levels_of
from agrifm.samples.table import SeriesTable
from agrifm.scores import (
    CALIBRATION_BINS,
    MIN_PLACES,
    average_precision,
    calibration_bins,
    draw_blocks,
    expected_calibration_error,
    merged_counts,
    percentile_interval,
    scored_classes,
)

SAMPLES = 500
"""Bootstrap samples of the blocks."""
MOST_PAIRS = 5
"""Pairs of confused classes that are reported of each model."""
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Tested:
    """The tested places of a set."""

    legend: Legend
    true: NDArray[np.uint8]
    """(P,), class numbers."""
    block: NDArray[np.intp]
    """(P,), dense numbers of blocks."""
    times: NDArray[np.int64]
    """(S + 1, B), how often each block counts: once each, and then as drawn."""

    @classmethod
    def of(cls, table: SeriesTable, test: NDArray[np.intp]) -> "Tested":
        """Return the tested places of a table, by index."""
        block = np.unique(table.block[test], return_inverse=True)[1]
        drawn = draw_blocks(int(block.max()) + 1, SAMPLES)
        return cls(
            table.legend, table.label[test], block, np.concatenate([np.ones((1, drawn.shape[1]), np.int64), drawn])
        )

    @property
    def present(self) -> NDArray[np.bool_]:
        """(K,), whether the test has the class."""
        return np.bincount(self.true, minlength=len(self.legend)) > 0

    @property
    def scored(self) -> NDArray[np.bool_]:
        """(K,), whether the class counts in the macro F1 of the scored classes."""
        places = np.bincount(self.true, minlength=len(self.legend))
        return scored_classes(self.legend, places.tolist()) & self.present

    def about(self) -> dict[str, Any]:
        """Return what is said of the test, as JSON."""
        left_out = [entry.name for entry, has, counts in self._rows() if has and not counts]
        levels = levels_of(self.legend)
        return {
            **({"levels": [level.about(self.legend.codes) for level in levels]} if levels else {}),
            "test_places": len(self.true),
            "test_blocks": int(self.block.max()) + 1,
            "test_per_class": {
                entry.code: int(count)
                for entry, count in zip(
                    self.legend.classes, np.bincount(self.true, minlength=len(self.legend)), strict=True
                )
                if count
            },
            "majority_share": float(np.bincount(self.true).max() / len(self.true)),
            "scored_rule": f"classes that the legend scores and that have at least {MIN_PLACES} test places",
            "scored_left_out": left_out,
        }

    def _rows(self) -> list[tuple[Any, bool, bool]]:
        return list(zip(self.legend.classes, self.present.tolist(), self.scored.tolist(), strict=True))


@dataclass(frozen=True)
class GroupScores:
    """Scores of one model with one budget on one set: of all blocks, and in each bootstrap sample."""

    samples: dict[str, Numbers]
    """(S + 1,) by name of score."""
    f1: Numbers
    """(S + 1, K), NaN where a sample lacks the class."""
    pairs: list[dict[str, Any]]
    """The most frequent confusions, as JSON."""
    calibration: Numbers
    """(3, bins), as from `calibration_bins`, over all draws."""
    spread: float
    """Standard deviation of macro F1 between draws; NaN of a single one."""
    levels: dict[str, dict[str, Numbers]]
    """By level of the legend's hierarchy, (S + 1,) by name of score."""


def score_group(tested: Tested, probability: Sequence[NDArray[np.float32]]) -> GroupScores:
    """Score a model.

    Args:
        probability: (P, K) of each draw of labels. A score is computed for each draw, and is their mean.
    """
    classes = len(tested.legend)
    per_block = np.zeros((len(probability), int(tested.block.max()) + 1, classes, classes), np.int64)
    precision, error, bins = [], [], np.zeros((3, CALIBRATION_BINS))
    weight = tested.times[:, tested.block].astype(np.float64)
    for counts, of_draw in zip(per_block, probability, strict=True):
        np.add.at(counts, (tested.block, of_draw.argmax(axis=1), tested.true), 1)
        present = np.flatnonzero(tested.present)
        of_classes = [average_precision(of_draw[:, number], tested.true == number, weight) for number in present]
        precision.append(_mean(np.stack(of_classes), 0))
        in_bins = calibration_bins(of_draw, tested.true, weight)
        error.append(expected_calibration_error(in_bins))
        bins += in_bins[0]
    f1, overall = _f1(np.tensordot(tested.times, per_block, (1, 1)))
    macro = _mean(f1, 2)  # (S + 1, D)
    samples = {
        "macro_f1": _mean(macro, 1),
        "macro_f1_scored": _mean(_mean(f1[:, :, tested.scored], 2), 1),
        "overall_accuracy": overall.mean(axis=1),
        "average_precision": _mean(np.stack(precision), 0),
        "calibration_error": _mean(np.stack(error), 0),
    }
    spread = float(np.std(macro[0], ddof=1)) if len(probability) > 1 else float("nan")
    levels = {level.name: _level_samples(tested, per_block, level) for level in levels_of(tested.legend)}
    return GroupScores(samples, _mean(f1, 1), _pairs(tested.legend, per_block.sum(axis=(0, 1))), bins, spread, levels)


def _level_samples(tested: Tested, per_block: NDArray[np.int64], level: Level) -> dict[str, Numbers]:
    """Scores (S + 1,) of the classes merged at a level, from counts (D, B, K predicted, K true)."""
    merged, _ = merged_counts(per_block, level.groups)
    f1, overall = _f1(np.tensordot(tested.times, merged, (1, 1)))
    return {"macro_f1": _mean(_mean(f1, 2), 1), "overall_accuracy": overall.mean(axis=1)}


def group_json(scores: GroupScores, tested: Tested, against: GroupScores | None) -> dict[str, Any]:
    """Return scores with their intervals as JSON, and the difference of macro F1 to another model."""
    content: dict[str, Any] = {}
    for name, values in scores.samples.items():
        content[name], content[f"{name}_interval"] = float(values[0]), percentile_interval(values[1:])
    content["macro_f1_spread"] = scores.spread
    content["f1"] = {
        entry.code: {"f1": float(scores.f1[0, number]), "interval": percentile_interval(scores.f1[1:, number])}
        for number, entry in enumerate(tested.legend.classes)
        if tested.present[number]
    }
    if scores.levels:
        content["levels"] = {
            level: {
                key: entry
                for name, values in of_level.items()
                for key, entry in (
                    (name, float(values[0])),
                    (f"{name}_interval", percentile_interval(values[1:])),
                )
            }
            for level, of_level in scores.levels.items()
        }
    content["confusions"] = scores.pairs
    content["calibration"] = scores.calibration.tolist()
    content["difference"] = None
    if against is not None and against is not scores:
        values = scores.samples["macro_f1"] - against.samples["macro_f1"]
        content["difference"] = {"macro_f1": float(values[0]), "interval": percentile_interval(values[1:])}
    result: dict[str, Any] = finite_or_none(content)
    return result


def group_row(set_name: str, model: str, budget: Budget, draws: int, labels: int) -> dict[str, Any]:
    """Return what names a group, as JSON."""
    return {
        "set": set_name,
        "model": model,
        "budget": str(budget),
        "draws": draws,
        "labels": labels,
    }


def _f1(counts: NDArray[np.int64]) -> tuple[Numbers, Numbers]:
    """F1 (..., K) of counts (..., K predicted, K true), NaN for classes that are not true; overall accuracy (...)."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1).astype(np.float64)
    true = counts.sum(axis=-2)
    f1 = np.divide(2 * hits, true + counts.sum(axis=-1), out=np.full_like(hits, np.nan), where=true > 0)
    return f1, hits.sum(axis=-1) / true.sum(axis=-1)


def _mean(values: Numbers, axis: int) -> Numbers:
    """Mean of the numbers that are defined; NaN where none is."""
    known = np.isfinite(values)
    total = np.where(known, values, 0).sum(axis=axis)
    count = known.sum(axis=axis)
    mean: Numbers = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    return mean


def _pairs(legend: Legend, counts: NDArray[np.int64]) -> list[dict[str, Any]]:
    """The pairs of most errors, with their share of the true class."""
    wrong = counts - np.diag(np.diagonal(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_PAIRS]
    pairs = []
    for predicted, true in zip(*np.unravel_index(order, wrong.shape), strict=True):
        if wrong[predicted, true]:
            share = float(wrong[predicted, true] / counts[:, true].sum())
            names = legend.classes[int(true)].name, legend.classes[int(predicted)].name
            pairs.append({"true": names[0], "predicted": names[1], "share": share})
    return pairs
