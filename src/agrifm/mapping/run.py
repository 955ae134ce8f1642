"""From a cube and a trained model to a map: a directory with two COGs, a STAC item and a picture.

    map/classes.tif        class numbers, 255 = nodata; colours, names and legend inside
    map/classes.tif.aux.xml  class names where GDAL and QGIS look for them
    map/confidence.tif     highest class probability in percent, 255 = nodata
    map/item.json          STAC item: hectares, season, software, model and cube it was derived from
    map/map.png            both, to look at

Finished windows stand in `map.partial/windows` until the map is finished; see `MapPlan.scratch_bytes` for their size.
"""

import hashlib
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import rasterio
from numpy.typing import NDArray

from agrifm.cube.store import Cube, open_cube
from agrifm.errors import MapError
from agrifm.files import finish_directory, partial_directory, saying_what_failed, write_bytes
from agrifm.grid import Window, tiles
from agrifm.inference.predictor import TorchModel, TrainedModel, load_model
from agrifm.legend import LEGEND_TAG, UNLABELLED, legend_json
from agrifm.mapping.cog import BLOCK, Raster, gdal_says_what_failed, write_category_names
from agrifm.mapping.mosaic import blend
from agrifm.mapping.predict import Scratch, predict_missing
from agrifm.mapping.windows import KEPT, MapPlan, plan_map
from agrifm.pictures import class_colors, map_picture, read_reduced, require_packages
from agrifm.stac import map_lineage, write_map_item
from agrifm.work import progress

if TYPE_CHECKING:
    from agrifm.models.precision import Precision

WINDOWS = "windows"
PICTURE_SIDE = 1000
"""Longer side of each panel of the map's picture, pixels."""


@dataclass(frozen=True)
class MapSummary:
    """What was mapped."""

    path: Path
    hectares: dict[str, float]
    """Mapped, by class code; geodesic where pixels are in degrees."""
    nodata_hectares: float
    """Inside the area, where nothing valid was ever seen."""
    windows: int
    """Predicted windows, those of an interrupted run included."""
    seconds: float
    """Of this run."""
    absent_sensors: tuple[str, ...] = ()
    """Sensors that the model takes where they are, and the cube lacks."""

    @property
    def area_hectares(self) -> float:
        """Hectares of the area: mapped and nodata."""
        return sum(self.hectares.values()) + self.nodata_hectares


def map_area(
    cube_path: Path,
    model_path: Path,
    out: Path,
    window: int = 192,
    overlap: int = 48,
    precision: "Precision" = "float32",
    compiled: bool = False,
) -> MapSummary:
    """Map the area of a cube with a model file, or continue a map that was stopped.

    Until the map is finished it needs beside `out` two bytes of disk per class for each pixel of each window
    (1.8 times the area's pixels with the defaults), and twice the two rasters.

    Args:
        out: the map's directory, replaced as a whole if it holds a map.
        window: side of a prediction window, pixels; with several sensors a multiple of 480 m.
        overlap: pixels shared with each neighbour and blended, at most half of `window`; with several sensors a
            multiple of 480 m.
        precision: in which a network computes (docs/precision.md).
        compiled: a network is compiled by `torch.compile`.

    Raises:
        CubeError: there is no finished cube.
        ModelError: the model file is unusable, does not fit the cube, needs more memory for a window than is free, or
            cannot compute in that way.
        MapError: window and overlap do not fit, or nothing valid was seen in the area.
        OutputError: the disk is full (finished windows are kept), or `out` holds something else.
    """
    cube, model = open_cube(cube_path), load_model(model_path, precision, compiled)
    with model_path.open("rb") as file:
        weights = hashlib.file_digest(file, "sha256").hexdigest()
    return map_cube(cube, model, f"{weights} {precision}", out, window, overlap, model_path.with_suffix(".json"))


def map_cube(
    cube: Cube,
    model: TrainedModel,
    weights: str,
    out: Path,
    window: int = 192,
    overlap: int = 48,
    model_item: Path | None = None,
) -> MapSummary:
    """Map the area of an open cube with a model in memory; see `map_area`.

    Args:
        weights: tells models and their precision apart; windows of an interrupted map are used again only if it is the
            same.
        model_item: the model's STAC item, from which the map's is derived.
    """
    began = time.monotonic()
    require_packages(f"mapping the cube {cube.path}", "matplotlib")  # now, and not after hours of prediction
    plan = plan_map(cube, model.record, window, overlap)
    _require_memory(plan, model)
    partial = partial_directory(out, "map")
    with saying_what_failed(f"writing the map {out}"), _nothing_half_written(partial):
        scratch = Scratch.open(partial / WINDOWS, _content(plan, weights))
        predict_missing(plan, model, scratch)
        with gdal_says_what_failed(f"writing the map {out}"):
            hectares, nodata_hectares = _write_rasters(plan, scratch, partial)
            by_code = dict(zip(model.record.legend.codes, hectares.tolist(), strict=True))
            write_category_names(partial / "classes.tif", [entry.name for entry in model.record.legend.classes])
            _write_picture(partial, plan, by_code, nodata_hectares)
        sources = {**({} if model_item is None else {"model": model_item}), "cube": cube.path}
        lineage = map_lineage(plan.record, plan.cube.sensors, window, overlap)
        write_map_item(
            partial, out, plan.record, cube.season, cube.area, plan.grid, lineage, by_code, nodata_hectares, sources
        )
        shutil.rmtree(scratch.path)
        finish_directory(partial, out, "map")
    seconds = time.monotonic() - began
    return MapSummary(out, by_code, nodata_hectares, len(plan.windows), seconds, plan.absent_sensors)


def _require_memory(plan: MapPlan, model: TrainedModel) -> None:
    """Refuse windows of which a network could not predict one in the memory that is free."""
    if not isinstance(model, TorchModel):
        return
    observed = plan.record.series == "observed"
    dates = {sensor.sensor: len(plan.cube.sensors[sensor.sensor].date) for sensor in plan.sensors}
    frames = {name: count if observed else plan.record.frames for name, count in dates.items()}
    height, width = (min(plan.side, length) for length in plan.grid.shape)
    about = f"mapping the cube {plan.cube.path} in windows of {plan.side} pixels"
    model.require_memory(frames, height, width, about, "choose a smaller `window`")


@contextmanager
def _nothing_half_written(partial: Path) -> Iterator[None]:
    """Remove what a failed or killed run left of the map itself; finished windows stay."""

    def clear() -> None:
        for path in partial.iterdir() if partial.exists() else ():
            if path.name != WINDOWS:
                path.unlink()

    clear()
    try:
        yield
    finally:
        clear()


def _content(plan: MapPlan, weights: str) -> dict[str, object]:
    """Everything that decides what the windows hold."""
    sensors = {
        name: [sensor.input.model_dump(), str(sensor.grid.crs), list(sensor.grid.transform), sensor.date.tolist()]
        for name, sensor in plan.cube.sensors.items()
    }
    return {
        "cube": [plan.cube.provenance, sensors, str(plan.cube.season), plan.cube.area.wkt],
        "model": [weights, plan.record.model_dump(mode="json")],
        "windows": [plan.side, plan.overlap, KEPT.name, list(plan.grid.shape)],
    }


def _write_rasters(plan: MapPlan, scratch: Scratch, directory: Path) -> tuple[NDArray[np.float64], float]:
    """Blend the windows tile by tile into both COGs; returns hectares per class number, and of nodata in the area.

    Raises:
        MapError: nothing valid was seen in the whole area.
    """
    legend, season = plan.record.legend, plan.cube.season
    about = {"AGRIFM_MODEL": plan.record.name, "AGRIFM_SEASON": f"{season.start}/{season.end}"}
    tags = {**about, LEGEND_TAG: legend_json(legend)}
    classes = Raster(directory / "classes.tif", plan.grid, "class", tags, "MODE", class_colors(legend))
    confidence = Raster(directory / "confidence.tif", plan.grid, "confidence in percent", about, "AVERAGE")
    pixel, height = plan.grid.pixel_hectares(), plan.grid.shape[0]
    counts = np.zeros((len(legend) + 1, height), np.int64)  # (class, then nodata; row)
    every = list(tiles(plan.grid.shape, BLOCK))
    with classes, confidence, progress("write", len(every)) as advance:
        for tile in every:
            inside = plan.area.inside(tile)
            number, percent = _tile(plan, scratch, tile, inside)
            classes.write(tile, number)
            confidence.write(tile, percent)
            _count(counts[:, tile.row : tile.row + tile.height], number, inside)
            advance(1)
    if not counts[:-1].any():
        raise MapError(
            f"mapping the cube {plan.cube.path}: not one pixel of its area has a usable observation; fetch more scenes"
        )
    classes.finish()
    confidence.finish()
    hectares = counts @ pixel
    return hectares[:-1], float(hectares[-1]) + plan.area.hectares_beyond()


def _tile(
    plan: MapPlan, scratch: Scratch, tile: Window, inside: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Class numbers and confidence in percent (H, W) of a tile, 255 where outside the area or never seen."""
    number = np.full(inside.shape, UNLABELLED, np.uint8)
    percent = number.copy()
    if inside.any():
        mean = blend(tile, scratch.read(plan.touching(tile)), len(plan.record.legend), plan.overlap)
        known = inside & ~np.isnan(mean[0])
        number[known] = mean.argmax(axis=0)[known]
        percent[known] = np.rint(100 * mean.max(axis=0)[known])
    return number, percent


def _count(counts: NDArray[np.int64], number: NDArray[np.uint8], inside: NDArray[np.bool_]) -> None:
    """Add the pixels of a tile that lie inside the area to `counts` (class, then nodata; row)."""
    rows = np.nonzero(inside)[0]
    np.add.at(counts, (np.minimum(number[inside], len(counts) - 1), rows), 1)


def _write_picture(directory: Path, plan: MapPlan, hectares: dict[str, float], nodata_hectares: float) -> None:
    """Write `map.png` from the COGs in a directory."""
    with rasterio.open(directory / "classes.tif") as source:
        classes = read_reduced(source, PICTURE_SIDE)
    with rasterio.open(directory / "confidence.tif") as source:
        confidence = read_reduced(source, PICTURE_SIDE)
    season, record = plan.cube.season, plan.record
    title = f"Crop map by {record.name}, {season.start} to {season.end}"
    picture = map_picture(classes, confidence, plan.grid, record.legend, title, hectares, nodata_hectares)
    write_bytes(directory / "map.png", picture)
