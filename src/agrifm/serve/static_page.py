"""`agrifm serve --static`: the page of a finished season as plain files, for any web space that knows byte ranges.

    index.html, web/                            the page
    season.json                                 what there is to show
    layers/KEY.pmtiles                          a layer of the map
    imagery/SENSOR/PICTURE/DATE.pmtiles         a picture of a date
    series/SENSOR/Z-X-Y.pmtiles                 series of the pixels of a tile (`series_blocks`)
    pixels/Z-X-Y.pmtiles                        values and probabilities of the pixels of a tile
    parcels.pmtiles, parcel-rows.pmtiles, parcel-series.pmtiles, parcel-names/
    files/NAME                                  downloads

Each archive is written whole or not at all; a stopped run continues with the archives that are not there yet.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from agrifm import __version__
from agrifm.errors import ServeError, require_installed
from agrifm.files import AnyPath, as_path, content_digest, finite_or_none, translate_os_errors, write_bytes, write_json
from agrifm.legend import UNLABELLED
from agrifm.outputs import begin_directory, writing
from agrifm.record import NUMBERS
from agrifm.serve.finished_season import FinishedSeason, finished_season
from agrifm.serve.guards import POLICY, page_files
from agrifm.serve.map_layers import CLASSES
from agrifm.serve.parcel_archives import write_names, write_outlines, write_rows
from agrifm.serve.parcel_series_archive import write_parcel_series
from agrifm.serve.pixel_answers import PROBABILITIES, sensors_with_curves
from agrifm.serve.series_blocks import archive_tiles, raster_blocks, series_blocks
from agrifm.serve.static_folder import KIND
from agrifm.serve.static_stated import keys_of_pixels, shown_dates, stated_static
from agrifm.serve.tile_archives import layer_tiles, write_archive, write_pictures
from agrifm.work import Resumable, fingerprint

MOST_THREADS = 4
"""Archives that are written at a time."""
OPENING = "Opening. If nothing appears here, the page was opened as a file: use agrifm serve FOLDER, or a web space."
HINT = '<p id="hint" role="status" hidden></p>'
"""The element of index.html that says something to the reader."""
CHARSET = '<meta charset="utf-8">'
PARTS = {
    "map": "layers",
    "dates": "imagery",
    "series": "series",
    "pixels": "pixels",
    "parcels": "parcel",
    "downloads": "files",
}
"""How the names of the files of each part of the page begin."""
Unit = tuple[str, ...]
"""Kind of an archive, and what tells it from others of its kind."""


@dataclass(frozen=True)
class StaticSummary:
    """What was written."""

    path: Path
    files: int
    bytes_of: dict[str, int]
    """By part of the page."""
    square_km: float
    """Of the map's grid."""

    def lines(self) -> list[str]:
        """Describe the folder in sentences."""
        total = sum(self.bytes_of.values())
        parts = sorted(self.bytes_of.items(), key=lambda part: -part[1])
        about = ", ".join(f"{name} {size / 1e6:.1f}" for name, size in parts if size >= 5e4)
        return [
            f"megabytes: {about}; {total / 1e6 / self.square_km:.1f} for each of {self.square_km:,.1f} km²",
            f"wrote {self.path}: {self.files:,} files, {total / 1e6:,.1f} MB; look at it with agrifm serve {self.path}",
        ]


def write_static_page(directory: AnyPath, out: AnyPath, also: Sequence[AnyPath] = ()) -> StaticSummary:
    """Write the page of a project with a finished map as plain files; a stopped run continues.

    Args:
        directory: of the project, or its project file.
        out: folder to write; an earlier page is replaced when the new one is whole.
        also: see `finished_season`.

    Raises:
        ServeError: there is no finished map, or a package is missing.
        OutputError: `out` holds something else, or the disk is full.
    """
    require_installed("writing a page", "serve", "starlette", "matplotlib", "pmtiles", kind=ServeError)
    season, out = finished_season(directory, also), as_path(out)
    if season.tiles or any(len(layer.rasters) > 1 for layer in season.layers.values()):
        raise ServeError(
            f"writing a page as files: {directory} or a map of `also` is of a divided area (`tiles` under [season]), "
            "and these files are of one map; `agrifm serve` without --static shows it",
            path=as_path(directory),
        )
    if season.task in NUMBERS:
        raise ServeError(
            f"writing a page as files: {directory} has a map of numbers ({NUMBERS[season.task]}), and a page of files "
            "shows classes; `agrifm serve` without --static shows it",
            path=as_path(directory),
        )
    with writing(out, KIND) as scratch, translate_os_errors(f"writing the page {out}"):
        work = Resumable(scratch, fingerprint(_content(season)))
        if not work.begun:
            begin_directory(scratch)
            work.begin()
        with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as threads:
            write = partial(_write_unit, season, scratch)
            written = work.run(write, _units(season), "/".join, "archives", threads, ahead=MOST_THREADS)
        _write_page(season, scratch, written)
        summary = _summary(season, scratch, out)
        work.finish(out, KIND)
    return summary


def _content(season: FinishedSeason) -> dict[str, Any]:
    """Everything that decides what the archives hold."""
    files = [*(layer.path for layer in season.layers.values()), *season.downloads.values()]
    cube = None if season.cube is None else season.cube.provenance
    return {
        "version": __version__,
        "files": {str(path): content_digest(path) for path in files},
        "layers": list(season.layers),
        "cube": [str(season.cube.path), cube] if season.cube else None,
    }


def _units(season: FinishedSeason) -> list[Unit]:
    """The archives of a page, small ones first."""
    units: list[Unit] = [("layers", key) for key in season.layers]
    if season.parcels is not None and season.parcels.count:
        units += [("parcels",), ("parcel-rows",), ("parcel-names",)]
        units += [("parcel-series",)] if season.cube is not None and sensors_with_curves(season.cube) else []
    units += [("pixels", _name(tile)) for tile in archive_tiles(season.layers[CLASSES].grid)]
    for sensor, imagery in season.imagery.items():
        units += [("imagery", sensor, date) for date in shown_dates(imagery)]
    for one in [] if season.cube is None else sensors_with_curves(season.cube):
        units += [("series", one.input.sensor, _name(tile)) for tile in archive_tiles(one.grid)]
    return units


def _name(tile: tuple[int, int, int]) -> str:
    return "-".join(map(str, tile))


def _write_unit(season: FinishedSeason, scratch: Path, unit: Unit) -> int:
    """Write an archive; returns the number of its tiles, 0 if there is no file."""
    return WRITERS[unit[0]](season, (scratch / "/".join(unit)), unit)


def _write_layer(season: FinishedSeason, path: Path, unit: Unit) -> int:
    layer = season.layers[unit[1]]
    return write_archive(_archive(path), layer_tiles(layer), "PNG", layer.grid.footprint().bounds)


def _write_pictures(season: FinishedSeason, path: Path, unit: Unit) -> int:
    _, sensor, date = unit
    imagery = season.imagery[sensor]
    path_of = {kind: _archive(path.parent / kind / date) for kind in imagery.kinds}
    return write_pictures(imagery, shown_dates(imagery)[date], path_of)


def _write_series(season: FinishedSeason, path: Path, unit: Unit) -> int:
    assert season.cube is not None
    sensor = season.cube.sensors[unit[1]]
    return write_archive(
        _archive(path), series_blocks(sensor, _tile(unit[2])), "UNKNOWN", sensor.grid.footprint().bounds
    )


def _write_pixels(season: FinishedSeason, path: Path, unit: Unit) -> int:
    grid = season.layers[CLASSES].grid
    paths = [season.layers[key].path for key in keys_of_pixels(season)]
    if PROBABILITIES in season.downloads:
        paths.append(season.downloads[PROBABILITIES])
    return write_archive(
        _archive(path), raster_blocks(paths, grid, _tile(unit[1]), UNLABELLED), "UNKNOWN", grid.footprint().bounds
    )


def _write_parcels(season: FinishedSeason, path: Path, unit: Unit) -> int:
    assert season.parcels is not None
    match unit[0]:
        case "parcels":
            return write_outlines(season.parcels, _archive(path))
        case "parcel-rows":
            return write_rows(season.parcels, _archive(path))
        case "parcel-series":
            assert season.cube is not None
            return write_parcel_series(season.parcels, sensors_with_curves(season.cube)[0], _archive(path))
        case _:
            return write_names(season.parcels, path)


WRITERS: dict[str, Callable[[FinishedSeason, Path, Unit], int]] = {
    "layers": _write_layer,
    "imagery": _write_pictures,
    "series": _write_series,
    "pixels": _write_pixels,
    "parcels": _write_parcels,
    "parcel-rows": _write_parcels,
    "parcel-names": _write_parcels,
    "parcel-series": _write_parcels,
}
"""What writes an archive, by its kind."""


def _archive(path: Path) -> Path:
    return path.with_name(f"{path.name}.pmtiles")


def _tile(name: str) -> tuple[int, int, int]:
    zoom, x, y = map(int, name.split("-"))
    return zoom, x, y


def _write_page(season: FinishedSeason, scratch: Path, written: dict[str, int]) -> None:
    """Write the files of the page, what it is to know, and the downloads."""
    for name, (content, _) in page_files().items():
        write_bytes(scratch / "index.html" if name == "index.html" else scratch / "web" / name, content)
    write_bytes(scratch / "index.html", static_index(page_files()["index.html"][0].decode()).encode())
    (scratch / "files").mkdir(exist_ok=True)
    for name, path in season.downloads.items():
        shutil.copyfile(path, scratch / "files" / name)
    write_json(scratch / "season.json", finite_or_none(stated_static(season, written)))


def static_index(html: str) -> str:
    """The page as a file: it has the content security policy, and says what is wrong if nothing appears."""
    policy = "; ".join(f"{what} {where}" for what, where in POLICY.items() if what != "frame-ancestors")
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    assert CHARSET in html
    assert HINT in html
    waiting = HINT.replace(" hidden></p>", f">{OPENING}</p>")
    return html.replace(CHARSET, f"{CHARSET}\n{meta}").replace(HINT, waiting)


def _summary(season: FinishedSeason, scratch: Path, out: Path) -> StaticSummary:
    paths = [path for path in scratch.rglob("*") if path.is_file() and not path.name.startswith(".")]
    bytes_of: dict[str, int] = {}
    for path in paths:
        first = path.relative_to(scratch).parts[0]
        part = next((part for part in PARTS if first.startswith(PARTS[part])), "page")
        bytes_of[part] = bytes_of.get(part, 0) + path.stat().st_size
    grid = season.layers[CLASSES].grid
    square_km = float(grid.pixel_hectares().sum() * grid.shape[1]) / 100
    return StaticSummary(out, len(paths), bytes_of, square_km)
