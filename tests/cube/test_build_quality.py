"""MOD09A1 with the quality of its bands, from a catalogue to `valid` and to the counts of the provenance."""

from pathlib import Path

import numpy as np
from shapely import box
from shapely.geometry import mapping
from tests.scenes import LEFT, MODIS_KEYS, SEASON, TOP, Catalogue, lonlat

from agrifm.cube.build import build_cube
from agrifm.scene.products import find_product
from agrifm.scene.search import search_catalog

PRODUCT = "modis-09A1-061-qc"
LAND, CLOUD, SNOW = 0b1000, 0b1001, 0b1000 | 1 << 15
"""State words: clear land, cloudy land, land with snow."""
DEAD = 8
# MODIS Surface Reflectance User's Guide, Collection 6.1, table of the 500 m QC word: bits 0-1 for all bands together,
# then four for each of the seven bands, bit 30 atmospheric and 31 adjacency correction. With it the flag that is due.
WORDS: list[tuple[int, int, str | None]] = [
    (0b00, LAND, None),
    (0b01, LAND, None),  # less than ideal quality in some bands
    (0b10, LAND, "cloud"),  # not produced because of clouds
    (0b11, LAND, "nodata"),  # not produced for other reasons
    (1 << 30, LAND, None),
    (1 << 30 | 1 << 31, LAND, None),  # the highest bit: numbers beyond 31 bits
    *((0b01 | code << 2, LAND, None) for code in (9, 10, 12)),  # low sun, a constant instead of climate data
    *((0b01 | code << 2, LAND, "defective") for code in (7, 8, 11, 13, 14)),
    (0b01 | 15 << 2, LAND, "nodata"),
    *((0b01 | DEAD << first, LAND, "defective") for first in (6, 10, 14, 18, 22, 26)),  # bands 2 to 7
    (0b01 | 15 << 26, LAND, "nodata"),
    (0b00, CLOUD, "cloud"),
    (0b00, SNOW, "snow"),
    (0b00, CLOUD, "cloud"),
]
SIDE = 5


def test_validity_of_mod09a1_comes_from_the_bits_of_its_bands(tmp_path: Path) -> None:
    """25 pixels of 480 m, each with a word of its own; dead detectors of one band make the pixel unusable."""
    assert len(WORDS) == SIDE**2
    square = (LEFT, TOP, 480 * SIDE)
    area = lonlat(box(LEFT + 40, TOP - 480 * SIDE + 40, LEFT + 480 * SIDE - 40, TOP - 40))
    pixels = {key: np.full((SIDE, SIDE), 500 + 100 * band, np.int16) for band, key in enumerate(MODIS_KEYS)}
    pixels |= {
        "sur_refl_qc_500m": np.array([word for word, _, _ in WORDS], np.uint32).reshape(SIDE, SIDE),
        "sur_refl_state_500m": np.array([state for _, state, _ in WORDS], np.uint16).reshape(SIDE, SIDE),
        "sur_refl_day_of_year": np.full((SIDE, SIDE), 130, np.uint16),
    }
    period = {"start_datetime": "2024-05-08T00:00:00Z", "end_datetime": "2024-05-15T23:59:59Z"}
    catalogue = Catalogue(tmp_path)
    catalogue.add("modis-09A1-061", "M", None, pixels, square, nodata=None, properties=period, geometry=mapping(area))
    cubes = {}
    for name in (PRODUCT, "modis-09A1-061"):
        found = search_catalog(catalogue.save(), [find_product(name)], SEASON, area)
        cubes[name] = build_cube(tmp_path / name / "cube.zarr", found, SEASON, area)
    cube = cubes[PRODUCT]
    valid = cube.sensors["modis"].group["valid"][0].ravel()
    assert valid.tolist() == [flag is None for _, _, flag in WORDS]
    stored = cube.sensors["modis"].group["values"][0].reshape(7, -1)
    assert (stored[:, valid] == 500 + 100 * np.arange(7)[:, None]).all()
    (frame,) = cube.provenance["sensors"]["modis"]["frames"]
    assert frame["flags"] == {"cloud": 3, "defective": 11, "nodata": 3, "snow": 1}
    assert frame["valid_share"] == 7 / 25
    assert cube.provenance["sensors"]["modis"]["quality"] == {
        "sur_refl_state_500m": "modis_state",
        "sur_refl_qc_500m": "modis_qc",
    }
    # without the band quality only clouds and snow of the state are left out
    (plain,) = cubes["modis-09A1-061"].provenance["sensors"]["modis"]["frames"]
    assert plain["flags"] == {"cloud": 2, "snow": 1}
    assert plain["valid_share"] == 22 / 25
