"""The places of a series table as a sequence of samples of one pixel, prepared as a model reads them."""

from dataclasses import replace
from datetime import timedelta

import numpy as np

from agrifm.record import SeriesKind
from agrifm.samples.sample import Sample, Series
from agrifm.samples.table import ONE_PIXEL, SeriesTable
from agrifm.samples.transforms import prepared
from agrifm.season import Season, day_date

PLACES_PER_WINDOW = 8
"""Places of a table in a training step for each window of `batch`: a place is one pixel."""


class TableSamples:
    """A sequence of samples of one pixel, each prepared once; the counterpart of `agrifm.samples.patches.Patches`.

    A place that lacks a sensor has one frame of it that is not valid, so that places share batches.

    Args:
        kind: how series are prepared.
        frames: steps of interpolated series and composites; observed series keep the frames that are valid.
    """

    windows = (ONE_PIXEL,)
    """The windows that occur."""

    def __init__(self, table: SeriesTable, kind: SeriesKind = "observed", frames: int = 24) -> None:
        self.table, self.kind, self.frames = table, kind, frames
        self._kept: dict[int, Sample] = {}

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> Sample:
        if index not in self._kept:
            self._kept[index] = self._make(index)
        return self._kept[index]

    def _make(self, index: int) -> Sample:
        sample = self.table.sample(index)
        for name, series in self.table.series.items():
            if name not in sample.series:
                bands = len(series.input.bands)
                sample.series[name] = Series(
                    np.zeros((1, bands, 1, 1), np.float32),
                    np.zeros((1, 1, 1), bool),
                    np.array([sample.season_start], np.int32),
                )
        ordered = {name: sample.series[name] for name in self.table.series}
        season = season_of(self.table, index)
        return prepared(replace(sample, series=ordered), self.kind, season, season.steps(self.frames))


def season_of(table: SeriesTable, index: int) -> Season:
    """Return the season of a place."""
    start = day_date(int(table.season_start[index]))
    return Season(start, start + timedelta(days=table.season_days - 1))
