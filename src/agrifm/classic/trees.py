"""Random forests and extremely randomised trees on rows of features, with class weights."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.forest_structure import require_sound_forest
from agrifm.classic.numbers import Rows
from agrifm.classic.training_rows import Shape, TrainingRows

if TYPE_CHECKING:
    from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

FOREST_TREES = 150
EXTRA_TREES = 150
MAX_DEPTH = 32


@dataclass(frozen=True)
class Trees:
    """A forest of scikit-learn."""

    forest: "RandomForestClassifier | ExtraTreesClassifier"

    def probabilities(self, rows: Rows) -> NDArray[np.float32]:
        """Return (N, classes), rows of sum 1."""
        # the sum that `predict_proba` makes, without the checks that it makes of every tree and chunk of rows
        rows = np.ascontiguousarray(rows, np.float32)
        total = np.zeros((len(rows), self.forest.n_classes_))
        for tree in self.forest.estimators_:
            total += tree.tree_.predict(rows)
        return np.asarray(total / len(self.forest.estimators_), np.float32)

    def state(self) -> dict[str, Any]:
        """Return the forest."""
        return {"forest": self.forest}

    @classmethod
    def of(cls, state: dict[str, Any], shape: Shape) -> "Trees":
        """Restore it; raises ValueError if the state is not one. The arrays of its trees were checked before."""
        forest = state["forest"]
        require_sound_forest(forest, shape.classes)
        if len(forest.classes_) != shape.classes or forest.n_features_in_ != shape.features:
            raise ValueError(f"its trees have {forest.n_features_in_} features and {len(forest.classes_)} classes")
        return cls(forest.set_params(n_jobs=1, verbose=0))  # whatever the file states


def fit_random_forest(training: TrainingRows, seed: int) -> Trees:
    """Grow a random forest (Breiman 2001) with the usual settings; classes count by their rows."""
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(FOREST_TREES, min_samples_leaf=2, max_depth=MAX_DEPTH, n_jobs=-1, random_state=seed)
    return Trees(_fitted(forest, training, training.weights))


def fit_extra_trees(training: TrainingRows, seed: int) -> Trees:
    """Grow extremely randomised trees (Geurts et al. 2006); classes count alike."""
    from sklearn.ensemble import ExtraTreesClassifier

    forest = ExtraTreesClassifier(EXTRA_TREES, min_samples_leaf=2, max_depth=MAX_DEPTH, n_jobs=-1, random_state=seed)
    return Trees(_fitted(forest, training, training.balanced))


def _fitted(forest: Any, training: TrainingRows, weights: NDArray[np.float64]) -> Any:
    forest.fit(training.rows, training.classes.astype(np.int64), sample_weight=weights)
    return forest.set_params(n_jobs=1)  # chunks of rows go to the cores
