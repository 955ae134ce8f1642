"""How many reference points, and how many in each stratum.

Olofsson, Foody, Herold, Stehman, Woodcock and Wulder (2014), "Good practices for estimating area and assessing accuracy
of land change", Remote Sensing of Environment 148, 42-57, doi:10.1016/j.rse.2014.02.015, section 5.1. The error of a
planned sample follows from a guess of the accuracies: a stratum whose share p of right points is known has the standard
deviation S = sqrt(p (1 - p)), and n points divided into n_i give the overall accuracy the standard error
sqrt(sum of W_i^2 S_i^2 / n_i), W_i being the stratum's share of the area.

Shape letters: S strata.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from agrifm.assess.intervals import MIN_POINTS
from agrifm.assess.sampling_design import Allocation, Design
from agrifm.errors import AssessmentError, did_you_mean

RARE_STRATUM_POINTS = 50
"""Points of a rare stratum under the rule "rare", if there are enough in all."""
EXPECTED_ACCURACY = 0.8
"""User's accuracy that is expected where nothing is stated."""
MAX_POINTS = 10**7
"""Most points that a wished standard error may need."""
Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


def allocate(
    n: int,
    hectares: Floats,
    pixels: Counts,
    rule: Allocation = "rare",
    accuracies: Floats | None = None,
    least: int = MIN_POINTS,
) -> Counts:
    """Return points per stratum (S,), summing to n.

    No stratum gets fewer than `least` points, or more than it has pixels. Under the rule "rare" the least number is
    min(50, n / (2 S)) if that is more.

    Args:
        n: points in all.
        hectares, pixels: (S,), area and number of pixels of each stratum.
        accuracies: (S,), expected user's accuracies, for the rule "neyman".

    Raises:
        AssessmentError: n is less than `least` per stratum, or more than there are pixels.
    """
    strata = len(pixels)
    least = max(least, MIN_POINTS)
    fewest = int(np.minimum(least, pixels).sum())
    if n < fewest or n > pixels.sum():
        raise AssessmentError(
            f"drawing {n} reference points: there are {strata} strata and {pixels.sum():,} pixels; choose at least "
            f"{fewest} points ({least} per stratum; 50 are better than two) and at most one per pixel",
            n=n,
            strata=strata,
            pixels=int(pixels.sum()),
        )
    wanted = hectares.astype(float)
    if rule == "rare":
        least = max(least, min(RARE_STRATUM_POINTS, n // (2 * strata)))
    elif rule == "equal":
        wanted = np.ones(strata)
    elif rule == "neyman":
        wanted = hectares * deviations(_expected(accuracies, strata))
    return _bounded(n, wanted, np.minimum(least, pixels).astype(float), pixels)


def points_of_strata(codes: Sequence[str], hectares: Floats, pixels: Counts, n: int | None, design: Design) -> Counts:
    """Return the points of each stratum (S,), of a number that is stated, or follows from a wished standard error.

    Args:
        codes: of the strata, by which expected accuracies are stated; several strata may have the same.
        n: points in all; None = as many as `design.error` needs.

    Raises:
        AssessmentError: neither is stated, or both are; or as of `allocate` and `sample_size`.
    """
    accuracies = accuracies_of_strata(design.expected, codes)
    if (n is None) == (design.error is None):
        raise AssessmentError("drawing reference points: give a number of points, or a wished standard error", n=n)
    if n is None:
        assert design.error is not None
        n = sample_size(design.error, hectares, pixels, design.allocation, accuracies, design.least)
    return allocate(n, hectares, pixels, design.allocation, accuracies, design.least)


def deviations(accuracies: Floats) -> Floats:
    """Return the standard deviation sqrt(p (1 - p)) of each stratum whose points are right with probability p, (S,)."""
    return np.asarray(np.sqrt(accuracies * (1 - accuracies)))


def overall_error(points: Counts, hectares: Floats, accuracies: Floats | None = None) -> float:
    """Return the expected standard error of the overall accuracy of a planned sample.

    Args:
        points, hectares, accuracies: (S,); accuracies by default all `EXPECTED_ACCURACY`.
    """
    shares = hectares / hectares.sum()
    variances = deviations(_expected(accuracies, len(shares))) ** 2
    return float(np.sqrt((shares**2 * variances / np.maximum(points, 1)).sum()))


def sample_size(
    error: float,
    hectares: Floats,
    pixels: Counts,
    rule: Allocation = "neyman",
    accuracies: Floats | None = None,
    least: int = MIN_POINTS,
) -> int:
    """Return the smallest number of points whose expected standard error of the overall accuracy is at most `error`.

    With the rule "neyman", without a least number, it is (sum of W_i S_i)^2 / error^2, Olofsson et al.'s equation 13
    for an area of many pixels.

    Raises:
        AssessmentError: the error is not above 0, or not even a point in each of 10 million pixels would do.
    """
    if not error > 0:
        raise AssessmentError(
            f"planning a sample for a standard error of {error:g}: give a number above 0", error=error
        )
    most = int(min(pixels.sum(), MAX_POINTS))
    low, high = int(np.minimum(max(least, MIN_POINTS), pixels).sum()), most

    def reached(n: int) -> bool:
        return overall_error(allocate(n, hectares, pixels, rule, accuracies, least), hectares, accuracies) <= error

    if not reached(high):
        raise AssessmentError(
            f"planning a sample for the standard error {error:g}: {high:,} points would not do; wish for a larger one",
            error=error,
            points=high,
        )
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle + 1, high)
    return low


def expected_accuracies(stated: Sequence[str], codes: Sequence[str]) -> Floats:
    """Return expected accuracies (S,) from texts such as "0.85" (of all) and "maize=0.7" (of one stratum).

    Raises:
        AssessmentError: a text is neither, a stratum is unknown, or a number is not from 0 to 1.
    """
    common, single = EXPECTED_ACCURACY, dict[str, float]()
    for text in stated:
        code, _, number = text.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            value = float("nan")
        if not 0 <= value <= 1 or (code and code not in codes):
            near = did_you_mean(code, codes) if code else ""
            raise AssessmentError(
                f"planning a sample: the expected accuracy '{text}' is not a number from 0 to 1, nor one of a "
                f"stratum{near} (strata: {', '.join(codes)}); write such as 0.85 or {codes[0]}=0.85",
                stated=text,
                codes=tuple(codes),
            )
        if code:
            single[code] = value
        else:
            common = value
    return np.array([single.get(code, common) for code in codes])


def accuracies_of_strata(stated: Sequence[str], codes: Sequence[str]) -> Floats:
    """Return expected accuracies (S,) as `expected_accuracies` does, of strata several of which may have a code."""
    named = tuple(dict.fromkeys(codes))
    return expected_accuracies(stated, named)[[named.index(code) for code in codes]]


def describe_plan(
    points: Mapping[str, int], hectares: Floats, accuracies: Floats, cost: float | None = None
) -> list[str]:
    """Describe a planned sample: points per stratum, the expected error, and its cost.

    Args:
        points: per stratum, in the order of the other arguments.
        cost: of one point, in any unit.
    """
    n, error = sum(points.values()), overall_error(np.array(list(points.values())), hectares, accuracies)
    lines = [
        f"{n:,} points: " + ", ".join(f"{code} {count:,}" for code, count in points.items()),
        f"expected standard error of the overall accuracy {error:.4f} (95 % interval about ± {1.96 * error:.4f}), if "
        "the accuracies are " + ", ".join(f"{code} {one:g}" for code, one in zip(points, accuracies, strict=True)),
    ]
    return lines if cost is None else [*lines, f"cost {n * cost:,.2f} at {cost:g} a point"]


def _expected(accuracies: Floats | None, strata: int) -> Floats:
    return np.full(strata, EXPECTED_ACCURACY) if accuracies is None else accuracies


def _bounded(n: int, wanted: Floats, low: Floats, pixels: Counts) -> Counts:
    """Whole numbers that sum to n, in proportion to `wanted` within their bounds."""
    # A stratum that needs no points by the rule still takes those that no other has pixels for.
    wanted = np.maximum(wanted, 1e-9 * wanted.max()) if (wanted > 0).any() else np.ones(len(wanted))
    # The upper end is so dense that even the smallest stratum gets all its pixels.
    few, many = 0.0, float(n) * pixels.sum() / wanted.min() + n
    for _ in range(200):  # bisect the points per hectare at which the bounded numbers sum to n
        density = (few + many) / 2
        if np.clip(density * wanted, low, pixels).sum() < n:
            few = density
        else:
            many = density
    # Whole points: round down, then give what is left to the largest remainders.
    exact = np.clip(many * wanted, low, pixels)
    # A rounding error just below a whole number must not cost a point.
    whole = np.floor(exact + 1e-9).astype(np.int64)
    rest = np.argsort(np.where(whole < pixels, whole - exact, np.inf), kind="stable")[: n - whole.sum()]
    whole[rest] += 1
    return np.asarray(whole)
