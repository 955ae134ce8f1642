"""What every product must be, those that agrifm knows and those that a project describes."""

from math import isfinite, isnan
from typing import TYPE_CHECKING

from agrifm.errors import ConfigError
from agrifm.sensors import Quantity

if TYPE_CHECKING:
    from agrifm.scene.products import Product

QUANTITY_RANGES: dict[Quantity, tuple[float, float, float]] = {
    "surface reflectance": (-3.2767, 0.2, 3.2767),
    "top-of-atmosphere reflectance": (-3.2767, 0.2, 3.2767),
    "index": (-3.2767, 0.2, 3.2767),
    "backscatter (dB)": (-327.67, -30.0, 327.67),
    "backscatter (linear)": (-6.5534, 0.01, 6.5534),
    "temperature": (0.0, 250.0, 655.34),
    "weather": (0.0, 250.0, 655.34),
    "terrain": (-9830.1, 60.0, 9830.1),
}
"""Of each quantity in its unit: the least that a cube can hold, the least that the greatest valid number must reach,
and the most that a cube can hold."""


def require_sound(product: "Product") -> None:
    """Refuse a product whose keys contradict each other, or whose numbers cannot be the quantity.

    Raises:
        ConfigError: with the key and what it must be.
    """
    about = f"describing the product '{product.name}'"
    low, high = product.valid_range
    if not (isinstance(product.scale, float) and isfinite(product.scale) and product.scale > 0):
        raise ConfigError(
            f"{about}: its scale is {product.scale!r}, which must be a positive number; give the unit of the quantity "
            "per number, such as 0.0001",
            key="scale",
        )
    if product.quantity == "backscatter (dB)" and product.kernel != "nearest":
        raise ConfigError(
            f"{about}: it is in decibel, and only linear power may be averaged or interpolated; give it the kernel "
            '"nearest", or convert the files to backscatter (linear)',
            key="kernel",
        )
    if not (isfinite(low) and isfinite(high) and low < high):
        raise ConfigError(
            f"{about}: its `valid_range` is {low:g} to {high:g}; give the least and the greatest valid number",
            key="valid_range",
        )
    # indices and decibel may pass 0, which some providers take for nodata; that number alone is then not read
    if low <= product.nodata <= high and product.quantity not in ("index", "backscatter (dB)"):
        raise ConfigError(
            f"{about}: its nodata {product.nodata:g} is inside its `valid_range`, {low:g} to {high:g}; correct one",
            key="nodata",
        )
    _require_plausible_unit(product, about)
    keys = [*product.assets.values(), *product.quality_bands, *([product.day_asset] if product.day_asset else [])]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise ConfigError(f"{about}: {twice!r} is the name of two of its bands in the files; correct one", key="assets")


def _require_plausible_unit(product: "Product", about: str) -> None:
    ends = [number * product.scale + product.offset for number in product.valid_range]
    least, reached, most = QUANTITY_RANGES[product.quantity]
    if not (least <= ends[0] and reached <= ends[1] <= most):
        raise ConfigError(
            f"{about}: with its scale {product.scale:g} and offset {product.offset:g}, its valid numbers "
            f"{product.valid_range[0]:g} to {product.valid_range[1]:g} are a {product.quantity} of {ends[0]:g} to "
            f"{ends[1]:g}, which cannot be (from {least:g}, up to {reached:g} at least and {most:g} at most); correct "
            "`scale`, `offset` or `valid_range`",
            key="scale",
            ends=tuple(ends),
        )


def same_number(first: float | None, other: float | None) -> bool:
    """Whether two numbers that may be NaN or absent are the same."""
    if first is None or other is None:
        return first is other
    return first == other or (isnan(first) and isnan(other))
