"""Products: how one provider encodes one sensor: scale, offset, nodata and quality rules.

The unit of a quantity is DN * scale + offset. A new product is one more record in `PRODUCTS`. If the offset
depends on the scene, `encoding` decides it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from agrifm.errors import ConfigError, did_you_mean
from agrifm.scene import file_names as named
from agrifm.scene.product_checks import require_sound
from agrifm.scene.quality import QualityRule
from agrifm.sensors import SENSORS, Quantity, find_sensor

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
    nodata: float
    valid_range: tuple[float, float]
    """Least and largest valid number in the files; numbers outside are invalid."""
    quantity: Quantity = "surface reflectance"
    offset_from_baseline: str | None = None
    """First processing baseline with the offset; earlier ones have offset 0."""
    offset_flags: tuple[str, ...] = ()
    """Item properties, by dialect, that say whether the provider removed the offset from the numbers."""
    quality_asset: str | None = None
    quality_rule: QualityRule | None = None
    more_quality: Mapping[str, QualityRule] = field(default_factory=dict)
    """Further quality bands, asset -> rule; their flags are added to those of the first."""
    other_quality: Mapping[str, QualityRule] = field(default_factory=dict, repr=False)
    """Quality bands, asset -> rule, that are read of scenes that lack the first."""
    kernel: Kernel = "bilinear"
    """How bands are resampled to another grid; down-sampling averages unless this is "nearest"."""
    day_asset: str | None = None
    """Asset of a composite with the day of year of each pixel."""
    period: int = 1
    """Days of a composite, the first and the last included."""
    resampled_before: str | None = None
    """How the provider resampled the data already, for the provenance."""
    platforms: tuple[str, ...] = ()
    """Satellites of this sensor, if its collection holds other satellites too; () for all items of the collection."""
    old_keys: Mapping[str, str] = field(default_factory=dict)
    """Asset key of an older dialect -> current key."""
    file_names: tuple[named.NameScheme, ...] = field(default=(), repr=False)
    """How its files are named by those who provide them. Fields outside `repr` do not decide what a pixel is."""
    stack: tuple[str, ...] = field(default=(), repr=False)
    """Names of the bands of files that hold several without descriptions, in order."""
    integers: bool = field(default=True, repr=False)
    """Whether its files hold integers, as those of providers do; a float was then scaled by somebody else."""
    pixel: int | None = field(default=None, repr=False)
    """Side in metres of the cube's pixels, for a sensor that agrifm does not know."""
    description: Mapping[str, Any] | None = field(default=None, repr=False)
    """How the project describes it; None for a product that agrifm knows."""

    def __post_init__(self) -> None:
        require_sound(self)

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands, in order."""
        return tuple(self.assets)

    @property
    def resolution(self) -> int:
        """Side in metres of the cube's pixels."""
        return self.pixel or find_sensor(self.sensor).resolution

    @property
    def is_composite(self) -> bool:
        """True if a scene is made of several days."""
        return self.day_asset is not None

    @property
    def quality_bands(self) -> dict[str, QualityRule]:
        """Asset -> quality rule of every quality band."""
        if self.quality_asset is None or self.quality_rule is None:
            return dict(self.more_quality)
        return {self.quality_asset: self.quality_rule, **self.more_quality}


_SENTINEL_2_COMMON = {
    "B02": "blue", "B03": "green", "B04": "red", "B05": "rededge1", "B06": "rededge2", "B07": "rededge3",
    "B08": "nir", "B8A": "nir08", "B11": "swir16", "B12": "swir22",
}  # fmt: skip
_SENTINEL_2_BANDS = {band: band for band in SENSORS["sentinel-2"].band_names}
_LANDSAT_COMMON = {"B02": "blue", "B03": "green", "B04": "red", "B05": "nir08", "B06": "swir16", "B07": "swir22"}

# Earth Search v1, Sentinel-2 Collection 1: digital numbers as ESA delivers them, +1000 from baseline 04.00 on; 0 is
# nodata, and a number below 1000 is from then on a reflectance below 0, which is kept (Sentinel-2 Products
# Specification Document 14.9 and the Level-2A notice of processing baseline 04.00).
_SENTINEL_2 = Product(
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
    file_names=named.SENTINEL_2_NAMES,
)
# Landsat 8-9 Collection 2 Level 2 Science Product Guide: scale, offset and valid range (0 to 1). Landsat 4 to 7 are in
# the same collections and have other bands under the same names.
_LANDSAT = Product(
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
    platforms=("landsat-8", "landsat-9"),
    file_names=named.LANDSAT_NAMES,
)
# HLS Product User Guide 2.0: scale and fill; its algorithm, LaSRC, puts out -2000 to 16000 (Landsat 8 Surface
# Reflectance Code Product Guide). The metadata of neither provider state them, and some files state them wrongly.
_HLS_L30 = Product(
    name="hls-l30-planetary-computer",
    sensor="landsat",
    collection="hls2-l30",
    assets={band: band for band in SENSORS["landsat"].band_names},
    scale=1e-4,
    offset=0.0,
    nodata=-9999,
    valid_range=(-2000, 16000),
    quality_asset="Fmask",
    quality_rule="hls_fmask",
    file_names=named.HLS_L30_NAMES,
)
_HLS_S30 = replace(
    _HLS_L30,
    name="hls-s30-planetary-computer",
    sensor="hls-s30",
    collection="hls2-s30",
    assets={band: band for band in SENSORS["hls-s30"].band_names},
    file_names=named.HLS_S30_NAMES,
)

# MOD09A1 version 6.1, as the Planetary Computer names it; MODIS Surface Reflectance User's Guide, Collection
# 6.1: scale, fill and valid range.
_MODIS_09A1 = Product(
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
    file_names=named.MODIS_09A1_NAMES,
)
# Surface reflectance extracted as NetCDF (WorldCereal): no offset left in the numbers. Earth Engine's
# COPERNICUS/S2_SR_HARMONIZED has the same encoding, and files with QA60 instead of SCL.
_WORLDCEREAL = replace(
    _SENTINEL_2,
    name="sentinel-2-worldcereal",
    collection="sentinel-2-worldcereal",
    assets=_SENTINEL_2_BANDS,
    offset=0.0,
    offset_from_baseline=None,
    valid_range=(1, 16000),
    quality_asset="SCL",
    other_quality={"QA60": "sentinel_2_qa60"},
)
# FORCE Level 2 ARD: scale 10000 and nodata -9999, bands in spectral order with the bits of QAI; estimates above 2 or
# below -1 are nodata (FORCE's documentation, Level 2 output format).
_FORCE = replace(
    _WORLDCEREAL,
    name="sentinel-2-force",
    collection="sentinel-2-force",
    nodata=-9999,
    valid_range=(-2000, 16000),
    quality_asset="QAI",
    quality_rule="force_qai",
    other_quality={},
    file_names=named.FORCE_NAMES,
)

PRODUCTS = {
    product.name: product
    for product in (
        _SENTINEL_2,
        # Earth Search v1: the offset is taken out of most scenes, which a flag says, at times wrongly
        # (github.com/Element84/earth-search, issues 9, 66 and 71).
        replace(
            _SENTINEL_2,
            name="sentinel-2-l2a-earth-search",
            collection="sentinel-2-l2a",
            offset_flags=("earthsearch:boa_offset_applied",),
        ),
        # Earth Search v0, the same files under older names.
        replace(
            _SENTINEL_2,
            name="sentinel-2-l2a-earth-search-v0",
            collection="sentinel-s2-l2a-cogs",
            assets=_SENTINEL_2_BANDS,
            quality_asset="SCL",
            offset_flags=("sentinel:boa_offset_applied",),
        ),
        # Planetary Computer: digital numbers as ESA delivers them; its metadata state neither scale nor offset.
        replace(
            _SENTINEL_2,
            name="sentinel-2-l2a-planetary-computer",
            collection="sentinel-2-l2a",
            assets=_SENTINEL_2_BANDS,
            quality_asset="SCL",
        ),
        # Copernicus Data Space: ESA's own JPEG 2000 files.
        replace(
            _SENTINEL_2,
            name="sentinel-2-l2a-cdse",
            collection="sentinel-2-l2a",
            assets={
                band.name: f"{band.name}_{band.ground_sampling_distance:g}m" for band in SENSORS["sentinel-2"].bands
            },
            quality_asset="SCL_20m",
        ),
        _LANDSAT,
        replace(_LANDSAT, name="landsat-c2-l2-planetary-computer"),
        # USGS landsatlook.
        replace(
            _LANDSAT,
            name="landsat-c2-l2-usgs",
            collection="landsat-c2l2-sr",
            old_keys={
                **{f"SR_B{band[-1]}.TIF": key for band, key in _LANDSAT_COMMON.items()},
                "QA_PIXEL.TIF": "qa_pixel",
            },
        ),
        # Surface temperature of the same files: Landsat 8-9 Collection 2 Level 2 Science Product Guide.
        Product(
            name="landsat-c2-l2-st-usgs",
            sensor="landsat-tirs",
            collection="landsat-c2l2-st",
            assets={"ST_B10": "lwir11"},
            scale=0.00341802,
            offset=149.0,
            nodata=0,
            valid_range=(293, 61440),
            quantity="temperature",
            quality_asset="qa_pixel",
            quality_rule="landsat_qa_pixel",
            platforms=("landsat-8", "landsat-9"),
            file_names=named.LANDSAT_NAMES,
        ),
        _HLS_L30,
        _HLS_S30,
        # LP DAAC, found through NASA's CMR STAC.
        replace(_HLS_L30, name="hls-l30-nasa-cmr", collection="HLSL30_2.0"),
        replace(_HLS_S30, name="hls-s30-nasa-cmr", collection="HLSS30_2.0"),
        _MODIS_09A1,
        # The same, with the quality of each band (dead detectors, out of bounds ...) joined to the state of the pixel.
        replace(_MODIS_09A1, name="modis-09A1-061-qc", more_quality={"sur_refl_qc_500m": "modis_qc"}),
        # MOD13Q1 version 6.1, as the Planetary Computer names it. Scale 0.0001 and range -2000 to 10000 of NDVI and
        # EVI: developers.google.com/earth-engine, MODIS/061/MOD13Q1; these with the fill -3000: lpdaac.usgs.gov, layers
        # of its sister MOD13C1 v061. The provider's items state the scale alone (github.com/stactools-packages/modis,
        # fragments/13Q1/061/bands.json).
        Product(
            name="modis-13Q1-061",
            sensor="modis-250m",
            collection="modis-13Q1-061",
            assets={"NDVI": "250m_16_days_NDVI", "EVI": "250m_16_days_EVI"},
            scale=1e-4,
            offset=0.0,
            nodata=-3000,
            valid_range=(-2000, 10000),
            quantity="index",
            quality_asset="250m_16_days_pixel_reliability",
            quality_rule="modis_reliability",
            more_quality={"250m_16_days_VI_Quality": "modis_vi_quality"},
            kernel="nearest",
            day_asset="250m_16_days_composite_day_of_the_year",
            period=16,
            file_names=named.MODIS_13Q1_NAMES,
        ),
        _WORLDCEREAL,
        _FORCE,
        replace(
            _FORCE,
            name="landsat-force",
            sensor="landsat",
            collection="landsat-force",
            assets={band: band for band in SENSORS["landsat"].band_names},
            file_names=named.FORCE_LANDSAT_NAMES,
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
        # Sentinel-1 of the same extraction: sigma0 in decibel, which nothing averages or interpolates.
        Product(
            name="sentinel-1-worldcereal",
            sensor="sentinel-1",
            collection="sentinel-1-worldcereal",
            assets={"VV": "VV", "VH": "VH"},
            scale=1e-4,
            offset=0.0,
            nodata=0,
            valid_range=(-600_000, 300_000),
            quantity="backscatter (dB)",
            kernel="nearest",
        ),
        # Landsat-8 surface temperature of the same extraction, in kelvin, already resampled.
        Product(
            name="landsat-8-st-worldcereal",
            sensor="landsat-tirs",
            collection="landsat-8-st-worldcereal",
            assets={"ST_B10": "ST_B10"},
            scale=1.0,
            offset=0.0,
            nodata=0,
            valid_range=(150, 373),
            quantity="temperature",
            quality_asset="QA_PIXEL",
            quality_rule="landsat_qa_pixel",
            resampled_before="from 100 m by the providers",
        ),
        # MOD13Q1 as extracted for dtwSat (Maus et al. 2019): no quality band, the day of each pixel.
        Product(
            name="modis-13Q1-dtwsat",
            sensor="modis-250m",
            collection="modis-13Q1-dtwsat",
            assets={"NDVI": "ndvi", "EVI": "evi"},
            scale=1e-4,
            offset=0.0,
            nodata=-32768,
            valid_range=(-2000, 10000),
            quantity="index",
            kernel="nearest",
            day_asset="doy",
            period=16,
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


def find_product(name: str, described: Mapping[str, Product] | None = None) -> Product:
    """Return the product of that name, of those that agrifm knows or that the project describes.

    Raises:
        ConfigError: no product has that name; the message suggests the nearest known name.
    """
    known = {**PRODUCTS, **(described or {})}
    if name in known:
        return known[name]
    raise ConfigError(
        f"unknown product {name!r}{did_you_mean(name, known)} Describe others in [imagery.product]; known products: "
        f"{', '.join(known)}",
        name=name,
    )
