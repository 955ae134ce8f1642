"""Yields of fields as models estimate them, and their scores on unseen blocks.

Shape letters: P fields, H rows, W columns, D bootstrap samples.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agrifm.samples.labels import Labels
from agrifm.samples.split import FOLDS, Split
from agrifm.scores import draw_blocks, with_intervals
from agrifm.yields import YIELD, YieldScale, conformal_factor

MEAN = "mean"
"""Name of the naive estimate: the mean yield of the crop's training fields."""
NOMINAL = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Levels at which coverage is compared."""
DRAWS = 2000
Floats = NDArray[np.float64]
YIELD_SCORES = ("rmse", "mae", "r2", "bias", "coverage")
"""Scores that have an interval over blocks."""


class FieldYields(NamedTuple):
    """Fields of a fold with their yields, true and estimated, t/ha."""

    place: NDArray[np.int64]
    """(P,), row of `Labels.places`."""
    block: NDArray[np.int64]
    crop: NDArray[np.int64]
    """(P,), class number."""
    true: Floats
    estimate: Floats
    spread: Floats
    """(P,), of the error, above 0."""

    @property
    def numbers(self) -> NDArray[np.int64]:
        """What tells the fields apart."""
        return self.place

    def of(self, chosen: NDArray[np.bool_]) -> "FieldYields":
        """Return some of the fields (P,)."""
        place, block, crop = (one[chosen] for one in (self.place, self.block, self.crop))
        true, estimate, spread = (one[chosen] for one in (self.true, self.estimate, self.spread))
        return FieldYields(place, block, crop, true, estimate, spread)


def field_yields(maps: NDArray[np.floating], labels: Labels, split: Split, fold: str, scale: YieldScale) -> FieldYields:
    """Return the fields of a fold: yield and spread are means over the pixels that were observed.

    Args:
        maps: yield and spread (2, H, W) as shares of the scale's highest yield; NaN where nothing was observed.
    """
    known = (split.fold == FOLDS.index(fold)) & (labels.place >= 0) & ~np.isnan(maps[0])
    place = labels.place[known]
    count = np.bincount(place, minlength=len(labels.places))
    index = np.flatnonzero(count)
    tonnes, spread = (
        scale.highest * np.bincount(place, layer[known], len(labels.places))[index] / count[index] for layer in maps
    )
    block = np.zeros(len(labels.places), np.int64)
    block[place] = split.block[known]
    return _of_places(labels, index, block[index], tonnes, np.maximum(spread, 1e-6 * scale.highest))


def _of_places(
    labels: Labels, index: NDArray[np.int64], block: NDArray[np.int64], tonnes: Floats, spread: Floats
) -> FieldYields:
    crop, true = labels.places["number"].to_numpy(np.int64)[index], labels.places[YIELD].to_numpy(np.float64)[index]
    return FieldYields(index, block, crop, true, tonnes, spread)


def mean_yields(training: FieldYields, fields: FieldYields) -> FieldYields:
    """Return fields with the naive estimate: mean and standard deviation of the yields of their crop in training."""
    estimate, spread = np.zeros((2, len(fields.place)))
    for crop in np.unique(fields.crop):
        known = training.true[training.crop == crop]
        known = known if len(known) > 1 else training.true
        estimate[fields.crop == crop], spread[fields.crop == crop] = known.mean(), max(known.std(), 1e-6)
    return fields._replace(estimate=estimate, spread=spread)


def yield_scores(validation: FieldYields, fields: FieldYields, level: float) -> dict[str, Any]:
    """Return the scores of estimates on unseen fields, each with its 95 % interval over blocks.

    Intervals of yields are made with the fields of the validation (`agrifm.yields.conformal_factor`), and coverage is
    the share of the unseen fields that are in theirs.
    """
    error = fields.estimate - fields.true
    factors = {one: conformal_factor(validation.true - validation.estimate, validation.spread, one)
               for one in (*_possible(len(validation.place)), level)}  # fmt: skip
    inside = {one: np.abs(error) <= factor * fields.spread for one, factor in factors.items()}
    sums = sums_of_blocks(fields.block, fields.true, error, inside[level])
    found = scores_of_sums(sums.sum(axis=0))
    drawn = scores_of_sums(draw_blocks(len(sums), DRAWS) @ sums)
    result: dict[str, Any] = {"fields": len(error), **with_intervals(found, drawn, YIELD_SCORES)}
    result["half_width"] = float(np.mean(factors[level] * fields.spread))
    result["factor"] = factors[level]
    result["coverage_of_thirds"] = {
        "estimate": _in_thirds(fields.estimate, inside[level]), "true": _in_thirds(fields.true, inside[level])
    }  # fmt: skip
    result["curve"] = [[one, float(held.mean())] for one, held in sorted(inside.items())]
    return result


def _in_thirds(tonnes: Floats, inside: NDArray[np.bool_]) -> list[float]:
    """The share inside of the lowest, the middle and the highest third of the fields by a yield."""
    order = np.argsort(tonnes, kind="stable")
    return [float(inside[part].mean()) if len(part) else float("nan") for part in np.array_split(order, 3)]


def _possible(fields: int) -> tuple[float, ...]:
    """Levels for which there are enough fields."""
    return tuple(level for level in NOMINAL if np.ceil((fields + 1) * level - 1e-9) <= fields)


def rmse_difference(first: FieldYields, second: FieldYields) -> dict[str, Any]:
    """Return the first root mean square error minus the second, on the same fields, with its interval over blocks."""
    assert np.array_equal(first.place, second.place), "both estimate the same fields"
    held = np.ones(len(first.true), bool)
    both = [sums_of_blocks(one.block, one.true, one.estimate - one.true, held) for one in (first, second)]
    draws = draw_blocks(len(both[0]), DRAWS)
    found, drawn = (
        scores_of_sums(weights @ both[0])["rmse"] - scores_of_sums(weights @ both[1])["rmse"]
        for weights in (np.ones(len(both[0])), draws)
    )
    return with_intervals({"rmse": found}, {"rmse": drawn}, ("rmse",))


def sums_of_blocks(block: NDArray[np.int64], true: Floats, error: Floats, inside: NDArray[np.bool_]) -> Floats:
    """Return the sums of each block (blocks, 7): fields, error, |error|, error², yield, yield², fields inside.

    Args:
        block: (P,), number of the block of each field.
        true: (P,), t/ha.
        error: (P,), estimate minus truth.
        inside: (P,), whether the true yield is in its interval.
    """
    _, number = np.unique(block, return_inverse=True)
    parts = (np.ones(len(error)), error, np.abs(error), error**2, true, true**2, inside.astype(float))
    return np.stack([np.bincount(number, part) for part in parts], axis=1)


def scores_of_sums(sums: Floats) -> Mapping[str, Floats]:
    """Return scores by name, (...) each, of sums (..., 7) as `sums_of_blocks` has them."""
    count, error, absolute, squares, total, total_squares, inside = np.moveaxis(np.asarray(sums, np.float64), -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = total_squares - total**2 / count
        return {
            "rmse": np.sqrt(squares / count),
            "mae": absolute / count,
            "r2": np.where(variance > 1e-12, 1 - squares / variance, np.nan),
            "bias": error / count,
            "coverage": inside / count,
        }
