"""ZueriCrop: patches of Sentinel-2 with 48 crops in the cantons of Zurich and Thurgau, 2019 (Turkoglu et al. 2021)."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import LabelError
from agrifm.files import AnyPath, as_path
from agrifm.grid import Window
from agrifm.legend import Legend
from agrifm.samples.public.band_order import band_means, require_land_order
from agrifm.samples.public.public_set import Division, PublicSet, SetFacts, SetWindows
from agrifm.samples.public.set_files import AGAIN, open_hdf5, require_file, require_shape
from agrifm.samples.public.set_series import decode, image_series, renumber, sensor_input, set_legend
from agrifm.samples.sample import Sample
from agrifm.scene.products import Product
from agrifm.season import day_number
from agrifm.sensors import find_sensor
from agrifm.tables import read_table

FACTS = SetFacts(
    name="zuericrop",
    title="ZueriCrop",
    licence="CC-BY-NC-4.0 (not for commercial use)",
    citation="Turkoglu, M. O., D'Aronco, S., Perich, G., Liebisch, F., Streit, C., Schindler, K., Wegner, J. D. "
    "(2021): Crop mapping from image time series: deep learning with multi-scale label hierarchies. Remote Sensing of "
    "Environment 264, 112603",
    source="github.com/0zgur0/ms-convSTAR (ZueriCrop.hdf5, labels.csv); Hugging Face, data set isaaccorley/zuericrop",
)
IMAGES, SIDE, CHANNELS = 142, 24, 9
CANDIDATES = ("B08", "B03", "B02", "B04", "B05", "B06", "B07", "B11", "B12")
"""The order of channels in a public reader of the set, which its makers do not confirm."""
FOLDS = 5
CHECKED = 60
"""Patches on which the stated order of the channels is checked."""
YEAR = 2019


def is_zuericrop(directory: Path) -> bool:
    """Whether a folder has the file of ZueriCrop."""
    return (directory / "ZueriCrop.hdf5").is_file()


def read_zuericrop(
    directory: AnyPath,
    channels: Sequence[str] = (),
    dates: Sequence[date] = (),
    tier: str = "4th_tier",
) -> PublicSet:
    """Read the patches as windows of 24 x 24 pixels of 10 m, one at a time.

    The file states neither its channels nor its dates, so both must be given.

    Args:
        directory: holds ZueriCrop.hdf5 and labels.csv.
        channels: names of the nine channels in the file's order, such as `CANDIDATES`; what the numbers contradict is
            refused.
        dates: days of the 142 images.
        tier: beginning of the name of the column of labels.csv that names the classes.

    Raises:
        LabelError: channels or dates are not given or cannot be those of the file; a file is absent, damaged or of
            another layout.
    """
    directory = as_path(directory)
    about = f"reading ZueriCrop in {directory}"
    path = require_file(directory / "ZueriCrop.hdf5", about)
    _require_stated(channels, dates, about)
    product = _product(channels)
    bands = tuple(name for name in find_sensor("sentinel-2").band_names if name in channels)
    legend, code_numbers = _read_legend(directory / "labels.csv", tier, about)
    with open_hdf5(path, about) as content:
        stored, truth = content["data"], content["gt"]
        require_shape(stored, (None, IMAGES, SIDE, SIDE, CHANNELS), about, path)
        require_shape(truth, (len(stored), SIDE, SIDE, 1), about, path)
        count = len(stored)
        first = stored[:: max(count // CHECKED, 1)][:CHECKED, ::8]
    values, valid = decode(first, product)
    require_land_order(band_means(values, valid, tuple(channels)), about, "state the order of `channels` that fits")
    day = np.array([day_number(one) for one in dates], np.int32)
    columns = [tuple(channels).index(band) for band in bands]

    def read(index: int) -> Sample:
        with open_hdf5(path, about) as content:
            numbers = content["data"][index][..., columns]
            codes = content["gt"][index][..., 0]
        series = image_series(numbers.transpose(0, 3, 1, 2), product, day)
        label = code_numbers[renumber(codes, range(255))]
        return Sample({"sentinel-2": series}, label, Window(0, 0, SIDE, SIDE), day_number(date(YEAR, 1, 1)))

    notes = (
        "code 0 (unknown) is unlabelled; `cloud_cover` is not read, so clouds are valid observations",
        "the makers use every second image and the first four channels; here all are read",
    )
    windows = SetWindows([str(index) for index in range(count)], read)
    return PublicSet(FACTS, legend, (sensor_input(product, bands),), windows, _folds(count), notes)


def _require_stated(channels: Sequence[str], dates: Sequence[date], about: str) -> None:
    known = find_sensor("sentinel-2").band_names
    if len(channels) != CHANNELS or len(set(channels)) != CHANNELS or set(channels) - set(known):
        raise LabelError(
            f"{about}: the file does not state which bands its {CHANNELS} channels are, and its makers do not confirm "
            f"an order; state it with `channels`, {CHANNELS} different names of {', '.join(known)}; a public reader of "
            f"the set has {', '.join(CANDIDATES)}",
            key="channels",
            found=tuple(channels),
            candidates=CANDIDATES,
        )
    if len(dates) != IMAGES:
        raise LabelError(
            f"{about}: the file does not state when its {IMAGES} images were taken; give their days with `dates` "
            f"({len(dates)} are given)",
            key="dates",
            found=len(dates),
        )


def _product(channels: Sequence[str]) -> Product:
    return Product(
        name="sentinel-2-zuericrop",
        sensor="sentinel-2",
        collection="zuericrop",
        assets={band: band for band in channels},
        scale=1e-4,
        offset=0.0,
        nodata=0,
        valid_range=(1, 20000),
    )


def _read_legend(path: Path, tier: str, about: str) -> tuple[Legend, NDArray[np.uint8]]:
    """The legend of a tier, and the class number of each code 0 to 255 (255 = unlabelled)."""
    table = read_table(require_file(path, about), f"{about}, {path}", LabelError)
    named = sorted((column for column in table.columns if column.startswith(tier)), key=lambda name: "ENG" not in name)
    if "GT" not in table.columns or not named:
        raise LabelError(
            f"{about}, {path}: it has no column GT, or none whose name begins with {tier} (it has "
            f"{', '.join(table.columns)}); name another `tier`, or download the file again",
            path=path,
            columns=table.columns,
        )
    numbers = np.full(256, 255, np.uint8)
    names: dict[str, int] = {}
    for code, name in zip(table.column("GT"), table.column(named[0]), strict=True):
        if not code.isdigit() or not int(code) < 255:
            raise LabelError(f"{about}, {path}: the code {code!r} in GT is not 0 to 254; {AGAIN}", path=path, code=code)
        if int(code) and name:
            numbers[int(code)] = names.setdefault(name, len(names))
    return set_legend({name: name for name in names}), numbers


def _folds(count: int) -> dict[str, Division]:
    """The makers' folds: fifths of the patches in their order; each fold is the test part once."""
    fold = np.arange(count) * FOLDS // max(count, 1)
    return {
        f"fold {number + 1}": {"train": np.flatnonzero(fold != number), "test": np.flatnonzero(fold == number)}
        for number in range(FOLDS)
    }
