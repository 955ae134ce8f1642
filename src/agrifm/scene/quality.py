"""Quality bands to named flags: one function per encoding, from a provider's integers to `FLAGS`.

Flags are a bit set, uint16: bit n means `FLAGS[n]`, and a pixel may have several. One rule for all encodings
decides which flags make a pixel unusable (`scene.mask`).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import ConfigError, did_you_mean

Quality = NDArray[np.integer]
Flags = NDArray[np.uint16]

FLAGS = (
    "nodata",  # nothing was recorded, or the product was not made
    "defective",  # saturated, faulty, or a value that the encoding does not define
    "cloud",
    "cloud-edge",  # dilation of clouds and shadows, by the provider or by `MaskRule.dilate`
    "near-cloud",  # MODIS: next to a cloud, not part of it
    "cirrus",
    "light-cirrus",  # cirrus that the provider calls small or average, or only suspects
    "shadow",
    "dark",  # Sentinel-2: dark or terrain shadow
    "snow",
    "water",
    "aerosol",  # high aerosol
    "uncertain",  # unclassified, cloud of medium confidence, or assumed clear
    "plug-in",  # masked by a plug-in
)

USABLE = "usable"
"""In the description of a quality band, what has no flag."""


def bits(names: Iterable[str]) -> np.uint16:
    """Return the flags of these names as one bit set."""
    return np.uint16(sum(1 << FLAGS.index(name) for name in names))


def _flags(shape: tuple[int, ...], **flags: NDArray[np.bool_]) -> Flags:
    """Flags by name (`_` for `-`), each where its array is True; pixels without a record have nodata alone."""
    result = np.zeros(shape, np.uint16)
    for name, where in flags.items():
        result |= where * bits([name.replace("_", "-")])
    result[(result & bits(["nodata"])) != 0] = bits(["nodata"])
    return result


def _bit(values: NDArray[np.int64], *positions: int) -> NDArray[np.bool_]:
    """True where any of these bits is set."""
    is_set: NDArray[np.bool_] = (values & sum(1 << position for position in positions)) != 0
    return is_set


def _field(values: NDArray[np.int64], first: int, length: int = 2) -> NDArray[np.int64]:
    """The number in `length` bits from bit `first` on."""
    field: NDArray[np.int64] = (values >> first) & ((1 << length) - 1)
    return field


def scl(values: Quality) -> Flags:
    """Sentinel-2 scene classification, classes 0 to 11.

    Source: Sentinel-2 Level-2A Algorithm Theoretical Basis Document, scene classification map.
    """
    return _flags(
        values.shape,
        nodata=values == 0,
        defective=(values == 1) | (values < 0) | (values > 11),
        dark=values == 2,
        shadow=values == 3,
        water=values == 6,
        uncertain=values == 7,
        cloud=np.isin(values, (8, 9)),
        cirrus=values == 10,
        snow=values == 11,
    )


def landsat_qa_pixel(values: Quality) -> Flags:
    """Landsat Collection 2 QA_PIXEL: bits 0 to 5 and 7, and the clouds' confidence (bits 8-9; 2 = medium).

    Source: Landsat 8-9 Collection 2 Level 2 Science Product Guide, QA_PIXEL.
    """
    word = values.astype(np.int64)
    return _flags(
        values.shape,
        nodata=_bit(word, 0),
        cloud_edge=_bit(word, 1),
        cirrus=_bit(word, 2),
        cloud=_bit(word, 3),
        shadow=_bit(word, 4),
        snow=_bit(word, 5),
        water=_bit(word, 7),
        uncertain=_field(word, 8) == 2,
    )


def landsat_pixel_qa(values: Quality) -> Flags:
    """Landsat Collection 1 pixel_qa: bits 0 to 5, confidence of clouds (6-7; 2 = medium) and cirrus (8-9; 3 = high).

    A pixel with none of the bits 0 to 5, not even clear, is defective.
    Source: Landsat 8 Surface Reflectance Code (LaSRC) Product Guide, pixel_qa.
    """
    word = values.astype(np.int64)
    return _flags(
        values.shape,
        nodata=_bit(word, 0),
        defective=~_bit(word, 0, 1, 2, 3, 4, 5),
        water=_bit(word, 2),
        shadow=_bit(word, 3),
        snow=_bit(word, 4),
        cloud=_bit(word, 5),
        uncertain=_field(word, 6) == 2,
        light_cirrus=_field(word, 8) == 3,
    )


def hls_fmask(values: Quality) -> Flags:
    """Fmask of Harmonized Landsat Sentinel-2 (L30 and S30): bits 0 to 5, aerosol (6-7; 3 = high); 255 is fill.

    Source: Harmonized Landsat Sentinel-2 (HLS) Product User Guide, version 2.0, table of the Fmask layer. Bit 0 is
    reserved for cirrus there.
    """
    word = values.astype(np.int64)
    return _flags(
        values.shape,
        nodata=word == 255,
        cirrus=_bit(word, 0),
        cloud=_bit(word, 1),
        cloud_edge=_bit(word, 2),
        shadow=_bit(word, 3),
        snow=_bit(word, 4),
        water=_bit(word, 5),
        aerosol=_field(word, 6) == 3,
    )


def modis_state(values: Quality) -> Flags:
    """MOD09A1 state flags of 500 m.

    Bits 0-1 cloud (0 clear, 1 cloudy, 2 mixed, 3 assumed clear), 2 shadow (1 = yes), 3-5 land or water, 6-7 aerosol
    (3 high), 8-9 cirrus (1 small, 2 average, 3 high), 10 internal cloud, 12 and 15 snow, 13 next to a cloud; 65535 is
    fill. Source: MODIS Surface Reflectance User's Guide, Collection 6.1, table of the 500 m state flags.
    """
    word = values.astype(np.int64) & 0xFFFF
    cloud, cirrus = _field(word, 0), _field(word, 8)
    return _flags(
        values.shape,
        nodata=(word == 0xFFFF) | (word == NO_STATE),
        cloud=(cloud == 1) | (cloud == 2) | _bit(word, 10),
        near_cloud=_bit(word, 13),
        cirrus=cirrus == 3,
        light_cirrus=(cirrus == 1) | (cirrus == 2),
        shadow=_bit(word, 2),
        snow=_bit(word, 12, 15),
        water=_is_water(_field(word, 3, 3)),
        aerosol=_field(word, 6) == 3,
        uncertain=cloud == 3,
    )


def modis_qc(values: Quality) -> Flags:
    """MOD09A1 band quality of 500 m: what was not made (bits 0-1), and the worst of the seven bands (bits 2 to 29).

    Bits 0-1 are 2 where clouds, 3 where other reasons kept the product from being made. Of a band's four bits 7 (noisy
    detector), 8 (dead detector, interpolated), 11 (input missing), 13 (out of bounds) and 14 (faulty) are defective, 15
    (not processed) is nodata. Source: MODIS Surface Reflectance User's Guide, Collection 6.1, table of the 500 m QC.
    """
    word = values.astype(np.int64) & 0xFFFFFFFF
    bands = [_field(word, first, 4) for first in range(2, 30, 4)]
    return _flags(
        values.shape,
        nodata=(_field(word, 0) == 3) | np.any([band == 15 for band in bands], axis=0),
        cloud=_field(word, 0) == 2,
        defective=np.any([np.isin(band, (7, 8, 11, 13, 14)) for band in bands], axis=0),
    )


def modis_vi_quality(values: Quality) -> Flags:
    """MOD13Q1 VI quality.

    Bits 0-1 (2 most probably cloudy, 3 not made), 2-5 usefulness (13 to 15 not useful), 6-7 aerosol (3 high), 8 next to
    a cloud, 10 mixed clouds, 11-13 land or water, 14 possible snow, 15 possible shadow; 65535 is fill.
    Source: MODIS Vegetation Index User's Guide (MOD13), Collection 6.1, table of the VI quality.
    """
    word = values.astype(np.int64) & 0xFFFF
    made = _field(word, 0)
    return _flags(
        values.shape,
        nodata=made == 3,
        defective=_field(word, 2, 4) >= 13,
        cloud=(made == 2) | _bit(word, 10),
        near_cloud=_bit(word, 8),
        snow=_bit(word, 14),
        shadow=_bit(word, 15),
        water=_is_water(_field(word, 11, 3)),
        aerosol=_field(word, 6) == 3,
    )


def modis_reliability(values: Quality) -> Flags:
    """MOD13Q1 pixel reliability: 0 good, 1 marginal, 2 snow or ice, 3 cloudy; anything else (-1) is fill.

    Source: MODIS Vegetation Index User's Guide (MOD13), Collection 6.1, table of the pixel reliability.
    """
    return _flags(
        values.shape,
        nodata=(values < 0) | (values > 3),
        uncertain=values == 1,
        snow=values == 2,
        cloud=values == 3,
    )


def sentinel_2_qa60(values: Quality) -> Flags:
    """QA60 of Sentinel-2 in Earth Engine: bit 10 opaque clouds, bit 11 cirrus; it has no bit for shadows or snow.

    Other bits are not used; a file filled with 1 has no record. Source: developers.google.com/earth-engine,
    COPERNICUS/S2_SR_HARMONIZED, bands.
    """
    word = values.astype(np.int64)
    return _flags(
        values.shape,
        nodata=word == 1,
        defective=(word & ~(0b11 << 10)) != 0,
        cloud=_bit(word, 10),
        cirrus=_bit(word, 11),
    )


def force_qai(values: Quality) -> Flags:
    """Quality assurance information (QAI) of FORCE Level 2.

    Bits 0 nodata, 1-2 cloud (1 its 300 m around, 2 opaque, 3 cirrus), 3 shadow, 4 snow, 5 water, 6-7 aerosol (2 high),
    9 saturated or above 1, 11-12 illumination (3 terrain shadow).
    Source: FORCE's documentation, Level 2 output format, table of the quality bits.
    """
    word = values.astype(np.int64) & 0xFFFF
    cloud = _field(word, 1)
    return _flags(
        values.shape,
        nodata=_bit(word, 0),
        defective=_bit(word, 9),
        cloud=cloud == 2,
        cloud_edge=cloud == 1,
        cirrus=cloud == 3,
        shadow=_bit(word, 3),
        dark=_field(word, 11) == 3,
        snow=_bit(word, 4),
        water=_bit(word, 5),
        aerosol=_field(word, 6) == 2,
    )


def _is_water(surface: NDArray[np.int64]) -> NDArray[np.bool_]:
    """True for the water classes of MODIS: all except 1 land, 2 shore and 4 ephemeral water."""
    return np.isin(surface, (0, 3, 5, 6, 7))


NO_STATE = 0x7FFF
"""A state word that no pixel has (deep ocean, fire and snow at once); unlike 65535 it fits a signed 16-bit integer."""

QUALITY_RULES: dict[str, Callable[[Quality], Flags]] = {
    "scl": scl,
    "landsat_qa_pixel": landsat_qa_pixel,
    "landsat_pixel_qa": landsat_pixel_qa,
    "hls_fmask": hls_fmask,
    "modis_state": modis_state,
    "modis_qc": modis_qc,
    "modis_vi_quality": modis_vi_quality,
    "modis_reliability": modis_reliability,
    "sentinel_2_qa60": sentinel_2_qa60,
    "force_qai": force_qai,
}


@dataclass(frozen=True)
class QualityCodes:
    """What the numbers of a quality band mean, as a project describes them.

    Raises:
        ConfigError: an unknown flag, a bit outside 0 to 31, or a value that is usable and flagged.
    """

    values: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """Flags and the values that mean them. With "usable", values that are not listed are defective."""
    bits: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """Flags and the bits that mean them."""

    def __post_init__(self) -> None:
        about = "describing a quality band"
        for flag, _ in (*self.values, *self.bits):
            known = [*FLAGS, USABLE]
            if flag not in known:
                raise ConfigError(
                    f"{about}: {flag!r} is not a flag{did_you_mean(flag, known)} Flags: {', '.join(known)}"
                )
        wrong = next((bit for _, of_flag in self.bits for bit in of_flag if not 0 <= bit <= 31), None)
        if wrong is not None or any(flag == USABLE for flag, _ in self.bits):
            raise ConfigError(
                f"{about}: `bits` has {USABLE if wrong is None else wrong!r}; bits are 0 to 31 and name what makes a "
                f"pixel unusable, while {USABLE!r} is one of `values`",
                bit=wrong,
            )
        usable = set(dict(self.values).get(USABLE, ()))
        both = next((value for flag, of in self.values if flag != USABLE for value in of if value in usable), None)
        if both is not None:
            raise ConfigError(f"{about}: the value {both} is usable and flagged; leave it in one of them", value=both)

    def __str__(self) -> str:
        texts = [f"{flag} {'/'.join(map(str, of))}" for flag, of in self.values]
        texts += [f"{flag} bit {'/'.join(map(str, of))}" for flag, of in self.bits]
        return ", ".join(texts)

    @property
    def no_quality(self) -> int:
        """A value that means nodata: one that is listed so, or one that is not listed at all."""
        stated = dict(self.values).get("nodata", ())
        positions = dict(self.bits).get("nodata", ())
        if stated or positions:
            return stated[0] if stated else 1 << positions[0]
        listed = {value for _, of in self.values for value in of}
        highest = max((bit for _, of in self.bits for bit in of), default=0)
        fitting = 255 if highest < 8 else 0x7FFF if highest < 15 else 0x7FFFFFFF
        return next(value for value in range(fitting, 0, -1) if value not in listed)

    def flags(self, values: Quality) -> Flags:
        """The flags of each pixel; every listed value and every bit that is set adds its own."""
        word = values.astype(np.int64)
        result = np.zeros(values.shape, np.uint16)
        listed = np.zeros(values.shape, bool)
        for flag, of in self.values:
            where = np.isin(word, of)
            listed |= where
            if flag != USABLE:
                result |= where * bits([flag])
        for flag, positions in self.bits:
            result |= _bit(word, *positions) * bits([flag])
        if USABLE in dict(self.values):
            result |= (~listed & (result == 0)) * bits(["defective"])
        nodata = (word == self.no_quality) | ((result & bits(["nodata"])) != 0)
        return np.where(nodata, bits(["nodata"]), result).astype(np.uint16)


QualityRule = str | QualityCodes
"""Name in `QUALITY_RULES`, or what the project says that the numbers mean."""


def no_quality(rule: QualityRule) -> int:
    """A value that means nodata in a quality band."""
    return rule.no_quality if isinstance(rule, QualityCodes) else NO_QUALITY[rule]


def quality_flags(values: NDArray[Any], rule: QualityRule) -> Flags:
    """Flags of a quality band; numbers that are not whole, as in a band of floats, have no record."""
    if not np.issubdtype(values.dtype, np.integer):
        whole = np.isfinite(values) & (values == np.floor(np.nan_to_num(values)))
        values = np.where(whole, values, no_quality(rule)).astype(np.int64)
    return rule.flags(values) if isinstance(rule, QualityCodes) else QUALITY_RULES[rule](values)


NO_QUALITY = {
    "scl": 0,
    "landsat_qa_pixel": 1,
    "landsat_pixel_qa": 1,
    "hls_fmask": 255,
    "modis_state": NO_STATE,
    "modis_qc": 3,
    "modis_vi_quality": 3,
    "modis_reliability": 127,
    "sentinel_2_qa60": 1,
    "force_qai": 1,
}
"""By encoding, a value that means nodata, for places where the quality band has no pixel."""
