"""HLS multi-temporal crops: chips of three HLS dates with USDA's Cropland Data Layer of 2022 (IBM, NASA and Clark)."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import LabelError, doing
from agrifm.files import AnyPath, as_path
from agrifm.grid import Window
from agrifm.rasters import open_raster
from agrifm.samples.public.public_set import Division, PublicSet, SetFacts, SetWindows
from agrifm.samples.public.set_files import AGAIN, day_of, require_codes, require_file, require_shape
from agrifm.samples.public.set_series import decode, image_series, renumber, sensor_input, set_legend
from agrifm.samples.sample import Sample
from agrifm.scene.products import Product
from agrifm.season import day_date, day_number
from agrifm.tables import read_table

FACTS = SetFacts(
    name="hls-crops",
    title="HLS multi-temporal crop classification",
    licence="CC-BY-4.0",
    citation="Cecil, M., Kordi, F., Li, H., Khallaghi, S., Alemohammad, H. (2023): HLS multi temporal crop "
    "classification. doi:10.57967/hf/0955",
    source="Hugging Face, data set ibm-nasa-geospatial/multi-temporal-crop-classification",
)
SIDE, DATES = 224, 3
BANDS = ("B02", "B03", "B04", "B8A", "B11", "B12")
HLS_S30 = Product(
    name="hls-s30-crops",
    sensor="hls-s30",
    collection="hls-crops",
    assets={band: band for band in BANDS},
    scale=1e-4,
    offset=0.0,
    nodata=-9999,
    valid_range=(-2000, 16000),
)
CLASSES = (
    "Natural vegetation", "Forest", "Corn", "Soybeans", "Wetlands", "Developed or barren", "Open water", "Winter wheat",
    "Alfalfa", "Fallow", "Cotton", "Sorghum", "Other",
)  # fmt: skip
"""Codes 1 to 13; 0 means no data."""
NOT_CROPS = ("1", "2", "5", "6", "7", "13")
PARTS = {"train": "training", "validation": "validation"}
DATE_COLUMNS = ("first_img_date", "middle_img_date", "last_img_date")
Order = Literal["date-major", "band-major"]
CHECKED = 40
"""Chips on which the order of the 18 bands is decided."""
ORDERED_PAIRS = (("B02", "B8A"), ("B04", "B8A"), ("B12", "B11"))
"""Pairs of bands of which the second reflects more on land; see `band_order.LAND_ORDER`."""
LEAST_SHARE, LEAST_LEAD = 0.8, 0.15
"""The order is decided if at least this share of the pairs of chips and dates are as on land, and so much more than in
the other order."""


def is_hls_crops(directory: Path) -> bool:
    """Whether a folder has the chips of the set."""
    return any((directory / f"{name}_chips").is_dir() for name in PARTS.values())


def read_hls_crops(directory: AnyPath, order: Order | None = None) -> PublicSet:
    """Read the chips as windows of 224 x 224 pixels of 30 m, one at a time.

    Whether the 18 bands of a file are six bands of the first date, then of the second and third ("date-major", as the
    set's card says), or three dates of the first band, then of the others ("band-major", as a public reader unpacks
    them), is decided on the numbers by two tests that must agree: bands are in the order of reflectance of land, and a
    band varies less between dates than bands vary.

    Args:
        directory: holds `training_chips/<chip>_merged.tif` and `<chip>.mask.tif`, the same of validation_chips,
            training_data.txt, validation_data.txt and chips_df.csv.
        order: states the order of the bands if the numbers do not show it.

    Raises:
        LabelError: a file is absent, damaged or of another layout, or the order of the bands is not certain.
    """
    directory = as_path(directory)
    about = f"reading HLS multi-temporal crops in {directory}"
    chips = _list_chips(directory, about)
    days = _read_days(directory, about)
    for name, _ in chips:
        if name not in days:
            path = directory / "chips_df.csv"
            raise LabelError(f"{about}, {path}: it has no dates of chip {name}; {AGAIN}", path=path, chip=name)
    notes = []
    if order is None:
        order, note = _decide_order(directory, chips, about)
        notes.append(note)
    decided = order

    def read(index: int) -> Sample:
        name, part = chips[index]
        path = _image(directory, name, part)
        stored = _unpacked(_read_tif(path, len(BANDS) * DATES, about), decided)
        series = image_series(stored, HLS_S30, days[name])
        label = _read_label(_mask(directory, name, part), about)
        start = day_number(date(day_date(int(days[name][1])).year, 1, 1))
        return Sample({"hls-s30": series}, label, Window(0, 0, SIDE, SIDE), start)

    legend = set_legend({str(number): name for number, name in enumerate(CLASSES, 1)}, NOT_CROPS)
    notes.append(
        "code 0 (no data) is unlabelled; chips were divided at random, so neighbours may be in training and in "
        "validation; the set has no test part"
    )
    folds: dict[str, Division] = {
        "official": {
            part: np.array([index for index, (_, where) in enumerate(chips) if where == part], np.intp)
            for part in PARTS
        }
    }
    windows = SetWindows([name for name, _ in chips], read)
    return PublicSet(FACTS, legend, (sensor_input(HLS_S30, BANDS),), windows, folds, tuple(notes))


def _list_chips(directory: Path, about: str) -> list[tuple[str, str]]:
    """Name and part of each chip, from the two lists; every file of them must be there."""
    chips = []
    for part, name in PARTS.items():
        path = require_file(directory / f"{name}_data.txt", about)
        with doing(f"{about}, {path}", LabelError, AGAIN, path=path):
            names = path.read_text(encoding="utf-8-sig").split()
        chips += [(chip.removesuffix("_merged.tif"), part) for chip in names]
    for chip, part in chips:
        require_file(_image(directory, chip, part), about)
        require_file(_mask(directory, chip, part), about)
    return chips


def _image(directory: Path, chip: str, part: str) -> Path:
    return directory / f"{PARTS[part]}_chips" / f"{chip}_merged.tif"


def _mask(directory: Path, chip: str, part: str) -> Path:
    return directory / f"{PARTS[part]}_chips" / f"{chip}.mask.tif"


def _read_days(directory: Path, about: str) -> dict[str, NDArray[np.int32]]:
    """The three days of each chip."""
    path = require_file(directory / "chips_df.csv", about)
    table = read_table(path, f"{about}, {path}", LabelError)
    for name in ("chip_id", *DATE_COLUMNS):
        if name not in table.columns:
            raise LabelError(
                f"{about}, {path}: it has no column {name} (it has {', '.join(table.columns)}); {AGAIN}",
                path=path,
                column=name,
            )
    rows = zip(table.column("chip_id"), *(table.column(name) for name in DATE_COLUMNS), strict=True)
    return {chip: np.array([day_of(cell, about, path) for cell in cells], np.int32) for chip, *cells in rows}


def _read_tif(path: Path, bands: int, about: str) -> NDArray[Any]:
    """The bands (bands, H, W) of a file."""
    with doing(f"{about}, {path}", LabelError, AGAIN, path=path), open_raster(path) as source:
        stored: NDArray[Any] = source.read()
    require_shape(stored, (bands, SIDE, SIDE), about, path)
    return stored


def _read_label(path: Path, about: str) -> NDArray[np.uint8]:
    codes = _read_tif(path, 1, about)[0]
    require_codes(codes, range(len(CLASSES) + 1), about, path)
    return renumber(codes, range(1, len(CLASSES) + 1))


def _unpacked(stored: NDArray[Any], order: Order) -> NDArray[Any]:
    """(18, H, W) as (date, band, H, W)."""
    height, width = stored.shape[-2:]
    if order == "date-major":
        return stored.reshape(DATES, len(BANDS), height, width)
    return stored.reshape(len(BANDS), DATES, height, width).swapaxes(0, 1)


def _decide_order(directory: Path, chips: Sequence[tuple[str, str]], about: str) -> tuple[Order, str]:
    """The order of the 18 bands, by the variation of a band between dates, and a sentence with the numbers."""
    checked = chips[:: max(len(chips) // CHECKED, 1)][:CHECKED]
    orders: tuple[Order, ...] = ("date-major", "band-major")
    variation, share = dict.fromkeys(orders, 0.0), dict.fromkeys(orders, 0.0)
    for chip, part in checked:
        stored = _read_tif(_image(directory, chip, part), len(BANDS) * DATES, about)
        for order in orders:
            values, valid = decode(_unpacked(stored, order), HLS_S30, axis=1)
            means = np.array([values[at][:, valid[at]].mean(axis=1) for at in range(DATES) if valid[at].any()])
            if len(means):
                variation[order] += float(means.var(axis=0).sum())
                as_on_land = [means[:, BANDS.index(one)] < means[:, BANDS.index(two)] for one, two in ORDERED_PAIRS]
                share[order] += float(np.mean(as_on_land)) / len(checked)
    best, other = sorted(orders, key=lambda name: -share[name])
    lead = share[best] - share[other]
    if share[best] < LEAST_SHARE or lead < LEAST_LEAD or variation[best] >= variation[other]:
        raise LabelError(
            f"{about}: whether the 18 bands are date-major or band-major does not show on {len(checked)} chips: in the "
            f"one order {share['date-major']:.0%} of the pairs of bands are as on land and bands vary by "
            f"{variation['date-major']:.3g} between dates, in the other {share['band-major']:.0%} and by "
            f"{variation['band-major']:.3g}; state it with `order`",
            variation=variation,
            share=share,
        )
    return best, (
        f"the 18 bands are {best}: on {len(checked)} chips {share[best]:.0%} of the pairs of bands are as on land "
        f"(infrared above red and blue, 1.6 above 2.2 micrometres), {share[other]:.0%} if they were {other}; bands "
        f"vary by {variation[best]:.3g} between dates, and by {variation[other]:.3g} if they were {other}"
    )
