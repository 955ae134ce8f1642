"""PASTIS and PASTIS-R: patches of Sentinel-2 and Sentinel-1 in France, 2018 to 2019 (Garnot and Landrieu 2021)."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import LabelError, did_you_mean
from agrifm.files import AnyPath, as_path
from agrifm.grid import Window
from agrifm.samples.public.public_set import Division, PublicSet, SetFacts, SetWindows
from agrifm.samples.public.set_files import (
    AGAIN,
    day_of,
    load_array,
    load_json,
    require_codes,
    require_file,
    require_shape,
)
from agrifm.samples.public.set_series import choose_bands, image_series, renumber, sensor_input, set_legend
from agrifm.samples.sample import Sample
from agrifm.scene.products import Product
from agrifm.season import day_number

FACTS = SetFacts(
    name="pastis",
    title="PASTIS and PASTIS-R",
    licence="CC-BY-4.0",
    citation="Garnot, V. S. F., Landrieu, L. (2021): Panoptic segmentation of satellite image time series with "
    "convolutional temporal attention networks. ICCV; PASTIS-R: Garnot, V. S. F., Landrieu, L., Chehata, N. (2022), "
    "ISPRS J. 187, 294-305",
    source="Zenodo, records 5012942 (PASTIS) and 5735646 (PASTIS-R)",
)
PATCH = 128
"""Side of a patch, pixels of 10 m."""
SEASON_START = date(2018, 9, 1)
# Sentinel-2 L2A by THEIA (MAJA), surface reflectance times 10000, -10000 = nodata.
SENTINEL_2 = Product(
    name="sentinel-2-pastis",
    sensor="sentinel-2",
    collection="pastis",
    assets={f"B{name[1:].zfill(2)}": name for name in ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")},
    scale=1e-4,
    offset=0.0,
    nodata=-10000,
    valid_range=(-2000, 20000),
)
# Sigma nought in decibel; the third channel is derived from the two and is not read.
SENTINEL_1 = Product(
    name="sentinel-1-pastis",
    sensor="sentinel-1",
    collection="pastis",
    assets={"VV": "VV", "VH": "VH"},
    scale=1.0,
    offset=0.0,
    nodata=-9999,
    valid_range=(-80, 40),
    quantity="backscatter (dB)",
    kernel="nearest",
)
SOURCES = {
    "sentinel-2": (SENTINEL_2, "S2", 10),
    "sentinel-1-ascending": (SENTINEL_1, "S1A", 3),
    "sentinel-1-descending": (SENTINEL_1, "S1D", 3),
}
"""By sensor: product, name in the files, channels."""
CLASSES = (
    "Background", "Meadow", "Soft winter wheat", "Corn", "Winter barley", "Winter rapeseed", "Spring barley",
    "Sunflower", "Grapevine", "Beet", "Winter triticale", "Winter durum wheat", "Fruits, vegetables, flowers",
    "Potatoes", "Leguminous fodder", "Soybeans", "Orchard", "Mixed cereal", "Sorghum",
)  # fmt: skip
VOID = 19
"""Parcels mostly outside the patch or of other classes: unlabelled."""
FOLDS = {1: ((1, 2, 3), 4, 5), 2: ((2, 3, 4), 5, 1), 3: ((3, 4, 5), 1, 2), 4: ((4, 5, 1), 2, 3), 5: ((5, 1, 2), 3, 4)}
"""Of each official division the folds of training, of validation and of test."""


class _Patch(NamedTuple):
    """A patch of metadata.geojson."""

    name: str
    fold: int
    days: Mapping[str, NDArray[np.int32]]
    """By sensor, in the order of the images."""


def is_pastis(directory: Path) -> bool:
    """Whether a folder has the files of PASTIS."""
    return (directory / "metadata.geojson").is_file() and (directory / "DATA_S2").is_dir()


def read_pastis(
    directory: AnyPath, sensors: Sequence[str] = ("sentinel-2",), bands: Sequence[str] = (), side: int = PATCH
) -> PublicSet:
    """Read the patches of PASTIS as windows; images stay on disk until a window is asked for.

    Args:
        directory: holds metadata.geojson, DATA_S2 (and DATA_S1A, DATA_S1D), ANNOTATIONS.
        sensors: "sentinel-2", and of PASTIS-R "sentinel-1-ascending" and "sentinel-1-descending".
        bands: of Sentinel-2; by default its ten.
        side: side of the windows, pixels; 24 gives the 25 windows of a patch that TSViT's files have.

    Raises:
        LabelError: a file is absent, or metadata.geojson is damaged or of another layout; when a window is read, a file
            is damaged, or has not as many images as dates.
    """
    directory = as_path(directory)
    about = f"reading PASTIS in {directory}"
    for name in sensors:
        if name not in SOURCES:
            raise LabelError(
                f"{about}: it has no sensor {name!r}{did_you_mean(name, SOURCES)} It has {', '.join(SOURCES)}",
                sensor=name,
            )
    chosen = choose_bands(SENTINEL_2, bands, about)
    patches = _read_metadata(directory, sensors, about)
    _require_files(directory, patches, sensors, about)
    steps = range(PATCH // side)
    windows = [
        (patch, Window(row * side, col * side, side, side)) for patch in patches for row in steps for col in steps
    ]

    def read(index: int) -> Sample:
        patch, window = windows[index]
        series = {}
        for name in sensors:
            product, key, channels = SOURCES[name]
            path = directory / f"DATA_{key}" / f"{key}_{patch.name}.npy"
            stored = load_array(path, about, lazy=True)
            require_shape(stored, (None, channels, PATCH, PATCH), about, path)
            _require_dates(stored, patch.days[name], about, path)
            columns = [product.bands.index(band) for band in (chosen if key == "S2" else product.bands)]
            series[name] = image_series(stored[:, columns, *window.slices], product, patch.days[name])
        label = _read_label(directory / "ANNOTATIONS" / f"TARGET_{patch.name}.npy", window, about)
        return Sample(series, label, window, day_number(SEASON_START))

    names = [patch.name if side == PATCH else f"{patch.name} {window.row} {window.col}" for patch, window in windows]
    inputs = tuple(
        sensor_input(SOURCES[name][0], chosen if name == "sentinel-2" else SENTINEL_1.bands, name) for name in sensors
    )
    legend = set_legend({str(number): name for number, name in enumerate(CLASSES)}, ["0"])
    notes = [f"class {VOID} (void) is unlabelled; images have no cloud mask, so clouds are valid observations"]
    if PATCH % side:
        notes.append(f"windows of {side} pixels leave out {PATCH % side} rows and columns of each patch")
    folds = _folds([patch.fold for patch, _ in windows])
    return PublicSet(FACTS, legend, inputs, SetWindows(names, read), folds, tuple(notes))


def _read_metadata(directory: Path, sensors: Sequence[str], about: str) -> list[_Patch]:
    path = directory / "metadata.geojson"
    patches = []
    for feature in load_json(path, about)["features"]:
        properties = feature["properties"]
        days = {}
        for name in sensors:
            key = f"dates-{SOURCES[name][1]}"
            if key not in properties:
                raise LabelError(
                    f"{about}, {path}: patch {properties.get('ID_PATCH')} has no {key}, so this is PASTIS without "
                    "radar; download PASTIS-R, or read sentinel-2 alone",
                    path=path,
                    key=key,
                )
            days[name] = _days(properties[key], about, path)
        patches.append(_Patch(str(int(properties["ID_PATCH"])), int(properties["Fold"]), days))
    return patches


def _days(stated: Any, about: str, path: Path) -> NDArray[np.int32]:
    """Days of the images in their order: a dict of index -> YYYYMMDD, or the same as text; equal dates are kept."""
    dates = json.loads(stated) if isinstance(stated, str) else stated
    return np.array([day_of(dates[key], about, path) for key in sorted(dates, key=int)], np.int32)


def _require_files(directory: Path, patches: Sequence[_Patch], sensors: Sequence[str], about: str) -> None:
    for patch in patches:
        for name in sensors:
            key = SOURCES[name][1]
            require_file(directory / f"DATA_{key}" / f"{key}_{patch.name}.npy", about)
        require_file(directory / "ANNOTATIONS" / f"TARGET_{patch.name}.npy", about)


def _require_dates(stored: NDArray[Any], days: NDArray[np.int32], about: str, path: Path) -> None:
    if len(stored) != len(days):
        raise LabelError(
            f"{about}, {path}: it has {len(stored)} images, and metadata.geojson states {len(days)} dates; {AGAIN}",
            path=path,
            images=len(stored),
            dates=len(days),
        )


def _read_label(path: Path, window: Window, about: str) -> NDArray[np.uint8]:
    target = load_array(path, about, lazy=True)
    require_shape(target, (None, PATCH, PATCH), about, path)
    codes = np.asarray(target[0, *window.slices])
    require_codes(codes, range(VOID + 1), about, path)
    return renumber(codes, range(len(CLASSES)))


def _folds(fold: Sequence[int]) -> dict[str, Division]:
    number = np.array(fold)
    return {
        f"fold {name}": {
            "train": np.flatnonzero(np.isin(number, train)),
            "validation": np.flatnonzero(number == validation),
            "test": np.flatnonzero(number == test),
        }
        for name, (train, validation, test) in FOLDS.items()
    }
