"""Products: how one provider encodes one sensor. The only home of scale, offset, nodata and quality rules.

The unit of a quantity is DN * scale + offset. A new product is one more record in `PRODUCTS`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal

from agrifm.errors import ConfigError, SceneError
from agrifm.record import Quantity
from agrifm.sensors import SENSORS

Kernel = Literal["bilinear", "nearest"]


@dataclass(frozen=True)
class Product:
    """One provider's encoding of a sensor."""

    name: str
    sensor: str
    collection: str
    """STAC collection id of its items."""
    assets: Mapping[str, str]
    """Band name -> asset key (or variable name in a NetCDF file)."""
    scale: float
    offset: float
    nodata: int
    valid_range: tuple[int, int]
    """Digital numbers outside are invalid, both ends included."""
    quantity: Quantity = "surface reflectance"
    offset_from_baseline: str | None = None
    """Processing baseline from which on the offset applies; before it, the offset is 0."""
    quality_asset: str | None = None
    quality_rule: str | None = None
    """Name in `quality.QUALITY_RULES`."""
    more_quality: Mapping[str, str] = field(default_factory=dict)
    """Further quality bands, asset -> name in `quality.QUALITY_RULES`; their flags are joined to the first's."""
    kernel: Kernel = "bilinear"
    """How bands are resampled where the grid is not theirs; down-sampling averages unless this is "nearest"."""
    day_asset: str | None = None
    """Composites: asset with the day of year of each pixel."""
    period: int = 1
    """Composites: days from the first to the last, both included."""
    resampled_before: str | None = None
    """What the provider had already resampled, for the provenance."""

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands, in order."""
        return tuple(self.assets)

    @property
    def is_composite(self) -> bool:
        """True where a scene is made of several days."""
        return self.day_asset is not None

    @property
    def quality_bands(self) -> dict[str, str]:
        """Asset -> encoding of every quality band."""
        if self.quality_asset is None or self.quality_rule is None:
            return dict(self.more_quality)
        return {self.quality_asset: self.quality_rule, **self.more_quality}

    def offset_of(self, baseline: str | None, scene_id: str) -> float:
        """The offset of one scene.

        Raises:
            SceneError: the offset depends on the processing baseline, which the scene does not state readably.
        """
        if self.offset_from_baseline is None:
            return self.offset
        if baseline is None or not re.fullmatch(r"\d+(\.\d+)*", baseline):
            found = "no processing baseline" if baseline is None else f"the processing baseline {baseline!r}"
            raise SceneError(
                f"reading scene {scene_id}: it states {found}, and the offset of '{self.name}' depends on it (such as "
                "05.10); add `s2:processing_baseline` to the item, `baseline` to the [[imagery.files]] table, or skip "
                "the scene"
            )
        return self.offset if _version(baseline) >= _version(self.offset_from_baseline) else 0.0


def _version(baseline: str) -> tuple[int, ...]:
    return tuple(int(part) for part in baseline.split("."))


_SENTINEL_2_COMMON = {
    "B02": "blue", "B03": "green", "B04": "red", "B05": "rededge1", "B06": "rededge2", "B07": "rededge3",
    "B08": "nir", "B8A": "nir08", "B11": "swir16", "B12": "swir22",
}  # fmt: skip
_LANDSAT_COMMON = {"B02": "blue", "B03": "green", "B04": "red", "B05": "nir08", "B06": "swir16", "B07": "swir22"}

PRODUCTS = {
    product.name: product
    for product in (
        # Earth Search v1, Sentinel-2 Collection 1: digital numbers as ESA delivers them, +1000 from baseline 04.00 on.
        Product(
            name="sentinel-2-c1-l2a",
            sensor="sentinel-2",
            collection="sentinel-2-c1-l2a",
            assets=_SENTINEL_2_COMMON,
            scale=1e-4,
            offset=-0.1,
            offset_from_baseline="04.00",
            nodata=0,
            valid_range=(1, 17000),
            quality_asset="scl",
            quality_rule="scl",
        ),
        # Landsat 8-9 Collection 2 Level 2 Science Product Guide: scale, offset and valid range.
        Product(
            name="landsat-c2-l2",
            sensor="landsat",
            collection="landsat-c2-l2",
            assets=_LANDSAT_COMMON,
            scale=2.75e-5,
            offset=-0.2,
            nodata=0,
            valid_range=(7273, 43636),
            quality_asset="qa_pixel",
            quality_rule="landsat_qa_pixel",
        ),
        # MOD09A1 version 6.1, as the Planetary Computer names it.
        Product(
            name="modis-09A1-061",
            sensor="modis",
            collection="modis-09A1-061",
            assets={f"B{number:02d}": f"sur_refl_b{number:02d}" for number in range(1, 8)},
            scale=1e-4,
            offset=0.0,
            nodata=-28672,
            valid_range=(-100, 16000),
            quality_asset="sur_refl_state_500m",
            quality_rule="modis_state",
            kernel="nearest",
            day_asset="sur_refl_day_of_year",
            period=8,
        ),
        # Surface reflectance extracted as NetCDF (WorldCereal): no offset left in the numbers.
        Product(
            name="sentinel-2-worldcereal",
            sensor="sentinel-2",
            collection="sentinel-2-worldcereal",
            assets={band: band for band in SENSORS["sentinel-2"].band_names},
            scale=1e-4,
            offset=0.0,
            nodata=0,
            valid_range=(1, 16000),
            quality_asset="SCL",
            quality_rule="scl",
        ),
        # Landsat-8 Collection 1 of the same extraction, already resampled from 30 m.
        Product(
            name="landsat-8-c1-worldcereal",
            sensor="landsat",
            collection="landsat-8-c1-worldcereal",
            assets={band: band for band in SENSORS["landsat"].band_names},
            scale=1e-4,
            offset=0.0,
            nodata=0,
            valid_range=(1, 16000),
            quality_asset="pixel_qa",
            quality_rule="landsat_pixel_qa",
            resampled_before="from 30 m to 10 m by the provider",
        ),
        # Brazil Data Cube, CBERS-4 AWFI 64 m 16-day composites: vegetation indices, no quality band.
        Product(
            name="cbers-4-awfi-16d",
            sensor="cbers-4-awfi",
            collection="CB4-16D-2",
            assets={"NDVI": "NDVI", "EVI": "EVI"},
            scale=1e-4,
            offset=0.0,
            nodata=-9999,
            valid_range=(-10000, 10000),
            quantity="index",
        ),
    )
}


def find_product(name: str) -> Product:
    """The product of that name.

    Raises:
        ConfigError: no product has that name; the nearest known name is in the message.
    """
    if name in PRODUCTS:
        return PRODUCTS[name]
    near = get_close_matches(name, PRODUCTS, n=1, cutoff=0)[0]
    raise ConfigError(f"unknown product {name!r}; did you mean {near!r}? Known products: {', '.join(PRODUCTS)}")
