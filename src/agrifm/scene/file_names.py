"""What the name of a file states, read by its form: date, time, tile, band, resolution, baseline and version.

A `NameScheme` is how one provider or program names its files; a product's record has the schemes of its files. Any
other name is read by general rules: one date, whole words. What could mean two things is refused.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import takewhile
from pathlib import Path

from agrifm.errors import SceneError

MGRS_TILE = "[0-9]{2}[C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V]"
SUFFIX = r"\.[^/.]+$"
START = "(?:^|/)"
NAME_GROUPS = ("date", "band", "tile", "satellite", "resolution", "version", "part")
"""Named groups of the pattern of a scheme."""
FIRST_YEAR, LAST_YEAR = 1970, 2100
"""Numbers that begin with another year are not dates."""
DATES = (
    # the separator of year and month is that of month and day
    r"(?P<year>[0-9]{4})(?P<between>[-_.]?)(?P<month>[0-9]{2})(?P=between)(?P<day>[0-9]{2})",
    r"(?P<year>[0-9]{4})-?(?P<of_year>[0-9]{3})",
)
TIME = r"(?:T?(?P<time>[0-9]{6}))?"
SAFE_PRODUCT = re.compile(
    rf"S2[A-D]_MSI(?P<level>L1C|L2A)_[0-9]{{8}}T[0-9]{{6}}_N(?P<baseline>[0-9]{{4}})_R[0-9]{{3}}_T{MGRS_TILE}_"
    r"(?P<version>[0-9]{8}T[0-9]{6})"
)
"""A Sentinel-2 product, as a folder or at the beginning of a name (ESA, naming convention of compact products)."""
TILE_WORD = re.compile(
    rf"(?<![0-9A-Za-z])(T?{MGRS_TILE}|h[0-9]{{2}}v[0-9]{{2}}|X-?[0-9]{{4}}_Y-?[0-9]{{4}})(?![0-9A-Za-z])"
)
RESOLUTION_WORD = re.compile(r"(?<![0-9A-Za-z])([0-9]{2,4})m(?![0-9A-Za-z])")


@dataclass(frozen=True)
class NameScheme:
    """How a provider or a program names its files."""

    title: str
    pattern: str
    """Regular expression, searched in the path with `/` between folders. Its named groups are `NAME_GROUPS`: the date
    of the acquisition in any form of `DATES`, perhaps with the time; the resolution in metres; of two versions the
    greater is the newer; parts are those of an image in several files."""
    words: Mapping[str, str] = field(default_factory=dict)
    """What the scheme calls a band or a quality band -> name of the band, or of the rule of the quality band."""
    stacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Word in the place of the band -> the bands of the file, in order, if its bands have no descriptions."""
    only: bool = False
    """Whether a product reads no file with another name."""


@dataclass(frozen=True)
class NamedFile:
    """What the name of a file states; "" or None what it does not."""

    day: date
    time: str = ""
    """Six digits, UTC."""
    tile: str = ""
    satellite: str = ""
    part: str = ""
    version: tuple[str, str] = ("", "")
    """Baseline and time of processing: the greatest is the newest."""
    band: str | None = None
    """The word in the place of the band; None if the scheme has no such place, "" if the file has no such word."""
    resolution: int | None = None
    baseline: str | None = None
    scheme: NameScheme | None = None


def _numbered(prefix: str, numbers: Iterable[int]) -> dict[str, str]:
    return {f"{prefix}{number}": f"B{number:02d}" for number in numbers}


_S2_WORDS = {**_numbered("B", range(2, 9)), "SCL": "scl", "CLOUD": "scl"}
SENTINEL_2_NAMES = (
    NameScheme(
        "a Sentinel-2 L2A product of ESA (SAFE)",
        rf"{START}(?:L2A_)?T(?P<tile>{MGRS_TILE})_(?P<date>[0-9]{{8}}T[0-9]{{6}})_(?P<band>[A-Z0-9]{{3}})"
        rf"(?:_(?P<resolution>[0-9]{{2}})m)?{SUFFIX}",
        _S2_WORDS,
    ),
    NameScheme(
        "a Sentinel-2 L2A product in one folder",
        rf"{START}S2[A-D]_MSIL2A_(?P<date>[0-9]{{8}}T[0-9]{{6}})_N[0-9]{{4}}_R[0-9]{{3}}_T(?P<tile>{MGRS_TILE})_"
        rf"[0-9]{{8}}T[0-9]{{6}}(?:[._](?P<band>[A-Z0-9]{{3}})(?:_(?P<resolution>[0-9]{{2}})m)?)?{SUFFIX}",
        _S2_WORDS,
    ),
    NameScheme(
        "Earth Search's Sentinel-2",
        rf"{START}(?P<satellite>S2[A-D])_(?P<tile>{MGRS_TILE})_(?P<date>[0-9]{{8}})_(?P<part>[0-9]+)_L2A[/_]"
        rf"(?P<band>[A-Za-z0-9]+){SUFFIX}",
        _S2_WORDS,
    ),
    NameScheme(
        "Earth Engine's Sentinel-2",
        rf"{START}(?:[0-9]+_)*(?P<date>[0-9]{{8}}T[0-9]{{6}})(?:_[0-9]{{8}}T[0-9]{{6}})?_T(?P<tile>{MGRS_TILE})"
        rf"(?:[._](?P<band>[A-Za-z0-9_]+))?(?P<part>-[0-9]{{10}}-[0-9]{{10}})?{SUFFIX}",
        _S2_WORDS,
    ),
)
FORCE_BANDS = {
    "BLUE": "B02", "GREEN": "B03", "RED": "B04", "REDEDGE1": "B05", "REDEDGE2": "B06", "REDEDGE3": "B07",
    "BROADNIR": "B08", "NIR": "B8A", "SWIR1": "B11", "SWIR2": "B12",
}  # fmt: skip
FORCE_LANDSAT_BANDS = {"BLUE": "B02", "GREEN": "B03", "RED": "B04", "NIR": "B05", "SWIR1": "B06", "SWIR2": "B07"}


def _force(satellites: str, bands: Mapping[str, str]) -> NameScheme:
    return NameScheme(
        f"FORCE Level 2 ({satellites})",
        rf"{START}(?:(?P<tile>X-?[0-9]{{4}}_Y-?[0-9]{{4}})/)?(?P<date>[0-9]{{8}})_LEVEL2_(?P<satellite>{satellites})_"
        rf"(?P<band>[A-Z]{{3}}){SUFFIX}",
        {**bands, "QAI": "force_qai"},
        {"BOA": tuple(bands.values())},
    )


FORCE_NAMES = (_force("SEN2[A-D]", FORCE_BANDS),)
FORCE_LANDSAT_NAMES = (_force("LND0[89]", FORCE_LANDSAT_BANDS),)
_LANDSAT_WORDS = {**_numbered("SR_B", range(2, 8)), "QA_PIXEL": "landsat_qa_pixel"}
LANDSAT_NAMES = (
    NameScheme(
        "USGS Landsat Collection 2 Level 2",
        rf"{START}(?P<satellite>L[CO]0[89])_L2S[PR]_(?P<tile>[0-9]{{6}})_(?P<date>[0-9]{{8}})_(?P<version>[0-9]{{8}})_02_"
        rf"(?:T1|T2|RT)_(?P<band>[A-Z0-9_]+){SUFFIX}",
        _LANDSAT_WORDS,
    ),
    NameScheme(
        "Earth Engine's Landsat",
        rf"{START}(?:[0-9]+_)*(?P<satellite>LC0[89])_(?P<tile>[0-9]{{6}})_(?P<date>[0-9]{{8}})"
        rf"(?:[._](?P<band>[A-Z0-9_]+))?(?P<part>-[0-9]{{10}}-[0-9]{{10}})?{SUFFIX}",
        _LANDSAT_WORDS,
    ),
)


def _appeears(title: str, product: str) -> NameScheme:
    return NameScheme(
        f"AppEEARS ({title})",
        rf"{START}{product}\.(?P<version>[0-9]{{3}})_+(?P<band>\w+?)_doy(?P<date>[0-9]{{7}}(?:[0-9]{{6}})?)_"
        rf"(?P<part>aid[0-9]+(?:_\w+)?){SUFFIX}",
    )


def _hls(kind: str) -> tuple[NameScheme, ...]:
    official = NameScheme(
        f"HLS {kind}",
        rf"{START}HLS\.{kind}\.T(?P<tile>{MGRS_TILE})\.(?P<date>[0-9]{{7}}T[0-9]{{6}})\.(?P<version>v[0-9.]+)\."
        rf"(?P<band>[A-Za-z0-9]+){SUFFIX}",
    )
    return official, _appeears(f"HLS {kind}", f"HLS{kind}")


HLS_L30_NAMES, HLS_S30_NAMES = _hls("L30"), _hls("S30")


def _modis(product: str) -> tuple[NameScheme, ...]:
    official = NameScheme(
        f"MODIS {product}",
        rf"{START}(?P<satellite>M[OY]D){product}\.A(?P<date>[0-9]{{7}})\.(?P<tile>h[0-9]{{2}}v[0-9]{{2}})\."
        rf"(?P<version>[0-9]{{3}}\.[0-9]{{13}})(?:[._](?P<band>\w+))?{SUFFIX}",
    )
    return official, _appeears(f"MODIS {product}", f"(?P<satellite>M[OY]D){product}")


MODIS_09A1_NAMES, MODIS_13Q1_NAMES = _modis("09A1"), _modis("13Q1")
UNREADABLE_NAMES = (
    # without a folder, L1C has no resolution in its names, which L2A always has
    NameScheme(
        "a Sentinel-2 L1C product (not surface reflectance)",
        rf"S2[A-D]_MSIL1C_|{START}T{MGRS_TILE}_[0-9]{{8}}T[0-9]{{6}}_(?:B[0-9A]{{2}}|TCI)\.jp2$",
    ),
    NameScheme("Landsat Level 1 (not surface reflectance)", rf"{START}L[A-Z]0[0-9]_L1[A-Z0-9]{{2}}_"),
    NameScheme("Landsat 4 to 7 (other bands)", rf"{START}(?:(?:[0-9]+_)*L[TEM]0[457]_|[0-9]{{8}}_LEVEL2_LND0[457]_)"),
)
"""Files that no product reads, since their numbers or bands mean something else."""
AUXILIARY = re.compile(
    rf"/QI_DATA/|{START}MSK_[^/]*$|_PVI{SUFFIX}|"
    r"\.(?:xml|txt|json|html?|csv|md5|sha256|ovr|msk|prj|tfw|j2w|gml|kml|png|jpe?g|safe|log|hdr)$",
    re.IGNORECASE,
)
"""What is in folders of images without being an image of a band: metadata, masks, pictures."""
ALL_SCHEMES = (
    *UNREADABLE_NAMES, *SENTINEL_2_NAMES, *FORCE_NAMES, *FORCE_LANDSAT_NAMES, *LANDSAT_NAMES, *HLS_L30_NAMES,
    *HLS_S30_NAMES, *MODIS_09A1_NAMES, *MODIS_13Q1_NAMES,
)  # fmt: skip


def scheme_of(path: Path, own: Sequence[NameScheme]) -> NameScheme | None:
    """The scheme that a path follows, those of its product first; None if none."""
    text = path.as_posix()
    only = [scheme for scheme in own if scheme.only]
    for scheme in only or (*UNREADABLE_NAMES, *own, *ALL_SCHEMES):
        if re.search(scheme.pattern, text):
            return scheme
    return None


def read_name(path: Path, scheme: NameScheme | None, about: str) -> NamedFile:
    """Read the name of a file by a scheme, or by the general rules if that is None.

    Args:
        about: what is being done, such as "reading a.tif as 'x'", with which errors begin.

    Raises:
        SceneError: the name has no date, an impossible one, or several of which none is known as the acquisition's.
    """
    text = path.as_posix()
    product = SAFE_PRODUCT.search(text)
    of_product = product.groupdict() if product else {}
    baseline = f"{of_product['baseline'][:2]}.{of_product['baseline'][2:]}" if product else None
    version = (baseline or "", of_product.get("version", ""))
    if scheme is None:
        day, time = _only_date(path.stem, about) or _date_of_folder(path, about)
        tiles = [match[1] for part in (path.stem, *reversed(path.parts[:-1])) if (match := TILE_WORD.search(part))]
        resolution = RESOLUTION_WORD.search(path.stem)
        return NamedFile(
            day,
            time,
            tile=tiles[0].removeprefix("T") if tiles else "",
            version=version,
            resolution=int(resolution[1]) if resolution else None,
            baseline=baseline,
        )
    match = re.search(scheme.pattern, text)
    assert match is not None
    groups = {name: value or "" for name, value in match.groupdict().items()}
    day, time = _date(groups["date"], about)
    return NamedFile(
        day,
        time,
        tile=groups.get("tile", ""),
        satellite=groups.get("satellite", ""),
        part=groups.get("part", ""),
        version=version if product else ("", groups.get("version", "")),
        band=groups.get("band"),
        resolution=int(groups["resolution"]) if groups.get("resolution", "").isdecimal() else None,
        baseline=baseline,
        scheme=scheme,
    )


def _date(text: str, about: str) -> tuple[date, str]:
    """The date and the time that a text consists of, by its form."""
    for form in DATES:
        if match := re.fullmatch(form + TIME, text):
            return _day_of(match, about), match["time"] or ""
    raise SceneError(f"{about}: {text!r} in its name is not a date such as 20240501, 2024-05-01 or 2024122; rename it")


def _only_date(name: str, about: str) -> tuple[date, str] | None:
    """The date that a name of any form has, and the time after it; None if it has none."""
    for form in DATES:
        found = {
            (_day_of(match, about), match["time"] or "")
            for match in re.finditer(rf"(?<![0-9]){form}(?:T(?P<time>[0-9]{{6}}))?(?![0-9])", name)
            if FIRST_YEAR <= int(match["year"]) <= LAST_YEAR
        }
        days = sorted({day for day, _ in found})
        if len(days) > 1:
            raise SceneError(
                f"{about}: its name has the dates {' and '.join(map(str, days))}, and which of them is that of the "
                "acquisition is not known; say so with `file_name` of [imagery.product], or leave one date in the name",
                dates=days,
            )
        if days:
            times = {time for _, time in found if time}
            return days[0], times.pop() if len(times) == 1 else ""
    return None


def _date_of_folder(path: Path, about: str) -> tuple[date, str]:
    """The date that the name of a file's folder is; a folder of another date around it would leave two to choose from.

    Raises:
        SceneError: the name of the folder is not a date and nothing else, or it is in the folder of another date.
    """
    dated = list(takewhile(_is_date, (folder.name for folder in path.parents)))
    if not dated:
        raise SceneError(
            f"{about}: neither its name nor that of its folder has a date (such as YYYYMMDD, YYYY-MM-DD or YYYYDDD; a "
            "folder has nothing else in its name); put it into the name, or say where it is with `file_name` of "
            "[imagery.product]",
            path=path,
        )
    found = [_date(name, about) for name in dated]
    days = sorted({day for day, _ in found})
    if len(days) > 1:
        raise SceneError(
            f"{about}: its folders have the dates {' and '.join(map(str, days))}, and which of them is that of the "
            "acquisition is not known; put it into the name, or say so with `file_name` of [imagery.product]",
            dates=days,
        )
    return found[0]


def _is_date(name: str) -> bool:
    """Whether a name is a date by its form, and nothing else."""
    matches = (re.fullmatch(form + TIME, name) for form in DATES)
    return any(match is not None and FIRST_YEAR <= int(match["year"]) <= LAST_YEAR for match in matches)


def _day_of(match: re.Match[str], about: str) -> date:
    groups = match.groupdict()
    try:
        if groups.get("of_year"):
            first = date(int(groups["year"]), 1, 1)
            day = first + timedelta(days=int(groups["of_year"]) - 1)
            if day.year != first.year:
                raise ValueError("not a day of that year")
            return day
        return date(int(groups["year"]), int(groups["month"]), int(groups["day"]))
    except ValueError as error:
        raise SceneError(f"{about}: '{match.group()}' in its name is not a date; correct the name") from error
