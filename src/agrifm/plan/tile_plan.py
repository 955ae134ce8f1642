"""`agrifm plan` of a divided area: some of its tiles are planned, and the others are estimated from these."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import ceil

from agrifm.area_tile import AreaTile
from agrifm.config import Project
from agrifm.cube.project_tiles import project_tiles
from agrifm.errors import SceneError
from agrifm.grid import geodesic_hectares
from agrifm.plan.forecast import SensorForecast, StepForecast
from agrifm.plan.project_plan import ProjectPlan

PLANNED = 8
"""Most tiles that are planned; each asks the catalogue once."""
NO_TRAINING = "training on the parcels of all tiles is not in this plan"


def plan_tiles(project: Project, plan: Callable[[Project], ProjectPlan]) -> ProjectPlan:
    """Forecast the steps of a divided area, of which at most `PLANNED` tiles are looked at.

    Tiles are taken at equal distances from their list, so from all zones. What they cost is multiplied by the pixels of
    all cubes for each pixel of theirs. Scenes are those of a tile on average. A tile without scenes costs nothing.

    Args:
        plan: of one tile.

    Raises:
        ConfigError, CubeError: the area cannot be divided.
        SceneError: no tile that was looked at has scenes; that of the first one.
    """
    tiles, notes = project_tiles(project)
    chosen = tiles[:: ceil(len(tiles) / PLANNED)]
    plans, failures = [], []
    for tile in chosen:
        try:
            plans.append(plan(project.of_tile(tile)))
        except SceneError as error:
            failures.append(error)
    if not plans:
        raise failures[0]
    scale = _square_metres(tiles) / _square_metres(chosen)
    names = [step.name for step in plans[0].steps]
    steps = [_of_all([step for one in plans for step in one.steps if step.name == name], scale) for name in names]
    looked_at = f"{len(chosen)} of {len(tiles)} tiles were looked at, and the others are estimated from these"
    without = [f"{len(failures)} of them have no scenes"] if failures else []
    return replace(
        plans[0],
        hectares=round(sum(geodesic_hectares(tile.area) for tile in tiles), 1),
        sensors=_on_average([sensor for one in plans for sensor in one.sensors], len(plans), scale),
        steps=tuple(steps),
        notes=(
            *notes,
            "; ".join([looked_at, *without]),
            *_shared([one.notes[:-1] for one in plans]),
            NO_TRAINING,
            plans[0].notes[-1],
        ),
    )


def _square_metres(tiles: Sequence[AreaTile]) -> float:
    """Of the cubes of tiles, with their halos."""
    edges = (tile.extent for tile in tiles)
    return float(sum((east - west) * (north - south) for west, south, east, north in edges))


def _of_all(steps: Sequence[StepForecast], scale: float) -> StepForecast:
    """A step of all tiles, from those of some; libraries are loaded once, and one tile is in memory at a time."""

    def total(key: str) -> float:
        return scale * sum(float(getattr(step, key)) for step in steps)

    once = max(step.start_seconds for step in steps)
    starts = scale * sum(step.start_seconds for step in steps)
    return StepForecast(
        steps[0].name,
        requests=round(total("requests")),
        moved_bytes=round(total("moved_bytes")),
        read_bytes=round(total("read_bytes")),
        disk_bytes=round(total("disk_bytes")),
        scratch_bytes=max(step.scratch_bytes for step in steps),
        memory_bytes=max(step.memory_bytes for step in steps),
        core_seconds=once + total("core_seconds") - starts,
        seconds=once + total("seconds") - starts,
        start_seconds=once,
        notes=_shared([step.notes for step in steps]),
    )


def _shared(notes: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The notes that are said of every tile; those on one of them do not describe all."""
    return tuple(note for note in notes[0] if all(note in others for others in notes))


def _on_average(sensors: Sequence[SensorForecast], tiles: int, scale: float) -> tuple[SensorForecast, ...]:
    """Scenes of a tile on average, and bytes of all."""
    found = []
    for name in dict.fromkeys(one.sensor for one in sensors):
        of_sensor = [one for one in sensors if one.sensor == name]
        found.append(
            SensorForecast(
                name,
                tuple(dict.fromkeys(product for one in of_sensor for product in one.products)),
                _mean([one.scenes for one in of_sensor], tiles),
                _mean([one.frames for one in of_sensor], tiles),
                {
                    month: sum(one.usable.get(month, 0.0) for one in of_sensor) / tiles
                    for month in sorted({month for one in of_sensor for month in one.usable})
                },
                round(sum(one.without_cloud_cover for one in of_sensor) / tiles),
                round(sum(one.kept for one in of_sensor) / tiles),
                sum(one.opened for one in of_sensor),
                round(scale * sum(one.disk_bytes for one in of_sensor)),
            )
        )
    return tuple(found)


def _mean(counts: Sequence[dict[str, int]], tiles: int) -> dict[str, int]:
    total: Counter[str] = sum((Counter(one) for one in counts), Counter())
    return {month: round(total[month] / tiles) for month in sorted(total)}
