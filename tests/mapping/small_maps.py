"""Small cubes and models for the tests of mapping; no module of them reads a network."""

import itertools
from datetime import date
from pathlib import Path

import numpy as np
from affine import Affine
from shapely.geometry.base import BaseGeometry

from agrifm.cube.store import Cube, create_root, create_sensor, open_cube
from agrifm.grid import Grid
from agrifm.legend import Legend
from agrifm.record import ModelRecord, SensorInput, SensorRecord
from agrifm.samples.sample import Sample
from agrifm.season import Season

SEASON = Season(date(2024, 3, 1), date(2024, 9, 30))
DAYS = (date(2024, 4, 1), date(2024, 6, 1), date(2024, 8, 1))
LEGEND = Legend.of(["1110", "1121", "other"], {"1110": "Maize & millet", "1121": "Winter wheat", "other": "Other land"})
SENTINEL = SensorInput(
    sensor="sentinel-2", bands=("red", "nir"), quantity="surface reflectance", scale=1e-4, resolution=10
)
MODIS = SensorInput(
    sensor="modis", bands=("red", "nir"), quantity="surface reflectance", scale=1e-4, resolution=480
)  # fmt: skip
UTM = "EPSG:32631"


def utm_grid(cells: tuple[int, int] = (2, 3)) -> Grid:
    """A grid of 10 m over so many squares of 480 m."""
    return Grid.of(UTM, Affine(10, 0, 480_000, 0, -10, 5_520_000), (48 * cells[0], 48 * cells[1]))


def make_cube(
    path: Path,
    grid: Grid,
    sensors: tuple[SensorInput, ...] = (SENTINEL,),
    area: BaseGeometry | None = None,
    unseen: tuple[slice, slice] | None = None,
    seed: int = 0,
) -> Cube:
    """A cube of smooth random fields; the part `unseen` of the finest grid has no valid observation."""
    root = create_root(path, SEASON, area or grid.footprint())
    for content in sensors:
        own = grid if content.resolution == grid.resolution else grid.at(content.resolution)
        group = create_sensor(root, content, own, DAYS, None)
        rng = np.random.default_rng(seed)
        coarse = rng.integers(0, 6000, (len(DAYS), 2, *(side // 8 + 1 for side in own.shape)))
        fine = coarse.repeat(8, -1).repeat(8, -2)[..., : own.shape[0], : own.shape[1]]
        group["values"][...] = fine + rng.integers(0, 800, fine.shape)
        valid = np.ones((len(DAYS), *own.shape), bool)
        if unseen and own is grid:
            valid[:, *unseen] = False
        group["valid"][...] = valid
    root.attrs["agrifm"] = {**root.attrs["agrifm"], "sensors": [content.sensor for content in sensors]}
    return open_cube(path)


def make_record(sensors: tuple[SensorInput, ...] = (SENTINEL,), **changes: object) -> ModelRecord:
    """The record of a model for these sensors."""
    expected = tuple(SensorRecord(**own.model_dump(), mean=(0.3, 0.3), std=(0.1, 0.1)) for own in sensors)
    content = {"name": "fake", "architecture": {}, "frames": 4, "side": 96, "legend": LEGEND, "sensors": expected}
    return ModelRecord(**{**content, "season": (SEASON.start, SEASON.end), **changes})


class PixelModel:
    """Looks at each pixel alone, so that the map cannot depend on how it was cut; counts its windows."""

    def __init__(self, record: ModelRecord | None = None) -> None:
        self.record = record or make_record()
        self.windows: list[object] = []

    def probabilities(self, sample: Sample) -> np.ndarray:
        """(3, H, W): softmax of both bands and a constant."""
        self.windows.append(sample.window)
        height, width = sample.label.shape
        scores = [np.full((height, width), 2.0)]
        for band, series in itertools.product(range(2), sample.series.values()):
            mean = series.image[:, band].mean(0)
            ratio = height // mean.shape[0]
            scores.append(10 * mean.repeat(ratio, 0).repeat(ratio, 1))
        scores = scores[:3]
        weight = np.exp(scores)
        return (weight / weight.sum(0)).astype(np.float32)


class WindowModel(PixelModel):
    """Answers differently in every window, so that the map shows how windows were blended."""

    def probabilities(self, sample: Sample) -> np.ndarray:
        """(3, H, W), one value per class over the window."""
        pixels = super().probabilities(sample)
        share = np.random.default_rng([sample.window.row, sample.window.col]).dirichlet((1, 1, 1))
        return ((pixels + share[:, None, None]) / 2).astype(np.float32)
