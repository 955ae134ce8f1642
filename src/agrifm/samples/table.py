"""Series tables: labelled series of points or parcels, each of which becomes a sample of one pixel.

Shape letters: P places (points or parcels), T dates, C bands.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from agrifm.grid import Window
from agrifm.legend import Legend
from agrifm.record import SensorInput
from agrifm.samples.sample import Sample, Series

ONE_PIXEL = Window(0, 0, 1, 1)


@dataclass(frozen=True)
class TableSeries:
    """One sensor's series at every place; shorter ones are padded at the end with dates that are not valid."""

    input: SensorInput
    """The sensor, its bands in the order of C, and their quantity."""
    values: NDArray[np.float32]
    """(P, T, C), in the quantity's unit (reflectance 0..1), finite, 0 where not valid."""
    valid: NDArray[np.bool_]
    """(P, T), True = usable; False in the padding."""
    date: NDArray[np.int32]
    """(P, T), days since 1970-01-01, ascending, in padding the last date; of a composite the middle of its period."""
    length: NDArray[np.int64]
    """(P,), dates without padding; 0 where the place lacks the sensor."""

    def of(self, places: NDArray[np.intp]) -> "TableSeries":
        """Return the series of these places, by index."""
        return replace(
            self,
            values=self.values[places],
            valid=self.valid[places],
            date=self.date[places],
            length=self.length[places],
        )


@dataclass(frozen=True)
class SeriesTable:
    """Labelled series of points or parcels, with what decides how they may be divided."""

    legend: Legend
    label: NDArray[np.uint8]
    """(P,), class numbers, 255 = unlabelled."""
    series: dict[str, TableSeries]
    """By sensor name."""
    season_start: NDArray[np.int32]
    """(P,), first day of each place's season, days since 1970-01-01."""
    season_days: int
    """Length of a season in days, the same for all places."""
    lon: NDArray[np.float64]
    """(P,), degrees; NaN where the table states no place."""
    lat: NDArray[np.float64]
    """(P,), degrees; NaN where the table states no place."""
    block: NDArray[np.int32]
    """(P,), number of the block that is kept apart from others; places of a parcel share one."""
    fold: NDArray[np.int8] | None = None
    """(P,), fold that the table states: 0.. in cross-validation, -1 = not used; None if it states none."""
    weight: NDArray[np.float32] | None = None
    """(P,), of the places in training, above 0; None = all alike."""
    place: tuple[str, ...] = ()
    """(P,), the source's names of its points or parcels."""
    static: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    """(P,) each, what does not change with time, such as altitude in metres and slope in degrees; NaN = unknown."""
    notes: tuple[str, ...] = ()
    """What was not used, in sentences."""

    def __len__(self) -> int:
        return len(self.label)

    @property
    def sensors(self) -> tuple[SensorInput, ...]:
        """The sensors, in the table's order."""
        return tuple(series.input for series in self.series.values())

    def of(self, places: NDArray[np.intp]) -> "SeriesTable":
        """Return the table of these places, by index."""
        return replace(
            self,
            label=self.label[places],
            series={name: series.of(places) for name, series in self.series.items()},
            season_start=self.season_start[places],
            lon=self.lon[places],
            lat=self.lat[places],
            block=self.block[places],
            fold=None if self.fold is None else self.fold[places],
            weight=None if self.weight is None else self.weight[places],
            place=tuple(self.place[index] for index in places) if self.place else (),
            static={name: values[places] for name, values in self.static.items()},
        )

    def sample(self, index: int) -> Sample:
        """Return a place as a sample of one pixel: images (T, C, 1, 1), without padding and absent sensors."""
        series = {}
        for name, table in self.series.items():
            frames = int(table.length[index])
            if frames:
                series[name] = Series(
                    table.values[index, :frames, :, None, None],
                    table.valid[index, :frames, None, None],
                    table.date[index, :frames],
                )
        weight = 1.0 if self.weight is None else float(self.weight[index])
        lat, lon = float(self.lat[index]), float(self.lon[index])
        place = (lat, lon) if np.isfinite(lat) and np.isfinite(lon) else None
        return Sample(series, self.label[index].reshape(1, 1), ONE_PIXEL, int(self.season_start[index]), weight, place)

    def samples(self) -> Iterator[Sample]:
        """Yield every place as a sample of one pixel."""
        return (self.sample(index) for index in range(len(self)))
