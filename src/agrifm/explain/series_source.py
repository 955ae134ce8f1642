"""What a model is explained on: the pixels of a cube, or the places of a series table as a column of pixels.

Shape letters: T frames, C bands, H W rows and columns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agrifm.cube.store import Cube
from agrifm.grid import Window
from agrifm.legend import UNLABELLED
from agrifm.mapping.windows import with_model_sensors
from agrifm.record import ModelRecord, SensorInput, SensorRecord
from agrifm.samples.patches import labelled_windows, read_with_margin
from agrifm.samples.sample import Sample, read_sample
from agrifm.season import Season


class SeriesSource(Protocol):
    """Windows of raw series, whatever they come from."""

    @property
    def season(self) -> Season:
        """Whose calendar an explanation speaks of."""

    @property
    def inputs(self) -> Mapping[str, SensorInput]:
        """Contents by sensor."""

    @property
    def is_table(self) -> bool:
        """Whether pixels are places apart from each other."""

    def windows(self, wanted: NDArray[np.bool_], side: int) -> list[Window]:
        """Return windows that hold the wanted pixels (H, W), of `side` pixels where there is a choice."""

    def read(self, window: Window, sensors: Sequence[SensorRecord], margin: int = 0) -> Sample:
        """Return the raw series of a window and `margin` pixels around it; bands are in the order of `sensors`."""

    def days(self, sensor: str) -> NDArray[np.int32]:
        """Return the days of the frames of `on_days`, (T,), days since 1970-01-01, in the year of `season`."""

    def on_days(self, raw: Sample) -> Sample:
        """Return a sample of `read` with frames that all pixels share."""

    def place(self, row: int) -> tuple[float, float] | None:
        """Return latitude and longitude of a row of a table, degrees; None where they are unknown."""


@dataclass(frozen=True)
class CubeSource:
    """A cube with the sensors that a model uses."""

    cube: Cube

    @classmethod
    def of(cls, cube: Cube, record: ModelRecord) -> "CubeSource":
        """Leave out other sensors."""
        return cls(with_model_sensors(cube, record))

    @property
    def season(self) -> Season:
        """That of the cube."""
        return self.cube.season

    @property
    def inputs(self) -> Mapping[str, SensorInput]:
        """Contents by sensor."""
        return self.cube.inputs

    @property
    def is_table(self) -> bool:
        """Pixels of a cube have neighbours."""
        return False

    def windows(self, wanted: NDArray[np.bool_], side: int) -> list[Window]:
        """Return the windows of `side` pixels that hold wanted pixels (H, W); they overlap at the end of the grid."""
        return labelled_windows(np.where(wanted, np.uint8(0), np.uint8(UNLABELLED)), side, side)

    def read(self, window: Window, sensors: Sequence[SensorRecord], margin: int = 0) -> Sample:
        """Return all frames of a window and of its margin, as far as the grid reaches."""

        def raw(wide: Window) -> Sample:
            return read_sample(self.cube, wide, sensors)

        return read_with_margin(raw, window, margin, self.cube.coarse_factor, self.cube.target.shape)

    def days(self, sensor: str) -> NDArray[np.int32]:
        """Return the dates of the cube's frames."""
        return self.cube.sensors[sensor].date

    def on_days(self, raw: Sample) -> Sample:
        """Return the sample: all pixels of a cube share their frames."""
        return raw

    def place(self, row: int) -> None:
        """A cube states one place, which its samples have."""
