"""BreizhCrops: parcel series of Sentinel-2 in Brittany, 2017 (L1C, L2A) and 2018 (Rußwurm et al. 2020)."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import LabelError, doing
from agrifm.files import AnyPath, as_path
from agrifm.legend import Legend
from agrifm.samples.public.band_order import band_means, require_land_order
from agrifm.samples.public.public_set import PublicSet, SetFacts
from agrifm.samples.public.set_files import AGAIN, open_hdf5, require_file, require_shape
from agrifm.samples.public.set_series import (
    PlaceSeries,
    choose_bands,
    decode,
    divide,
    limit_places,
    memory_note,
    sensor_input,
    set_legend,
    stack_series,
)
from agrifm.samples.series_places import BLOCK, square_blocks
from agrifm.samples.table import SeriesTable
from agrifm.scene.products import Product
from agrifm.season import day_number
from agrifm.tables import Table, read_table
from agrifm.work import progress

FACTS = SetFacts(
    name="breizhcrops",
    title="BreizhCrops",
    licence="GPL-3.0 (the repository that distributes it; parcels: RPG, Licence Ouverte)",
    citation="Rußwurm, M., Pelletier, C., Zollner, M., Lefèvre, S., Körner, M. (2020): BreizhCrops: a time series "
    "dataset for crop type mapping. ISPRS Archives XLIII-B2, 1545-1551",
    source="github.com/dl4sits/BreizhCrops (its loader fetches codes.csv, classmapping.csv and the files of a region)",
)
PARTS = {"frh01": "train", "frh02": "train", "frh03": "validation", "frh04": "test"}
"""The usual division by region; belle-ile and kermaux are small extracts of regions."""
EXTRACTS = ("belle-ile", "kermaux")
_L1C = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12")
_QUALITY = ("QA10", "QA20", "QA60", "doa")
ORDERS = {"spectral": (*_L1C, *_QUALITY), "lexical": (*sorted(_L1C), *_QUALITY)}
"""Columns of L1C: as the loader names them, and as programs of before mid-2020 wrote them."""
L2A_COLUMNS = ("doa", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12", "CLD", "EDG", "SAT")
UNCLEAR = {"L1C": ("QA60",), "L2A": ("CLD", "EDG", "SAT")}
"""Columns that are 0 where the whole parcel is usable."""
CIRRUS_RATIO = 0.5
"""The cirrus band (B10) is recognised if its mean is below this share of the next smallest one."""
CHECKED = 500
"""Parcels on which the order of the columns is decided."""


def _product(level: str) -> Product:
    bands = _L1C if level == "L1C" else L2A_COLUMNS[1:11]
    return Product(
        name=f"sentinel-2-{level.lower()}-breizhcrops",
        sensor="sentinel-2",
        collection="breizhcrops",
        assets={f"B{band[1:].zfill(2)}": band for band in bands},
        scale=1e-4,
        offset=0.0,
        nodata=-10000,
        valid_range=(0, 20000) if level == "L1C" else (-2000, 20000),
        quantity="top-of-atmosphere reflectance" if level == "L1C" else "surface reflectance",
    )


class _Parcel(NamedTuple):
    """A row of an index file."""

    region: str
    path: str
    """Name of its dataset."""
    identifier: str
    class_id: str


def is_breizhcrops(directory: Path) -> bool:
    """Whether a folder has the files of BreizhCrops."""
    return (directory / "classmapping.csv").is_file() and bool(_versions(directory))


def read_breizhcrops(
    directory: AnyPath,
    year: int | None = None,
    level: str = "",
    regions: Sequence[str] = (),
    bands: Sequence[str] = (),
    quality: bool = True,
    limit: int | None = None,
    seed: int = 0,
) -> PublicSet:
    """Read the parcels of BreizhCrops as a table of series.

    Args:
        directory: holds classmapping.csv and `<year>/<level>/<region>.csv` and `.h5`.
        year, level: which version, such as 2017 and "L1C"; may be left out if the folder has one.
        regions: by default frh01 to frh04, as far as they are there; belle-ile and kermaux if nothing else is.
        bands: by default those of the sensor; B01, B09 and B10 of L1C are read if they are named.
        quality: whether observations with a cloud in the parcel (QA60; CLD, EDG and SAT) are not valid.
        limit: largest number of parcels per class, drawn by `seed`.

    Raises:
        LabelError: a file is absent, damaged or of another layout, the order of columns cannot be decided, or memory
            does not suffice.
    """
    directory = as_path(directory)
    about = f"reading BreizhCrops in {directory}"
    year, level = _choose_version(directory, year, level, about)
    folder = directory / str(year) / level
    mapping, legend = _read_classes(directory, about)
    notes: list[str] = []
    parcels: list[_Parcel] = []
    for region in _choose_regions(folder, regions, about):
        parcels += _read_index(folder / f"{region}.csv", region, mapping, about, notes)
    parcels = limit_places(parcels, [one.class_id for one in parcels], limit, seed, notes)
    if not parcels:
        raise LabelError(f"{about}: no parcel has a class of classmapping.csv and a series; {AGAIN}", path=folder)
    columns = _decide_columns(folder, parcels, level, about, notes)
    product = _product(level)
    chosen = choose_bands(product, bands, about)
    parts = _read_series(folder, parcels, columns, product, chosen, UNCLEAR[level] if quality else (), about)
    series = stack_series(sensor_input(product, chosen), parts, about)
    require_land_order(
        band_means(series.values[:CHECKED], series.valid[:CHECKED], chosen), about, "download the files of this region"
    )
    lon, lat = _centres(directory / str(year), parcels, about, notes)
    notes.append(memory_note([series]))
    table = SeriesTable(
        legend=legend,
        label=legend.encode([one.class_id for one in parcels]),
        series={"sentinel-2": series},
        season_start=np.full(len(parcels), day_number(date(year, 1, 1)), np.int32),
        season_days=365,
        lon=lon,
        lat=lat,
        block=square_blocks(lon, lat, BLOCK),
        place=tuple(f"{one.region}/{one.identifier}" for one in parcels),
    )
    folds = divide([PARTS.get(one.region, "") for one in parcels])
    return PublicSet(FACTS, legend, table.sensors, table, {"official": folds} if folds else {}, tuple(notes))


def _versions(directory: Path) -> list[tuple[int, str]]:
    return sorted(
        {
            (int(path.parts[-3]), path.parts[-2])
            for path in directory.glob("20[0-9][0-9]/L[12][AC]/*.h5")
            if path.parts[-2] in UNCLEAR
        }
    )


def _choose_version(directory: Path, year: int | None, level: str, about: str) -> tuple[int, str]:
    versions = _versions(directory)
    fitting = [one for one in versions if year in (None, one[0]) and level in ("", one[1])]
    if len(fitting) != 1:
        known = ", ".join(f"{one} {two}" for one, two in versions) or "none"
        raise LabelError(
            f"{about}: {len(fitting)} versions fit; name one with `year` and `level` (in the folder: {known})",
            found=versions,
        )
    return fitting[0]


def _choose_regions(folder: Path, regions: Sequence[str], about: str) -> Sequence[str]:
    if regions:
        return regions
    present = [region for region in PARTS if (folder / f"{region}.csv").exists()]
    present = present or [region for region in EXTRACTS if (folder / f"{region}.csv").exists()][:1]
    if not present:
        raise LabelError(f"{about}: {folder} has none of the index files frh01.csv to frh04.csv; {AGAIN}", path=folder)
    return present


def _table_of(path: Path, names: Sequence[str], about: str) -> Table:
    table = read_table(require_file(path, about), f"{about}, {path}", LabelError)
    for name in names:
        if name not in table.columns:
            raise LabelError(
                f"{about}, {path}: it has no column {name} (it has {', '.join(table.columns)}); {AGAIN}",
                path=path,
                column=name,
            )
    return table


def _read_classes(directory: Path, about: str) -> tuple[dict[str, str], Legend]:
    """Class id by crop code, and the legend in the order of the ids."""
    path = directory / "classmapping.csv"
    table = _table_of(path, ("id", "classname", "code"), about)
    names: dict[str, str] = {}
    mapping = {}
    for number, name, code in zip(table.column("id"), table.column("classname"), table.column("code"), strict=True):
        names.setdefault(number, name)
        mapping[code] = number
    with doing(f"{about}, {path}", LabelError, AGAIN, path=path):
        return mapping, set_legend({number: names[number] for number in sorted(names, key=int)})


def _read_index(path: Path, region: str, mapping: dict[str, str], about: str, notes: list[str]) -> list[_Parcel]:
    table = _table_of(path, ("CODE_CULTU", "path", "sequencelength"), about)
    names = table.column("id") if "id" in table.columns else [Path(name).stem for name in table.column("path")]
    rows = list(
        zip(table.column("CODE_CULTU"), table.column("path"), table.column("sequencelength"), names, strict=True)
    )
    classed = [row for row in rows if row[0] in mapping]
    with doing(f"{about}, {path}", LabelError, AGAIN, path=path):
        full = [row for row in classed if float(row[2] or 0) > 0]
    if len(classed) < len(rows):
        notes.append(
            f"{region}: {len(rows) - len(classed)} of {len(rows)} parcels have a crop outside classmapping.csv"
        )
    if len(full) < len(classed):
        notes.append(f"{region}: {len(classed) - len(full)} parcels have no observation")
    return [_Parcel(region, dataset, name, mapping[code]) for code, dataset, _, name in full]


def _decide_columns(
    folder: Path, parcels: Sequence[_Parcel], level: str, about: str, notes: list[str]
) -> tuple[str, ...]:
    """The columns of the files; for L1C by the smallest mean, which is that of the cirrus band B10."""
    if level == "L2A":
        return L2A_COLUMNS
    region = parcels[0].region
    path = folder / f"{region}.h5"
    total, count = np.zeros(len(_L1C)), 0
    with open_hdf5(path, about) as content:
        for parcel in [one for one in parcels if one.region == region][:CHECKED]:
            stored = _stored(content, parcel, len(ORDERS["lexical"]), about, path)
            total += stored[:, : len(_L1C)].sum(axis=0, dtype=np.float64)
            count += len(stored)
    means = total / max(count, 1)
    smallest, next_one = np.argsort(means)[:2]
    order = {columns.index("B10"): name for name, columns in ORDERS.items()}.get(int(smallest))
    if order is None or not means[smallest] < CIRRUS_RATIO * means[next_one]:
        raise LabelError(
            f"{about}, {path}: the columns are in spectral order (B1 B2 ... B12) or in lexical order (B1 B10 ... B9), "
            f"and the cirrus band shows which, but column {smallest + 1} has the smallest mean, {means[smallest]:.4g}, "
            f"and the next one {means[next_one]:.4g}, so the order is not certain; download the files of this region",
            path=path,
            means=means.tolist(),
        )
    notes.append(
        f"columns are in {order} order: column {smallest + 1} has the smallest mean ({means[smallest]:.4g}, the next "
        f"{means[next_one]:.4g}), so it is the cirrus band B10"
    )
    return ORDERS[order]


def _stored(content: Any, parcel: _Parcel, columns: int, about: str, path: Path) -> NDArray[np.float64]:
    """The numbers (T, columns) of a parcel."""
    if parcel.path not in content:
        raise LabelError(
            f"{about}, {path}: it has no dataset {parcel.path}, which {parcel.region}.csv lists; {AGAIN}",
            path=path,
            dataset=parcel.path,
        )
    stored: NDArray[np.float64] = content[parcel.path][()]
    require_shape(stored, (None, columns), f"{about}, dataset {parcel.path}", path)
    return stored


def _read_series(
    folder: Path,
    parcels: Sequence[_Parcel],
    columns: tuple[str, ...],
    product: Product,
    bands: Sequence[str],
    unclear: Sequence[str],
    about: str,
) -> list[PlaceSeries]:
    picked = [columns.index(product.assets[band]) for band in bands]
    flags = [columns.index(name) for name in unclear]
    parts = []
    with progress("BreizhCrops", len(parcels)) as advance:
        for region in dict.fromkeys(one.region for one in parcels):
            path = folder / f"{region}.h5"
            with open_hdf5(path, about) as content:
                for parcel in (one for one in parcels if one.region == region):
                    stored = _stored(content, parcel, len(columns), about, path)
                    values, valid = decode(stored[:, picked], product)
                    valid &= (stored[:, flags] == 0).all(axis=1)
                    # nanoseconds since 1970-01-01
                    day = (stored[:, columns.index("doa")].astype(np.int64) // 86_400_000_000_000).astype(np.int32)
                    parts.append(PlaceSeries(values * valid[:, None], valid, day))
                    advance(1)
    return parts


def _centres(
    folder: Path, parcels: Sequence[_Parcel], about: str, notes: list[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Longitude and latitude of the parcels, from the shapefiles that are there."""
    places: dict[tuple[str, str], tuple[float, float]] = {}
    for region in dict.fromkeys(one.region for one in parcels):
        path = folder / f"{region}.shp"
        if not path.exists():
            notes.append(f"{region}: places are unknown, because {path.name} is not there, so each parcel is a block")
            continue
        import geopandas

        with doing(f"{about}, {path}", LabelError, AGAIN, path=path):
            frame = geopandas.read_file(path)
            points = frame.geometry.representative_point().to_crs("EPSG:4326")
            names = next(frame[name] for name in frame.columns if str(name).lower() == "id")
            places |= {(region, str(name)): (point.x, point.y) for name, point in zip(names, points, strict=True)}
    centres = np.array([places.get((one.region, one.identifier), (np.nan, np.nan)) for one in parcels])
    return centres[:, 0].copy(), centres[:, 1].copy()
