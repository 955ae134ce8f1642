"""Gradient boosted trees (LightGBM, Ke et al. 2017) with class weights."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.boosting_leaves import LeafBits, boosted_probabilities, leaf_bits
from agrifm.classic.boosting_structure import sound_text
from agrifm.classic.numbers import Rows
from agrifm.classic.training_rows import Shape, TrainingRows

if TYPE_CHECKING:
    import lightgbm

ROUNDS = 80
"""Rounds, each with a tree for every class."""
PARAMETERS = {
    "learning_rate": 0.1,
    "num_leaves": 15,
    "min_data_in_leaf": 5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "feature_fraction": 0.2,
    "lambda_l2": 1.0,
    "max_bin": 127,
}


@dataclass(frozen=True)
class BoostedTrees:
    """A booster of LightGBM."""

    booster: "lightgbm.Booster"

    def probabilities(self, rows: Rows) -> NDArray[np.float32]:
        """Return (N, classes), rows of sum 1."""
        if self._leaves is None:
            return np.asarray(self.booster.predict(rows, num_threads=1), np.float32)
        return boosted_probabilities(self._leaves, rows, self.booster.num_model_per_iteration())

    @cached_property
    def _leaves(self) -> tuple[LeafBits, ...] | None:
        return leaf_bits(self.booster.model_to_string())

    def state(self) -> dict[str, Any]:
        """Return the model in LightGBM's text form."""
        return {"text": self.booster.model_to_string()}

    @classmethod
    def of(cls, state: dict[str, Any], shape: Shape) -> "BoostedTrees":
        """Restore it; raises ValueError if the text is not one of a sound booster."""
        import lightgbm

        return cls(lightgbm.Booster(model_str=sound_text(state["text"], shape.features, shape.classes)))


def fit_boosting(training: TrainingRows, seed: int) -> BoostedTrees:
    """Grow boosted trees with the multiclass log loss; classes count alike."""
    import lightgbm

    settings = {
        **PARAMETERS,
        "objective": "multiclass",
        "num_class": training.count,
        "seed": seed % 2**31,
        "deterministic": True,
        "force_col_wise": True,
        "verbosity": -1,
    }
    data = lightgbm.Dataset(
        training.rows, training.classes.astype(np.int32), weight=training.balanced, params={"verbosity": -1, **settings}
    )
    return BoostedTrees(lightgbm.train(settings, data, ROUNDS))
