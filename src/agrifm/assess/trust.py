"""How far the numbers of a report can be trusted, in one plain sentence, made by fixed rules from the numbers."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

CLOSE = 0.2
"""Half the interval of an area, as a share of the area, up to which the area is called close."""

MUCH_OUTSIDE = 0.1
"""Share of a map outside the area of applicability from which there is a warning; some land is always outside, because
the threshold is an upper whisker."""


class Trust(NamedTuple):
    """The facts behind the sentence."""

    right: int
    """Of 100 hectares of the map, how many are right."""
    right_low: int
    """The ends of its interval, rounded down and up, so that they promise nothing."""
    right_high: int
    close: tuple[str, ...]
    """Names of the crops whose interval reaches at most a fifth of the area to either side."""
    rough: tuple[str, ...]
    """Names of the other crops."""
    corrected: tuple[str, ...]
    """Names of the crops whose counted pixels are outside the interval of the area."""


def trust_of(report: Mapping[str, Any], scored: Sequence[bool]) -> Trust:
    """Return the facts on how far a report can be trusted.

    Args:
        report: the content of `report.json`.
        scored: (class,), whether each class is a crop; if none is, all classes count as crops.
    """
    crops = [area for area, crop in zip(report["areas"], scored, strict=True) if crop or not any(scored)]
    overall = report["overall_accuracy"]
    low, high = overall["interval"]
    close = [_half_width(area) <= CLOSE * area["area_ha"] and area["area_ha"] > 0 for area in crops]
    corrected = [not area["interval_ha"][0] <= area["mapped_ha"] <= area["interval_ha"][1] for area in crops]
    return Trust(
        _of_100(overall["estimate"]),
        int(np.floor(100 * low + 1e-9)),
        int(np.ceil(100 * high - 1e-9)),
        tuple(area["name"] for area, is_close in zip(crops, close, strict=True) if is_close),
        tuple(area["name"] for area, is_close in zip(crops, close, strict=True) if not is_close),
        tuple(area["name"] for area, is_corrected in zip(crops, corrected, strict=True) if is_corrected),
    )


def trust_sentence(trust: Trust, probability_sample: bool = True) -> str:
    """Say in one sentence what a reader may rely on."""
    if not probability_sample:
        return "The points were not drawn at random, so the numbers may be wrong by more than their intervals say."
    text = f"About {trust.right} of 100 hectares of the map are right (at least {trust.right_low}, at most "
    text += f"{trust.right_high})"
    if trust.close and trust.rough:
        text += (
            f"; the area of {_few(trust.close)} is known to within a fifth, that of {_few(trust.rough)} only roughly"
        )
    elif trust.close:
        text += "; the area of every crop is known to within a fifth"
    else:
        text += "; the areas of the crops are known only roughly"
    if trust.corrected:
        text += f", and counting the pixels of the map would give a wrong area for {_few(trust.corrected)}"
    return text + "."


def outside_warnings(stated: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a warning if much of a map is unlike what its model was trained on, and what to do.

    Args:
        stated: what the map's item says (`agrifm.assess.reference_data.stated_trust`).
    """
    share = stated.get("applicability", {}).get("outside_share", 0.0)
    if not MUCH_OUTSIDE < share <= 1:
        return []
    return [
        f"{100 * share:.0f} % of the map are unlike the data that the model was trained on, and it may be wrong there "
        "more often than elsewhere (applicability.tif next to the map shows where); label places there "
        "(`agrifm samples next`) and train again"
    ]


def _half_width(area: Mapping[str, Any]) -> float:
    """The longer side of an interval, hectares."""
    low, high = area["interval_ha"]
    return float(max(area["area_ha"] - low, high - area["area_ha"]))


def _of_100(share: float) -> int:
    """A share as a number of 100 that is only 0 or 100 if the share is 0 or 1."""
    if 0 < share < 1:
        return int(np.clip(round(100 * share), 1, 99))
    return round(100 * share)


def _few(names: Sequence[str]) -> str:
    """Names, at most five of them."""
    if len(names) > 5:
        return f"{len(names)} crops"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
