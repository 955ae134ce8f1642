"""CropGlobe: five-day medians of Sentinel-2 at samples of seven classes in eight countries (Tong and Wang 2025)."""

import hashlib
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agrifm.files import AnyPath, as_path
from agrifm.samples.public.band_order import band_means, require_land_order
from agrifm.samples.public.public_set import Division, PublicSet, SetFacts
from agrifm.samples.public.set_files import load_arrays, require_codes, require_shape
from agrifm.samples.public.set_series import (
    PlaceSeries,
    choose_bands,
    decode,
    limit_places,
    memory_note,
    renumber,
    sensor_input,
    set_legend,
    stack_series,
)
from agrifm.samples.table import SeriesTable, TableSeries
from agrifm.scene.products import Product
from agrifm.season import day_number

FACTS = SetFacts(
    name="cropglobe",
    title="CropGlobe",
    licence="not stated where agrifm's makers looked (code: MIT); read it on the page of the set",
    citation="Tong, X.-Y., Wang, S. (2025): Invariant features for global crop type classification. arXiv:2509.03497",
    source="Hugging Face, data set x-ytong/CropGlobe, folder for_CropNet",
)
# Ten bands in spectral order, which is checked on the numbers; digital numbers times 1e-4.
SENTINEL_2 = Product(
    name="sentinel-2-cropglobe",
    sensor="sentinel-2",
    collection="cropglobe",
    assets={band: band for band in ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")},
    scale=1e-4,
    offset=0.0,
    nodata=0,
    valid_range=(1, 20000),
)
CLASSES = {
    "0": "Corn", "1": "Soybeans", "2": "Rice", "3": "Wheat", "4": "Sugarcane", "5": "Cotton", "6": "Other",
}  # fmt: skip
OTHER_CROPS = "6"
COUNTRIES = ("ARG", "AUS", "BEL", "CHN", "FRA", "GBR", "NLD", "USA")
STEPS, STEP_DAYS = 73, 5
LARGEST_REFLECTANCE = 3.0
"""Numbers that are all below this are reflectance; digital numbers of land are far above it."""
CHECKED = 2000
"""Samples of a country on which scale and order of bands are checked."""
VALIDATION_SHARE = 0.2
"""Of the samples of the source country."""


def is_cropglobe(directory: Path) -> bool:
    """Whether a folder has the files of CropGlobe."""
    return any(_files(directory).values())


def read_cropglobe(
    directory: AnyPath,
    countries: Sequence[str] = (),
    year: int | None = None,
    bands: Sequence[str] = (),
    limit: int | None = None,
    seed: int = 0,
) -> PublicSet:
    """Read the five-day medians of CropGlobe as a table of series.

    A sample that repeats the numbers of an earlier one of its country is left out, as in the makers' scripts. In each
    official division one country is the source and another the target. The makers' scripts validate on the samples on
    which they train; here a fifth of the source, drawn by `seed`, is the validation part and not in training.

    Args:
        directory: holds `for_CropNet/median_S2_<country>_month1-12_day5.npz`.
        countries: ISO codes such as "FRA"; () for all that are there.
        year: the files state none; None counts days in 2021.
        limit: largest number of samples per class and country, drawn by `seed`.

    Raises:
        LabelError: a file is absent, damaged or of another layout, scale or order of bands are not those of the set, or
            memory does not suffice.
    """
    directory = as_path(directory)
    about = f"reading CropGlobe in {directory}"
    files = {country: path for country, path in _files(directory).items() if path}
    chosen = tuple(countries) or tuple(files)
    picked = choose_bands(SENTINEL_2, bands, about)
    notes = ["places are unknown, so each sample is a block by itself"]
    notes += [] if year else ["the files state no year; days are counted in 2021, name another with `year`"]
    days = day_number(date(year or 2021, 1, 1)) + STEP_DAYS * np.arange(STEPS, dtype=np.int32) + STEP_DAYS // 2
    parts, codes, origin = [], [], []
    for country in chosen:
        path = files.get(country, _folder(directory) / _name(country))
        stored, label = _read_country(path, about, notes, country)
        kept = limit_places(range(len(label)), [str(code) for code in label], limit, seed, notes)
        columns = [SENTINEL_2.bands.index(band) for band in picked]
        values, valid = decode(stored[kept][:, columns].transpose(0, 2, 1), SENTINEL_2)
        parts += [PlaceSeries(one, usable, days.astype(np.int32)) for one, usable in zip(values, valid, strict=True)]
        codes += label[kept].tolist()
        origin += [country] * len(kept)
    series = stack_series(sensor_input(SENTINEL_2, picked), parts, about)
    table = _table(series, codes, origin, year or 2021)
    notes.append(memory_note([series]))
    return PublicSet(FACTS, table.legend, table.sensors, table, _folds(np.array(origin), seed), tuple(notes))


def _folder(directory: Path) -> Path:
    return directory / "for_CropNet" if (directory / "for_CropNet").is_dir() else directory


def _name(country: str) -> str:
    return f"median_S2_{country}_month1-12_day5.npz"


def _files(directory: Path) -> dict[str, Path | None]:
    """The file of each country, None where it is absent."""
    paths = {country: _folder(directory) / _name(country) for country in COUNTRIES}
    return {country: path if path.is_file() else None for country, path in paths.items()}


def _read_country(
    path: Path, about: str, notes: list[str], country: str
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Digital numbers (N, bands, steps) and codes (N,) of a country, each sample once."""
    features, label = load_arrays(path, about, "fea", "lbl")
    require_shape(features, (len(label), len(SENTINEL_2.bands), STEPS), about, path)
    require_codes(label, [int(code) for code in CLASSES], about, path)
    numbers = np.nan_to_num(features.astype(np.float32))
    if 0 < numbers[:CHECKED].max(initial=0) < LARGEST_REFLECTANCE:
        numbers /= np.float32(SENTINEL_2.scale)
        notes.append(f"{country}: the file holds reflectance, not digital numbers")
    values, valid = decode(numbers[:CHECKED].transpose(0, 2, 1), SENTINEL_2)
    require_land_order(
        band_means(values, valid, SENTINEL_2.bands), f"{about}, {path}", "read the files as they were distributed"
    )
    first, contradicting = _first_of_each(numbers, label)
    if len(first) < len(label):
        notes.append(
            f"{country}: {len(label) - len(first)} samples repeat the numbers of an earlier one and are left out; "
            f"{contradicting} of them have another class than the earlier one"
        )
    return numbers[first], label[first].astype(np.int64)


def _first_of_each(numbers: NDArray[np.float32], label: NDArray[np.int64]) -> tuple[NDArray[np.intp], int]:
    """Indices of samples that repeat no earlier one, and how many of the others contradict its class."""
    seen: dict[bytes, int] = {}
    contradicting = 0
    for index, one in enumerate(numbers):
        earlier = seen.setdefault(hashlib.blake2b(one.tobytes(), digest_size=16).digest(), index)
        contradicting += int(label[earlier] != label[index])
    return np.array(sorted(seen.values()), np.intp), contradicting


def _table(series: TableSeries, codes: Sequence[int], origin: Sequence[str], year: int) -> SeriesTable:
    unknown = np.full(len(codes), np.nan)
    return SeriesTable(
        legend=set_legend(CLASSES, [OTHER_CROPS]),
        label=renumber(np.array(codes), [int(code) for code in CLASSES]),
        series={"sentinel-2": series},
        season_start=np.full(len(codes), day_number(date(year, 1, 1)), np.int32),
        season_days=365,
        lon=unknown,
        lat=unknown.copy(),
        block=np.arange(len(codes), dtype=np.int32),  # places are unknown
        place=tuple(f"{country} {index}" for index, country in enumerate(origin)),
    )


def _folds(origin: NDArray[np.str_], seed: int) -> dict[str, Division]:
    """A division for each pair of countries, "FRA to BEL"; the validation part is drawn from the source."""
    members = {str(country): np.flatnonzero(origin == country) for country in np.unique(origin)}
    drawn = {}
    for country, indices in members.items():
        mixed = np.random.default_rng([seed, COUNTRIES.index(country)]).permutation(indices)
        count = round(VALIDATION_SHARE * len(mixed))
        drawn[country] = (np.sort(mixed[count:]), np.sort(mixed[:count]))
    return {
        f"{source} to {target}": {
            "train": drawn[source][0],
            "validation": drawn[source][1],
            "test": members[target],
        }
        for source in members
        for target in members
        if source != target
    }
