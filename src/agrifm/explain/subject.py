"""What a model answers on chosen pixels of a window, from a sample for each of its ways of reading.

Shape letters: H W rows and columns of the window, n chosen pixels in row order, K classes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agrifm.calibration import Calibration, calibrated
from agrifm.classic.classic_model import ClassicModel
from agrifm.cube.store import Cube
from agrifm.explain.chosen_pixels import Samples, inside, only_pixels, sees_single_pixels
from agrifm.explain.occlusion import Hidden, Preparation, occlusions
from agrifm.grid import Window
from agrifm.inference.mean import WeightedModel, mean_where_known, members_of, reading
from agrifm.inference.predictor import TorchModel, TrainedModel, uncalibrated
from agrifm.mapping.windows import with_model_sensors
from agrifm.record import ModelRecord, SensorRecord, present_sensors, require_fit
from agrifm.samples.patches import read_with_margin
from agrifm.samples.sample import Sample, read_sample

if TYPE_CHECKING:
    from agrifm.explain.mean_curve import Curves
    from agrifm.explain.periods import Periods


@dataclass(frozen=True)
class Subject:
    """A model on a cube, taken apart into its members."""

    cube: Cube
    """With the sensors that the model uses."""
    record: ModelRecord
    members: tuple[WeightedModel, ...]
    """Without their calibration."""
    calibration: Calibration | None
    """Of the model as a whole."""

    @classmethod
    def of(cls, cube: Cube, model: TrainedModel) -> "Subject":
        """Compare a model with a cube, and take it apart.

        Raises:
            ModelError: the model does not fit the cube.
        """
        require_fit(model.record, cube.inputs, f"the cube {cube.path}")
        members = members_of(uncalibrated(model))
        return cls(with_model_sensors(cube, model.record), model.record, members, model.record.calibration)

    @property
    def sensors(self) -> tuple[SensorRecord, ...]:
        """The sensors of the record that the cube has."""
        return present_sensors(self.record, self.cube.inputs)

    def read(self, window: Window) -> Samples:
        """Read the raw frames of a window, with the margin that each member needs."""
        samples: dict[Any, Sample] = {}
        for member in self.members:
            record = member.model.record
            if (key := reading(record)) not in samples:
                sensors = present_sensors(record, self.cube.inputs)

                def raw(wide: Window, sensors: Sequence[SensorRecord] = sensors) -> Sample:
                    return read_sample(self.cube, wide, sensors)

                shape = self.cube.target.shape
                samples[key] = read_with_margin(raw, window, record.margin, self.cube.coarse_factor, shape)
        return samples

    def occlusions(
        self, raw: Samples, periods: "Periods", curves: "Curves", bands: bool = True
    ) -> Iterator[tuple[Hidden, Samples]]:
        """Yield what is hidden and the samples that the members read then; the whole ones are first.

        Args:
            bands: whether single bands are hidden as well.
        """
        preparations = {reading(member.model.record): self._preparation(member) for member in self.members}
        parts = [occlusions(raw[key], preparations[key], periods, curves, bands) for key in raw]
        for several in zip(*parts, strict=True):
            yield several[0][0], {key: sample for key, (_, sample) in zip(raw, several, strict=True)}

    def _preparation(self, member: WeightedModel) -> Preparation:
        record, season = member.model.record, self.cube.season
        return Preparation(record.series, season, season.steps(record.frames))

    def probabilities(self, samples: Samples, window: Window, where: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return class probabilities (n, K), calibrated, of chosen pixels (H, W); NaN without an observation."""
        found = [
            _of_member(member.model, samples[reading(member.model.record)], window, where) for member in self.members
        ]
        mean = mean_where_known(found, [member.weight for member in self.members])
        return np.asarray(calibrated(self.calibration, mean, axis=1), np.float32)


def _of_member(model: TrainedModel, sample: Sample, window: Window, where: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Class probabilities (n, K) of one member."""
    chosen = inside(sample, window, where)
    if isinstance(model, ClassicModel):
        found = model.of_pixels(sample, chosen)
    elif isinstance(model, TorchModel) and sees_single_pixels(model.record):
        found = model.probabilities(only_pixels(sample, chosen))[:, chosen]
    else:
        found = model.probabilities(sample)[:, chosen]
    known = sample.any_valid[chosen]
    return np.where(known, found, np.float32(np.nan)).T
