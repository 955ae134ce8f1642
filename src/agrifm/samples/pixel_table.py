"""Labelled pixels of cubes and windows as a series table: a bounded number of each parcel, drawn by a seed.

A pixel is a place with its series, dates and gaps as they are. All pixels of a parcel are in the parcel's block.

Shape letters: N pixels, T dates, C bands, H W rows and columns.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from agrifm.codes import listed
from agrifm.cube.store import Cube
from agrifm.errors import LabelError
from agrifm.grid import LONLAT, tiles
from agrifm.legend import UNLABELLED
from agrifm.record import SensorInput
from agrifm.samples.labels import Labels
from agrifm.samples.patches import TILE
from agrifm.samples.public.public_set import PublicSet, SetWindows
from agrifm.samples.public.set_series import PlaceSeries, stack_series
from agrifm.samples.sample import Sample, read_sample
from agrifm.samples.split import split_blocks
from agrifm.samples.table import SeriesTable, TableSeries
from agrifm.season import day_number
from agrifm.work import progress

LONGEST_SEASON = 366
"""Days; series of windows whose dates span more have the season of their first days."""


def table_of_cube(cube: Cube, labels: Labels, block: float, pixels: int, seed: int = 0) -> SeriesTable:
    """Return labelled pixels of a cube as a table, whose blocks and stated folds are those of training on the cube.

    Args:
        labels: on the cube's target grid.
        block: side of the blocks, in units of the CRS.
        pixels: at most so many of each parcel or point, and of each class of other land in a block.
        seed: decides which.

    Raises:
        LabelError: the labels cannot be divided, or no chosen pixel has a valid observation.
    """
    about = f"making a table of the cube {cube.path}"
    split = split_blocks(labels, block, seed)
    rows, cols = np.nonzero(labels.label != UNLABELLED)
    place, number = labels.place[rows, cols].astype(np.int64), split.block[rows, cols].astype(np.int64)
    # other land has no parcels: its pixels are grouped by block and class
    alone = -1 - (number * len(labels.legend) + labels.label[rows, cols])
    chosen = draw_of_groups(np.where(place >= 0, place, alone), pixels, seed)
    sensors = tuple(sorted(cube.inputs.values(), key=lambda content: content.resolution))
    drawn = np.zeros(labels.label.shape, bool)
    drawn[rows[chosen], cols[chosen]] = True
    series, at = _Collected(sensors), []
    every = [window for window in tiles(labels.grid.shape, TILE) if drawn[window.slices].any()]
    with progress("pixels (windows)", len(every)) as advance:
        for window in every:
            row, col = np.nonzero(drawn[window.slices])
            kept = series.add(read_sample(cube, window, sensors), row, col)
            at.append(np.stack([row[kept] + window.row, col[kept] + window.col], axis=1))
            advance(1)
    row, col = np.concatenate([np.zeros((0, 2), np.intp), *at]).T
    x, y = labels.grid.transform * (col + 0.5, row + 0.5)
    lon, lat = Transformer.from_crs(str(labels.grid.crs), LONLAT, always_xy=True).transform(x, y)
    of = labels.place[row, col]
    names = [f"parcel {one}" if one >= 0 else f"row {r}, column {c}" for one, r, c in zip(of, row, col, strict=True)]
    lost = len(chosen) - len(row)
    return SeriesTable(
        legend=labels.legend,
        label=labels.label[row, col],
        series=series.stacked(about),
        season_start=np.full(len(row), day_number(cube.season.start), np.int32),
        season_days=cube.season.days,
        lon=np.asarray(lon, np.float64),
        lat=np.asarray(lat, np.float64),
        block=split.block[row, col],
        fold=split.fold[row, col].astype(np.int8) if "fold" in labels.places else None,
        place=tuple(names),
        notes=(
            *labels.notes,
            f"{len(row)} pixels of {len(np.unique(of[of >= 0]))} parcels or points, at most {pixels} of each, and of "
            f"each class of other land in a block; {lost} without any valid observation are left out",
        ),
    )


def table_of_windows(
    public: PublicSet, pixels: int, windows: int | None = None, seed: int = 0
) -> tuple[SeriesTable, NDArray[np.intp]]:
    """Return labelled pixels of a public set of windows as a table; every window is a block.

    Args:
        pixels: at most so many of each class in a window.
        windows: at most so many windows are read, drawn from all; None = all.
        seed: decides which.

    Returns:
        The table, without coordinates, and the index of the window of each place (N,).

    Raises:
        LabelError: a window cannot be read, or none has a labelled pixel with a valid observation.
    """
    content = public.windows
    assert isinstance(content, SetWindows)
    about = f"making a table of {public.facts.title}"
    read = np.arange(len(content))
    if windows is not None and windows < len(read):
        read = np.sort(np.random.default_rng(seed).permutation(read)[:windows])
    series, of, label, start = _Collected(public.sensors), [], [], []
    with progress("pixels (windows)", len(read)) as advance:
        for index in read.tolist():
            sample = content[index]
            rows, cols = np.nonzero(sample.label != UNLABELLED)
            chosen = draw_of_groups(sample.label[rows, cols].astype(np.int64), pixels, (seed, index))
            row, col = rows[chosen], cols[chosen]
            kept = series.add(sample, row, col)
            of.append(np.full(int(kept.sum()), index, np.intp))
            label.append(sample.label[row[kept], col[kept]])
            start.append(np.full(int(kept.sum()), sample.season_start, np.int32))
            advance(1)
    window = np.concatenate([np.zeros(0, np.intp), *of])
    stacked = series.stacked(about)
    starts = np.concatenate([np.zeros(0, np.int32), *start])
    nowhere = np.full(len(window), np.nan)
    some = "" if len(read) == len(content) else f" {len(read)} of"
    note = f"{len(window)} pixels of{some} {len(content)} windows, at most {pixels} of each class in a window"
    return (
        SeriesTable(
            legend=public.legend,
            label=np.concatenate([np.zeros(0, np.uint8), *label]),
            series=stacked,
            season_start=starts,
            season_days=_season_days(stacked, starts),
            lon=nowhere,
            lat=nowhere,
            block=window.astype(np.int32),
            place=tuple(content.names[index] for index in window),
            notes=(*public.notes, f"{note}; a window is a block, and nothing is known of parcels"),
        ),
        window,
    )


def draw_of_groups(group: NDArray[np.int64], most: int, seed: int | Sequence[int]) -> NDArray[np.intp]:
    """Return the indices of at most `most` members of each group, ascending.

    Args:
        group: (N,), number of the group of each member.
        seed: decides which members.
    """
    order = np.random.default_rng(seed).permutation(len(group))
    order = order[np.argsort(group[order], kind="stable")]
    ordered = group[order]
    first = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(group) else np.zeros(0, np.intp)
    length = np.diff(np.r_[first, len(group)])
    rank = np.arange(len(group)) - np.repeat(first, length)
    return np.sort(order[rank < most])


class _Collected:
    """The series of pixels of many windows, by sensor."""

    def __init__(self, sensors: Sequence[SensorInput]) -> None:
        self.sensors = tuple(sensors)
        self.parts: Mapping[str, list[PlaceSeries]] = {sensor.sensor: [] for sensor in sensors}

    def add(self, sample: Sample, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Add the pixels of a window at these rows and columns of its target grid; returns which were observed (N,).

        A pixel of a coarse sensor gives its series to the target pixels inside it. Pixels without any valid observation
        are not added.
        """
        kept = sample.any_valid[rows, cols]
        rows, cols = rows[kept], cols[kept]
        for sensor in self.sensors:
            part = sample.series.get(sensor.sensor)
            if part is None:
                nothing = np.zeros((0, len(sensor.bands)), np.float32)
                absent = PlaceSeries(nothing, np.zeros(0, bool), np.zeros(0, np.int32))
                self.parts[sensor.sensor].extend([absent] * len(rows))
                continue
            ratio = sample.label.shape[0] // part.valid.shape[1]
            row, col = rows // ratio, cols // ratio
            values, valid = part.image[:, :, row, col].transpose(2, 0, 1), part.valid[:, row, col].T
            day = np.broadcast_to(part.date, valid.shape) if part.day is None else part.day[:, row, col].T
            self.parts[sensor.sensor].extend(map(PlaceSeries, values, valid, day))
        return np.asarray(kept)

    def stacked(self, about: str) -> dict[str, TableSeries]:
        """Return the series of a table.

        Raises:
            LabelError: there is no pixel, or the series do not fit into memory.
        """
        if not self.parts[self.sensors[0].sensor]:
            raise LabelError(
                f"{about}: no labelled pixel has a valid observation of "
                f"{listed([sensor.sensor for sensor in self.sensors])}; widen the season, or label other places",
                pixels=0,
            )
        return {sensor.sensor: stack_series(sensor, self.parts[sensor.sensor], about) for sensor in self.sensors}


def _season_days(series: Mapping[str, TableSeries], start: NDArray[np.int32]) -> int:
    """Days from the first day of each season to the last date of any place, at most `LONGEST_SEASON`."""
    last = max(int((one.date - start[:, None])[one.length > 0].max(initial=0)) for one in series.values())
    return min(last + 1, LONGEST_SEASON)
