"""What training for numbers (yields, shares) has in common: models in turn, estimates of pixels, their differences."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.classic_model import ClassicModel
from agrifm.errors import require_installed
from agrifm.files import finite_or_none
from agrifm.grid import Window
from agrifm.inference.predictor import TrainedModel
from agrifm.record import is_classic, is_network
from agrifm.train.data import Data
from agrifm.train.field_prediction import predict_whole

Trainer = Callable[[str, tuple[Path, Path]], tuple[TrainedModel, bool]]
"""Trains the model of a name into the first of two files, or takes it from either; returns it and whether it is new."""


def require_packages(names: Sequence[str]) -> None:
    """Refuse models whose packages are not installed, before any is trained."""
    for name in names:
        packages = ("deep", "torch", "lightning") if is_network(name) else ("classic", "sklearn", "lightgbm", "skops")
        require_installed(f"training {name}", *packages)


def trained_in_turn(
    names: Sequence[str], staging: Path, models: Path, classic: Trainer, network: Trainer
) -> Iterator[tuple[str, TrainedModel, bool]]:
    """Yield each model with its name, and whether it is new.

    Args:
        staging, models: directories of the models of this run, and of an earlier one.
    """
    for name in names:
        file = f"{name}.{'skops' if is_classic(name) else 'safetensors'}"
        model, is_new = (classic if is_classic(name) else network)(name, (staging / file, models / file))
        yield name, model, is_new


def predicted_numbers(model: TrainedModel, data: Data, wanted: NDArray[np.bool_], layers: int) -> NDArray[np.float32]:
    """Return what a model estimates (layers, H, W) around the wanted pixels (H, W).

    NaN elsewhere, and where nothing was observed.
    """
    tiles = data.tiles_of(model.record.series)

    def predict(window: Window) -> NDArray[np.floating]:
        result = np.full((layers, window.height, window.width), np.float32(np.nan))
        where = wanted[window.slices]
        if not where.any():
            return result
        sample = tiles.sample(window)
        where = where & sample.any_valid
        if isinstance(model, ClassicModel):
            result[:, where] = model.of_pixels(sample, where)
        elif where.any():
            result[:, where] = model.probabilities(sample)[:, where]
        return result

    return predict_whole(predict, data.cube.target.shape, model.record.side, layers)


class PlaceEstimates(Protocol):
    """Places of a fold with what a model estimates of them."""

    @property
    def numbers(self) -> NDArray[np.int64]:
        """What tells the places apart, each once."""

    def of(self, chosen: NDArray[np.bool_]) -> Self:
        """Return some of the places."""


AnyEstimates = TypeVar("AnyEstimates", bound=PlaceEstimates)


def differences_of_pairs(
    found: Mapping[str, AnyEstimates], difference: Callable[[AnyEstimates, AnyEstimates], dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the difference of each two models, on the places that both estimate.

    Models that read other series may lack some.
    """
    result, names = [], list(found)
    for at, name in enumerate(names):
        for other in names[at + 1 :]:
            shared = np.intersect1d(found[name].numbers, found[other].numbers)
            first, second = (one.of(np.isin(one.numbers, shared)) for one in (found[name], found[other]))
            result.append({"model": name, "against": other, **finite_or_none(difference(first, second))})
    return result
