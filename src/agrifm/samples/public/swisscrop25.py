"""SwissCrop25: tiles of Sentinel-2 with parcels' crops in Switzerland, 2019 to 2025 (Lauber et al. 2026)."""

import re
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import LabelError, doing
from agrifm.files import AnyPath, as_path
from agrifm.grid import Window
from agrifm.legend import Legend
from agrifm.samples.public.public_set import Division, PublicSet, SetFacts, SetWindows
from agrifm.samples.public.set_files import AGAIN, day_of, require_file, require_shape
from agrifm.samples.public.set_series import choose_bands, image_series, renumber, sensor_input, set_legend
from agrifm.samples.sample import Sample, Series
from agrifm.scene.products import Product
from agrifm.season import day_number
from agrifm.tables import read_table

FACTS = SetFacts(
    name="swisscrop25",
    title="SwissCrop25",
    licence="CC-BY-4.0",
    citation="Lauber, T., Turkoglu, M. O., Ledain, S., Aasen, H. (2026): SwissCrop25: a national multi-year benchmark "
    "for operational crop mapping. arXiv:2608.09497",
    source="Hugging Face, data set EOA-team/SwissCrop25; crop_classes.csv: github.com/thomaslauber/SwissCrop25",
)
SENTINEL_2 = Product(
    name="sentinel-2-swisscrop25",
    sensor="sentinel-2",
    collection="swisscrop25",
    assets={band: f"s2_{band}" for band in ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")},
    scale=1e-4,
    offset=0.0,
    nodata=0,
    valid_range=(1, 20000),
)
NINE_BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B12")
"""What the makers' models read: without B11."""
MASK, CLEAR = "s2_mask", 0
"""Of a mask 0 is clear; cloud, shadow, snow and nodata have other numbers."""
TILE = re.compile(r"(?P<place>[A-Z0-9]+_\d+_\d+)(?:_(?P<start>\d{8})_\d{8})?")
TEST_YEARS = (2021, 2022, 2023, 2024, 2025)
"""In each division one year is the test part, the year before it validation, and all others training."""


class _Tile(NamedTuple):
    """A tile of a year."""

    place: str
    start: int
    """Day of the tile's name, from which its times count."""
    year: int
    images: tuple[Path, str]
    """A store, and the group in it."""
    labels: tuple[Path, str]


def is_swisscrop25(directory: Path) -> bool:
    """Whether a folder has the tree of SwissCrop25."""
    return (directory / "sentinel2").is_dir() and (directory / "labels").is_dir()


def read_swisscrop25(
    directory: AnyPath,
    years: Sequence[int] = (),
    classes: AnyPath | None = None,
    level: str = "Crop_Label",
    bands: Sequence[str] = NINE_BANDS,
) -> PublicSet:
    """Read the tiles as windows with all of their dates, one at a time.

    Args:
        directory: holds Zarr stores below `sentinel2/` and `labels/`: of a tile, `S2_<x>_<y>_<start>_<end>.zarr`, or of
            a year with the tiles as groups; also as .zarr.zip.
        years: () for all.
        classes: the makers' crop_classes.csv; None looks for it in the directory.
        level: the column of crop_classes.csv that names the classes: Crop_Label, Crop_Label_lv1 to Crop_Label_lv3.
        bands: by default the makers' nine.

    Raises:
        LabelError: a file is absent, damaged or of another layout, or the tiles are in tar shards or Kerchunk files.
    """
    directory = as_path(directory)
    about = f"reading SwissCrop25 in {directory}"
    legend, codes, numbers = _read_classes(as_path(classes or directory / "crop_classes.csv"), level, about)
    tiles, notes = _list_tiles(directory, about)
    tiles = [tile for tile in tiles if not years or tile.year in years]
    if not tiles:
        raise LabelError(f"{about}: no tile has images and labels of {years or 'any year'}; {AGAIN}", path=directory)
    chosen = choose_bands(SENTINEL_2, bands, about)

    def read(index: int) -> Sample:
        tile = tiles[index]
        series = _read_images(tile, chosen, about)
        label = _read_label(tile, about)
        height, width = series.valid.shape[1:]
        require_shape(label, (height, width), about, tile.labels[0])
        known = renumber(label, codes)
        return Sample(
            {"sentinel-2": series}, numbers[known], Window(0, 0, height, width), day_number(date(tile.year, 1, 1))
        )

    notes.append(
        "codes that crop_classes.csv lacks or excludes, and 0, are unlabelled; temperature (CGDD) is not read; digital "
        "numbers are read without an offset"
    )
    windows = SetWindows([f"{tile.place} {tile.year}" for tile in tiles], read)
    folds = _folds([tile.year for tile in tiles])
    return PublicSet(FACTS, legend, (sensor_input(SENTINEL_2, chosen),), windows, folds, tuple(notes))


def _read_classes(path: Path, level: str, about: str) -> tuple[Legend, list[int], NDArray[np.uint8]]:
    """The legend of a level; the codes of its crops; the class number by the position of a code, 255 after the last."""
    table = read_table(
        require_file(path, about, "take crop_classes.csv from github.com/thomaslauber/SwissCrop25"), about, LabelError
    )
    for name in ("LNF_code", level):
        if name not in table.columns:
            raise LabelError(
                f"{about}, {path}: it has no column {name} (it has {', '.join(table.columns)})", path=path, column=name
            )
    excluded = table.column("Exclude") if "Exclude" in table.columns else [""] * len(table.rows)
    rows = [
        (int(float(code)), name)
        for code, name, out in zip(table.column("LNF_code"), table.column(level), excluded, strict=True)
        if name and out.lower() not in ("true", "1")
    ]
    names = {name: number for number, name in enumerate(sorted({name for _, name in rows}))}
    codes = [code for code, _ in rows]
    numbers = np.full(256, 255, np.uint8)
    numbers[: len(rows)] = [names[name] for _, name in rows]
    return set_legend({name: name for name in names}), codes, numbers


def _list_tiles(directory: Path, about: str) -> tuple[list[_Tile], list[str]]:
    """Tiles that have images and labels, by year and place, and notes on the others."""
    images = {(place, year): (start, at) for place, year, start, at in _stores(directory / "sentinel2", about)}
    labels = {(place, year): at for place, year, _, at in _stores(directory / "labels", about)}
    both = sorted(images.keys() & labels.keys(), key=lambda key: (key[1], key[0]))
    tiles = [
        _Tile(place, images[place, year][0], year, images[place, year][1], labels[place, year]) for place, year in both
    ]
    notes = []
    if lost := len(images.keys() | labels.keys()) - len(both):
        notes.append(f"{lost} tiles have images or labels alone and are left out")
    return tiles, notes


def _stores(folder: Path, about: str) -> Iterator[tuple[str, int, int, tuple[Path, str]]]:
    """Place, year, first day, and store with group of each tile below a folder."""
    require_file(folder, about)
    stores = [
        path for depth in ("*", "*/*") for path in folder.glob(depth) if path.name.endswith((".zarr", ".zarr.zip"))
    ]
    stores = [path for path in stores if not any(parent.suffix == ".zarr" for parent in path.parents)]
    if not stores:
        packed = next((path for path in sorted(folder.rglob("*")) if path.suffix in (".tar", ".json")), None)
        raise LabelError(
            f"{about}: {folder} holds no Zarr stores"
            + (f", but {packed.name}; unpack the tar shards into .zarr folders" if packed else f"; {AGAIN}"),
            path=folder,
            found=packed,
        )
    for path in sorted(stores):
        name = path.name.split(".zarr")[0]
        groups = [("", name)] if TILE.fullmatch(name) else [(group, group) for group in _groups(path, about)]
        for group, tile in groups:
            match = TILE.fullmatch(tile)
            if match is None:
                continue
            year = re.search(r"20\d\d", match["start"] or "") or re.search(r"20\d\d", f"{path.parent.name} {name}")
            if year is None:
                raise LabelError(f"{about}: neither {tile} nor its folder states a year; {AGAIN}", path=path)
            start = day_of(match["start"] or f"{year[0]}0101", about, path)
            yield match["place"], int(year[0]), start, (path, group)


def _open(path: Path, about: str) -> Any:
    import zarr

    require_file(path, about)
    with doing(f"{about}, {path}", LabelError, AGAIN, path=path):
        store = zarr.storage.ZipStore(path, mode="r") if path.suffix == ".zip" else path
        return zarr.open_group(store, mode="r", use_consolidated=False)


def _groups(path: Path, about: str) -> list[str]:
    with doing(f"{about}, {path}", LabelError, AGAIN, path=path):
        return sorted(name for name, _ in _open(path, about).groups())


def _tile_group(place: tuple[Path, str], about: str) -> Any:
    path, group = place
    with doing(f"{about}, {path}", LabelError, AGAIN, path=path):
        store = _open(path, about)
        return store[group] if group else store


def _read_images(tile: _Tile, bands: Sequence[str], about: str) -> Series:
    path = tile.images[0]
    group = _tile_group(tile.images, about)
    with doing(f"{about}, {path}", LabelError, AGAIN, path=path):
        time = np.asarray(group["time"][...])
        stored = np.stack([group[SENTINEL_2.assets[band]][...] for band in bands], axis=1)
        mask = np.asarray(group[MASK][...])
    require_shape(stored, (len(time), len(bands), *mask.shape[1:]), about, path)
    # times are days since the day in the tile's name
    day = (tile.start + time).astype(np.int32)
    order = np.argsort(day, kind="stable")
    series = image_series(stored, SENTINEL_2, day)
    valid = series.valid & (mask[order] == CLEAR)
    return Series(series.image * valid[:, None], valid, series.date)


def _read_label(tile: _Tile, about: str) -> NDArray[Any]:
    """The LNF codes (H, W) of a tile: the one array of two dimensions."""
    path = tile.labels[0]
    group = _tile_group(tile.labels, about)
    with doing(f"{about}, {path}", LabelError, AGAIN, path=path):
        flat = [name for name, array in group.arrays() if array.ndim == 2]
        if len(flat) != 1:
            raise LabelError(
                f"{about}, {path}: its labels have {len(flat)} arrays of rows and columns, and one is expected; "
                f"{AGAIN}",
                path=path,
                found=flat,
            )
        codes: NDArray[Any] = group[flat[0]][...]
    whole: NDArray[np.int64] = np.nan_to_num(codes).astype(np.int64)
    return whole


def _folds(years: Sequence[int]) -> dict[str, Division]:
    """The makers' divisions S1 to S5, as far as their test years are there."""
    year = np.array(years)
    return {
        f"S{number}": {
            "train": np.flatnonzero((year != test) & (year != test - 1)),
            "validation": np.flatnonzero(year == test - 1),
            "test": np.flatnonzero(year == test),
        }
        for number, test in enumerate(TEST_YEARS, 1)
        if (year == test).any()
    }
