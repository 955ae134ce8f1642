"""Products of series tables: those of scenes, and encodings in which only tables are handed on."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import ConfigError, did_you_mean
from agrifm.scene.products import PRODUCTS, Product

WORLDCEREAL_FILL = 65535.0
"""Nodata in every column of WorldCereal's tables."""


@dataclass(frozen=True)
class TableProduct:
    """How the numbers of a table are encoded."""

    product: Product
    """Scale, offset, nodata and valid range of the numbers, after `amplitude`."""
    amplitude_offset: float | None = None
    """Decibel added to 20 log10 of the numbers, which are amplitudes; None if they are not."""
    fill: float | None = None
    """A number that means nodata before anything is computed."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Further names of its bands in tables -> band."""
    is_constant: bool = False
    """Whether its numbers do not change with time: its series has one date, the middle of the season."""

    @property
    def band_names(self) -> dict[str, str]:
        """Names under which a table may have its bands, each with the band."""
        product = self.product
        return {
            **{band: band for band in product.assets},
            **{asset: band for band, asset in product.assets.items()},
            **self.aliases,
        }

    def numbers(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the numbers of the product; NaN for nodata and for amplitudes that are not above 0."""
        known = np.isfinite(raw) & (raw != self.product.nodata)
        if self.fill is not None:
            known &= raw != self.fill
        if self.amplitude_offset is None:
            return np.where(known, raw, np.nan)
        positive = known & (raw > 0)
        decibel = 20 * np.log10(np.where(positive, raw, 1.0)) + self.amplitude_offset
        return np.where(positive, decibel / self.product.scale, np.nan)


_WEATHER = Product(
    name="agera5-worldcereal",
    sensor="agera5",
    collection="agera5-worldcereal",
    assets={"temperature": "temperature_mean", "precipitation": "precipitation_flux"},
    scale=0.01,
    offset=0.0,
    nodata=WORLDCEREAL_FILL,
    valid_range=(0, 65534),
    quantity="weather",
    pixel=480,
)
# Metres above sea level, and slope as the table has it: the columns that `samples.series_layout` knows as terrain.
_TERRAIN = Product(
    name="terrain",
    sensor="terrain",
    collection="terrain",
    assets={"altitude": "elevation", "slope": "slope"},
    scale=1.0,
    offset=0.0,
    nodata=WORLDCEREAL_FILL,
    valid_range=(-500, 9000),
    quantity="terrain",
    pixel=480,
)
TABLE_PRODUCTS = {
    entry.product.name: entry
    for entry in (
        # Sentinel-1 in WorldCereal's tables: amplitudes with dB = 20 log10(DN) - 83
        # (github.com/WorldCereal/worldcereal-classification).
        TableProduct(
            replace(
                PRODUCTS["sentinel-1-worldcereal"],
                name="sentinel-1-worldcereal-amplitude",
                collection="sentinel-1-worldcereal-amplitude",
            ),
            amplitude_offset=-83.0,
            fill=WORLDCEREAL_FILL,
        ),
        # AgERA5 in the same tables: kelvin x 100, millimetres x 100 of the period.
        TableProduct(_WEATHER, fill=WORLDCEREAL_FILL, aliases={"TMEAN": "temperature", "PRECIP": "precipitation"}),
        TableProduct(PRODUCTS["sentinel-2-worldcereal"], fill=WORLDCEREAL_FILL),
        TableProduct(_TERRAIN, is_constant=True),
    )
}

CONSTANT_SENSORS = frozenset(entry.product.sensor for entry in TABLE_PRODUCTS.values() if entry.is_constant)
"""Sensors whose numbers do not change with time."""


def find_table_product(name: str, described: Mapping[str, Product] | None = None) -> TableProduct:
    """Return the product of that name for a table.

    Raises:
        ConfigError: no product has that name, or its offset depends on the scene, which a table does not state.
    """
    if name in TABLE_PRODUCTS:
        return TABLE_PRODUCTS[name]
    known = {**PRODUCTS, **(described or {})}
    if name not in known:
        every = [*TABLE_PRODUCTS, *known]
        raise ConfigError(
            f"reading a series table: unknown product {name!r}{did_you_mean(name, every)} Describe others in "
            f"[[imagery.product]]; known products: {', '.join(every)}",
            name=name,
        )
    product = known[name]
    if product.offset_from_baseline is not None:
        raise ConfigError(
            f"reading a series table: the offset of '{name}' depends on the processing baseline of each scene, which a "
            'table does not state; name a product with one offset, such as "sentinel-2-worldcereal" (0), or describe '
            f'one in [[imagery.product]] with `like = "{name}"` and `offset`',
            name=name,
        )
    return TableProduct(product)
