"""`agrifm map --districts`: the map of each district by itself, and its hectares by class, next to a finished map.

    map-districts/DISTRICT.tif     classes of the pixels whose centre is in the district; one for each UTM zone it is in
    map-districts/districts.csv    hectares by district and class

Hectares are counts of pixels and carry the errors of the map; `agrifm assess --districts` estimates them with
intervals.
"""

import csv
import io
import re
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.features import geometry_mask
from rasterio.io import DatasetReader
from shapely import box, union_all
from shapely.geometry.base import BaseGeometry

from agrifm.area_tiles import OUTLINE_STEP
from agrifm.errors import MapError, doing
from agrifm.files import write_text
from agrifm.grid import LONLAT, Grid, Window, reproject, tiles
from agrifm.legend import LEGEND_TAG, UNLABELLED, Legend
from agrifm.mapping.class_layer import CLASSES_FILE
from agrifm.mapping.cog import TILE_SIDE, CogWriter
from agrifm.mapping.parcel_districts import DistrictFile, open_districts
from agrifm.mosaics import open_raster_or_mosaic
from agrifm.outputs import write_directory
from agrifm.pictures import class_colors
from agrifm.work import progress

TABLE = "districts.csv"
NEAR = 0.1
"""Degrees around a map within which a district is reprojected."""


def district_lines(maps: Path, file: Path | None, column: str | None) -> list[str]:
    """Write the maps of districts next to a finished map, and return what was written; nothing without a file.

    Args:
        maps: directory of a map, or of the maps of tiles.
        file, column: polygons, and the column of their names.

    Raises:
        MapError: the districts cannot be read, have no such column, or are all outside the map.
        OutputError: the disk is full, or the directory holds something else.
    """
    if file is None:
        return []
    if column is None:
        raise MapError(f"mapping the districts {file}: give the column of their names with --district", path=file)
    out = maps.with_name(f"{maps.name}-districts")
    count, rasters = write_district_maps(maps, DistrictFile(file, column), out)
    return [f"{count} districts have a map ({rasters} rasters); wrote {out / TABLE}"]


def write_district_maps(maps: Path, districts: DistrictFile, out: Path) -> tuple[int, int]:
    """Write the map and the hectares of each district; returns how many districts have a pixel, and rasters.

    Raises:
        MapError: see `district_lines`.
    """
    sources = [maps / CLASSES_FILE] if (maps / CLASSES_FILE).exists() else sorted(maps.glob("[0-9]*/classes.vrt"))
    about = f"mapping the districts {districts.file}"
    if not sources:
        raise MapError(f"{about}: {maps} has no map of classes; run `agrifm map`", path=maps)
    places = open_districts(districts)
    outlines = places.tree.geometries
    shapes = [union_all(outlines[places.number == position]) for position in range(len(places.codes))]
    names = _file_names(places.codes)
    rows, found, rasters = list[list[str]](), 0, 0
    with write_directory(out, "districts") as partial, progress("districts", len(shapes)) as advance:
        for code, name, shape in zip(places.codes, names, shapes, strict=True):
            hectares: dict[str, float] = {}
            for source in sources:
                suffix = f"-{source.parent.name}" if len(sources) > 1 else ""
                counted = _write_part(source, shape, partial / f"{name}{suffix}.tif", about)
                hectares = {key: hectares.get(key, 0.0) + value for key, value in counted.items()} or hectares
                rasters += bool(counted)
            rows += [[code, key, f"{value:.4f}"] for key, value in hectares.items()]
            found += bool(hectares)
            advance(1)
        if not found:
            raise MapError(f"{about}: none of them has a pixel of the map {maps}; check its CRS", path=districts.file)
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([["district", "code", "hectares"], *rows])
        write_text(partial / TABLE, text.getvalue())
    return found, rasters


def _file_names(codes: list[str]) -> list[str]:
    """A name of a file for each district, from its code; alike ones are numbered."""
    plain = [re.sub(r"[^\w-]+", "_", code).strip("_") or "district" for code in codes]
    alike = [name.casefold() for name in plain]
    return [
        name if alike.count(name.casefold()) == 1 else f"{name}_{number}" for number, name in enumerate(plain, start=1)
    ]


def _write_part(path: Path, shape: BaseGeometry, out: Path, about: str) -> dict[str, float]:
    """Write the part of a map in a district; returns hectares by class code, nothing if no pixel has a class."""
    with doing(about, MapError, "make the map again", path=path), closing(open_raster_or_mosaic(path)) as source:
        grid = Grid.of(source.crs.to_wkt(), source.transform, source.shape)
        tags = {key: value for key, value in source.tags().items() if key != "AREA_OR_POINT"}
        legend = Legend.model_validate_json(tags[LEGEND_TAG])
        if (place := _place(shape, grid)) is None:
            return {}
        planar, window = place
        part = grid.window(window)
        counts = np.zeros(len(legend), np.float64)
        per_row = part.pixel_hectares()
        with CogWriter(out, part, "class", tags, "MODE", class_colors(legend)) as writer:
            for tile in tiles(part.shape, TILE_SIDE):
                number = _classes_inside(source, window, part, tile, planar)
                writer.write(tile, number)
                known = number != UNLABELLED
                weight = np.broadcast_to(per_row[tile.row : tile.row + tile.height, None], number.shape)
                counts += np.bincount(number[known], weight[known], len(legend))
        if not counts.any():
            writer.discard()
            return {}
        writer.finish()
    return dict(zip(legend.codes, counts.tolist(), strict=True))


def _place(shape: BaseGeometry, grid: Grid) -> tuple[BaseGeometry, Window] | None:
    """A district in the CRS of a grid, and the window that it is in; None if it is elsewhere."""
    turn = Transformer.from_crs(str(grid.crs), LONLAT, always_xy=True)
    west, south, east, north = turn.transform_bounds(*grid.bounds)
    sides = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]  # across longitude 180
    near = [box(first - NEAR, south - NEAR, last + NEAR, north + NEAR) for first, last in sides]
    cut = shape.intersection(union_all(near))
    if cut.is_empty:
        return None
    planar = reproject(cut.segmentize(OUTLINE_STEP), LONLAT, str(grid.crs))
    left, bottom, right, top = planar.bounds
    (first_col, first_row), (last_col, last_row) = ~grid.transform * (left, top), ~grid.transform * (right, bottom)
    row, col = int(np.floor(first_row)), int(np.floor(first_col))
    around = Window(row, col, int(np.ceil(last_row)) - row, int(np.ceil(last_col)) - col)
    window = around.common(Window(0, 0, *grid.shape))
    return (planar, window) if window.height and window.width else None


def _classes_inside(
    source: DatasetReader, window: Window, part: Grid, tile: Window, planar: BaseGeometry
) -> NDArray[np.uint8]:
    """(H, W) of a tile of a window: class numbers of the pixels whose centre is in the district, else 255."""
    whole = Window(window.row + tile.row, window.col + tile.col, tile.height, tile.width)
    number = source.read(1, window=whole.slices)
    here = part.window(tile)
    inside = geometry_mask([planar], here.shape, here.transform, invert=True)
    return np.where(inside, number, np.uint8(UNLABELLED))
