"""Sensors as physics: bands in order, wavelengths, ground sampling distance. `scene.products` has the encodings.

Wavelengths and widths are nominal band centres and full widths at half maximum, nanometres.
"""

from dataclasses import dataclass
from typing import Literal

from agrifm.errors import ConfigError, did_you_mean

Quantity = Literal[
    "surface reflectance",
    "top-of-atmosphere reflectance",
    "backscatter (dB)",
    "backscatter (linear)",
    "index",
    "temperature",
    "weather",
    "terrain",
]
"""What a sensor's numbers are: reflectance (corrected for the atmosphere or not) and indices without a unit,
backscatter as 10 log10 of a power ratio or as the ratio itself, temperature in kelvin, weather as
temperature in kelvin and precipitation in millimetres, terrain as metres above sea level and slope."""


@dataclass(frozen=True)
class Band:
    """One spectral band: name, common name (STAC eo), centre and width in nm, ground sampling distance in m."""

    name: str
    common_name: str
    wavelength: float
    width: float
    ground_sampling_distance: float


@dataclass(frozen=True)
class Sensor:
    """Bands in spectral order, and the side in metres of the cube pixels that hold them (a divisor of 480)."""

    name: str
    title: str
    resolution: int
    bands: tuple[Band, ...]
    instrument: str = ""
    """Name of the instrument, if other sensors here are made of its acquisitions too."""

    @property
    def band_names(self) -> tuple[str, ...]:
        """Names of the bands, in order."""
        return tuple(band.name for band in self.bands)


SENSORS = {
    sensor.name: sensor
    for sensor in (
        # ESA Sentinel-2 MSI spectral response functions 3.0, Sentinel-2A.
        Sensor(
            "sentinel-2",
            "Sentinel-2 MSI",
            10,
            (
                Band("B02", "blue", 492.4, 66, 10),
                Band("B03", "green", 559.8, 36, 10),
                Band("B04", "red", 664.6, 31, 10),
                Band("B05", "rededge071", 704.1, 15, 20),
                Band("B06", "rededge075", 740.5, 15, 20),
                Band("B07", "rededge078", 782.8, 20, 20),
                Band("B08", "nir", 832.8, 106, 10),
                Band("B8A", "nir08", 864.7, 21, 20),
                Band("B11", "swir16", 1613.7, 91, 20),
                Band("B12", "swir22", 2202.4, 175, 20),
            ),
            "MSI",
        ),
        # USGS Landsat 8-9 OLI band designations; the six bands that AgriFM (and HLS L30) use.
        Sensor(
            "landsat",
            "Landsat-8/9 OLI",
            30,
            (
                Band("B02", "blue", 482.0, 60, 30),
                Band("B03", "green", 561.4, 57, 30),
                Band("B04", "red", 654.6, 37, 30),
                Band("B05", "nir", 864.7, 28, 30),
                Band("B06", "swir16", 1608.9, 85, 30),
                Band("B07", "swir22", 2200.7, 187, 30),
            ),
        ),
        # MODIS Surface Reflectance User's Guide, Collection 6.1: the seven land bands of MOD09A1.
        Sensor(
            "modis",
            "MODIS (MOD09A1)",
            480,
            (
                Band("B01", "red", 645.0, 50, 500),
                Band("B02", "nir", 858.5, 35, 500),
                Band("B03", "blue", 469.0, 20, 500),
                Band("B04", "green", 555.0, 20, 500),
                Band("B05", "nir12", 1240.0, 20, 500),
                Band("B06", "swir16", 1640.0, 24, 500),
                Band("B07", "swir22", 2130.0, 50, 500),
            ),
            "MODIS",
        ),
        # HLS Product User Guide 2.0: Sentinel-2 MSI on 30 m pixels, bands adjusted to Landsat's where it has them.
        Sensor(
            "hls-s30",
            "Sentinel-2 MSI in HLS S30",
            30,
            (
                Band("B02", "blue", 492.4, 66, 30),
                Band("B03", "green", 559.8, 36, 30),
                Band("B04", "red", 664.6, 31, 30),
                Band("B05", "rededge071", 704.1, 15, 30),
                Band("B06", "rededge075", 740.5, 15, 30),
                Band("B07", "rededge078", 782.8, 20, 30),
                Band("B08", "nir", 832.8, 106, 30),
                Band("B8A", "nir08", 864.7, 21, 30),
                Band("B11", "swir16", 1613.7, 91, 30),
                Band("B12", "swir22", 2202.4, 175, 30),
            ),
            "MSI",
        ),
        # MODIS Vegetation Index User's Guide, Collection 6.1: the bands behind MOD13Q1.
        Sensor(
            "modis-250m",
            "MODIS (MOD13Q1)",
            240,
            (
                Band("B01", "red", 645.0, 50, 250),
                Band("B02", "nir", 858.5, 35, 250),
                Band("B03", "blue", 469.0, 20, 500),
                Band("B07", "swir22", 2130.0, 50, 500),
            ),
            "MODIS",
        ),
        # ESA Sentinel-1 SAR: C band at 5.405 GHz with up to 100 MHz, here as wavelength and width; ground range
        # detected, wide swath, 20 m of resolution.
        Sensor(
            "sentinel-1",
            "Sentinel-1 C-SAR",
            20,
            (Band("VV", "VV", 5.547e7, 1.03e6, 20), Band("VH", "VH", 5.547e7, 1.03e6, 20)),
        ),
        # USGS Landsat 8-9 TIRS band 10, from which surface temperature is made; delivered at 30 m.
        Sensor("landsat-tirs", "Landsat-8/9 TIRS", 30, (Band("ST_B10", "lwir11", 10895.0, 590, 100),)),
        # INPE, CBERS-4 Wide Field Imager band designations.
        Sensor(
            "cbers-4-awfi",
            "CBERS-4 AWFI",
            60,
            (
                Band("BAND13", "blue", 485.0, 70, 64),
                Band("BAND14", "green", 555.0, 70, 64),
                Band("BAND15", "red", 660.0, 60, 64),
                Band("BAND16", "nir", 830.0, 120, 64),
            ),
        ),
    )
}


def find_sensor(name: str) -> Sensor:
    """The sensor of that name.

    Raises:
        ConfigError: no sensor has that name; the message suggests the nearest known name.
    """
    if name in SENSORS:
        return SENSORS[name]
    raise ConfigError(f"unknown sensor {name!r}{did_you_mean(name, SENSORS)} Known sensors: {', '.join(SENSORS)}")
