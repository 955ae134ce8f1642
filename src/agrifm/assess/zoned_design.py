"""Reference points over several UTM zones: one sample, whose strata are the classes of the map in each zone.

Points are drawn in the map of each zone, so every pixel belongs to one zone, and written into one file, in longitude
and latitude. `agrifm.assess.zoned_map` assesses the map with them.

Shape letters: S strata, of all zones.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agrifm.assess.allocation import accuracies_of_strata, describe_plan, points_of_strata
from agrifm.assess.drawn_points import DrawnPoint, drawn_table, pixels_of_points, read_points, write_table
from agrifm.assess.pixel_draw import draw_in_strata
from agrifm.assess.sampling_design import DESIGN, Design
from agrifm.assess.sampling_frame import SamplingFrame, frame_of_map
from agrifm.assess.zoned_map import ZonedMap, epsg_of_zone, read_assessed_map, zone_of_points
from agrifm.codes import listed
from agrifm.errors import AssessmentError
from agrifm.grid import LONLAT
from agrifm.point_columns import NUMBER

OF_ONE_ZONE = ("method", "strata", "edge", "outside", "side", "per_cluster", "first")
"""Choices of a design that one zone may have and several together may not: their strata are others."""


def draw_over_zones(map_path: Path, n: int | None, seed: int, out: Path, design: Design) -> dict[str, int]:
    """Draw points in all zones of a map, and write them in random order.

    Args:
        map_path: the mosaic over the zones.
        n, seed, out: see `agrifm.assess.design.draw_points`.

    Returns:
        Number of points per class.

    Raises:
        AssessmentError: the design is not one of the map's classes, or as of `draw_points`.
    """
    import pandas as pd

    zones = _mapped(map_path, design).zones
    frames = [frame_of_map(zone) for zone in zones]
    numbers = np.split(_numbers(frames, n, design), np.cumsum([len(frame.codes) for frame in frames])[:-1])
    before = None if design.earlier is None else read_points(design.earlier, is_map=True)
    lon = np.zeros(0) if before is None else before.to_crs(LONLAT).geometry.x.to_numpy()
    generator = np.random.default_rng(seed if before is None else [seed, len(before)])
    tables, counts = [], dict[str, int]()
    for zone, frame, points in zip(zones, frames, numbers, strict=True):
        earlier: tuple[DrawnPoint, ...] = ()
        if before is not None and design.earlier is not None:
            earlier = pixels_of_points(design.earlier, before[zone_of_points(zone, lon)], frame)
        drawn = draw_in_strata(generator, frame, points, earlier)
        tables.append(drawn_table(frame, drawn, design.method).to_crs(LONLAT))
        for code, count in zip(frame.codes, points.tolist(), strict=True):
            counts[code] = counts.get(code, 0) + count
    table = pd.concat(tables, ignore_index=True)
    table = table.iloc[generator.permutation(len(table))].reset_index(drop=True)
    table[NUMBER] = np.arange(1, 1 + len(table))
    write_table(table, out, before)
    return counts


def plan_over_zones(map_path: Path, n: int | None, design: Design) -> list[str]:
    """Describe in sentences what `draw_over_zones` would draw."""
    frames = [frame_of_map(zone) for zone in _mapped(map_path, design).zones]
    names = [f"{code} in {epsg_of_zone(frame.grid)}" for frame in frames for code in frame.codes]
    points = dict(zip(names, _numbers(frames, n, design).tolist(), strict=True))
    codes = [code for frame in frames for code in frame.codes]
    return describe_plan(points, _hectares(frames), accuracies_of_strata(design.expected, codes), design.cost)


def _mapped(map_path: Path, design: Design) -> ZonedMap:
    """The map over zones, if points of this design can be drawn in it."""
    others = [name for name in OF_ONE_ZONE if getattr(design, name) != getattr(DESIGN, name)]
    if others:
        raise AssessmentError(
            f"drawing points for {map_path}: the map is over several UTM zones, in which the strata are the classes of "
            f"the map; leave out {listed(others)}, or draw in each zone by itself (--map maps/ZONE/classes.vrt)",
            path=map_path,
            stated=others,
        )
    mapped = read_assessed_map(map_path)
    assert isinstance(mapped, ZonedMap), "the caller asked for a map over zones"
    return mapped


def _hectares(frames: list[SamplingFrame]) -> NDArray[np.float64]:
    return np.concatenate([frame.hectares() for frame in frames])


def _numbers(frames: list[SamplingFrame], n: int | None, design: Design) -> NDArray[np.int64]:
    """Points of each class in each zone, (S,)."""
    codes = [code for frame in frames for code in frame.codes]
    return points_of_strata(codes, _hectares(frames), np.concatenate([one.pixels for one in frames]), n, design)
