"""What a model answers on chosen pixels of a window, from a sample for each of its ways of reading.

Shape letters: H W rows and columns of the window, n chosen pixels in row order, K classes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agrifm.calibration import Calibration, calibrated
from agrifm.classic.classic_model import ClassicModel
from agrifm.errors import ModelError
from agrifm.explain.chosen_pixels import Samples, inside, only_pixels, place_samples, sees_single_pixels
from agrifm.explain.occlusion import Hidden, Preparation, occlusions
from agrifm.grid import Window
from agrifm.inference.mean import WeightedModel, mean_where_known, members_of, reading
from agrifm.inference.predictor import TorchModel, TrainedModel, uncalibrated
from agrifm.record import ModelRecord, SensorRecord, present_sensors
from agrifm.samples.sample import Sample
from agrifm.season import Season, day_number

if TYPE_CHECKING:
    from agrifm.explain.mean_curve import Curves
    from agrifm.explain.periods import Periods
    from agrifm.explain.series_source import SeriesSource


@dataclass(frozen=True)
class Subject:
    """A model on the pixels of a cube or the places of a table, taken apart into its members."""

    source: "SeriesSource"
    """With the sensors that the model uses."""
    record: ModelRecord
    members: tuple[WeightedModel, ...]
    """Without their calibration."""
    calibration: Calibration | None
    """Of the model as a whole."""

    @classmethod
    def of(cls, source: "SeriesSource", model: TrainedModel) -> "Subject":
        """Take a model apart, which fits the source.

        Raises:
            ModelError: the source is a table, and a member reads windows or is exported.
        """
        members = members_of(uncalibrated(model))
        for member in members if source.is_table else ():
            record = member.model.record
            about = f"explaining the model '{model.record.name}' on a series table"
            if record.side > 1:
                raise ModelError(
                    f"{about}: '{record.name}' reads windows of {record.side} pixels, and a table has single ones; "
                    "train it on the table",
                    member=record.name,
                    side=record.side,
                )
            if not isinstance(member.model, TorchModel | ClassicModel):
                raise ModelError(
                    f"{about}: '{record.name}' is an exported graph or a forest of an older version; give the file "
                    "that `agrifm train` wrote",
                    member=record.name,
                )
        return cls(source, model.record, members, model.record.calibration)

    @property
    def sensors(self) -> tuple[SensorRecord, ...]:
        """The sensors of the record that the source has."""
        return present_sensors(self.record, self.source.inputs)

    def read(self, window: Window) -> Samples:
        """Read the raw frames of a window, with the margin that each member needs."""
        samples: dict[Any, Sample] = {}
        for member in self.members:
            record = member.model.record
            if (key := reading(record)) not in samples:
                sensors = present_sensors(record, self.source.inputs)
                samples[key] = self.source.read(window, sensors, record.margin)
        return samples

    def later(self, samples: Samples) -> int:
        """Return by how many days the season of samples begins after that of the source."""
        return next(iter(samples.values())).season_start - day_number(self.source.season.start)

    def occlusions(
        self, raw: Samples, periods: "Periods", curves: "Curves", bands: bool = True
    ) -> Iterator[tuple[Hidden, Samples]]:
        """Yield what is hidden and the samples that the members read then; the whole ones are first.

        Args:
            periods: of the source's season, as `curves`; they are moved to that of the samples.
            bands: whether single bands are hidden as well.
        """
        later = self.later(raw)
        periods, curves = periods.later(later), {name: curve.later(later) for name, curve in curves.items()}
        preparations = {reading(member.model.record): self._preparation(member, later) for member in self.members}
        parts = [occlusions(raw[key], preparations[key], periods, curves, bands) for key in raw]
        for several in zip(*parts, strict=True):
            yield several[0][0], {key: sample for key, (_, sample) in zip(raw, several, strict=True)}

    def _preparation(self, member: WeightedModel, later: int) -> Preparation:
        record, days = member.model.record, timedelta(days=later)
        season = Season(self.source.season.start + days, self.source.season.end + days)
        return Preparation(record.series, season, season.steps(record.frames))

    def probabilities(self, samples: Samples, window: Window, where: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return class probabilities (n, K), calibrated, of chosen pixels (H, W); NaN without an observation."""
        found = [
            _of_member(member.model, samples[reading(member.model.record)], window, where, self.source)
            for member in self.members
        ]
        mean = mean_where_known(found, [member.weight for member in self.members])
        return np.asarray(calibrated(self.calibration, mean, axis=1), np.float32)


def _of_member(
    model: TrainedModel, sample: Sample, window: Window, where: NDArray[np.bool_], source: "SeriesSource"
) -> NDArray[np.float32]:
    """Class probabilities (n, K) of one member."""
    chosen = inside(sample, window, where)
    if isinstance(model, ClassicModel):
        found = model.of_pixels(sample, chosen)
    elif isinstance(model, TorchModel) and source.is_table:
        flat = np.full((chosen.size, len(model.record.legend)), np.nan, np.float32)
        for samples, numbers in place_samples(model.record, sample, chosen, source):
            flat[numbers] = model.of_places(samples)
        return flat[chosen.ravel()]
    elif isinstance(model, TorchModel) and sees_single_pixels(model.record):
        found = model.probabilities(only_pixels(sample, chosen))[:, chosen]
    else:
        found = model.probabilities(sample)[:, chosen]
    known = sample.any_valid[chosen]
    return np.where(known, found, np.float32(np.nan)).T
