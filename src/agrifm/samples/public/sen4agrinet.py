"""Sen4AgriNet: patches of Sentinel-2 L1C in Catalonia and France, 2019 and 2020 (Sykas et al. 2022)."""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import LabelError
from agrifm.files import AnyPath, as_path
from agrifm.grid import Window
from agrifm.samples.public.public_set import Division, PublicSet, SetFacts, SetWindows
from agrifm.samples.public.set_files import AGAIN, load_json, open_hdf5, require_file, require_shape
from agrifm.samples.public.set_series import choose_bands, divide, image_series, renumber, sensor_input, set_legend
from agrifm.samples.sample import Sample
from agrifm.scene.products import Product
from agrifm.season import day_number

FACTS = SetFacts(
    name="sen4agrinet",
    title="Sen4AgriNet",
    licence="CC-BY-SA-4.0",
    citation="Sykas, D., Sdraka, M., Zografakis, D., Papoutsis, I. (2022): A Sentinel-2 multiyear, multicountry "
    "benchmark dataset for crop classification and segmentation with deep learning. IEEE JSTARS 15, 3323-3339",
    source="Hugging Face, data set orion-ai-lab/S4A; Dropbox and Google Drive by github.com/Orion-AI-Lab/S4A",
)
SIDE = 366
"""Pixels of 10 m; bands of 20 m have 183, of 60 m 61."""
SIDES = {
    "B01": 61, "B02": 366, "B03": 366, "B04": 366, "B05": 183, "B06": 183, "B07": 183, "B08": 366, "B8A": 183,
    "B09": 61, "B10": 61, "B11": 183, "B12": 183,
}  # fmt: skip
# Level-1C, which alone has the band B10; digital numbers are top-of-atmosphere reflectance times 10000, 0 = nodata.
SENTINEL_2 = Product(
    name="sentinel-2-l1c-sen4agrinet",
    sensor="sentinel-2",
    collection="sen4agrinet",
    assets={band: band for band in SIDES},
    scale=1e-4,
    offset=0.0,
    nodata=0,
    valid_range=(1, 20000),
    quantity="top-of-atmosphere reflectance",
)
FILE_NAME = re.compile(r"(?P<year>\d{4})_(?P<tile>\d{2}[A-Z]{3})_patch_\d+_\d+\.nc")
CLASSES = {
    "110": "Wheat", "120": "Maize", "140": "Sorghum", "150": "Barley", "160": "Rye", "170": "Oats", "330": "Grapes",
    "435": "Rapeseed", "438": "Sunflower", "510": "Potatoes", "770": "Peas",
}  # fmt: skip
"""The eleven classes that the makers' experiments use, of the 168 codes of FAO's indicative classification."""
CATALONIA = frozenset({"31TBF", "31TCF", "31TCG", "31TDF", "31TDG"})
FRANCE = frozenset({"31TCJ", "31TDK", "31TCL", "31TDM", "31UCP", "31UDR"})
TIME_UNITS = re.compile(r"(days|hours|minutes|seconds) since (\d{4}-\d{2}-\d{2})(?:[T ](\d{2}):(\d{2}):(\d{2}).*)?")
PER_DAY = {"days": 1, "hours": 24, "minutes": 1440, "seconds": 86400}


class _Patch(NamedTuple):
    """A file of the set."""

    path: Path
    year: int
    tile: str


def is_sen4agrinet(directory: Path) -> bool:
    """Whether a folder has patches of Sen4AgriNet."""
    return any(_patches(directory, first=True))


def read_sen4agrinet(
    directory: AnyPath,
    years: Sequence[int] = (),
    tiles: Sequence[str] = (),
    classes: Mapping[str, str] | None = None,
    splits: Mapping[str, AnyPath] | None = None,
    bands: Sequence[str] = (),
) -> PublicSet:
    """Read the patches as windows of 366 x 366 pixels of 10 m with all of their dates, one at a time.

    A public reader of the set keeps the last four dates of a patch by default; here every date is kept. Coarser bands
    are repeated onto 10 m.

    Args:
        directory: holds `<year>_<tile>_patch_<i>_<j>.nc` in up to three levels of folders.
        years, tiles: parts of the set; () for all.
        classes: names of classes by FAO code; None has the eleven of the makers. Other codes and 0 are unlabelled.
        splits: COCO files (JSON) of the parts "train", "validation" and "test", which become the division "lists".
        bands: by default the ten of the sensor; B01, B09 and B10 are read if they are named.

    Raises:
        LabelError: a file is absent, damaged or of another layout.
    """
    directory = as_path(directory)
    about = f"reading Sen4AgriNet in {require_file(directory, 'reading Sen4AgriNet')}"
    patches = [
        patch
        for patch in _patches(directory)
        if (not years or patch.year in years) and (not tiles or patch.tile in tiles)
    ]
    if not patches:
        raise LabelError(
            f"{about}: it holds no patch <year>_<tile>_patch_<i>_<j>.nc of what is asked for; {AGAIN}", path=directory
        )
    chosen = choose_bands(SENTINEL_2, bands, about)
    names = dict(classes or CLASSES)
    codes = [int(code) for code in names]

    def read(index: int) -> Sample:
        patch = patches[index]
        with open_hdf5(patch.path, about) as content:
            stored, day = _read_bands(content, chosen, about, patch.path)
            label = content["labels"]["labels"][()]
            require_shape(label, (SIDE, SIDE), about, patch.path)
        series = image_series(stored, SENTINEL_2, day)
        start = day_number(date(patch.year, 1, 1))
        return Sample({"sentinel-2": series}, renumber(label, codes), Window(0, 0, SIDE, SIDE), start)

    folds = _folds(patches)
    if splits:
        folds["lists"] = _listed(splits, patches, about)
    notes = (
        f"codes outside the legend of {len(names)} classes, and 0 (background), are unlabelled",
        "every date of a patch is kept",
    )
    windows = SetWindows([patch.path.stem for patch in patches], read)
    return PublicSet(FACTS, set_legend(names), (sensor_input(SENTINEL_2, chosen),), windows, folds, notes)


def _patches(directory: Path, first: bool = False) -> list[_Patch]:
    """The patches in a folder, by name; with `first` those of the uppermost folders."""
    found: list[_Patch] = []
    for depth in ("", "*/", "*/*/", "*/*/*/"):
        for path in directory.glob(f"{depth}*_patch_*.nc"):
            if match := FILE_NAME.fullmatch(path.name):
                found.append(_Patch(path, int(match["year"]), match["tile"]))
        if first and found:
            break
    return sorted(found, key=lambda patch: patch.path.name)


def _read_bands(
    content: Any, bands: Sequence[str], about: str, path: Path
) -> tuple[NDArray[np.uint16], NDArray[np.int32]]:
    """Digital numbers (T, C, H, W) at 10 m, and the days (T,)."""
    images, days = [], None
    for band in bands:
        group = content[band]
        day = _days(group["time"], about, path)
        if days is not None and not np.array_equal(day, days):
            raise LabelError(
                f"{about}, {path}: the dates of {band} are not those of {bands[0]}; {AGAIN}", path=path, band=band
            )
        days = day
        stored = group[band][()]
        require_shape(stored, (len(day), SIDES[band], SIDES[band]), f"{about}, {band}", path)
        ratio = SIDE // SIDES[band]
        images.append(stored.repeat(ratio, axis=1).repeat(ratio, axis=2))
    assert days is not None
    return np.stack(images, axis=1), days


def _days(time: Any, about: str, path: Path) -> NDArray[np.int32]:
    """Days since 1970-01-01 of a time coordinate by CF, such as `days since 2019-01-02 00:00:00`."""
    units = time.attrs.get("units", "")
    units = units.decode() if isinstance(units, bytes) else str(units)
    match = TIME_UNITS.fullmatch(units)
    if match is None:
        raise LabelError(
            f"{about}, {path}: its times are in {units!r}, not in days, hours, minutes or seconds since a date; "
            f"{AGAIN}",
            path=path,
            units=units,
        )
    start = day_number(date.fromisoformat(match[2])) * 86400
    hour, minute, second = (int(part or 0) for part in match.groups()[2:])
    seconds = np.asarray(time[()], np.float64) * (86400 / PER_DAY[match[1]]) + start
    days: NDArray[np.int32] = ((seconds + 3600 * hour + 60 * minute + second) // 86400).astype(np.int32)
    return days


def _folds(patches: Sequence[_Patch]) -> dict[str, Division]:
    """The makers' divisions by place, and by place and year, as far as their parts are in the folder."""
    spatial = ["train" if one.tile in CATALONIA else "test" if one.tile in FRANCE else "" for one in patches]
    both = [
        "train" if (one.year, one.tile in FRANCE) == (2019, True)
        else "test" if (one.year, one.tile in CATALONIA) == (2020, True)
        else ""
        for one in patches
    ]  # fmt: skip
    divisions = {"spatial": divide(spatial), "spatio-temporal": divide(both)}
    return {name: division for name, division in divisions.items() if len(division) == 2}


def _listed(splits: Mapping[str, AnyPath], patches: Sequence[_Patch], about: str) -> Division:
    """The indices of the patches that COCO files list; an entry without its file is refused."""
    index = {patch.path.name: at for at, patch in enumerate(patches)}
    parts = {}
    for part, file in splits.items():
        path = as_path(file)
        names = [Path(str(image["file_name"])).name for image in load_json(path, about)["images"]]
        absent = [name for name in names if name not in index]
        if absent:
            raise LabelError(
                f"{about}: {path} lists {len(absent)} patches that are not among those read, such as {absent[0]}; "
                "download them, or leave `years` and `tiles` out",
                path=path,
                patch=absent[0],
            )
        parts[part] = np.array([index[name] for name in names], np.intp)
    return parts
