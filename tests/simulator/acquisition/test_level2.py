"""Scenes on disk, decoded by the rules of the providers' handbooks, written out here once more."""

import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.warp import Resampling, reproject

from agrifm.grid import Grid
from agrifm.season import day_number
from agrifm.simulator.acquisition.level2 import mgrs_square
from agrifm.simulator.acquisition.modis import MODIS_PIXEL
from agrifm.simulator.acquisition.orbits import Overpass
from agrifm.simulator.acquisition.sky import sky_at
from agrifm.simulator.footprint import Lattice
from agrifm.simulator.granule import Granule, Simulation

S2, LANDSAT, MODIS = "sentinel-2-c1-l2a", "landsat-c2-l2", "modis-09A1-061"
S2_KEYS = {10: ("blue", "green", "red", "nir"), 20: ("rededge1", "rededge2", "rededge3", "nir08", "swir16", "swir22")}
LANDSAT_KEYS = ("blue", "green", "red", "nir08", "swir16", "swir22")


@pytest.fixture(scope="module")
def items(catalogue: Path) -> dict[str, list[pystac.Item]]:
    root = pystac.Catalog.from_file(str(catalogue))
    return {child.id: list(child.get_items()) for child in root.get_children()}


def pixels(item: pystac.Item, key: str) -> NDArray[Any]:
    with rasterio.open(item.assets[key].get_absolute_href()) as file:
        return file.read(1)


def transform(item: pystac.Item, key: str) -> Affine:
    with rasterio.open(item.assets[key].get_absolute_href()) as file:
        return file.transform


def day_of(item: pystac.Item) -> int:
    assert item.datetime is not None
    return day_number(item.datetime.date())


def clear(granule: Granule, overpass: Overpass, grid: Grid) -> NDArray[np.bool_]:
    """Where neither a cloud nor its shadow nor cirrus is."""
    lattice = Lattice.around(grid, 60)
    sky = sky_at(granule.region.sky, granule.seed, overpass, lattice.x[None], lattice.y[:, None])
    return np.all([lattice.onto(plane) <= 0 for plane in (sky.cloud, sky.shadow, sky.cirrus - 1e-9)], axis=0)


def pairs(
    items: dict[str, list[pystac.Item]], simulation: Simulation, collection: str
) -> Iterator[tuple[pystac.Item, Overpass]]:
    """Items with the pass that they show."""
    overpass = {
        one.overpasses[0].moment: one.overpasses[0] for one in simulation.acquisitions if one.collection == collection
    }
    for item in items[collection]:
        yield item, overpass[item.datetime]


def within(off: NDArray[Any]) -> bool:
    """Adjacency, haze, noise, gain and a shift of a part of a pixel together."""
    return bool(off.mean() < 0.02 and np.quantile(off, 0.95) < 0.06)


def test_sentinel_2_decodes_to_the_ground(
    items: dict[str, list[pystac.Item]], simulation: Simulation, granule: Granule
):
    """Reflectance = (number - 1000) / 10000 from processing baseline 04.00 on, number / 10000 before (ESA)."""
    checked: list[str] = []
    for item, overpass in pairs(items, simulation, S2):
        baseline = item.properties["s2:processing_baseline"]
        for camera in granule.cameras[S2]:
            size = int(camera.grid.resolution)
            here = clear(granule, overpass, camera.grid) & (pixels(item, S2_KEYS[size][0]) > 0)
            if here.sum() < 2000:
                continue
            rows, cols = camera.grid.shape
            bands, angles = camera.bands, overpass.geometry
            truth = granule.ground.reflectance(camera.footprint, overpass.day, bands, angles)
            planes = truth.T.reshape(len(bands), rows + 2, cols + 2)[:, 1:-1, 1:-1]
            assert transform(item, S2_KEYS[size][0]) == camera.grid.transform
            for key, expected in zip(S2_KEYS[size], planes, strict=True):
                numbers = pixels(item, key).astype(float)
                off = np.abs((numbers - (1000 if baseline >= "04.00" else 0)) / 10000 - expected)[here]
                assert within(off), f"{item.id} {baseline} {key}: {off.mean():.3f}, {np.quantile(off, 0.95):.3f}"
            checked.append(baseline)
    assert len(checked) >= 4
    assert set(checked) == {"03.01", "05.10"}


def test_the_offset_is_stated_where_it_applies(items: dict[str, list[pystac.Item]]):
    for item in items[S2]:
        band = item.assets["red"].extra_fields["raster:bands"][0]
        assert band["scale"] == 0.0001
        assert band.get("offset") == (-0.1 if item.properties["s2:processing_baseline"] >= "04.00" else None)
    baselines = {item.properties["s2:processing_baseline"] for item in items[S2]}
    assert baselines == {"03.01", "05.10"}


def test_landsat_decodes_to_the_ground(items: dict[str, list[pystac.Item]], simulation: Simulation, granule: Granule):
    """Reflectance = 0.0000275 x number - 0.2 (USGS)."""
    (camera,) = granule.cameras[LANDSAT]
    rows, cols = camera.grid.shape
    checked = 0
    for item, overpass in pairs(items, simulation, LANDSAT):
        here = clear(granule, overpass, camera.grid) & (pixels(item, "red") > 0)
        if here.sum() < 500:
            continue
        truth = granule.ground.reflectance(camera.footprint, overpass.day, camera.bands, overpass.geometry)
        planes = truth.T.reshape(len(camera.bands), rows + 2, cols + 2)[:, 1:-1, 1:-1]
        for key, expected in zip(LANDSAT_KEYS, planes, strict=True):
            off = np.abs(pixels(item, key) * 0.0000275 - 0.2 - expected)[here]
            assert within(off), f"{item.id} {key}"
        checked += 1
    assert checked >= 1


def test_landsat_corners_are_15_m_off(items: dict[str, list[pystac.Item]]):
    for item in items[LANDSAT]:
        placed = transform(item, "red")
        assert (placed.a, placed.c % 30, placed.f % 30) == (30, 15, 15)


def test_fill_is_where_the_swath_ends(items: dict[str, list[pystac.Item]]):
    cut = 0
    for item in items[S2]:
        empty = pixels(item, "scl") == 0
        cut += bool(empty.any())
        for key, size in (("red", 10), ("swir16", 20)):
            there = pixels(item, key) == 0
            assert (there == empty.repeat(20 // size, 0).repeat(20 // size, 1)).all()
    for item in items[LANDSAT]:
        assert ((pixels(item, "qa_pixel") == 1) == (pixels(item, "red") == 0)).all()
    assert cut == 0  # 1.2 km: the edge of orbit 94 runs two kilometres east of it


def test_modis_decodes_to_the_ground_of_its_day(
    items: dict[str, list[pystac.Item]], simulation: Simulation, granule: Granule
):
    """Reflectance = number / 10000, fill -28672; each pixel shows the ground on its own day of year."""
    year = day_number(date(2024, 1, 1))
    daily = {one.day: one for whole in simulation.acquisitions if whole.collection == MODIS for one in whole.overpasses}
    bands = [band for camera in granule.cameras[LANDSAT] for band in camera.bands if band.name in ("B04", "B05")]
    errors: list[NDArray[Any]] = []
    for item in items[MODIS]:
        days, state = pixels(item, "sur_refl_day_of_year"), pixels(item, "sur_refl_state_500m")
        for day in np.unique(days[days != 65535]):
            here = (days == day) & ((state & 0b111) == 0) & ((state >> 8 & 0b11) == 0)
            for key, band in zip(("sur_refl_b01", "sur_refl_b02"), bands, strict=True):
                fine = _image(granule, daily[year + int(day) - 1], band)
                errors.append((pixels(item, key) / 10000.0 - _averaged(fine, granule, item, key))[here])
    off = np.abs(np.concatenate(errors))
    assert off.size > 20
    assert np.median(off) < 0.015
    assert np.quantile(off, 0.9) < 0.04


def _image(granule: Granule, overpass: Overpass, band: Any) -> NDArray[np.float32]:
    (camera,) = granule.cameras[LANDSAT]
    rows, cols = camera.grid.shape
    truth = granule.ground.reflectance(camera.footprint, overpass.day, [band], overpass.geometry)
    return truth[:, 0].reshape(rows + 2, cols + 2)[1:-1, 1:-1]


def _averaged(plane: NDArray[Any], granule: Granule, item: pystac.Item, key: str) -> NDArray[Any]:
    """A 30 m plane averaged onto an asset's grid by GDAL: a box where MODIS has a triangle."""
    grid = granule.cameras[LANDSAT][0].grid
    with rasterio.open(item.assets[key].get_absolute_href()) as file:
        target = np.zeros(file.shape, np.float32)
        reproject(
            np.ascontiguousarray(plane, np.float32),
            target,
            src_transform=grid.transform,
            src_crs=str(grid.crs),
            dst_transform=file.transform,
            dst_crs=file.crs,
            resampling=Resampling.average,
        )
    return target


def test_modis_fill_and_days_are_as_in_the_product(items: dict[str, list[pystac.Item]]):
    for item in items[MODIS]:
        assert item.datetime is None
        start = datetime.fromisoformat(item.properties["start_datetime"])
        end = datetime.fromisoformat(item.properties["end_datetime"])
        assert (end - start) == timedelta(days=8, seconds=-1)
        days, numbers = pixels(item, "sur_refl_day_of_year"), pixels(item, "sur_refl_b01")
        assert numbers.dtype == np.int16
        assert ((days == 65535) == (numbers == -28672)).all()
        first = start.timetuple().tm_yday
        chosen = days[days != 65535]
        assert chosen.size > 9
        assert ((chosen >= first) & (chosen <= first + 7)).all()
        assert "Sinusoidal" in item.properties["proj:wkt2"]
    days = np.concatenate([pixels(item, "sur_refl_day_of_year").ravel() for item in items[MODIS]])
    assert len(np.unique(days)) > 12  # not one day for the whole composite


def test_modis_pixels_are_those_of_the_global_grid(items: dict[str, list[pystac.Item]]):
    """MODIS tile h18v04 starts at x = 0, y = 50 degrees north, and 2400 pixels span ten degrees of the sphere."""
    pixel = 6371007.181 * np.pi / 180 * 10 / 2400
    for item in items[MODIS]:
        placed = transform(item, "sur_refl_b01")
        columns, rows = placed.c / pixel, (6371007.181 * np.deg2rad(50) - placed.f) / pixel
        assert columns == pytest.approx(round(columns), abs=0.01)
        assert rows == pytest.approx(round(rows), abs=0.01)
        assert placed.a == pytest.approx(pixel, rel=1e-6) == MODIS_PIXEL
        assert ".h18v04." in item.id


def test_items_are_named_as_the_providers_name_them(items: dict[str, list[pystac.Item]]):
    """2 April 2024 is 138 cycles of ten days after S2A's scene of orbit 94 of 2020-06-22, at 1.7 E, 46.9 N."""
    ids = {item.id for found in items.values() for item in found}
    assert any(name.startswith("S2A_T31TDM_20240402T110") for name in ids)
    assert any(name.startswith("MOD09A1.A2024097.h18v04.061.") for name in ids)
    paths = {name.split("_")[2] for name in ids if name.startswith("LC0")}
    assert paths <= {"199027", "198027", "198028", "199028"}


def test_mgrs_squares_are_those_of_known_places():
    """Paris is in 31UDQ, Toulouse in 31TCJ, Sorriso in 21LXG."""
    for name, epsg, x, y in (
        ("31UDQ", 32631, 452_000, 5_411_000),
        ("31TCJ", 32631, 374_000, 4_829_000),
        ("21LXG", 32721, 632_000, 8_617_000),
    ):
        grid = Grid.of(f"EPSG:{epsg}", Affine(10, 0, x - 500, 0, -10, y + 500), (100, 100))
        assert mgrs_square(grid) == name


def test_cloud_cover_is_the_share_of_marked_pixels(items: dict[str, list[pystac.Item]]):
    for item in items[S2]:
        classes = pixels(item, "scl")
        share = 100 * np.isin(classes, (8, 9, 10)).sum() / (classes > 0).sum()
        assert item.properties["eo:cloud_cover"] == pytest.approx(share, abs=0.01)


def test_metadata_is_json_without_paths(catalogue: Path):
    for file in catalogue.parent.rglob("*.json"):
        text = file.read_text(encoding="utf-8")
        assert str(catalogue.parent.parent) not in text
        assert not [
            link for link in json.loads(text).get("links", []) if link["href"].startswith(("/", "http", "file"))
        ]
