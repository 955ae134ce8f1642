"""What a report rests on: the files it was made from, and whether its model was trained at the reference."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from agrifm.assess.reference_data import count_inside_parcels, file_sha256, find_training_data, replaced_model
from agrifm.assess.zoned_map import zone_mosaics
from agrifm.errors import AssessmentError
from agrifm.grid import Grid
from agrifm.mosaics import mosaic_tiles
from agrifm.record import running_versions
from agrifm.vectors import VectorKeys, read_vector

if TYPE_CHECKING:
    from geopandas import GeoDataFrame


class TrainingFile(NamedTuple):
    """The file of training parcels, and what the user states of it."""

    file: Path
    keys: VectorKeys


class TrainingCheck(NamedTuple):
    """Reference points on which the model was trained, which do not show how it does on unseen ground."""

    inside: int = 0
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What was found in the file of training parcels, which changes no number of the report."""


def check_training(
    map_path: Path, points: "GeoDataFrame", pixel: float, training: TrainingFile | None
) -> TrainingCheck:
    """Count reference points on which the model was trained, and warn of a model that was replaced.

    Args:
        points: of the reference, in the CRS of the map.
        pixel: side of the map's pixels, in units of its CRS.
        training: file that the user names; by default that to which the item next to the map leads, if any.

    Raises:
        AssessmentError: a file that the user names cannot be read.
    """
    replaced = replaced_model(map_path)
    check = _inside(map_path, points, pixel, training)
    if replaced is None:
        return check
    sentence = f"the model {replaced} was replaced after the map was made; run `agrifm map` again to map with it"
    return check._replace(warnings=(sentence, *check.warnings))


def _inside(map_path: Path, points: "GeoDataFrame", pixel: float, training: TrainingFile | None) -> TrainingCheck:
    try:
        file = training.file if training else find_training_data(map_path)
        if file is None:
            return TrainingCheck()
        about = f"reading the training parcels {file}"
        about += " (keys: `training_file` of [assess])" if training else ""
        layer = read_vector(file, about, AssessmentError, keys=training and training.keys)
    except AssessmentError as error:
        if training:  # it was named by the user; a file that was only found may be gone
            raise
        return TrainingCheck(
            warnings=(f"whether reference points are inside training parcels was not checked: {error}",)
        )
    notes = tuple(f"training parcels: {note}" for note in layer.notes)
    count = count_inside_parcels(points, layer.frame, pixel)
    if not count:
        return TrainingCheck(notes=notes)
    sentence = (
        f"{count} of {len(points)} reference points are inside training parcels; the map is likely to be "
        "right there, so accuracies are too high; leave those points out or draw new ones"
    )
    return TrainingCheck(count, (sentence,), notes)


def report_provenance(
    path: Path, grid: Grid, reference: Path, label: str, others: Sequence[Path] = ()
) -> dict[str, Any]:
    """Return what a report states of its files: names, grid, SHA-256, date, versions.

    Args:
        path: of the map.
        label: column of the reference.
        others: further files, such as districts.
    """
    epsg = grid.crs.to_epsg()
    return {
        "map": path.name,
        "map_date": datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat(),
        "crs": f"EPSG:{epsg}" if epsg else grid.crs.proj.name,
        "pixels": list(grid.shape),
        "pixel_size": [abs(float(grid.transform.a)), abs(float(grid.transform.e))],
        "pixel_unit": "degrees" if grid.crs.geographic else grid.crs.proj.axis_info[0].unit_name,
        "reference": reference.name,
        "label": label,
        "sha256": {one.name: file_sha256(one) for one in (path, reference, *others)} | _tiles_sha256(path),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": running_versions("rasterio", "geopandas", "pyproj"),
    }


def _tiles_sha256(path: Path) -> dict[str, str]:
    """The SHA-256 of each tile of a mosaic, by its place in the mosaic's folder; nothing of a raster file."""
    folder = path.parent.resolve()
    tiles = [tile for mosaic in zone_mosaics(path) or (path,) for tile in mosaic_tiles(mosaic)]
    return {tile.relative_to(folder).as_posix(): file_sha256(tile) for tile in tiles}
