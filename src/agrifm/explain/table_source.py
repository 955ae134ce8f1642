"""The places of a series table as one column of pixels, in groups whose seasons begin on the same day.

A group is a sample of N rows and one column in which every pixel has its days, so that occlusion, preparation and
sums are those of a cube. Networks receive each place by itself (`agrifm.explain.chosen_pixels.place_samples`).

Shape letters: P places, N places of a group, T frames, C bands.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agrifm.grid import Window
from agrifm.legend import UNLABELLED
from agrifm.record import SensorInput, SensorRecord
from agrifm.samples.sample import Sample, Series
from agrifm.samples.table import SeriesTable, TableSeries
from agrifm.samples.transforms import MAX_FRAMES, interpolated
from agrifm.season import Season, day_number

PLACES = 256
"""Most places of a group."""


@dataclass(frozen=True)
class TableSource:
    """A table whose places are in the order of their seasons."""

    table: SeriesTable
    season: Season
    """Of the project; places whose seasons begin in other years have the same calendar, counted from their start."""
    frames: int
    """Equal steps of the season at which index curves and the mean series are taken."""

    @classmethod
    def of(cls, table: SeriesTable, season: Season, frames: int) -> tuple["TableSource", NDArray[np.intp]]:
        """Return a table in the order of seasons, and which of its places (P,) each row is."""
        order = np.argsort(table.season_start, kind="stable")
        return cls(table.of(order), season, frames), order

    @property
    def inputs(self) -> Mapping[str, SensorInput]:
        """Contents by sensor."""
        return {name: series.input for name, series in self.table.series.items()}

    @property
    def is_table(self) -> bool:
        """Places are apart from each other."""
        return True

    def windows(self, wanted: NDArray[np.bool_], side: int = 0) -> list[Window]:
        """Return groups of the wanted places (P, 1) whose seasons begin together, without gaps between them.

        Where series are longer than a network keeps (`MAX_FRAMES`), each place is a group, because the frames that are
        kept depend on what is read together.
        """
        longest = max(int(series.length.max(initial=0)) for series in self.table.series.values())
        most = PLACES if longest <= MAX_FRAMES else 1
        rows = np.flatnonzero(wanted[:, 0])
        start = self.table.season_start[rows]
        begins = np.flatnonzero((np.diff(rows, prepend=-2) > 1) | (np.diff(start, prepend=-1) != 0))
        windows = []
        for first, stop in zip(begins, [*begins[1:], len(rows)], strict=True):
            for at in range(first, stop, most):
                windows.append(Window(int(rows[at]), 0, int(min(most, stop - at)), 1))
        return windows

    def read(self, window: Window, sensors: Sequence[SensorRecord], margin: int = 0) -> Sample:
        """Return the places of a group as pixels that have their days; shorter series end with frames not valid."""
        rows = window.slices[0]
        start = int(self.table.season_start[window.row])
        series = {one.sensor: _column(self.table.series[one.sensor], rows, one.bands, start) for one in sensors}
        return Sample(series, np.full((window.height, 1), UNLABELLED, np.uint8), window, start)

    def days(self, sensor: str) -> NDArray[np.int32]:
        """Return the middle days of equal periods of the season."""
        return self.season.steps(self.frames)

    def on_days(self, raw: Sample) -> Sample:
        """Return the series interpolated to equal steps, which places of any dates share."""
        later = raw.season_start - day_number(self.season.start)
        return interpolated(raw, self.season.steps(self.frames) + np.int32(later))

    def place(self, row: int) -> tuple[float, float] | None:
        """Return latitude and longitude of a row, degrees."""
        return self.table.sample(row).place


def _column(series: TableSeries, rows: slice, bands: Sequence[str], start: int) -> Series:
    """The series (T, C, N, 1) of some rows; a frame has the latest day that a place has there."""
    frames = max(1, int(series.length[rows].max(initial=0)))
    chosen = [series.input.bands.index(band) for band in bands]
    image = series.values[rows, :frames][:, :, chosen].transpose(1, 2, 0)[..., None]
    valid = series.valid[rows, :frames].T[..., None]
    day = np.where(series.length[rows, None] > 0, series.date[rows, :frames], start).astype(np.int32).T[..., None]
    return Series(np.ascontiguousarray(image, np.float32), np.ascontiguousarray(valid), day.max(axis=(1, 2)), day)
