"""`agrifm train` of a divided area: the labelled parcels of all tiles in one table, on which models are trained.

Each parcel is the median of its pixels, so models see single series, and one may map any tile. A parcel belongs to the
tile that contains a point inside it; blocks are squares in longitude and latitude, the same over all zones.

    tiles/ZONE/SQUARE/parcels.parquet    of a tile, as `agrifm samples parcels` writes it
    tiles/parcels.parquet                of all tiles
"""

import tomllib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from shutil import copyfile
from typing import Any

import shapely

from agrifm.area_tile import AreaTile
from agrifm.area_tiles import LISTED, read_tile_list
from agrifm.config import LabelsConfig, Project
from agrifm.cube.store import open_cube
from agrifm.errors import ConfigError, LabelError, require_installed
from agrifm.files import AnyPath, as_path, atomic_write, content_digest, translate_os_errors
from agrifm.outputs import replace_file
from agrifm.product_description import ProductDescription
from agrifm.record import PARCELS_OF_TILES, WITHOUT_PROBABILITIES
from agrifm.series_columns import SeriesColumns
from agrifm.tile_work import work_on_tiles
from agrifm.train.parcel_file import is_parcel_file, project_lines, require_parcel_file, write_parcels
from agrifm.work import fingerprint


def parcels_of_tiles(project: Project, inner: float = 0.0) -> tuple[Project, str]:
    """Gather the parcels of all tiles that have a cube in one table; returns the project of that table, and a note.

    Args:
        inner: metres by which parcels are made smaller on all sides; such a table has a file of its inner buffer.

    Raises:
        ConfigError: the task or the labels are not those of parcels.
        LabelError: no tile has a labelled parcel.
    """
    _require_parcels(project)
    place = project.path("tiles")
    tiles = [tile for tile in read_tile_list(place / LISTED) if project.of_tile(tile).is_fetched]
    if not tiles:
        raise LabelError(f"training on the tiles of {place}: none has a finished cube; run `agrifm fetch`", path=place)
    assert project.labels.file is not None
    labels = project.path(project.labels.file)
    content = [project.labels.model_dump(mode="json"), content_digest(labels) if labels.is_file() else ""]
    name = _table_name(inner)
    with translate_os_errors(f"writing the parcels of the tiles {place}"):
        done = work_on_tiles(
            partial(_write_parcels, project, inner),
            tiles,
            place / f".{Path(name).stem}",
            content,
            "parcels of tiles",
            (ConfigError,),
            lambda tile, result: result["cube"] == _digest(project, tile) and _is_there(project, tile, name, result),
            daily=False,
        )
        with_parcels = [tile for tile in tiles if done.results.get(tile.name, {}).get("reason") == ""]
        if not with_parcels:
            reasons = [result["reason"] for result in done.results.values()]
            raise LabelError(f"training on {len(tiles)} tiles: none has a parcel: {reasons[0]}", tiles=len(tiles))
        rows = _join(project, with_parcels, place / name)
    note = f"{rows} rows of parcels from {len(with_parcels)} of {len(tiles)} tiles, in tiles/{name}"
    return table_project(project, with_parcels[0], name), note


def write_parcels_of_tiles(project: Project, out: AnyPath, inner: float = 0.0) -> list[str]:
    """Write the table of the parcels of all tiles to a file; returns a note, and lines of the project file for it.

    Args:
        out, inner: as of `write_parcels`.

    Raises:
        ConfigError, LabelError: as of `parcels_of_tiles`.
        OutputError: `out` has another ending, or is another file.
    """
    out = as_path(out)
    require_parcel_file(out, inner)
    of_table, note = parcels_of_tiles(project, inner)
    assert of_table.labels.series is not None
    with replace_file(out, f"writing parcels to {out}", is_parcel_file) as place:
        copyfile(of_table.path(of_table.labels.series), place)
    listed = read_tile_list(project.path("tiles") / LISTED)
    first = next(tile for tile in listed if (project.of_tile(tile).results / _table_name(inner)).exists())
    return [note, "", *project_lines(project, open_cube(project.of_tile(first).cube), out, has_blocks=False)]


def _table_name(inner: float) -> str:
    return f"parcels-inner-{inner:g}.parquet" if inner else PARCELS_OF_TILES


def _require_parcels(project: Project) -> None:
    labels = project.labels
    wrong = {
        "task": project.model.task in WITHOUT_PROBABILITIES,
        "series": labels.series is not None,
        "other": labels.other is not None,
        "fold_column": labels.fold_column is not None,
        "file": labels.file is None,
    }
    found = [key for key, is_wrong in wrong.items() if is_wrong]
    if found:
        raise ConfigError(
            f"reading the labels of a divided area: models are trained on labelled parcels and their classes, and "
            f"`{found[0]}` is for others; remove it, or use a project file without `tiles` for a part of the area",
            key=found[0],
        )
    require_installed("writing parcels", "tables", "pyarrow", kind=ConfigError)


def _write_parcels(project: Project, inner: float, tile: AreaTile) -> dict[str, Any]:
    """Write the table of a tile; the reason if it has no labelled parcel.

    It has the labels as they are: a task groups those of all tiles, of which one may have a single class.
    """
    of_tile = project.of_tile(tile)
    as_labelled = of_tile.model.model_copy(update={"task": "crop-type", "crop": (), "crops": ()})
    of_tile = of_tile.model_copy(update={"model": as_labelled})
    try:
        write_parcels(of_tile, of_tile.results / _table_name(inner), inner, divide=False)
    except LabelError as error:
        return {"cube": _digest(project, tile), "reason": str(error)}
    return {"cube": _digest(project, tile), "reason": ""}


def _is_there(project: Project, tile: AreaTile, name: str, result: dict[str, Any]) -> bool:
    return bool(result["reason"]) or (project.of_tile(tile).results / name).exists()


def _digest(project: Project, tile: AreaTile) -> str:
    return fingerprint((project.of_tile(tile).cube / "zarr.json").read_text(encoding="utf-8"))


def _join(project: Project, tiles: Sequence[AreaTile], out: Path) -> int:
    """Write the rows of all tiles, each parcel once, and return how many there are."""
    import pyarrow.parquet

    parts = []
    for tile in tiles:
        table = pyarrow.parquet.read_table(project.of_tile(tile).results / out.name)
        inside = shapely.contains_xy(tile.area, table["longitude"].to_numpy(), table["latitude"].to_numpy())
        table = table.filter(pyarrow.array(inside))
        names = [f"{tile.name} {name}" for name in table["sample_id"].to_pylist()]
        column = table.schema.get_field_index("sample_id")
        parts.append(table.set_column(column, "sample_id", pyarrow.array(names, pyarrow.string())))
    whole = pyarrow.concat_tables(parts, promote_options="default")
    if not len(whole):
        raise LabelError("training on tiles: no labelled parcel is inside the area", tiles=len(tiles))
    with atomic_write(out) as temporary:
        pyarrow.parquet.write_table(whole, temporary, compression="zstd")
    return len(whole)


def table_project(project: Project, tile: AreaTile, name: str = PARCELS_OF_TILES) -> Project:
    """Return the project with the table of all tiles instead of labels on a cube.

    Args:
        tile: one whose cube says how the numbers of the table are encoded.
        name: of the table, in `tiles/`.
    """
    of_tile = project.of_tile(tile)
    lines = project_lines(project, open_cube(of_tile.cube), Path(PARCELS_OF_TILES))
    stated = tomllib.loads("\n".join(lines))
    products = tuple(ProductDescription.model_validate(one) for one in stated["imagery"]["product"])
    kept = ("legend", "hierarchy", "unlabelled", "block")
    labels = LabelsConfig(
        series=Path("tiles") / name,
        products=tuple(stated["labels"]["products"]),
        columns=SeriesColumns(label="label", sample="sample_id"),
        **{key: getattr(project.labels, key) for key in kept},
    )
    imagery = project.imagery.model_copy(update={"product": (*project.imagery.product, *products)})
    return project.model_copy(update={"labels": labels, "imagery": imagery})
