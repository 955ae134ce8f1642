"""Samples as the published AgriFM code reads them: one HDF5 file each, sources and a label (Li et al. 2025)."""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import LabelError, did_you_mean, doing
from agrifm.files import AnyPath, as_path
from agrifm.grid import Window
from agrifm.legend import Legend
from agrifm.samples.public.band_order import band_means, require_land_order
from agrifm.samples.public.public_set import PublicSet, SetFacts, SetWindows
from agrifm.samples.public.set_files import AGAIN, open_hdf5, require_file, require_shape
from agrifm.samples.public.set_series import decode, divide, image_series, renumber, sensor_input
from agrifm.samples.sample import Sample
from agrifm.scene.products import Product
from agrifm.season import Season, day_number
from agrifm.sensors import find_sensor
from agrifm.work import progress

FACTS = SetFacts(
    name="agrifm-samples",
    title="Samples of the published AgriFM code",
    licence="that of the sample set",
    citation="Li, W., Liang, S., Chen, K., et al. (2025): AgriFM: a multi-source temporal remote sensing foundation "
    "model for crop mapping. arXiv:2505.21357",
    source="github.com/flyakon/AgriFM states the layout; sample sets come from those who made them",
)
SENSOR_OF = {"S2": "sentinel-2", "Landsat": "landsat", "HLSL30": "landsat", "Modis": "modis", "MODIS": "modis"}
"""Sensor by the key of a source in the files."""
TEN_METRES_FIRST = ("B02", "B03", "B04", "B08", "B05", "B06", "B07", "B8A", "B11", "B12")
ORDERS = {"ten metres first": TEN_METRES_FIRST, "spectral": find_sensor("sentinel-2").band_names}
"""Orders of Sentinel-2's bands: that of the published statistics, and that of other programs with the same numbers."""
LEAST_RATIO = 1.1
"""The fourth channel is B08 if its mean exceeds that of the fifth (B05) so much, and B05 if that of the fifth (B06)
exceeds it so much."""
PARTS = {"train": "train", "val": "validation", "test": "test"}
CHECKED = 20
"""Samples on which the order of the bands is checked."""
YEAR = re.compile(r"(20\d\d|19\d\d)_")
PAIRS = {
    "sentinel-2": (("B04", "B08"), ("B05", "B06"), ("B12", "B11")),
    "landsat": (("B04", "B05"), ("B07", "B06")),
    "modis": (("B01", "B02"), ("B07", "B06")),
}
"""Of each sensor, pairs of bands of which the second reflects more on land."""


def is_agrifm_samples(directory: Path) -> bool:
    """Whether a folder has lists and HDF5 files as the published code reads them."""
    return _list_folder(directory) is not None and bool(_files(directory))


def read_agrifm_samples(
    directory: AnyPath,
    dates: Mapping[str, Sequence[date]] | Literal["equal steps"] | None = None,
    order: Literal["ten metres first", "spectral"] | None = None,
    classes: Mapping[int, str] | None = None,
) -> PublicSet:
    """Read the samples as windows, one at a time.

    Args:
        directory: holds `data_list/train.txt`, `val.txt` and `test.txt` (or `data_lists/`) with a name a line, and in a
            folder or itself `<name>.h5` or `.hdf5` with each source (T, C, H, W) and `label` (H, W).
        dates: by source key ("S2", "Landsat", "Modis") the days of its T images, which the files do not state; "equal
            steps" takes the middles of T equal periods of the year with which the names begin.
        order: of the ten bands of Sentinel-2; None decides on the numbers, and refuses what they do not show.
        classes: names by code; None takes the codes of all labels. -1 and codes that are not named are unlabelled.

    Raises:
        LabelError: a file is absent, damaged or of another layout; the dates are not given or the order is not certain.
    """
    directory = as_path(directory)
    about = f"reading samples of the published AgriFM code in {directory}"
    names, parts = _read_lists(directory, about)
    paths = _paths(directory, names, about)
    if dates is None:
        raise LabelError(
            f"{about}: the files do not state when the images were taken; give `dates` by source, or 'equal steps' for "
            "the middles of equal periods of the year in the names",
            key="dates",
        )
    notes: list[str] = []
    products = _products(paths, order, about, notes)
    codes, legend = _legend(paths, classes, about)
    code_numbers = list(codes)

    def read(index: int) -> Sample:
        path = paths[index]
        series, first = {}, 0
        with open_hdf5(path, about) as content:
            for key, product in products.items():
                stored = content[key]
                require_shape(stored, (None, len(product.bands), None, None), f"{about}, {key}", path)
                day = _days(dates, key, path, len(stored), about)
                bands = _bands(product)
                columns = [product.bands.index(band) for band in bands]
                series[product.sensor] = image_series(stored[()][:, columns], product, day)
                first = day_number(date(int(1970 + day.min() // 365.2425), 1, 1))
            label = content["label"][()]
        require_shape(label, (None, None), about, path)
        height, width = label.shape
        return Sample(series, renumber(label, code_numbers), Window(0, 0, height, width), first)

    inputs = tuple(sensor_input(product, _bands(product)) for product in products.values())
    notes.append(
        "-1 and codes outside the legend are unlabelled; numbers are read as reflectance times 10000, no offset"
    )
    return PublicSet(FACTS, legend, inputs, SetWindows(names, read), {"official": divide(parts)}, tuple(notes))


def _list_folder(directory: Path) -> Path | None:
    folders = [directory / "data_list", directory / "data_lists"]
    return next((folder for folder in folders if (folder / "train.txt").is_file()), None)


def _files(directory: Path) -> dict[str, Path]:
    """HDF5 files by stem, in the folder or in one below it."""
    found = [path for depth in ("*", "*/*") for path in directory.glob(depth) if path.suffix in (".h5", ".hdf5")]
    return {path.stem: path for path in sorted(found)}


def _read_lists(directory: Path, about: str) -> tuple[list[str], list[str]]:
    """Name and part of each sample."""
    folder = _list_folder(directory)
    if folder is None:
        path = directory / "data_list" / "train.txt"
        raise LabelError(f"{about}: {path} does not exist; {AGAIN}", path=path)
    names, parts = [], []
    for name, part in PARTS.items():
        path = require_file(folder / f"{name}.txt", about)
        with doing(f"{about}, {path}", LabelError, AGAIN, path=path):
            listed = path.read_text(encoding="utf-8-sig").split()
        names += [entry.removesuffix(".h5").removesuffix(".hdf5") for entry in listed]
        parts += [part] * len(listed)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise LabelError(
            f"{about}: {twice[0]} is listed twice, so it could be in training and test; list each sample once",
            sample=twice[0],
        )
    return names, parts


def _paths(directory: Path, names: Sequence[str], about: str) -> list[Path]:
    files = _files(directory)
    absent = [name for name in names if name not in files]
    if absent:
        raise LabelError(
            f"{about}: {len(absent)} samples of the lists have no file, such as {absent[0]}.h5; {AGAIN}",
            path=directory / f"{absent[0]}.h5",
            absent=len(absent),
        )
    return [files[name] for name in names]


def _bands(product: Product) -> tuple[str, ...]:
    """The bands of a source in the sensor's order."""
    return tuple(band for band in find_sensor(product.sensor).band_names if band in product.assets)


def _product(sensor: str, bands: Sequence[str]) -> Product:
    return Product(
        name=f"{sensor}-agrifm-samples",
        sensor=sensor,
        collection="agrifm-samples",
        assets={band: band for band in bands},
        scale=1e-4,
        offset=0.0,
        nodata=0,
        valid_range=(1, 20000),
    )


def _products(paths: Sequence[Path], order: str | None, about: str, notes: list[str]) -> dict[str, Product]:
    """Product by source key; the order of the bands is checked on some samples."""
    with open_hdf5(paths[0], about) as content:
        keys = [key for key in content if key != "label"]
    for key in keys:
        if key not in SENSOR_OF:
            raise LabelError(
                f"{about}, {paths[0]}: unknown source {key!r}{did_you_mean(key, SENSOR_OF)} Sources are "
                f"{', '.join(SENSOR_OF)}",
                path=paths[0],
                source=key,
            )
    products = {}
    for key in keys:
        sensor = SENSOR_OF[key]
        chosen = paths[:: max(len(paths) // CHECKED, 1)][:CHECKED]
        bands = find_sensor(sensor).band_names
        product = _product(sensor, bands)
        means = _channel_means(chosen, key, product, about)
        if sensor == "sentinel-2":
            bands = ORDERS[order] if order else _decide_order(means, about, notes)
            product = _product(sensor, bands)
        if means is not None:
            named = dict(zip(bands, means.tolist(), strict=True))
            require_land_order(named, f"{about}, {key}", "state `order`, or put the bands right", PAIRS[sensor])
        products[key] = product
    return products


def _channel_means(paths: Sequence[Path], key: str, product: Product, about: str) -> NDArray[np.float64] | None:
    """Mean of each channel over valid pixels; None without any."""
    means = []
    for path in paths:
        with open_hdf5(path, about) as content:
            stored = content[key]
            require_shape(stored, (None, len(product.bands), None, None), f"{about}, {key}", path)
            values, valid = decode(stored[:, :, ::8, ::8].transpose(0, 2, 3, 1), product)
        found = band_means(values, valid, product.bands)
        if found:
            means.append(list(found.values()))
    return np.mean(means, axis=0) if means else None


def _decide_order(means: NDArray[np.float64] | None, about: str, notes: list[str]) -> tuple[str, ...]:
    """The order of Sentinel-2's bands, by the fourth and fifth channel."""
    fourth, fifth = (0.0, 0.0) if means is None else (float(means[3]), float(means[4]))
    if fourth > LEAST_RATIO * fifth:
        name = "ten metres first"
    elif fifth > LEAST_RATIO * fourth:
        name = "spectral"
    else:
        raise LabelError(
            f"{about}: whether bands of ten metres come first (B02 B03 B04 B08 B05 ...) or bands are in spectral order "
            f"does not show: the fourth channel reflects {fourth:.4g} and the fifth {fifth:.4g}; state it with `order`",
            means=(fourth, fifth),
        )
    notes.append(
        f"bands of Sentinel-2 are in the order '{name}': the fourth channel reflects {fourth:.4g}, "
        f"the fifth {fifth:.4g}"
    )
    return ORDERS[name]


def _legend(paths: Sequence[Path], classes: Mapping[int, str] | None, about: str) -> tuple[list[int], Legend]:
    """Codes and their legend; without names, the codes of all labels."""
    if classes is not None:
        names = {str(code): name for code, name in classes.items()}
        return list(classes), Legend.of(names, names=names)
    found: set[int] = set()
    with progress("labels", len(paths)) as advance:
        for path in paths:
            with open_hdf5(path, about) as content:
                found |= {int(code) for code in np.unique(content["label"][()])}
            advance(1)
    codes = sorted(code for code in found if code >= 0)
    if not codes:
        raise LabelError(f"{about}: every label is -1, which means unlabelled; {AGAIN}", path=paths[0].parent)
    return codes, Legend.of(codes)


def _days(dates: Any, key: str, path: Path, frames: int, about: str) -> NDArray[np.int32]:
    """Days of the images of a source."""
    if dates == "equal steps":
        match = YEAR.match(path.stem)
        if match is None:
            raise LabelError(
                f"{about}, {path}: its name does not begin with a year, so equal steps have no year; give `dates` by "
                "source",
                path=path,
            )
        year = int(match[1])
        return Season(date(year, 1, 1), date(year, 12, 31)).steps(frames)
    stated = [] if dates is None else list(dates.get(key, []))
    if len(stated) != frames:
        raise LabelError(
            f"{about}, {path}: source {key} has {frames} images and `dates` {len(stated)} days; give a day for each",
            path=path,
            source=key,
            images=frames,
            dates=len(stated),
        )
    return np.array([day_number(day) for day in stated], np.int32)
