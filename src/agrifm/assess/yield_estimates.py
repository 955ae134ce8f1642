"""Scores of a map of yields and the production of its area, from reference yields.

From a probability sample scores are ratios of totals over the area where the map has a yield, and production is
estimated: the sum of the map, corrected by the errors at the points (`agrifm.assess.model_assisted`). Any other
reference describes its places only: scores have intervals from blocks drawn with replacement, and there is no estimate
of production.

Shape letters: N units (points or parcels).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.assess.estimators import Estimate
from agrifm.assess.intervals import MIN_POINTS, Floats
from agrifm.assess.model_assisted import Method, assisted_mean
from agrifm.assess.number_map import NumberMap, NumbersOfDistricts
from agrifm.assess.plain_numbers import plain_number
from agrifm.assess.point_estimators import ratio_of_totals, ratio_of_values, stratified_points
from agrifm.assess.probability_sample import ProbabilitySample
from agrifm.assess.reference_polygons import polygon_units
from agrifm.assess.sample_columns import read_drawn_design, systematic_points
from agrifm.assess.sampling_statement import Sampling
from agrifm.assess.yield_reference import YieldPairs
from agrifm.scores import draw_blocks, percentile_interval
from agrifm.train.yield_scores import DRAWS, YIELD_SCORES, scores_of_sums, sums_of_blocks

LEAST_FOR_REGRESSION = 20
"""Pairs from which production is stated by the regression; with fewer its slope is uncertain, and the difference has
none to estimate."""
FEW_PAIRS = 10
"""Of a district, below which there is a warning."""


@dataclass(frozen=True)
class YieldErrors:
    """Pairs of a reference and a map, one per unit."""

    true: Floats
    """(N,), t/ha; 0 without a pair."""
    error: Floats
    """(N,), map minus reference, t/ha; 0 without a pair."""
    inside: NDArray[np.bool_]
    """(N,), whether the reference is in the interval of the map."""
    paired: NDArray[np.bool_]


def errors_of_pairs(pairs: YieldPairs) -> YieldErrors:
    """Return the errors of the map at the units of a reference."""
    paired = pairs.paired
    true, mapped = np.where(paired, pairs.tonnes, 0), np.where(paired[:, None], pairs.mapped, 0)
    inside = paired & (mapped[:, 1] <= true) & (true <= mapped[:, 2])
    return YieldErrors(true, mapped[:, 0] - true, inside, paired)


def sample_of_pairs(
    pairs: YieldPairs, mapped: NumberMap, method: str | None, stated: Sampling | None
) -> tuple[ProbabilitySample, list[str]]:
    """Return the design of the units, and notes; without strata, that of units at random where the map has a yield.

    Args:
        method, stated: how they were drawn, as their file and as the user states it.

    Raises:
        AssessmentError: columns of the design are missing or contradict themselves, or there are fewer than two units.
    """
    code = mapped.legend.codes[0]
    codes = np.where(pairs.on_map, code, "").astype(np.str_)
    strata, notes = read_drawn_design(pairs.points, method, stated, codes, mapped.hectares)
    beyond = strata is not None and not pairs.on_map.all() and strata.hectares > mapped.hectares
    if strata is None:
        strata = stratified_points(np.zeros(len(codes), np.int64), [mapped.hectares], names=(code,))
    if pairs.of_parcels is not None:
        number = np.zeros(len(codes), np.int64)
        whole = np.array([mapped.hectares])
        return polygon_units(strata, method or stated, number, whole, (code,), pairs.of_parcels), notes
    if method == "systematic":
        strata = systematic_points(strata, pairs.points, pairs.rows, pairs.cols) or strata
    # Strata that reach beyond the mapped yields are no fault: their other units are in the sample too.
    return strata, [] if beyond else notes


def scores_by_design(errors: YieldErrors, drawn: ProbabilitySample) -> dict[str, Any]:
    """Return each score with standard error and interval: means over the ground where the map has a yield of the crop.

    R² is 1 less the ratio of the mean squared error and the variance of the yields. Intervals of root mean square
    errors are the roots of those of mean squares.
    """
    counted, square = errors.paired * 1.0, errors.error**2
    mean = float(ratio_of_values(errors.true, counted, drawn).value)
    squares = ratio_of_values(square, counted, drawn)
    unexplained = ratio_of_values(square, counted * (errors.true - mean) ** 2, drawn)
    root = float(np.sqrt(max(float(squares.value), 0)))
    found = {
        "rmse": Estimate(
            np.asarray(root),
            np.asarray(float(squares.error) / (2 * root) if root else 0.0),
            *(np.sqrt(np.maximum(end, 0)) for end in (squares.low, squares.high)),
        ),
        "mae": ratio_of_values(np.abs(errors.error), counted, drawn),
        "r2": Estimate(1 - unexplained.value, unexplained.error, 1 - unexplained.high, 1 - unexplained.low),
        "bias": ratio_of_values(errors.error, counted, drawn),
        "coverage": ratio_of_totals(errors.inside, counted, drawn),
    }
    return {name: plain_number(one) for name, one in found.items()}


def scores_over_blocks(errors: YieldErrors, block: NDArray[np.int64]) -> dict[str, Any]:
    """Return each score with its interval from blocks drawn with replacement; None of a single block.

    Args:
        block: (N,), number of the block of each unit.
    """
    paired = errors.paired
    sums = sums_of_blocks(block[paired], errors.true[paired], errors.error[paired], errors.inside[paired])
    found, drawn = scores_of_sums(sums.sum(axis=0)), scores_of_sums(draw_blocks(len(sums), DRAWS) @ sums)
    return {name: _plain(float(found[name]), drawn[name]) for name in YIELD_SCORES}


def _plain(value: float, drawn: Floats) -> dict[str, Any]:
    low, high = percentile_interval(drawn)
    spread = float(np.nanstd(drawn, ddof=1)) if np.isfinite(low) else None
    return {
        "estimate": value if np.isfinite(value) else None,
        "standard_error": spread,
        "interval": [low, high] if np.isfinite(low) else None,
    }


def production_numbers(
    pairs: YieldPairs, drawn: ProbabilitySample, hectares: float, total: float, domain: NDArray[np.bool_] | None = None
) -> dict[str, Any]:
    """Return the production of an area in tonnes, by several estimators, and which of them is stated.

    Args:
        hectares: where the map has a yield.
        total: sum of the map over them, tonnes.
        domain: (N,), units in a part of the area; None = everywhere. All quantities are then of that part.

    Returns:
        `map_sum_t` (no estimate), and with at least two units on the map's yields `sample`, `difference`, `regression`
        (from three), `stated` and `estimator`; else None for these.
    """
    inside = pairs.on_map if domain is None else pairs.on_map & domain
    counted = int(inside.sum())
    about: dict[str, Any] = {"hectares": hectares, "map_sum_t": total, "units": counted}
    if counted < MIN_POINTS:
        return {**about, "estimator": None, "stated": None}
    chosen: Method = "regression" if counted >= LEAST_FOR_REGRESSION else "difference"
    methods: tuple[Method, ...] = ("sample", "difference", *(("regression",) if chosen == "regression" else ()))
    on_map = np.where(inside, pairs.mapped[:, 0], 0)
    found: dict[str, Any] = {}
    for method in methods:
        mean = assisted_mean(pairs.produced, on_map, total / hectares, drawn, method, inside)
        found[method] = plain_number(Estimate(*(part * hectares for part in vars(mean).values())))
    return {**about, **found, "estimator": chosen, "stated": found[chosen]}


def district_production(
    districts: NumbersOfDistricts, pairs: YieldPairs, drawn: ProbabilitySample | None
) -> list[dict[str, Any]]:
    """Return the mapped mean yield of each district, and its production if the units are a probability sample."""
    result = []
    for number, code in enumerate(districts.codes):
        inside, hectares = districts.at_place == number, float(districts.hectares[number])
        total = float(districts.totals[number, 0])
        about = {"code": code, "map_mean": total / hectares}
        if drawn is None:
            about |= {"hectares": hectares, "map_sum_t": total, "units": int((inside & pairs.on_map).sum())}
            result.append(about)
        else:
            result.append({**about, **production_numbers(pairs, drawn, hectares, total, inside)})
    return result


def few_in_districts(districts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say which districts have few units."""
    few = [f"{one['code']} ({one['units']})" for one in districts if one["units"] < FEW_PAIRS]
    return [f"few reference units for numbers of their own: {', '.join(few)}"] if few else []
