"""CropHarvest: points of crops and other land in the world with a year of monthly composites (Tseng et al. 2021)."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import LabelError, did_you_mean
from agrifm.files import AnyPath, as_path
from agrifm.legend import UNLABELLED, Legend
from agrifm.record import SensorInput
from agrifm.samples.public.public_set import PublicSet, SetFacts
from agrifm.samples.public.set_files import AGAIN, day_of, load_json, open_hdf5, require_file, require_shape
from agrifm.samples.public.set_series import (
    PlaceSeries,
    choose_bands,
    decode,
    divide,
    limit_places,
    memory_note,
    read_all,
    sensor_input,
    set_legend,
    stack_series,
)
from agrifm.samples.series_places import BLOCK, square_blocks
from agrifm.samples.table import SeriesTable, TableSeries
from agrifm.scene.products import Product
from agrifm.season import day_number

FACTS = SetFacts(
    name="cropharvest",
    title="CropHarvest",
    licence="CC-BY-SA-4.0",
    citation="Tseng, G., Zvonkov, I., Nakalembe, C., Kerner, H. (2021): CropHarvest: a global dataset for crop-type "
    "classification. NeurIPS Datasets and Benchmarks",
    source="Zenodo, record 10251170 (labels.geojson, features.tar.gz, test_features.tar.gz)",
)
COLUMNS = (
    "VV", "VH", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B11", "B12", "temperature_2m",
    "total_precipitation", "elevation", "slope", "NDVI",
)  # fmt: skip
MONTHS, MONTH_DAYS = 12, 30
# Made of COPERNICUS/S2 at Earth Engine, which is Level-1C: top-of-atmosphere reflectance times 10000.
SENTINEL_2 = Product(
    name="sentinel-2-l1c-cropharvest",
    sensor="sentinel-2",
    collection="cropharvest",
    assets={f"B{name[1:].zfill(2)}": name for name in COLUMNS[2:13]},
    scale=1e-4,
    offset=0.0,
    nodata=0,
    valid_range=(1, 20000),
    quantity="top-of-atmosphere reflectance",
)
SENTINEL_1 = Product(
    name="sentinel-1-cropharvest",
    sensor="sentinel-1",
    collection="cropharvest",
    assets={"VV": "VV", "VH": "VH"},
    scale=1.0,
    offset=0.0,
    nodata=0,
    valid_range=(-60, -1e-6),
    quantity="backscatter (dB)",
    kernel="nearest",
)
PRODUCTS_OF = {"sentinel-2": SENTINEL_2, "sentinel-1": SENTINEL_1}
TEMPERATURE = SensorInput(sensor="era5", bands=("temperature_2m",), quantity="temperature", scale=0.02, resolution=10)
NOT_LABELLED = -1
"""In the test files."""
BINARY = {"1": "crop", "0": "non-crop"}
CLOSE = 1e-3
"""Largest difference of two NDVI that are the same."""


class _Point(NamedTuple):
    """A place with its year."""

    name: str
    code: str
    """"" = unlabelled."""
    lon: float
    lat: float
    end: int
    """Last day of the composites, days since 1970-01-01."""
    part: str


def is_cropharvest(directory: Path) -> bool:
    """Whether a folder has the files of CropHarvest."""
    return (directory / "labels.geojson").is_file() and (directory / "features").is_dir()


def read_cropharvest(
    directory: AnyPath,
    column: Literal["is_crop", "classification_label", "label"] = "is_crop",
    target: str = "",
    datasets: Sequence[str] = (),
    test: str = "",
    test_end: date | None = None,
    sensors: Sequence[Literal["sentinel-2", "sentinel-1", "era5"]] = ("sentinel-2", "sentinel-1"),
    bands: Sequence[str] = (),
    limit: int | None = None,
    seed: int = 0,
    executor: Executor | None = None,
) -> PublicSet:
    """Read the points of CropHarvest as a table of twelve composites of 30 days.

    The column NDVI of the files is not read: it is made of B7 and B3, which is checked and noted.

    Args:
        directory: holds labels.geojson, features/arrays and for `test` test_features.
        column: what the classes are.
        target: a value of `label`: the classes are then that crop (1) and everything else (0).
        datasets: names of data sets to read, such as "kenya"; () for all.
        test: beginning of the names of test files, such as "togo-eval" or "Kenya_maize_2020", whose points (1 and 0, -1
            is unlabelled) become the test part of the division "official"; with `column` is_crop or a `target`.
        test_end: last day of the composites in the test files; None finds it from the test rows of labels.geojson.
        sensors: "era5" is the temperature at 2 m; elevation and slope are in `static`.
        limit: largest number of points per class, drawn by `seed` (never of test files).

    Raises:
        LabelError: a file is absent, damaged or of another layout, or the test files' year is not certain.
    """
    directory = as_path(directory)
    about = f"reading CropHarvest in {directory}"
    rows = [feature["properties"] for feature in load_json(directory / "labels.geojson", about)["features"]]
    notes: list[str] = []
    points = _list_points(directory, rows, column, target, datasets, about, notes)
    points = limit_places(points, [point.code for point in points], limit, seed, notes)
    folder = directory / "features" / "arrays"
    arrays = read_all(partial(_read_array, folder=folder, about=about), points, "CropHarvest", executor)
    if test:
        if column != "is_crop" and not target:
            raise LabelError(
                f"{about}: test files have one class and the rest (1 and 0); read them with column is_crop or a target",
                column=column,
            )
        tested, more = _read_test(directory, rows, test, test_end, about)
        points, arrays = points + tested, arrays + more
    numbers = np.stack(arrays)
    notes.append(_check_ndvi(numbers))
    series = _series(points, numbers, sensors, bands, about)
    table = _table(points, numbers, series, _legend(points, column, target))
    notes.append(memory_note(list(series.values())))
    folds = {"official": divide([point.part for point in points])} if test else {}
    return PublicSet(FACTS, table.legend, table.sensors, table, folds, tuple(notes))


def _list_points(
    directory: Path,
    rows: Sequence[Mapping[str, Any]],
    column: str,
    target: str,
    datasets: Sequence[str],
    about: str,
    notes: list[str],
) -> list[_Point]:
    """The points outside the test regions that have an array."""
    path = directory / "labels.geojson"
    known = sorted({str(row["dataset"]) for row in rows})
    for name in datasets:
        if name not in known:
            raise LabelError(
                f"{about}: it has no data set {name!r}{did_you_mean(name, known)} It has {', '.join(known)}",
                dataset=name,
                known=known,
            )
    folder = require_file(directory / "features" / "arrays", about)
    present = {file.stem for file in folder.glob("*.h5")}
    wanted = [row for row in rows if not datasets or row["dataset"] in datasets]
    training = [row for row in wanted if not row.get("is_test")]
    points = [
        _Point(
            f"{row['index']}_{row['dataset']}",
            _code(row, column, target),
            float(row["lon"]),
            float(row["lat"]),
            day_of(row["export_end_date"], about, path),
            "train",
        )
        for row in training
        if f"{row['index']}_{row['dataset']}" in present
    ]
    if not points:
        raise LabelError(f"{about}: {folder} holds no array of the points asked for; {AGAIN}", path=folder)
    if len(training) > len(points):
        notes.append(f"{len(training) - len(points)} of {len(training)} points have no array (as distributed)")
    if len(wanted) > len(training):
        notes.append(f"{len(wanted) - len(training)} points are in test regions and not read for training")
    return points


def _code(row: Mapping[str, Any], column: str, target: str) -> str:
    """The class of a row; "" where it is unknown."""
    crop = int(float(row["is_crop"]))
    label = row.get("label") or ""
    if target:
        return "1" if label == target else "0" if label or not crop else ""
    if column == "is_crop":
        return str(crop)
    return str(row.get(column) or "") or ("" if crop else "non_crop")


def _read_array(point: _Point, folder: Path, about: str) -> NDArray[np.float32]:
    """The (12, 18) array of a point."""
    path = folder / f"{point.name}.h5"
    with open_hdf5(path, about) as content:
        stored: NDArray[np.float32] = np.asarray(content["array"][()], np.float32)
        require_shape(stored, (MONTHS, len(COLUMNS)), about, path)
    return stored


def _read_test(
    directory: Path, rows: Sequence[Mapping[str, Any]], test: str, end: date | None, about: str
) -> tuple[list[_Point], list[NDArray[np.float32]]]:
    """Points and arrays of the test files whose names begin with `test`."""
    folder = require_file(directory / "test_features", about)
    files = sorted(folder.glob(f"{test}*.h5"))
    if not files:
        known = sorted(path.stem for path in folder.glob("*.h5"))
        raise LabelError(
            f"{about}: {folder} holds no file {test}*.h5 (it holds {', '.join(known) or 'none'}); name one of these",
            path=folder,
            known=known,
        )
    points, arrays = [], []
    for path in files:
        with open_hdf5(path, about) as content:
            numbers, label, lats, lons = (np.asarray(content[key][()]) for key in ("x", "y", "lats", "lons"))
            require_shape(numbers, (len(label), MONTHS, len(COLUMNS)), about, path)
        last = day_number(end) if end else _test_end(rows, lons, lats, about, path)
        arrays += list(numbers.astype(np.float32))
        points += [
            _Point(
                f"{path.stem} {index}",
                "" if value == NOT_LABELLED else str(int(value)),
                float(lon),
                float(lat),
                last,
                "test",
            )
            for index, (value, lon, lat) in enumerate(zip(label, lons, lats, strict=True))
        ]
    return points, arrays


def _test_end(
    rows: Sequence[Mapping[str, Any]], lons: NDArray[np.float64], lats: NDArray[np.float64], about: str, path: Path
) -> int:
    """The one export date of the test rows within the rectangle of a test file."""
    west, east, south, north = lons.min(), lons.max(), lats.min(), lats.max()
    ends = {
        day_of(row["export_end_date"], about, path)
        for row in rows
        if row.get("is_test") and west <= float(row["lon"]) <= east and south <= float(row["lat"]) <= north
    }
    if len(ends) != 1:
        raise LabelError(
            f"{about}, {path}: it states no dates, and the test points of labels.geojson in its rectangle have "
            f"{len(ends)} different export dates; give the last day with `test_end`, such as date(2021, 2, 1)",
            path=path,
            found=sorted(ends),
        )
    return ends.pop()


def _check_ndvi(numbers: NDArray[np.float32]) -> str:
    """A sentence on the column NDVI, compared with that of B8 and B4 and with that of B7 and B3."""

    def differs(first: str, second: str) -> NDArray[np.bool_]:
        one, two = (numbers[..., COLUMNS.index(name)] for name in (first, second))
        with np.errstate(invalid="ignore", divide="ignore"):
            index = np.nan_to_num((one - two) / (one + two))
            far: NDArray[np.bool_] = np.abs(index - np.nan_to_num(numbers[..., -1])) > CLOSE
        return far

    right = ~differs("B8", "B4").any(axis=1)
    wrong = ~differs("B7", "B3").any(axis=1) & ~right
    return (
        f"the column NDVI is (B8-B4)/(B8+B4) at {int(right.sum())} points and (B7-B3)/(B7+B3) at {int(wrong.sum())} of "
        f"{len(numbers)}, so it is not read; indices are computed from the bands"
    )


def _series(
    points: Sequence[_Point], numbers: NDArray[np.float32], sensors: Sequence[str], bands: Sequence[str], about: str
) -> dict[str, TableSeries]:
    """Series of each sensor; the date of a composite is the middle of its 30 days."""
    middles = MONTH_DAYS * np.arange(MONTHS, dtype=np.int32) + MONTH_DAYS // 2 - MONTHS * MONTH_DAYS
    days = [point.end + middles for point in points]
    result = {}
    for name in sensors:
        if name == "era5":
            source, stored = TEMPERATURE, numbers[..., [COLUMNS.index("temperature_2m")]]
            valid = stored[..., 0] > 0
            values = np.where(valid[..., None], stored, np.float32(0))
        else:
            product = PRODUCTS_OF[name]
            chosen = choose_bands(product, bands if name == "sentinel-2" else (), about)
            source = sensor_input(product, chosen)
            values, valid = decode(numbers[..., [COLUMNS.index(product.assets[band]) for band in chosen]], product)
        parts = [PlaceSeries(*one) for one in zip(values, valid, days, strict=True)]
        result[name] = stack_series(source, parts, about)
    return result


def _legend(points: Sequence[_Point], column: str, target: str) -> Legend:
    if target:
        return set_legend({"1": target, "0": f"not {target}"}, ["0"])
    if column == "is_crop":
        return set_legend(BINARY, ["0"])
    codes = sorted({point.code for point in points if point.code})
    return set_legend({code: code for code in codes}, ["non_crop"])


def _table(
    points: Sequence[_Point], numbers: NDArray[np.float32], series: dict[str, TableSeries], legend: Legend
) -> SeriesTable:
    number = {code: index for index, code in enumerate(legend.codes)}
    lon, lat = (np.array(axis) for axis in ([point.lon for point in points], [point.lat for point in points]))
    return SeriesTable(
        legend=legend,
        label=np.array([number.get(point.code, UNLABELLED) for point in points], np.uint8),
        series=series,
        season_start=np.array([point.end - MONTHS * MONTH_DAYS for point in points], np.int32),
        season_days=MONTHS * MONTH_DAYS,
        lon=lon,
        lat=lat,
        block=square_blocks(lon, lat, BLOCK),
        place=tuple(point.name for point in points),
        static={name: numbers[:, 0, COLUMNS.index(name)] for name in ("elevation", "slope")},
    )
