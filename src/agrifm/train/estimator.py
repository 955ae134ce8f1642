"""Models of series as scikit-learn has estimators: for notebooks, pipelines and its cross-validation.

    classifier = SeriesClassifier("classic", dates=dates, bands=("B04", "B08"))
    cross_val_score(classifier, X, y, groups=fields, cv=GroupKFold(5), params={"groups": fields})

Shape letters: P places, T dates, C bands.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from agrifm.errors import LabelError
from agrifm.legend import UNLABELLED, Legend
from agrifm.record import SensorInput
from agrifm.samples.folds import inner_split
from agrifm.samples.table import SeriesTable, TableSeries
from agrifm.season import Season, day_number
from agrifm.sensors import Quantity, find_sensor
from agrifm.train.combination import COMBINATIONS, Learner, require_known
from agrifm.train.learners import LEARNERS

PLAUSIBLE: dict[str, tuple[float, float]] = {
    "surface reflectance": (-1, 2),
    "top-of-atmosphere reflectance": (-1, 2),
    "index": (-2, 2),
    "backscatter (dB)": (-100, 50),
    "temperature": (150, 400),
}
"""Least and largest number that can be a value of a quantity, in its unit."""


class SeriesClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A classifier of the series of single pixels or parcels, with the models of `agrifm compare`.

    Series are arrays (P, T, C) in the quantity's unit: reflectance is 0 to 1. NaN means that there is no usable
    observation; a date of which one band is NaN is not used. What a model chooses, it chooses on a fifth of the groups,
    which its other parts do not see.

    Attributes:
        classes_: the labels, sorted, in the order of the columns of `predict_proba`.
        n_features_in_: bands.
    """

    def __init__(
        self,
        model: str = "classic",
        *,
        dates: Sequence[Any] = (),
        bands: Sequence[str] = (),
        sensor: str = "sentinel-2",
        quantity: Quantity = "surface reflectance",
        season: tuple[date, date] | None = None,
        seed: int = 0,
    ) -> None:
        """State what series mean; nothing is checked before `fit`, as scikit-learn asks.

        Args:
            model: a classic model, a network of series or a combination: "classic", "lightgbm", "agrifm", "best" ...
            dates: T days, ascending, the same for all places.
            bands: C names of bands, in the order of the arrays.
            sensor: a known sensor, such as "sentinel-2", "landsat" or "modis".
            quantity: what the numbers are.
            season: first and last day; by default those of `dates`.
            seed: of everything that is drawn.
        """
        self.model = model
        self.dates = dates
        self.bands = bands
        self.sensor = sensor
        self.quantity = quantity
        self.season = season
        self.seed = seed

    def fit(
        self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train on labelled series.

        Args:
            X: (P, T, C).
            y: (P,), labels of any type that can be sorted.
            groups: (P,), what belongs together, such as fields or blocks; None = each place is alone.
            sample_weight: (P,), above 0.

        Raises:
            LabelError: the series, dates or labels do not fit each other, or cannot be of the quantity.
            ConfigError: the model or the sensor is unknown.
        """
        learner = self._learner()
        series, labels = self._series(X), np.asarray(y)
        places = len(series.length)
        sizes = {"y": labels, "groups": groups, "sample_weight": sample_weight}
        for name, given in sizes.items():
            if given is not None and np.shape(given) != (places,):
                raise LabelError(
                    f"training on series: X has {places} places, and `{name}` has the shape {np.shape(given)}; give "
                    "one value for each place",
                    argument=name,
                    shape=np.shape(given),
                )
        self.classes_, numbers = np.unique(labels, return_inverse=True)
        if not 2 <= len(self.classes_) <= UNLABELLED:
            raise LabelError(
                f"training on series: y has {len(self.classes_)} different labels; 2 to {UNLABELLED} are needed",
                classes=len(self.classes_),
            )
        self.n_features_in_ = len(series.input.bands)
        table = self._table(series, numbers.astype(np.uint8), groups, sample_weight)
        training, validation = inner_split(table, np.arange(places), self.seed)
        self._fitted = learner(table.of(training), table.of(validation), self.seed)
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float32]:
        """Return the probabilities (P, classes) of series (P, T, C)."""
        check_is_fitted(self)
        series = self._series(X)
        nothing = np.full(len(series.length), UNLABELLED, np.uint8)
        return np.asarray(self._fitted.probabilities(self._table(series, nothing)))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the most likely label (P,) of series (P, T, C)."""
        probability = self.predict_proba(X)
        return np.asarray(self.classes_[probability.argmax(axis=1)])

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_fitted")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array, tags.input_tags.two_d_array, tags.input_tags.allow_nan = True, False, True
        return tags

    def _learner(self) -> Learner:
        require_known([self.model], [*LEARNERS, *COMBINATIONS])
        if self.model in COMBINATIONS:
            return COMBINATIONS[self.model].learner(LEARNERS, COMBINATIONS)
        return LEARNERS[self.model]

    def _series(self, X: ArrayLike) -> TableSeries:
        """The series as a table has them; NaN is not valid and 0."""
        numbers, days = np.asarray(X, np.float32), self._days()
        expected = (len(days), len(self.bands))
        if numbers.ndim != 3 or numbers.shape[1:] != expected:
            raise LabelError(
                f"reading series: X has the shape {numbers.shape}, expected (places, {expected[0]} dates, "
                f"{expected[1]} bands); give `dates` and `bands` as X has them",
                shape=numbers.shape,
                expected=expected,
            )
        valid = np.asarray(np.isfinite(numbers).all(axis=2))
        self._require_plausible(numbers[valid])
        sensor = find_sensor(self.sensor)
        content = SensorInput(
            sensor=sensor.name,
            bands=tuple(self.bands),
            quantity=self.quantity,
            scale=1e-4 if "reflectance" in self.quantity else 1.0,
            resolution=sensor.resolution,
        )
        places = len(numbers)
        return TableSeries(
            content,
            np.where(valid[..., None], numbers, np.float32(0)),
            valid,
            np.broadcast_to(days, (places, len(days))).astype(np.int32),
            np.full(places, len(days)),
        )

    def _days(self) -> NDArray[np.int64]:
        days: NDArray[np.int64] = np.asarray(self.dates, "datetime64[D]").astype(np.int64)
        if not len(days) or not len(self.bands) or (np.diff(days) <= 0).any():
            raise LabelError(
                f"reading series: {len(days)} dates and {len(self.bands)} bands are stated; `dates` are to be "
                "ascending days, each once, and `bands` their bands",
                dates=len(days),
                bands=len(self.bands),
            )
        return days

    def _require_plausible(self, values: NDArray[np.float32]) -> None:
        if self.quantity not in PLAUSIBLE or not values.size:
            return
        low, high = PLAUSIBLE[self.quantity]
        least, most = float(values.min()), float(values.max())
        if least < low or most > high:
            raise LabelError(
                f"reading series: values are {least:.4g} to {most:.4g}, which cannot be {self.quantity}; give them in "
                "its unit (stored integers of reflectance are divided by 10,000), and NaN where nothing was observed",
                least=least,
                most=most,
                quantity=self.quantity,
            )

    def _table(
        self,
        series: TableSeries,
        label: NDArray[np.uint8],
        groups: ArrayLike | None = None,
        weight: ArrayLike | None = None,
    ) -> SeriesTable:
        places, days = len(label), self._days()
        season = self.season and Season(*self.season)
        start, end = (day_number(season.start), day_number(season.end)) if season else (int(days[0]), int(days[-1]))
        unknown = np.full(places, np.nan)
        block = np.arange(places) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
        return SeriesTable(
            Legend.of([str(number) for number in range(len(self.classes_))]),
            label,
            {series.input.sensor: series},
            np.full(places, start, np.int32),
            end - start + 1,
            unknown,
            unknown,
            block.astype(np.int32),
            weight=None if weight is None else np.asarray(weight, np.float32),
        )
