"""Products that the project file describes: the same record as those that agrifm knows, checked by the same rules."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from agrifm.errors import ConfigError, did_you_mean
from agrifm.product_description import ProductDescription, QualityDescription
from agrifm.scene.file_names import NAME_GROUPS, NameScheme
from agrifm.scene.products import PRODUCTS, Product, find_product
from agrifm.scene.quality import QUALITY_RULES, QualityCodes, QualityRule
from agrifm.sensors import SENSORS, find_sensor

BASE_PIXEL = 480
"""Metres: the pixels of all sensors of a cube nest in it."""


def described_products(descriptions: Iterable[ProductDescription]) -> dict[str, Product]:
    """Make the products that a project describes, by name.

    Raises:
        ConfigError: a name is taken, or a description lacks a key or has an impossible value.
    """
    products: dict[str, Product] = {}
    for description in descriptions:
        if description.name in PRODUCTS or description.name in products:
            raise ConfigError(
                f"describing the product '{description.name}' in [imagery.product]: there is a product of that name; "
                "choose another `name`, and take over what it has with `like`",
                name=description.name,
            )
        products[description.name] = described_product(description)
    return products


def described_product(described: ProductDescription) -> Product:
    """Make the product that a description describes.

    Raises:
        ConfigError: it lacks a key, or has an impossible value.
    """
    about = f"describing the product '{described.name}' in [imagery.product]"
    base = None if described.like is None else find_product(described.like)
    given: dict[str, Any] = {
        key: value
        for key in ("offset", "nodata", "valid_range", "quantity", "kernel", "collection", "stack")
        if (value := getattr(described, key)) is not None and key in described.model_fields_set
    }
    if described.scale is not None:
        given["scale"] = float(described.scale)
    if "offset" in given:  # what the project states does not depend on a baseline or a flag
        given |= {"offset_from_baseline": None, "offset_flags": ()}
    given |= _sensor(described, base, about)
    given |= _quality(described.quality, about) if described.quality is not None else {}
    if described.file_name is not None:
        given["file_names"] = (_scheme(described.file_name, about),)
    given |= {"name": described.name, "integers": False, "description": described.recorded}
    if base is not None:
        return replace(base, **given)
    missing = [key for key in ("scale", "nodata", "valid_range") if key not in given]
    if missing:
        raise ConfigError(
            f"{about}: it lacks `{missing[0]}`; give it, or take it over from a known product with `like`",
            key=missing[0],
        )
    sensor = given["sensor"]
    of_sensor = [product.file_names for product in PRODUCTS.values() if product.sensor == sensor]
    known = tuple({scheme.title: scheme for schemes in of_sensor for scheme in schemes}.values())
    return Product(**{"collection": described.name, "offset": 0.0, "file_names": known, **given})


def _sensor(described: ProductDescription, base: Product | None, about: str) -> dict[str, Any]:
    """Sensor, resolution and assets."""
    names = [band.name for band in described.bands]
    if len(set(names)) < len(names):
        raise ConfigError(f"{about}: `bands` has a name twice ({', '.join(names)}); rename one", key="bands")
    name = described.sensor or (base.sensor if base is not None else described.name)
    if set("./\\") & set(name):  # it names groups of a cube and parts of a network
        raise ConfigError(f"{about}: the sensor '{name}' has a dot or a slash in its name; rename it", key="sensor")
    if described.bands and name not in SENSORS:
        if described.resolution is None or BASE_PIXEL % described.resolution:
            raise ConfigError(
                f"{about}: `resolution` is {described.resolution}; give the side of the cube's pixels in metres, a "
                f"divisor of {BASE_PIXEL} such as 10, 20 or 30",
                key="resolution",
            )
        without = next((band.name for band in described.bands if band.wavelength is None), None)
        if without is not None and described.quantity != "index":
            raise ConfigError(
                f"{about}: the band '{without}' has no `wavelength`, and the sensor '{name}' is not known; give it in "
                f"nanometres, or give a known `sensor` ({', '.join(SENSORS)})",
                key="wavelength",
            )
        return _assets(described, name, {band: band for band in names}, about) | {"pixel": described.resolution}
    if described.resolution is not None:
        raise ConfigError(
            f"{about}: `resolution` is of a sensor that agrifm does not know; give its `bands`, or leave it out",
            key="resolution",
        )
    if described.sensor is None and base is None:
        raise ConfigError(
            f"{about}: it lacks `sensor`; give a known one ({', '.join(SENSORS)}), the `bands` of another, or `like`",
            key="sensor",
        )
    if base is not None and name == base.sensor:
        known = dict(base.assets)
    else:
        known = {band: band for band in find_sensor(name).band_names}
    unknown = next((band for band in names if band not in known), None)
    if unknown is not None:
        raise ConfigError(
            f"{about}: `bands` has {unknown!r}, not a band of the sensor '{name}'{did_you_mean(unknown, known)} It "
            f"has {', '.join(known)}; give another `sensor`, with the wavelengths of its bands",
            key="bands",
            band=unknown,
        )
    chosen = {band: key for band, key in known.items() if not names or band in names}
    return _assets(described, name, chosen, about)


def _assets(described: ProductDescription, sensor: str, assets: Mapping[str, str], about: str) -> dict[str, Any]:
    unknown = next((band for band in described.assets if band not in assets), None)
    if unknown is not None:
        raise ConfigError(
            f"{about}: `assets` has the unknown band {unknown!r}{did_you_mean(unknown, assets)} Bands of '{sensor}': "
            f"{', '.join(assets)}",
            key="assets",
            band=unknown,
        )
    return {"sensor": sensor, "assets": {**assets, **described.assets}}


def _quality(quality: QualityDescription, about: str) -> dict[str, Any]:
    rule: QualityRule
    if quality.rule is None:
        rule = QualityCodes(
            tuple((flag, values) for flag, values in quality.values.items()),
            tuple((flag, bits) for flag, bits in quality.bits.items()),
        )
    elif quality.rule in QUALITY_RULES:
        rule = quality.rule
    else:
        raise ConfigError(
            f"{about}: `rule` of its quality band is {quality.rule!r}, which is not known"
            f"{did_you_mean(quality.rule, QUALITY_RULES)} Known rules: {', '.join(QUALITY_RULES)}; or give `values` or "
            "`bits`",
            key="rule",
        )
    return {"quality_asset": quality.band, "quality_rule": rule, "more_quality": {}, "other_quality": {}}


def _scheme(pattern: str, about: str) -> NameScheme:
    try:
        groups = set(re.compile(pattern).groupindex)
    except re.error as error:
        raise ConfigError(f"{about}: `file_name` is not a regular expression ({error}); correct it") from error
    unknown = next(iter(sorted(groups - set(NAME_GROUPS))), None)
    if unknown is not None:
        raise ConfigError(
            f"{about}: `file_name` has the unknown group {unknown!r}{did_you_mean(unknown, NAME_GROUPS)} Known groups: "
            f"{', '.join(NAME_GROUPS)}",
            key="file_name",
        )
    if "date" not in groups:
        raise ConfigError(
            f"{about}: `file_name` has no group for the date; add (?P<date>[0-9]{{8}}) where the date is",
            key="file_name",
        )
    return NameScheme("`file_name` of the project", pattern, only=True)
