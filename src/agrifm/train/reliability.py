"""How far probabilities can be believed: the calibration error on unseen blocks, before and after calibration.

Shape letters: N labelled test pixels or places, C classes.
"""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.calibration import Calibration, calibrated
from agrifm.certainty import CandidateSets
from agrifm.files import finite_or_none, write_bytes
from agrifm.legend import UNLABELLED, Legend
from agrifm.samples.split import HeldOutBlocks
from agrifm.scores import (
    CALIBRATION_BINS,
    block_calibration_bins,
    draw_blocks,
    expected_calibration_error,
    interval_words,
    log_loss,
    percentile_interval,
)
from agrifm.train.candidate_sets import SetCoverage

STEPS = ("before", "after")
"""Of calibration."""


class Reliability:
    """Counts how often probabilities are right, before and after a calibration, part by part of the test pixels."""

    def __init__(
        self, calibration: Calibration | None, unseen: HeldOutBlocks, classes: int, sets: CandidateSets | None = None
    ) -> None:
        self.calibration, self.block = calibration, unseen.block
        self._blocks = np.unique(unseen.block[unseen.label != UNLABELLED])
        self._pixels = np.zeros(classes, np.int64)
        self._changed = 0
        self._coverage = None if sets is None else SetCoverage(sets, len(self._blocks))
        self._loss = dict.fromkeys(STEPS, 0.0)
        # of the predicted class, then of each class
        shape = (1 + classes, len(self._blocks), 3, CALIBRATION_BINS)
        self._bins = {step: np.zeros(shape) for step in STEPS}

    def predict(
        self, probabilities: NDArray[np.float32], label: NDArray[np.uint8], block: NDArray[np.integer]
    ) -> NDArray[np.uint8]:
        """Count some pixels, and return their class numbers after calibration (N,), 255 where nothing is known.

        Args:
            probabilities: (N, C), before calibration; NaN = unknown, not counted.
            label: (N,), class numbers.
            block: (N,), number of each pixel's block.
        """
        known = ~np.isnan(probabilities).any(axis=1)
        result = np.full(len(label), UNLABELLED, np.uint8)
        if not known.any():
            return result
        label, index = label[known], np.searchsorted(self._blocks, block[known])
        before = probabilities[known]
        best = []
        for step, values in zip(STEPS, (before, calibrated(self.calibration, before, axis=1)), strict=True):
            best.append(values.argmax(axis=1).astype(np.uint8))
            bins, blocks = self._bins[step], len(self._blocks)
            bins[0] += block_calibration_bins(values.max(axis=1), best[-1] == label, index, blocks)
            for number in range(len(self._pixels)):
                bins[1 + number] += block_calibration_bins(values[:, number], label == number, index, blocks)
            self._loss[step] += log_loss(values, label) * len(label)
        if self._coverage is not None:
            self._coverage.add(values, label, index)
        self._pixels += np.bincount(label, minlength=len(self._pixels))
        self._changed += int((best[0] != best[1]).sum())
        result[known] = best[1]
        return result

    def describe(self, legend: Legend) -> dict[str, Any]:
        """Return the calibration error before and after calibration; it can be written as JSON.

        Returns:
            `expected_calibration_error` of the predicted class (Guo et al. 2017, eq. 3) and `log_loss`, each "before"
            and "after"; `classes`, by code that of the class's probability (Kull et al. 2019, eq. 7); intervals are
            95 %, bootstrapped over blocks. `changed` is the share of pixels that have another class of highest
            probability after calibration, and `bins` has for each bin of the confidence the pixels, the sum of their
            confidence, and how many are right. `sets` is from `agrifm.train.candidate_sets.SetCoverage.describe`.
        """
        kind = "none" if self.calibration is None else self.calibration.kind
        count, seen = int(self._pixels.sum()), self._bins["before"][0].sum(axis=(1, 2)) > 0
        found: dict[str, Any] = {"kind": kind, "blocks": int(seen.sum()), "pixels": count}
        if not count:
            return found
        times = draw_blocks(found["blocks"])
        errors = {step: [_error(bins[seen], times) for bins in self._bins[step]] for step in STEPS}
        classes = {
            code: {
                "pixels": int(self._pixels[number]),
                **{step: errors[step][1 + number][0] for step in STEPS},
                **{f"{step}_interval": errors[step][1 + number][1] for step in STEPS},
            }
            for number, code in enumerate(legend.codes)
        }
        described: dict[str, Any] = finite_or_none(
            {
                **found,
                "expected_calibration_error": {step: errors[step][0][0] for step in STEPS},
                "expected_calibration_error_interval": {step: errors[step][0][1] for step in STEPS},
                "log_loss": {step: self._loss[step] / count for step in STEPS},
                "changed": self._changed / count,
                "bins": {step: self._bins[step][0].sum(axis=0).round(3).tolist() for step in STEPS},
                "classes": classes,
                **({} if self._coverage is None else {"sets": self._coverage.describe(legend)}),
            }
        )
        return described


def _error(bins: NDArray[np.float64], times: NDArray[np.int64]) -> tuple[float, tuple[float, float]]:
    """The calibration error of bins (blocks, 3, bins), and its interval."""
    drawn = np.tensordot(times, bins, 1)
    return float(expected_calibration_error(bins.sum(axis=0)[None])[0]), percentile_interval(
        expected_calibration_error(drawn)
    )


def describe_calibrations(scores: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each model: how it is calibrated, and its calibration error before and after.

    Args:
        scores: by model, with `reliability`; those of older files have none.
    """
    lines = []
    for name, model in scores.items():
        entry = model.get("reliability", {})
        errors = entry.get("expected_calibration_error")
        if errors is None:
            continue
        words = interval_words(entry["expected_calibration_error_interval"]["after"])
        shown = f"calibration error {errors['after']:.3f} ({words})"
        if entry["kind"] == "none":
            lines.append(f"{name}: probabilities as they are, {shown}")
            continue
        calibration = f"calibrated ({entry['kind']}), {shown}, before {errors['before']:.3f}"
        share = f"{100 * entry['changed']:.2g} % of the pixels have" if entry["changed"] else "no pixel has"
        lines.append(f"{name}: probabilities {calibration}; {share} another class for it")
    return [*lines, *_describe_sets(scores)]


def _describe_sets(scores: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, model in scores.items():
        if sets := model.get("reliability", {}).get("sets"):
            shares = [100 * sets[key] for key in ("coverage", "nominal")] + [100 * sets["shares"]["certain"]]
            lines.append(
                f"{name}: the candidate classes contain the true one in {shares[0]:.1f} % of the pixels (nominal "
                f"{shares[1]:.0f} %); in {shares[2]:.1f} % there is only one"
            )
    return lines


def write_reliability(path: Path, scores: Mapping[str, Any]) -> None:
    """Draw the share that is right by confidence, before and after, of each model, if matplotlib is installed.

    Args:
        scores: by model, with `reliability`.
    """
    rows: list[dict[str, Any]] = []
    for name, model in scores.items():
        entry = model["reliability"]
        steps: Sequence[str] = ("after",) if entry["kind"] == "none" else ("before", "after")
        for step in steps if "bins" in entry else ():
            rows.append(
                {
                    "model": name if len(steps) == 1 else f"{name}, {step}",
                    "macro_f1": model["macro_f1"] or 0.0,
                    "calibration": entry["bins"][step],
                    "calibration_error": entry["expected_calibration_error"][step],
                }
            )
    if rows and find_spec("matplotlib") is not None:
        from agrifm.train.comparison_pictures import calibration_plot

        assert len(rows[0]["calibration"][0]) == CALIBRATION_BINS, "both are of the same bins"
        write_bytes(path, calibration_plot(rows, "confidence and accuracy on unseen blocks"))
