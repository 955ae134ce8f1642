"""Fields of The World: two Sentinel-2 images a chip with field outlines in 25 countries (Kerner et al. 2025)."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import LabelError, doing
from agrifm.files import AnyPath, as_path
from agrifm.grid import Window
from agrifm.rasters import open_raster
from agrifm.samples.public.public_set import PublicSet, SetFacts, SetWindows
from agrifm.samples.public.set_files import AGAIN, day_of, load_json, require_codes, require_file, require_shape
from agrifm.samples.public.set_series import divide, image_series, renumber, sensor_input, set_legend
from agrifm.samples.sample import Sample
from agrifm.scene.products import Product
from agrifm.season import day_date, day_number

FACTS = SetFacts(
    name="ftw",
    title="Fields of The World",
    licence="various, by country (see the page of each country)",
    citation="Kerner, H., Chaudhari, S., Ghosh, A., et al. (2025): Fields of The World: a machine learning benchmark "
    "dataset for global agricultural field boundary segmentation. AAAI",
    source="data.source.coop/kerner-lab/fields-of-the-world-archive (one archive a country)",
)
SIDE = 256
STORED = ("B04", "B03", "B02", "B08")
"""Order of the files: red, green, blue, near infrared."""
BANDS = ("B02", "B03", "B04", "B08")
SENTINEL_2 = Product(
    name="sentinel-2-ftw",
    sensor="sentinel-2",
    collection="ftw",
    assets={band: band for band in STORED},
    scale=1e-4,
    offset=0.0,
    nodata=0,
    valid_range=(1, 20000),
)
WINDOWS = ("b", "a")
"""In the order in which the makers' models have them."""
CLASSES = {"0": "background", "1": "field", "2": "boundary"}
UNKNOWN = 3
"""Outside of outlines in countries whose labels state presence alone: unlabelled."""
PRESENCE_ONLY = frozenset({"brazil", "india", "kenya", "rwanda"})
MASKS = {2: "semantic_2class", 3: "semantic_3class"}
PARTS = {"train": "train", "val": "validation", "test": "test"}


class _Chip(NamedTuple):
    """A chip with both images."""

    country: str
    name: str
    part: str


def is_ftw(directory: Path) -> bool:
    """Whether a folder has countries of Fields of The World, or is one of them."""
    return bool(_countries(directory))


def read_ftw(
    directory: AnyPath,
    countries: Sequence[str] = (),
    classes: int = 3,
    days: Mapping[str, tuple[date, date]] | None = None,
) -> PublicSet:
    """Read the chips as windows of 256 x 256 pixels of 10 m, one at a time.

    Args:
        directory: holds `<country>/chips_<country>.parquet`, s2_images and label_masks; or is the folder of a country.
        countries: names of folders; () for all.
        classes: 2 (background, field) or 3 (with boundaries).
        days: by country the days of the images of windows a and b. By default the middles of the periods that
            `data_config_<country>.json` states.

    Raises:
        LabelError: a file is absent, damaged or of another layout, or the days of a country are not stated.
    """
    directory = as_path(directory)
    about = f"reading Fields of The World in {directory}"
    found = _countries(directory)
    for name in countries:
        if name not in found:
            raise LabelError(
                f"{about}: it has no country {name!r} with chips_{name}.parquet; it has {', '.join(found) or 'none'}",
                country=name,
                known=list(found),
            )
    if classes not in MASKS:
        raise LabelError(f"{about}: `classes` is {classes}; masks have 2 or 3 classes", classes=classes)
    chosen = {name: found[name] for name in countries or found}
    notes: list[str] = []
    chips: list[_Chip] = []
    for name, folder in chosen.items():
        chips += _list_chips(name, folder, classes, about, notes)
    dates = {name: (days or {}).get(name) or _stated_days(name, folder, about) for name, folder in chosen.items()}

    def read(index: int) -> Sample:
        chip = chips[index]
        return _read_chip(chosen[chip.country], chip, dates[chip.country], classes, about)

    legend = set_legend(dict(list(CLASSES.items())[:classes]), ["0"])
    notes.append(
        "the frames of a sample are in the order of their dates; the makers' models read window b and then window a, "
        "and divide digital numbers by 3000"
    )
    partial = sorted(PRESENCE_ONLY & chosen.keys())
    if partial:
        notes.append(f"labels of {', '.join(partial)} state presence alone; code {UNKNOWN} is unlabelled")
    windows = SetWindows([f"{chip.country}/{chip.name}" for chip in chips], read)
    folds = {"official": divide([chip.part for chip in chips])}
    return PublicSet(FACTS, legend, (sensor_input(SENTINEL_2, BANDS),), windows, folds, tuple(notes))


def _countries(directory: Path) -> dict[str, Path]:
    """Folder of each country."""
    folders = [directory, *sorted(path for path in directory.iterdir() if path.is_dir())]
    return {path.name: path for path in folders if (path / f"chips_{path.name}.parquet").is_file()}


def _mask(folder: Path, name: str, classes: int) -> Path:
    return folder / "label_masks" / MASKS[classes] / f"{name}.tif"


def _list_chips(country: str, folder: Path, classes: int, about: str, notes: list[str]) -> list[_Chip]:
    """The chips that have a part and both images; a chip without its mask is refused."""
    import pyarrow.parquet

    path = folder / f"chips_{country}.parquet"
    with doing(f"{about}, {path}", LabelError, AGAIN, path=path):
        table = pyarrow.parquet.read_table(path, columns=["aoi_id", "split"]).to_pydict()
    rows = [_Chip(country, str(name), str(part)) for name, part in zip(table["aoi_id"], table["split"], strict=True)]
    divided = [row._replace(part=PARTS[row.part]) for row in rows if row.part in PARTS]
    if len(divided) < len(rows):
        notes.append(f"{country}: {len(rows) - len(divided)} chips are in no part and left out (as distributed)")
    images = {
        window: {file.stem for file in (folder / "s2_images" / f"window_{window}").glob("*.tif")} for window in WINDOWS
    }
    if not any(images.values()):
        path = folder / "s2_images"
        raise LabelError(f"{about}: {path} holds no images window_a and window_b; {AGAIN}", path=path)
    whole = [chip for chip in divided if all(chip.name in names for names in images.values())]
    if len(whole) < len(divided):
        notes.append(f"{country}: {len(divided) - len(whole)} chips lack an image and are left out (333 do in all)")
    for chip in whole:
        require_file(_mask(folder, chip.name, classes), about)
    return whole


def _stated_days(country: str, folder: Path, about: str) -> tuple[date, date]:
    """The middles of the periods of windows a and b."""
    path = folder / f"data_config_{country}.json"
    if not path.is_file():
        raise LabelError(
            f"{about}: {path} does not exist, and no other file states when the images were taken; download it, or "
            f"give `days`, such as {{'{country}': (date(2021, 4, 15), date(2021, 8, 15))}} for windows a and b",
            path=path,
            country=country,
        )
    content = load_json(path, about)
    with doing(f"{about}, {path}", LabelError, AGAIN, path=path):
        seasons = content["seasons"]
        seasons = seasons[0] if isinstance(seasons, list) else seasons
        ends = {
            window: [day_of(seasons[f"window_{window}"][end], about, path) for end in ("start", "end")]
            for window in WINDOWS
        }
    return day_date(sum(ends["a"]) // 2), day_date(sum(ends["b"]) // 2)


def _read_chip(folder: Path, chip: _Chip, dates: tuple[date, date], classes: int, about: str) -> Sample:
    """The sample of a chip; `dates` are the days of windows a and b."""
    images = [
        _read_tif(folder / "s2_images" / f"window_{window}" / f"{chip.name}.tif", len(STORED), about)
        for window in WINDOWS
    ]
    columns = [STORED.index(band) for band in BANDS]
    day = np.array([day_number(dates["ab".index(window)]) for window in WINDOWS], np.int32)
    series = image_series(np.stack(images)[:, columns], SENTINEL_2, day)
    label = _read_label(_mask(folder, chip.name, classes), classes, about)
    start = day_number(date(day_date(int(day.min())).year, 1, 1))
    return Sample({"sentinel-2": series}, label, Window(0, 0, SIDE, SIDE), start)


def _read_tif(path: Path, bands: int, about: str) -> NDArray[Any]:
    """The bands (bands, H, W) of a file."""
    with doing(f"{about}, {path}", LabelError, AGAIN, path=path), open_raster(require_file(path, about)) as source:
        stored: NDArray[Any] = source.read()
    require_shape(stored, (bands, SIDE, SIDE), about, path)
    return stored


def _read_label(path: Path, classes: int, about: str) -> NDArray[np.uint8]:
    codes = _read_tif(path, 1, about)[0]
    require_codes(codes, [*range(classes), UNKNOWN], about, path)
    return renumber(codes, range(classes))
