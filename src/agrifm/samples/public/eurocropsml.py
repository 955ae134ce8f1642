"""EuroCropsML: parcel series of Sentinel-2 L1C in Estonia, Latvia and Portugal, 2021 (Reuss et al. 2025)."""

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import LabelError, did_you_mean
from agrifm.files import AnyPath, as_path
from agrifm.legend import Legend
from agrifm.samples.public.public_set import PublicSet, SetFacts
from agrifm.samples.public.set_files import AGAIN, load_arrays, load_json, require_file, require_shape
from agrifm.samples.public.set_series import (
    PlaceSeries,
    choose_bands,
    decode,
    divide,
    limit_places,
    memory_note,
    read_all,
    sensor_input,
    stack_series,
)
from agrifm.samples.series_places import BLOCK, square_blocks
from agrifm.samples.table import SeriesTable
from agrifm.scene.products import Product
from agrifm.season import day_number

FACTS = SetFacts(
    name="eurocropsml",
    title="EuroCropsML",
    licence="CC-BY-SA-4.0",
    citation="Reuss, J., Macdonald, J., Becker, S., Richter, L., Körner, M. (2025): The EuroCropsML time series "
    "benchmark dataset for few-shot crop type classification in Europe. Scientific Data 12, 664",
    source="Zenodo, concept of record 10629610: `preprocess.zip` and `split.zip` of version 12 or later (version 9 "
    "lacks data, version 10 is corrupt)",
)
# The thirteen bands of L1C in the order of the arrays; digital numbers times 1e-4 are top-of-atmosphere reflectance.
SENTINEL_2 = Product(
    name="sentinel-2-l1c-eurocropsml",
    sensor="sentinel-2",
    collection="eurocropsml",
    assets={
        f"B{number}": number
        for number in ("01", "02", "03", "04", "05", "06", "07", "08", "8A", "09", "10", "11", "12")
    },
    scale=1e-4,
    offset=0.0,
    nodata=-999,
    valid_range=(0, 20000),
    quantity="top-of-atmosphere reflectance",
)
SENTINEL_1 = Product(
    name="sentinel-1-eurocropsml",
    sensor="sentinel-1",
    collection="eurocropsml",
    assets={"VV": "VV", "VH": "VH"},
    scale=1.0,
    offset=0.0,
    nodata=-999,
    valid_range=(-60, 20),
    quantity="backscatter (dB)",
    kernel="nearest",
)
PRODUCTS_OF = {"sentinel-2": (SENTINEL_2, "S2"), "sentinel-1": (SENTINEL_1, "S1")}
FILE_NAME = re.compile(r"(?P<region>[A-Z]{2}[A-Z0-9]*)_(?P<parcel>.+)_(?P<code>\d{10})\.npz")
"""NUTS 3 region, parcel, and class code of HCAT (ten digits); the class is nowhere else."""
YEAR = 2021
LARGEST_REFLECTANCE = 3.0
"""A file whose largest number is below this holds reflectance; the largest digital number of a parcel is above it."""


@dataclass(frozen=True)
class _Parcel:
    """A file of the set."""

    file: str
    region: str
    parcel: str
    code: str


def is_eurocropsml(directory: Path) -> bool:
    """Whether a folder has the tree of EuroCropsML."""
    return (directory / "preprocess" / "S2").is_dir() or _holds_parcels(directory / "preprocess")


def read_eurocropsml(
    directory: AnyPath,
    regions: Sequence[str] = (),
    split: str = "",
    sensors: Sequence[Literal["sentinel-2", "sentinel-1"]] = ("sentinel-2",),
    bands: Sequence[str] = (),
    limit: int | None = None,
    seed: int = 0,
    executor: Executor | None = None,
) -> PublicSet:
    """Read the parcels of EuroCropsML as a table of series.

    Args:
        directory: holds `preprocess/S2/2021/<NUTS3>_<parcel>_<HCAT code>.npz` and for splits `split/`.
        regions: beginnings of NUTS 3 codes, such as "EE" or "LV003"; () for all.
        split: an official split, such as "latvia_vs_estonia/finetune/20": only its parcels are read, and `folds` has
            its parts. "" reads all parcels.
        sensors: what is read; a parcel without a file of Sentinel-1 lacks that sensor.
        bands: of Sentinel-2; by default the ten of the sensor. B01, B09 and B10 are read if they are named.
        limit: largest number of parcels per class (with a split per class and part), drawn by `seed`.
        executor: see `read_all`.

    Raises:
        LabelError: a file is absent, damaged or of another layout, no parcel is left, or memory does not suffice.
    """
    directory = as_path(directory)
    about = f"reading EuroCropsML in {directory}"
    parcels, notes = _list_parcels(directory, about)
    chosen = [one for one in parcels if not regions or one.region.startswith(tuple(regions))]
    parts: Mapping[str, str] = {}
    if split:
        parts = _read_split(directory, split, about)
        known = {one.file for one in parcels}
        absent = sorted(parts.keys() - known)
        if absent:
            raise LabelError(
                f"{about}: the split '{split}' names {len(absent)} parcels that have no file, such as {absent[0]}; "
                f"download the set again, and split and data of the same version",
                path=absent[0],
                absent=len(absent),
            )
        chosen = [one for one in chosen if one.file in parts]
    if not chosen:
        found = sorted({one.region for one in parcels})
        raise LabelError(f"{about}: no parcel is in {', '.join(regions)}; regions are {', '.join(found)}", found=found)
    codes = [f"{parts.get(one.file, '')} {one.code}" for one in chosen]
    chosen = limit_places(chosen, codes, limit, seed, notes)
    table = _read_table(directory, chosen, sensors, bands, about, executor)
    notes += table.notes
    notes.append(memory_note(list(table.series.values())))
    folds = {split: divide([parts[one.file] for one in chosen])} if split else {}
    return PublicSet(FACTS, table.legend, table.sensors, table, folds, tuple(notes))


def list_eurocropsml_splits(directory: AnyPath) -> list[str]:
    """Return the names of the official splits in a folder, as `read_eurocropsml` takes them."""
    root = as_path(directory) / "split"
    return sorted(
        str(path.relative_to(root).with_suffix(""))
        .replace("\\", "/")
        .replace("region_split_", "")
        .removesuffix("/region_split")
        for path in root.glob("*/*/region_split*.json")
    )


def _holds_parcels(folder: Path) -> bool:
    return folder.is_dir() and any(FILE_NAME.fullmatch(path.name) for path in folder.glob("*.npz"))


def _list_parcels(directory: Path, about: str) -> tuple[list[_Parcel], list[str]]:
    """The parcels by the names of their files, in alphabetical order, and notes on other files."""
    folder = directory / "preprocess" / "S2" / str(YEAR)
    if not folder.is_dir() and _holds_parcels(directory / "preprocess"):
        raise LabelError(
            f"{about}: {directory / 'preprocess'} holds the parcels itself, as in versions up to 11 on Zenodo, some of "
            "which lack data; download version 12 or later, which has preprocess/S2/2021",
            path=folder,
        )
    require_file(folder, about)
    names = sorted(path.name for path in folder.iterdir())
    matches = [(name, FILE_NAME.fullmatch(name)) for name in names]
    parcels = [_Parcel(name, match["region"], match["parcel"], match["code"]) for name, match in matches if match]
    others = [name for name, match in matches if match is None]
    if not parcels:
        raise LabelError(f"{about}: {folder} holds no file <NUTS3>_<parcel>_<HCAT code>.npz; {AGAIN}", path=folder)
    notes = [f"{len(others)} files are not parcels, such as {others[0]}"] if others else []
    return parcels, notes


def _read_split(directory: Path, split: str, about: str) -> dict[str, str]:
    """Part of each file of a split."""
    known = list_eurocropsml_splits(directory)
    if split not in known:
        raise LabelError(
            f"{about}: unknown split {split!r}{did_you_mean(split, known)} Splits in the folder: "
            f"{', '.join(known) or 'none'}",
            split=split,
            known=known,
        )
    name, use, *count = split.split("/")
    path = directory / "split" / name / use / f"region_split{f'_{count[0]}' if count else ''}.json"
    lists = load_json(path, about)
    parts: dict[str, str] = {}
    for key, part in (("train", "train"), ("val", "validation"), ("test", "test")):
        # a list, or one list for each sensor
        entries = lists.get(key) or []
        for entry in entries if isinstance(entries, list) else entries.get("S2", []):
            file = Path(str(entry)).name
            if parts.setdefault(file, part) != part:
                raise LabelError(
                    f"{about}, {path}: {file} is in {parts[file]} and in {part}; {AGAIN}", path=path, place=file
                )
    return parts


def _read_table(
    directory: Path,
    parcels: Sequence[_Parcel],
    sensors: Sequence[str],
    bands: Sequence[str],
    about: str,
    executor: Executor | None,
) -> SeriesTable:
    series = {}
    notes: list[str] = []
    centres: NDArray[np.float64] = np.full((len(parcels), 2), np.nan)
    for name in sensors:
        product, folder = PRODUCTS_OF[name]
        chosen = choose_bands(product, bands if name == "sentinel-2" else (), about)
        files = [directory / "preprocess" / folder / str(YEAR) / one.file for one in parcels]
        read = partial(_read_parcel, product=product, bands=chosen, about=about)
        found = read_all(read, files, f"EuroCropsML {folder}", executor)
        notes += _scale_notes([one.reflectance for one in found], files, about)
        series[name] = stack_series(sensor_input(product, chosen), [one.series for one in found], about)
        places = np.array([one.centre for one in found])
        centres = np.where(np.isnan(centres), places, centres)
    legend = Legend.of(sorted({one.code for one in parcels})).model_copy(update={"hierarchy": "hcat3"})
    return SeriesTable(
        legend=legend,
        label=legend.encode([one.code for one in parcels]),
        series=series,
        season_start=np.full(len(parcels), day_number(date(YEAR, 1, 1)), np.int32),
        season_days=365,
        lon=centres[:, 0],
        lat=centres[:, 1],
        block=square_blocks(centres[:, 0], centres[:, 1], BLOCK),
        place=tuple(f"{one.region}/{one.parcel}" for one in parcels),
        notes=tuple(notes),
    )


class _Read(NamedTuple):
    """What a file holds."""

    series: PlaceSeries
    centre: tuple[float, float]
    """Longitude, latitude."""
    reflectance: bool | None
    """Whether it holds reflectance and not digital numbers; None if its numbers do not tell."""


def _read_parcel(path: Path, product: Product, bands: Sequence[str], about: str) -> _Read:
    """Series and centre of a parcel; an absent file of Sentinel-1 is an empty series."""
    if product.sensor == "sentinel-1" and not path.exists():
        empty = np.empty((0, len(bands)), np.float32)
        return _Read(PlaceSeries(empty, np.empty(0, bool), np.empty(0, np.int32)), (np.nan, np.nan), None)
    data, dates, centre = load_arrays(path, about, "data", "dates", "center")
    require_shape(data, (len(dates), len(product.assets)), about, path)
    reflectance = None
    if product.sensor == "sentinel-2" and data.size and data.max() > 0:
        reflectance = bool(data.max() < LARGEST_REFLECTANCE)
        if reflectance:
            data = np.where(data == product.nodata, data, data / product.scale)
    values, valid = decode(data[:, [product.bands.index(band) for band in bands]], product)
    series = PlaceSeries(values, valid, _days(dates, about, path))
    return _Read(series, (float(centre[0]), float(centre[1])), reflectance)


def _scale_notes(reflectance: Sequence[bool | None], files: Sequence[Path], about: str) -> list[str]:
    """A note if the files hold reflectance; files of both kinds are refused."""
    kinds = {kind: files[index] for index, kind in enumerate(reflectance) if kind is not None}
    if len(kinds) == 2:
        raise LabelError(
            f"{about}: {kinds[True].name} holds reflectance (numbers below {LARGEST_REFLECTANCE:g}) and "
            f"{kinds[False].name} digital numbers (reflectance times 10000); use files of one version",
            path=kinds[True],
            other=kinds[False],
        )
    return ["the files hold reflectance, not digital numbers; both are read alike"] if True in kinds else []


def _days(dates: NDArray[Any], about: str, path: Path) -> NDArray[np.int32]:
    if dates.dtype.kind != "M":
        raise LabelError(f"{about}, {path}: `dates` are {dates.dtype}, not dates; {AGAIN}", path=path)
    return dates.astype("datetime64[D]").astype(np.int32)
