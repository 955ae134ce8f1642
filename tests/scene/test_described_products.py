"""Products of the project file: what they mean, and one sentence for each wrong key or value."""

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agrifm.config import read_project
from agrifm.errors import ConfigError
from agrifm.product_description import ProductDescription
from agrifm.scene.described_products import described_product, described_products
from agrifm.scene.file_names import LANDSAT_NAMES, SENTINEL_2_NAMES
from agrifm.scene.products import find_product
from agrifm.scene.quality import FLAGS, QualityCodes, no_quality, quality_flags

FLOATS = """
name = "mine"
sensor = "sentinel-2"
scale = 1
nodata = nan
valid_range = [0.0, 1.5]
"""
PLANET = """
name = "planet"
resolution = 5
bands = [{ name = "blue", wavelength = 490 }, { name = "nir", wavelength = "0.865 µm" }]
scale = 0.0001
nodata = 0
valid_range = [1, 15000]
assets = { nir = "N" }
[quality]
band = "udm"
values = { usable = [1], cloud = [2, 3], nodata = [255] }
"""


def description(text: str) -> ProductDescription:
    return ProductDescription.model_validate(tomllib.loads(text))


def project(directory: Path, product: str) -> Any:
    """A project file with the lines of a product in it; tables of the product are written with their whole name."""
    lines = product.replace("[quality]", "[imagery.product.quality]")
    (directory / "agrifm.toml").write_text(
        "[season]\narea = [2.0, 46.0, 2.1, 46.1]\nstart = 2024-03-01\nend = 2024-10-31\n"
        f'[imagery]\n[[imagery.files]]\nproduct = "mine"\npattern = "*.tif"\n[imagery.product]\n{lines}\n'
        '[labels]\nfile = "labels.gpkg"\n'
    )
    return read_project(directory)


def test_a_description_is_the_record_of_a_product() -> None:
    product = described_product(description(FLOATS))
    assert (product.name, product.sensor, product.scale, product.offset) == ("mine", "sentinel-2", 1.0, 0.0)
    assert np.isnan(product.nodata)
    assert product.bands == find_product("sentinel-2-c1-l2a").bands
    assert all(scheme in product.file_names for scheme in SENTINEL_2_NAMES)
    assert (product.resolution, product.quality_bands, product.integers) == (10, {}, False)


def test_a_sensor_of_the_project_has_its_bands_and_pixels() -> None:
    described = description(PLANET)
    product = described_product(described)
    assert product.assets == {"blue": "blue", "nir": "N"}
    assert (product.sensor, product.resolution) == ("planet", 5)
    assert [band.wavelength for band in described.bands] == [490, pytest.approx(865)]


def test_what_is_not_given_is_taken_from_the_product_in_like() -> None:
    like = find_product("landsat-c2-l2")
    product = described_product(description('name = "x"\nlike = "landsat-c2-l2"\ncollection = ""\nnodata = 65535'))
    assert (product.collection, product.nodata) == ("", 65535)
    assert (product.assets, product.scale, product.quality_bands) == (like.assets, like.scale, like.quality_bands)
    assert product.file_names == LANDSAT_NAMES
    # the project's offset is that of all files, whatever their baseline
    shifted = described_product(description('name = "x"\nlike = "sentinel-2-c1-l2a"\noffset = 0.0'))
    assert (shifted.offset, shifted.offset_from_baseline) == (0.0, None)


def test_files_may_have_some_bands_of_a_known_sensor() -> None:
    text = 'bands = [{ name = "B08" }, { name = "B04" }]'
    product = described_product(description(f"{FLOATS}\n{text}"))
    assert (product.sensor, product.bands, product.resolution) == ("sentinel-2", ("B04", "B08"), 10)
    product = described_product(description(f'name = "x"\nlike = "sentinel-2-c1-l2a"\n{text}'))
    assert product.assets == {"B04": "red", "B08": "nir"}


def test_an_index_has_no_wavelength() -> None:
    text = (
        'name = "x"\nquantity = "index"\nscale = 0.0001\nnodata = -3000\nvalid_range = [-2000, 10000]\nresolution = 30'
    )
    product = described_product(description(f'{text}\nbands = [{{ name = "NDVI" }}]'))
    assert (product.bands, product.quantity) == (("NDVI",), "index")


def test_what_is_recorded_describes_the_same_product() -> None:
    for text in (FLOATS, PLANET):
        product = described_product(description(text))
        again = described_product(ProductDescription.model_validate(product.description))
        assert repr(again) == repr(product)


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        ('like = "sentinel-2-c1-l2"', "'sentinel-2-c1-l2a'"),
        ('sensor = "sentinel2"', "'sentinel-2'"),
        ("scale = 0", "positive"),
        ("scale = -1", "positive"),
        ("scale = inf", "finite"),
        ("scale = 0.0001", "`scale`"),
        ("scale = 10000", "`scale`"),
        ('scale = "1"', "scale"),
        ("scale = true", "scale"),
        ("offset = nan", "offset"),
        ("offset = 5", "`offset`"),
        ("nodata = 1", "`valid_range`"),
        ("nodata = true", "True"),
        ('nodata = "none"', "nan"),
        ("valid_range = [1.5, 0]", "`valid_range`"),
        ("valid_range = [0, inf]", "finite"),
        ("valid_range = [0]", "valid_range"),
        ("valid_range = [0, 10000]", "`valid_range`"),
        ('quantity = "reflectance"', "surface reflectance"),
        ('quantity = "temperature"', "temperature"),
        ("sacle = 1", "scale"),
        ('kernel = "cubic"', "nearest"),
        ('quantity = "backscatter (dB)"\nvalid_range = [-40, 10]', '"nearest"'),
        ("resolution = 10", "`bands`"),
        ('bands = [{ name = "red", wavelength = 665 }]', "sentinel-2"),
        ('bands = [{ name = "B2" }]', "'B2'"),
        ('bands = [{ name = "red" }]\nsensor = "own"\nresolution = 10', "`wavelength`"),
        ('bands = [{ name = "B02" }, { name = "B02" }]', "twice"),
        ('bands = [{ name = "red", wavelength = 0.665 }]\nsensor = "own"', "wavelength"),
        ('bands = [{ name = "red", wavelength = "665 furlong" }]\nsensor = "own"', "nm"),
        ('bands = [{ name = "red", wavelength = 665 }]\nsensor = "own"\nresolution = 7', "480"),
        ('bands = [{ name = "red", wavelength = 665 }]\nsensor = "own"', "`resolution`"),
        ('bands = [{ name = "r", wavelength = 665 }, { name = "r", wavelength = 8 }]', "wavelength"),
        ('bands = [{ name = "red", wavelength = 665 }]\nsensor = "my.own"\nresolution = 10', "my.own"),
        ('assets = { B2 = "blue" }', "B02"),
        ('assets = { B02 = "B03" }', "'B03'"),
        ('name = "sentinel-2-c1-l2a"', "`name`"),
        ('name = "a b/c"', "name"),
        ("file_name = '(?P<date>'", "regular expression"),
        ("file_name = '(?P<day>[0-9]{8})'", "day"),
        ("file_name = 'x.tif'", "date"),
        ('quality = { band = "SCL" }', "`rule`"),
        ('quality = { band = "SCL", rule = "scll" }', "'scl'"),
        ('quality = { band = "SCL", rule = "scl", bits = { cloud = [1] } }', "`rule`"),
        ('quality = { band = "m", values = { clouds = [1] } }', "'cloud'"),
        ('quality = { band = "m", bits = { cloud = [32] } }', "32"),
        ('quality = { band = "m", bits = { usable = [0] } }', "`values`"),
        ('quality = { band = "m", values = { usable = [0], cloud = [0] } }', "0"),
        ('quality = { band = "m", values = { cloud = ["a"] } }', "cloud"),
        ('quality = { band = "B02", rule = "scl" }', "'B02'"),
    ],
)
def test_a_wrong_key_or_value_is_refused_in_one_sentence(tmp_path: Path, change: str, fact: str) -> None:
    keys = [line.partition(" = ")[0] for line in change.splitlines()]
    kept = [line for line in FLOATS.splitlines() if line.partition(" = ")[0] not in keys]
    with pytest.raises(ConfigError) as caught:
        described_products(project(tmp_path, "\n".join([*kept, change])).imagery.product)
    assert fact in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["sensor", "scale", "nodata", "valid_range"])
def test_a_key_that_is_needed_is_named(key: str) -> None:
    lines = [line for line in FLOATS.splitlines() if not line.startswith(key)]
    with pytest.raises(ConfigError) as caught:
        described_product(description("\n".join(lines)))
    assert caught.value.facts["key"] == key


def test_two_products_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        described_products([description(FLOATS), description(FLOATS)])
    assert caught.value.facts["name"] == "mine"


def flags(codes: QualityCodes, *values: float, dtype: Any = np.uint16) -> list[set[str]]:
    found = quality_flags(np.array(values, dtype), codes)
    return [{flag for position, flag in enumerate(FLAGS) if value >> position & 1} for value in found.tolist()]


def test_values_mean_their_flags_and_what_is_not_usable_is_defective() -> None:
    codes = QualityCodes((("usable", (0, 4)), ("cloud", (1, 2)), ("shadow", (2,)), ("nodata", (255,))))
    assert flags(codes, 0, 1, 2, 3, 4, 255) == [set(), {"cloud"}, {"cloud", "shadow"}, {"defective"}, set(), {"nodata"}]
    assert flags(QualityCodes((("cloud", (1,)),)), 0, 1, 2) == [set(), {"cloud"}, set()]


def test_bits_mean_their_flags_with_values_beside_them() -> None:
    codes = QualityCodes((("nodata", (7,)),), (("cloud", (3, 4)), ("snow", (5,)), ("water", (15,))))
    assert flags(codes, 0, 8, 16, 8 + 32, 7, 1 << 15) == [
        set(),
        {"cloud"},
        {"cloud"},
        {"cloud", "snow"},
        {"nodata"},
        {"water"},
    ]


def test_a_quality_band_of_floats_is_read_if_its_numbers_are_whole() -> None:
    codes = QualityCodes((("cloud", (9,)),))
    assert flags(codes, 4, 9, np.nan, 8.5, np.inf, dtype=np.float32) == [set(), {"cloud"}, *[{"nodata"}] * 3]
    assert quality_flags(np.array([4.0, 9.0, np.nan], np.float32), "scl").tolist() == [
        0,
        1 << FLAGS.index("cloud"),
        1 << FLAGS.index("nodata"),
    ]


@pytest.mark.parametrize(
    "codes",
    [
        QualityCodes((("cloud", (1,)),)),
        QualityCodes((("cloud", (255, 254)),)),
        QualityCodes((), (("cloud", (3,)),)),
        QualityCodes((), (("cloud", (14,)), ("nodata", (0,)))),
        QualityCodes((("nodata", (9, 8)),)),
    ],
)
def test_where_a_described_quality_band_has_no_pixel_is_nodata(codes: QualityCodes) -> None:
    assert flags(codes, no_quality(codes), dtype=np.int32) == [{"nodata"}]
