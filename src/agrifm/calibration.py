"""Calibration of class probabilities: how it is stored in a model's record, and how it is applied.

Temperature and vector scaling act on the logarithms of the probabilities, which differ from a network's logits only by
a constant, so one rule serves networks, classic models and means of both. `agrifm.train.calibrate` fits them.

Shape letters: C classes, H rows, W columns, K knots of a curve.
"""

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from agrifm.validation import Frozen

CalibrationKind = Literal["none", "temperature", "vector", "isotonic"]
"""None; one temperature, and a scale and an offset for each class (Guo et al. 2017, sections 4.2 and 4.1); or a curve
for each class (Zadrozny and Elkan 2002)."""
PROBABILITY_FLOOR = 1e-6
"""Lower probabilities, such as the 0 of a forest, count as this one, which has a logarithm."""


class Curve(Frozen):
    """A rising curve through knots, level before the first and after the last one."""

    probability: tuple[float, ...] = Field(min_length=1)
    """(K,), rising, of the model."""
    calibrated: tuple[float, ...] = Field(min_length=1)
    """(K,), never falling, 0 to 1."""

    @model_validator(mode="after")
    def _rises(self) -> Self:
        x, y = np.array(self.probability), np.array(self.calibrated)
        if len(x) != len(y) or (np.diff(x) <= 0).any() or (np.diff(y) < 0).any() or y[0] < 0 or y[-1] > 1:
            raise ValueError("a curve of a calibration must rise, and stay between 0 and 1")
        return self


class Calibration(Frozen):
    """How the probabilities of a model become calibrated ones, and how that was chosen."""

    kind: CalibrationKind
    temperature: float | None = Field(None, gt=0)
    """Of temperature scaling; above 1 the model was too sure."""
    scale: tuple[float, ...] = ()
    """(C,), factors of the logarithms, of vector scaling."""
    offset: tuple[float, ...] = ()
    """(C,), added to the logarithms, of vector scaling."""
    curves: tuple[Curve | None, ...] = ()
    """(C,), of the isotonic kind; a class of too few labels has none, and keeps its probability."""
    log_loss: dict[CalibrationKind, float] = Field(default_factory=dict)
    """Of each kind that was tried, cross-validated over blocks of the validation; the lowest was chosen."""
    blocks: int = Field(0, ge=0)
    """Validation blocks that decided."""
    pixels: int = Field(0, ge=0)
    """Labelled pixels or places among them."""

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Self:
        needed = {
            "none": True,
            "temperature": self.temperature is not None,
            "vector": bool(self.scale) and len(self.scale) == len(self.offset),
            "isotonic": bool(self.curves),
        }
        if not needed[self.kind]:
            raise ValueError(f"a calibration of the kind '{self.kind}' lacks its numbers")
        return self

    @property
    def classes(self) -> int | None:
        """Number of classes that it is for; None = any."""
        return len(self.scale) or len(self.curves) or None

    def describe(self) -> str:
        """Return the kind in words."""
        return f"temperature {self.temperature:.3g}" if self.kind == "temperature" else self.kind


def calibrated(calibration: Calibration | None, probabilities: NDArray[Any], axis: int = 0) -> NDArray[Any]:
    """Return calibrated probabilities, of the same shape and type; NaN stays NaN.

    Temperature scaling keeps the order of the classes of a pixel; vector scaling and the isotonic kind may change it.

    Args:
        probabilities: any shape; for example (C, H, W).
        axis: of the classes.
    """
    if calibration is None or calibration.kind == "none":
        return probabilities
    values = np.moveaxis(np.asarray(probabilities, np.float64), axis, 0)
    if calibration.kind == "isotonic":
        result = isotonic_scores(calibration.curves, values)
    else:
        scores = np.log(np.maximum(values, PROBABILITY_FLOOR))
        if calibration.kind == "temperature":
            assert calibration.temperature is not None, "checked when it was read"
            scores /= calibration.temperature
        else:
            shape = (-1,) + (1,) * (scores.ndim - 1)
            scores = scores * np.reshape(calibration.scale, shape) + np.reshape(calibration.offset, shape)
        scores -= scores.max(axis=0)
        result = np.exp(scores, out=scores)
    result /= result.sum(axis=0)
    return np.moveaxis(result, 0, axis).astype(probabilities.dtype)


def isotonic_scores(curves: tuple[Curve | None, ...], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each class's probability on its curve, (C, ...), before they are made to add up to 1."""
    result = np.maximum(values, PROBABILITY_FLOOR)
    for number, curve in enumerate(curves):
        if curve is not None:
            on_curve = np.interp(values[number], curve.probability, curve.calibrated)
            result[number] = np.maximum(on_curve, PROBABILITY_FLOOR)
    return np.asarray(result)
