"""Indices by band roles: what is absent is said."""

from agrifm.classic.indices import band_roles, notes_on_bands
from agrifm.record import SensorInput


def sensor(name: str, *bands: str) -> SensorInput:
    return SensorInput(sensor=name, bands=bands, quantity="surface reflectance", scale=1e-4, resolution=10)


def test_roles_are_those_of_the_sensor_s_record_and_common_names_of_others() -> None:
    assert band_roles(sensor("landsat", "B05", "B04")) == {"nir": 0, "red": 1}
    assert band_roles(sensor("drone", "red", "nir")) == {"red": 0, "nir": 1}


def test_the_narrow_near_infrared_counts_where_the_wide_one_is_absent() -> None:
    assert band_roles(sensor("sentinel-2", "B04", "B8A"))["nir"] == 1
    assert band_roles(sensor("sentinel-2", "B04", "B8A", "B08"))["nir"] == 2
    assert not notes_on_bands([sensor("sentinel-2", "B04", "B8A")])


def test_a_sensor_without_known_bands_is_named_and_one_with_an_index_is_not() -> None:
    notes = notes_on_bands([sensor("drone", "b1", "b2"), sensor("landsat", "B05", "B04"), sensor("drone2", "NDVI")])
    assert [note.split("'")[1] for note in notes] == ["drone"]
