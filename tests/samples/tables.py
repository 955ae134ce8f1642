"""Small series tables with known classes, for tests."""

import numpy as np

from agrifm.legend import Legend
from agrifm.record import SensorInput
from agrifm.samples.table import SeriesTable, TableSeries

CODES = ("maize", "wheat", "grass")


def series_table(
    places: int = 120, blocks: int = 12, dates: int = 8, noise: float = 0.05, seed: int = 0
) -> SeriesTable:
    """Return places of three classes that differ by the date of their peak; the blocks are 0.1 degrees apart.

    Every class is in every block; places of a block are about 100 m apart.
    """
    generator = np.random.default_rng(seed)
    label = np.arange(places) // blocks % len(CODES)
    block = np.arange(places) % blocks
    day = np.arange(dates) * (240 // dates)
    peak = np.array([60, 120, 180])[label]
    curve = np.exp(-(((day[None] - peak[:, None]) / 40) ** 2))
    values = np.stack([0.1 + 0.0 * curve, 0.1 + 0.4 * curve], axis=2)
    values = (values + noise * generator.standard_normal(values.shape)).astype(np.float32)
    valid = generator.random((places, dates)) < 0.9
    values[~valid] = 0
    sensor = SensorInput(
        sensor="sentinel-2", bands=("B04", "B08"), quantity="surface reflectance", scale=1e-4, resolution=10
    )
    series = TableSeries(
        sensor,
        values,
        valid,
        np.broadcast_to(day + 19_700, valid.shape).astype(np.int32),
        np.full(places, dates, np.int64),
    )
    return SeriesTable(
        legend=Legend.of(CODES),
        label=label.astype(np.uint8),
        series={"sentinel-2": series},
        season_start=np.full(places, 19_700, np.int32),
        season_days=240,
        lon=10 + block * 0.1 + (np.arange(places) // blocks) * 1e-3,
        lat=np.full(places, 50.0),
        block=block.astype(np.int32),
        place=tuple(f"p{number}" for number in range(places)),
    )
