"""Scale and offset of one scene, and the reason for them.

The first of these that applies decides, for every product:

1. the project's `offset`, if the pixels contradict the metadata (`scene.offset_check`);
2. the provider's flag that it removed the offset from the numbers, for products whose record names such a flag;
3. the processing baseline (never the date), for products whose record says that the offset depends on it;
4. the product's record.

The scale, offset and nodata that an asset states itself never decide: they must agree with the decision, or the scene
is refused. If a product has such a flag, the offset in its metadata is not compared: Earth Search states -0.1
although it removed the offset from the numbers (github.com/Element84/earth-search, issue 9).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import SceneError
from agrifm.scene.products import Product

BASELINE_IN_ID = re.compile(r"_N([0-9]{2})\.?([0-9]{2})(?=_|\.|$)")
"""The baseline in the name of a Sentinel-2 product: S2A_MSIL2A_20200714T115221_N0214_R123_... has baseline 02.14 (ESA,
naming convention of compact products); a tile of an older one ends in _N02.08."""
BASELINE_FORMS = (
    r"0?([0-9])",  # 5, as JSON may write 5.0
    r"([0-9]{1,2})\.([0-9]{2})",  # 05.10, 5.09
    r"([0-9]{1,2})\.(0)",  # 4.0
    r"([0-9]{1,2})([0-9]{2})",  # 0510, or 510 as a number
)
"""How a baseline may be written, with or without an N before it; ESA's two numbers have two digits each."""
AMBIGUOUS_BASELINE = r"([0-9]{1,2})\.([1-9])"
"""5.1 is what a program that took a baseline for a number makes of 05.10, and what a person may write for 05.01."""
PRODUCT_IDS = ("s2:product_uri", "sentinel:product_id", "s2:product_id")
"""Properties that hold the name of the product, by dialect."""
BASELINE_PROPERTIES = ("s2:processing_baseline", "sentinel2:processing_baseline", "processing:version")
"""Properties that hold the processing baseline, by dialect."""

MIN_SHARED_RANGE = 0.01
"""Share of the product's valid range that a file's must have; 0 to 1 is a range of reflectance, not of its numbers."""


@dataclass(frozen=True)
class Encoding:
    """The unit of a quantity is DN * scale + offset."""

    scale: float
    offset: float
    source: str
    """Why this offset, such as "offset -0.1 from processing baseline 05.10"."""
    dark: Mapping[str, float | None] | None = field(default=None, compare=False)
    """What the offset check measured of the scene (`offset_check.DarkStatistics`); None if it was not checked."""


def stated_encoding(product: Product, baseline: str | None, removed: bool | None, scene_id: str) -> Encoding:
    """Return scale and offset of one scene by its metadata.

    Args:
        baseline: processing baseline, such as "05.10".
        removed: the provider's flag, True if it removed the offset from the numbers; None without a flag.

    Raises:
        SceneError: the offset depends on the processing baseline, which is missing or not readable.
    """
    if product.offset_from_baseline is None:
        return Encoding(product.scale, product.offset, f"offset {product.offset:g} from the product's record")
    # the flag goes before the baseline: the provider changed the numbers after ESA had processed them
    if removed and product.offset_flags:
        return Encoding(product.scale, 0.0, f"offset 0, removed by the provider ({product.offset_flags[0]})")
    readings = read_baseline(baseline)
    if len(readings) != 1:
        what = "no processing baseline" if baseline is None else f"the processing baseline {baseline!r}"
        if readings:
            what += f", which may be {' or '.join(readings)}"
        raise SceneError(
            f"reading scene {scene_id}: it states {what}, and the offset of '{product.name}' depends on it (such as "
            '"05.10", which is N0510 in the name of a .SAFE folder); set `s2:processing_baseline` of the item, or '
            "`baseline` of the [[imagery.files]] table in quotes, or list the scene's id in `skip`",
            scene=scene_id,
            baseline=baseline,
        )
    offset = product.offset if readings >= read_baseline(product.offset_from_baseline) else 0.0
    return Encoding(product.scale, offset, f"offset {offset:g} from processing baseline {readings[0]}")


def read_baseline(stated: object) -> tuple[str, ...]:
    """What a text or a number may mean as a processing baseline, by its form: 02.14, 2.14, 0214, N0214 or 214.

    Returns:
        One baseline in ESA's form (02.14), whose order as text is its order in time; several if the form is ambiguous,
        as in 5.1; none if it is not a baseline.
    """
    text = str(stated).strip().removeprefix("N")
    for form in BASELINE_FORMS:
        if match := re.fullmatch(form, text):
            major, minor = (*match.groups(), "0")[:2]
            return (f"{int(major):02d}.{int(minor):02d}",)
    if match := re.fullmatch(AMBIGUOUS_BASELINE, text):
        return tuple(f"{int(match[1]):02d}.{minor}" for minor in (f"0{match[2]}", f"{match[2]}0"))
    return ()


def baseline_of(properties: Mapping[str, Any], scene_id: str) -> str | None:
    """Return the processing baseline of an item, from a property or from the name of its product; None without one.

    Raises:
        SceneError: property and name disagree.
    """
    stated = next((str(properties[name]) for name in BASELINE_PROPERTIES if properties.get(name) is not None), None)
    names = [str(properties[name]) for name in PRODUCT_IDS if properties.get(name)] + [scene_id]
    match = next((match for name in names if (match := BASELINE_IN_ID.search(name))), None)
    if match is None:
        return stated
    named = f"{match[1]}.{match[2]}"
    readings = read_baseline(stated)
    if readings and named not in readings:
        raise SceneError(
            f"reading scene {scene_id}: it states the processing baseline {stated}, its product's name says {named}, "
            "and the offset depends on it; repair the item, or list its id in `skip`"
        )
    return stated if stated and len(readings) <= 1 else named


def removed_by_provider(properties: Mapping[str, Any], product: Product, scene_id: str) -> bool | None:
    """Return the provider's flag; None without one.

    Raises:
        SceneError: the flag is not true or false.
    """
    for name in product.offset_flags:
        flag = properties.get(name)
        if flag is None:
            continue
        if not isinstance(flag, bool):
            raise SceneError(
                f"reading scene {scene_id}: its flag {name} is {flag!r}, and the offset depends on it; it must be true "
                "or false"
            )
        return flag
    return None


def require_agreement(fields: Mapping[str, Any], product: Product, encoding: Encoding, about: str) -> None:
    """Refuse an asset whose stated scale, offset or nodata contradicts the decided encoding.

    The raster extension 1.x (`raster:bands`), STAC 1.1 (`bands`) and its short form for one band are read; all that are
    present must agree.

    Args:
        fields: of the asset.
        about: the scene and the asset, as the beginning of the message.

    Raises:
        SceneError: with the stated value and that of the product.
    """
    holders = [fields, *_first_band(fields.get("bands")), *_first_band(fields.get("raster:bands"))]
    expected = {"scale": [encoding.scale], "offset": [encoding.offset], "nodata": [float(product.nodata)]}
    if product.offset_flags:  # Earth Search states -0.1 in both cases, so its statement proves nothing
        expected["offset"] = [0.0, product.offset]
    for name, values in expected.items():
        for holder in holders:
            stated = holder.get(f"raster:{name}", holder.get(name))
            if stated is None:
                continue
            parsed = _float(stated)
            if parsed is None or not any(abs(parsed - value) <= 1e-9 for value in values):
                raise SceneError(
                    f"{about} states {name} {stated}, the product '{product.name}' has {values[0]:g}; use the product "
                    "that fits these files, or list the scene's id in `skip`",
                    field=name,
                    stated=str(stated),
                    expected=values[0],
                )


@dataclass(frozen=True)
class Stated:
    """What a file states about the stored numbers of one band; None, () and infinite where it states nothing."""

    scale: float | None = None
    offset: float | None = None
    missing: tuple[float, ...] = ()
    """Numbers that mean nodata: GDAL's nodata, `_FillValue` and `missing_value` of CF."""
    valid_range: tuple[float, float] = (-inf, inf)
    """Least and largest valid number; those outside mean nodata."""

    def is_missing(self, numbers: NDArray[Any]) -> NDArray[np.bool_]:
        """True for the numbers that mean nodata."""
        low, high = self.valid_range
        missing: NDArray[np.bool_] = ~((numbers >= low) & (numbers <= high))  # NaN too
        for number in self.missing:
            missing |= numbers == number
        return missing


NOTHING_STATED = Stated()


def require_file_agreement(stated: Stated, product: Product, encoding: Encoding, about: str) -> None:
    """Refuse a file whose own scale, offset or nodata contradicts the decided encoding.

    Another nodata than the product's is used if no valid pixel can have it, such as 65535 in a file of the range 1 to
    17000.

    Args:
        about: the scene and the file, as the beginning of the message.

    Raises:
        SceneError: with the stated value and that of the product.
    """
    scale, offset = stated.scale, stated.offset
    allowed = {0.0, encoding.offset, product.offset} if product.offset_flags else {encoding.offset}
    low, high = product.valid_range
    contrary = [number for number in stated.missing if number != product.nodata and low <= number <= high]
    ends = max(stated.valid_range[0], low), min(stated.valid_range[1], high)
    wrong = None
    if scale is not None and abs(scale - encoding.scale) > 1e-9:
        wrong = f"scale {scale:g}, the product '{product.name}' has {encoding.scale:g}"
    elif offset is not None and all(abs(offset - value) > 1e-9 for value in allowed):
        wrong = f"offset {offset:g}, the product '{product.name}' has {encoding.offset:g}"
    elif contrary:
        wrong = f"nodata {contrary[0]:g}, a valid number of the product '{product.name}', which has {product.nodata:g}"
    elif ends[1] - ends[0] < MIN_SHARED_RANGE * (high - low):
        stated_range = " to ".join(f"{end:g}" for end in stated.valid_range)
        wrong = f"valid numbers from {stated_range}, those of the product '{product.name}' are {low:g} to {high:g}"
    if wrong is not None:
        raise SceneError(
            f"{about} states {wrong}; use the product that fits these files, or describe them in [imagery.product]"
        )


def _first_band(stated: object) -> list[Mapping[str, Any]]:
    """Fields of the first band; some catalogues write the only band of a file without a list around it."""
    first = stated[0] if isinstance(stated, list) and stated else stated
    return [first] if isinstance(first, Mapping) else []


def _float(stated: object) -> float | None:
    try:
        return float(str(stated))
    except ValueError:
        return None
