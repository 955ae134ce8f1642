"""Estimates as plain numbers, for JSON: undefined ones are None."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from agrifm.assess.estimators import Estimate, Estimates
from agrifm.assess.intervals import Floats


def accuracy_numbers(codes: Sequence[str], estimates: Estimates) -> dict[str, Any]:
    """Return overall accuracy, and user's and producer's accuracy and F1 of each class."""
    return {
        "overall_accuracy": plain_number(estimates.overall),
        "users_accuracy": _per_class(codes, estimates.users),
        "producers_accuracy": _per_class(codes, estimates.producers),
        "f1": _per_class(codes, estimates.f1),
    }


def area_numbers(classes: Sequence[Mapping[str, Any]], mapped: Floats, area: Estimate) -> list[dict[str, Any]]:
    """Return mapped and estimated hectares of each class, with its code, name and what else is said of it."""
    return [
        {
            **about,
            "mapped_ha": float(mapped[i]),
            "area_ha": float(area.value[i]),
            "standard_error_ha": float(area.error[i]),
            "interval_ha": [float(area.low[i]), float(area.high[i])],
        }
        for i, about in enumerate(classes)
    ]


def plain_number(estimate: Estimate) -> dict[str, Any]:
    """Return one estimate with its standard error and interval."""
    known = bool(np.isfinite(estimate.value))
    return {
        "estimate": float(estimate.value) if known else None,
        "standard_error": float(estimate.error) if known else None,
        "interval": [float(estimate.low), float(estimate.high)] if known else None,
    }


def _per_class(codes: Sequence[str], estimate: Estimate) -> list[dict[str, Any]]:
    return [{"code": code, **plain_number(estimate.of(i))} for i, code in enumerate(codes)]
