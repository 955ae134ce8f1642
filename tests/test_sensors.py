"""Sensors: the channels that AgriFM was trained with, wavelengths, and pixels that nest."""

import pytest

from agrifm.errors import ConfigError
from agrifm.sensors import SENSORS, find_sensor


@pytest.mark.parametrize(("sensor", "bands"), [("sentinel-2", 10), ("landsat", 6), ("modis", 7)])
def test_a_sensor_has_the_channel_count_of_the_released_agrifm(sensor: str, bands: int) -> None:
    """AgriFM's patch embeddings take 10, 6 and 7 channels."""
    assert len(find_sensor(sensor).band_names) == bands


@pytest.mark.parametrize("sensor", SENSORS.values(), ids=SENSORS)
def test_cube_pixels_of_a_sensor_nest_in_480_m(sensor) -> None:
    assert 480 % sensor.resolution == 0


@pytest.mark.parametrize("sensor", SENSORS.values(), ids=SENSORS)
def test_band_names_of_a_sensor_differ(sensor) -> None:
    assert len(set(sensor.band_names)) == len(sensor.bands)


@pytest.mark.parametrize("name", ["sentinel-2", "landsat", "cbers-4-awfi"])
def test_bands_stand_in_spectral_order(name: str) -> None:
    wavelengths = [band.wavelength for band in find_sensor(name).bands]
    assert wavelengths == sorted(wavelengths)


def test_modis_bands_are_ordered_by_number_not_by_wavelength() -> None:
    """MODIS numbers: 1 red 620-670 nm, 2 near infrared 841-876, 3 blue 459-479, 4 green 545-565, 5 1230-1250."""
    bands = find_sensor("modis").bands
    ranges = [(620, 670), (841, 876), (459, 479), (545, 565), (1230, 1250), (1628, 1652), (2105, 2155)]
    assert [band.name for band in bands] == [f"B0{number}" for number in range(1, 8)]
    assert all(low < band.wavelength < high for band, (low, high) in zip(bands, ranges, strict=True))


def test_an_unknown_sensor_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(ConfigError, match="did you mean 'sentinel-2'"):
        find_sensor("sentinel2")
