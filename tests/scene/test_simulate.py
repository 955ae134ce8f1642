"""A simulated season on disk: decoded by the rules of the providers' handbooks, written out here once more."""

import hashlib
import json
import shutil
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pystac
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.transform import rowcol
from rasterio.warp import Resampling, reproject
from shapely.geometry import shape

from agrifm.errors import ConfigError, OutputError
from agrifm.files import MARKER
from agrifm.grid import geodesic_hectares
from agrifm.legend import Legend
from agrifm.scene.simulate import FIRST_SEASON, acquisitions, simulate
from agrifm.scene.simulate_growth import Ground
from agrifm.scene.simulate_land import CROPS, draw_land
from agrifm.scene.simulate_view import Sky
from agrifm.season import Season, day_date, day_number

SEED, SIDE = 1, 1500.0
YEAR_START = day_number(date(2024, 1, 1))
S2, LANDSAT, MODIS = "sentinel-2-c1-l2a", "landsat-c2-l2", "modis-09A1-061"
# Asset key, centre in nm: ESA and USGS handbooks.
S2_BANDS = {"blue": 492.4, "red": 664.6, "nir": 832.8, "rededge2": 740.5, "nir08": 864.7, "swir16": 1613.7}
LANDSAT_BANDS = {"blue": 482.0, "red": 654.6, "nir08": 864.7, "swir22": 2200.7}
SHORT = Season(date(2024, 4, 1), date(2024, 4, 16))


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    season = Season(FIRST_SEASON.start, date(2024, 8, 31))
    return simulate(tmp_path_factory.mktemp("simulated") / "season", SEED, SIDE, season)


@pytest.fixture(scope="module")
def ground() -> Ground:
    return Ground.draw(draw_land(SEED, SIDE), SEED, 2024)


@pytest.fixture(scope="module")
def items(catalogue: Path) -> dict[str, list[pystac.Item]]:
    root = pystac.Catalog.from_file(str(catalogue))
    return {child.id: list(child.get_items()) for child in root.get_children()}


def pixels(item: pystac.Item, key: str) -> NDArray[Any]:
    with rasterio.open(item.assets[key].get_absolute_href()) as file:
        return file.read(1)


def transform(item: pystac.Item, key: str) -> Any:
    with rasterio.open(item.assets[key].get_absolute_href()) as file:
        return file.transform


def day_of(item: pystac.Item) -> int:
    assert item.datetime is not None
    return day_number(item.datetime.date())


def test_a_season_has_every_product_on_its_dates():
    """1 March to 31 October, 245 days: every 5 and 8 days; composites from 26 February (day 57) to 31 October (305)."""
    days: dict[str, list[date]] = {}
    for taken in acquisitions(FIRST_SEASON):
        days.setdefault(taken.collection, []).append(day_date(taken.day))
    assert {name: len(found) for name, found in days.items()} == {S2: 49, LANDSAT: 31, MODIS: 32}
    assert (days[MODIS][0], days[MODIS][-1]) == (date(2024, 2, 26), date(2024, 10, 31))


def test_items_are_named_as_the_providers_name_them(items: dict[str, list[pystac.Item]]):
    ids = {item.id for found in items.values() for item in found}
    assert {"S2A_T31TDM_20240301T105609_L2A", "LC08_L2SP_198027_20240304_02_T1"} <= ids
    assert any(name.startswith("MOD09A1.A2024057.h18v04.061.") for name in ids)


def test_the_catalogue_is_relative_whole_and_can_be_moved(catalogue: Path, tmp_path: Path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(catalogue.parent, moved)
    root = pystac.Catalog.from_file(str(moved / "catalog.json"))
    found = list(root.get_items(recursive=True))
    assert len(found) > 100
    for item in found:
        assert item.assets
        for asset in item.assets.values():
            assert asset.href.startswith("./")
            assert Path(str(asset.get_absolute_href())).is_file()
        assert shape(item.geometry).is_valid
    for file in moved.rglob("*.json"):
        links = json.loads(file.read_text()).get("links", [])
        assert not [link for link in links if link["href"].startswith(("/", "http", "file"))]
        assert str(catalogue.parent.parent) not in file.read_text()


def test_sentinel_2_decodes_to_the_ground(items: dict[str, list[pystac.Item]], ground: Ground):
    """Digital number 1000 is reflectance 0 and 11000 is 1 (baseline 04.00 and later); SCL 4 to 6 is clear."""
    checked = 0
    for item in items[S2][:20:3]:
        assert item.properties["s2:processing_baseline"] == "05.10"
        day = day_of(item)
        truth = dict(zip(S2_BANDS, ground.reflectance(day, tuple(S2_BANDS.values())), strict=True))
        sky = Sky.draw(ground.land.grid, SEED, day)
        first = round((transform(item, "scl").c - ground.land.grid.transform.c) / 10)
        classes = pixels(item, "scl").repeat(2, 0).repeat(2, 1)
        window = np.s_[:, first : first + classes.shape[1]]
        clear = np.isin(classes, (4, 5, 6)) & (sky.cloud[window] <= 0) & (sky.shadow[window] <= 0)
        if clear.sum() < 1000:
            continue
        for key, plane in truth.items():
            expected, numbers = plane[window], pixels(item, key)
            if key in ("rededge2", "nir08", "swir16"):
                assert numbers.shape == (classes.shape[0] // 2, classes.shape[1] // 2)
                rows, cols = numbers.shape
                expected = expected.reshape(rows, 2, cols, 2).mean((1, 3))
                off = np.abs((numbers.astype(float) - 1000) / 10000 - expected)[clear[::2, ::2] & clear[1::2, 1::2]]
            else:
                off = np.abs((numbers.astype(float) - 1000) / 10000 - expected)[clear]
            assert off.mean() < 0.012, f"{item.id} {key}"
            assert np.quantile(off, 0.99) < 0.05, f"{item.id} {key}"
        checked += 1
    assert checked >= 2


def test_landsat_decodes_to_the_ground(items: dict[str, list[pystac.Item]], ground: Ground):
    """Reflectance = 0.0000275 x number - 0.2; a 30 m pixel averages the ground, by rasterio's own averaging."""
    checked = 0
    for item in items[LANDSAT][:16:2]:
        quality = pixels(item, "qa_pixel")
        sky = Sky.draw(ground.land.grid, SEED, day_of(item))
        dirty = np.maximum(sky.cloud, sky.shadow).clip(0)
        clear = ((quality & 0b11111) == 0) & (_averaged(dirty, ground, item, "qa_pixel") == 0)
        if clear.sum() < 300:
            continue
        for key, plane in zip(
            LANDSAT_BANDS, ground.reflectance(day_of(item), tuple(LANDSAT_BANDS.values())), strict=True
        ):
            expected = _averaged(plane, ground, item, key)
            off = np.abs(pixels(item, key) * 0.0000275 - 0.2 - expected)[clear]
            assert off.mean() < 0.012, f"{item.id} {key}"
        checked += 1
    assert checked >= 2


def _averaged(plane: NDArray[Any], ground: Ground, item: pystac.Item, key: str) -> NDArray[Any]:
    """A 10 m plane averaged onto an asset's grid by GDAL."""
    grid = ground.land.grid
    with rasterio.open(item.assets[key].get_absolute_href()) as file:
        target = np.zeros(file.shape, np.float32)
        reproject(
            plane.astype(np.float32),
            target,
            src_transform=grid.transform,
            src_crs=str(grid.crs),
            dst_transform=file.transform,
            dst_crs=file.crs,
            resampling=Resampling.average,
        )
    return target


def test_modis_decodes_to_the_ground_of_its_day(items: dict[str, list[pystac.Item]], ground: Ground):
    """Reflectance = number / 10000, fill -28672; each pixel shows the ground on its own day of year."""
    errors = []
    for item in items[MODIS][::6]:
        numbers, days = pixels(item, "sur_refl_b02").astype(float), pixels(item, "sur_refl_day_of_year")
        clear = (pixels(item, "sur_refl_state_500m") & 0b111) == 0
        for day in np.unique(days[days != 65535]):
            infrared = ground.reflectance(YEAR_START + int(day) - 1, (858.5,))[0]
            here = (days == day) & clear & (numbers != -28672)
            errors.append((numbers / 10000 - _averaged(infrared, ground, item, "sur_refl_b02"))[here])
    off = np.abs(np.concatenate(errors))
    assert off.size > 20
    assert np.median(off) < 0.01
    assert np.quantile(off, 0.9) < 0.03


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
    assert len(np.unique(days)) > 45  # not one day for the whole composite


def test_modis_sees_what_sentinel_2_sees_on_the_same_day(items: dict[str, list[pystac.Item]], ground: Ground):
    """Red (645 and 665 nm) and NIR (858 and 833 nm) of both, Sentinel-2 averaged to the MODIS pixels by GDAL."""
    differences: list[NDArray[Any]] = []
    for composite in items[MODIS]:
        days = pixels(composite, "sur_refl_day_of_year")
        clear = (pixels(composite, "sur_refl_state_500m") & 0b111) == 0
        for item in (item for item in items[S2] if "_T31TDM_" in item.id):
            here = clear & (days == day_of(item) - YEAR_START + 1)
            if not here.any():
                continue
            usable = np.isin(pixels(item, "scl"), (4, 5, 6)).repeat(2, 0).repeat(2, 1)
            whole = np.zeros(ground.land.grid.shape, np.float32)
            pair = []
            for key, modis_key in (("red", "sur_refl_b01"), ("nir", "sur_refl_b02")):
                numbers = pixels(item, key)
                plane, there = whole.copy(), whole.copy()
                plane[:, : numbers.shape[1]] = (numbers - 1000.0) / 10000
                there[:, : numbers.shape[1]] = usable
                seen = here & (_averaged(there, ground, composite, modis_key) > 0.999)
                fine = _averaged(plane, ground, composite, modis_key)
                pair.append((pixels(composite, modis_key) / 10000 - fine)[seen])
            differences.append(np.array(pair))
    off = np.abs(np.concatenate(differences, axis=1))
    assert off.shape[1] > 10
    assert np.median(off[0]) < 0.012
    assert np.median(off[1]) < 0.02


def test_landsat_and_sentinel_2_see_the_same_summer_forest(
    catalogue: Path, items: dict[str, list[pystac.Item]], ground: Ground
):
    with rasterio.open(catalogue.parent / "truth/landcover.tif") as file:
        forest = file.read(1) == 10
    summer = range(day_number(date(2024, 6, 1)), day_number(date(2024, 9, 1)))
    red, infrared = {S2: [], LANDSAT: []}, {S2: [], LANDSAT: []}
    for item in (item for item in items[S2] if day_of(item) in summer and "_T31TDM_" in item.id):
        clear = (pixels(item, "scl") == 4).repeat(2, 0).repeat(2, 1)
        here = clear & forest[:, : clear.shape[1]]
        red[S2] += list((pixels(item, "red")[here] - 1000.0) / 10000)
        infrared[S2] += list((pixels(item, "nir08").repeat(2, 0).repeat(2, 1)[here] - 1000.0) / 10000)
    for item in (item for item in items[LANDSAT] if day_of(item) in summer):
        here = (_averaged(forest, ground, item, "red") > 0.99) & ((pixels(item, "qa_pixel") & 0b11111) == 0)
        red[LANDSAT] += list(pixels(item, "red")[here] * 0.0000275 - 0.2)
        infrared[LANDSAT] += list(pixels(item, "nir08")[here] * 0.0000275 - 0.2)
    assert min(len(values) for values in (*red.values(), *infrared.values())) > 100
    assert np.median(red[LANDSAT]) == pytest.approx(np.median(red[S2]), abs=0.005)
    assert np.median(infrared[LANDSAT]) == pytest.approx(np.median(infrared[S2]), abs=0.015)


def test_landsat_corners_lie_15_m_off(items: dict[str, list[pystac.Item]]):
    for item in items[LANDSAT]:
        placed = transform(item, "red")
        assert (placed.a, placed.c % 30, placed.f % 30) == (30, 15, 15)


def test_sentinel_2_footprints_overlap_and_agree_there(items: dict[str, list[pystac.Item]]):
    by_day: dict[int, dict[str, pystac.Item]] = {}
    for item in items[S2]:
        by_day.setdefault(day_of(item), {})[item.id.split("_")[1]] = item
    pairs = [pair for pair in by_day.values() if len(pair) == 2]
    assert len(pairs) > 30
    for pair in pairs[::7]:
        west, east = pixels(pair["T31TDM"], "red"), pixels(pair["T31TEM"], "red")
        first = round((transform(pair["T31TEM"], "red").c - transform(pair["T31TDM"], "red").c) / 10)
        shared = west.shape[1] - first
        assert 0 < shared < east.shape[1]
        np.testing.assert_array_equal(west[:, first:], east[:, :shared])


def test_some_swaths_leave_a_part_without_data(items: dict[str, list[pystac.Item]]):
    empty = [float(np.mean(pixels(item, "scl") == 0)) for item in items[S2]]
    assert 5 < sum(share > 0.05 for share in empty) < 30
    cut = items[S2][int(np.argmax(empty))]
    for key in ("red", "nir"):
        assert ((pixels(cut, key) == 0) == (pixels(cut, "scl") == 0).repeat(2, 0).repeat(2, 1)).all()


def test_masks_are_right_but_for_some_edges(items: dict[str, list[pystac.Item]], ground: Ground):
    omitted = added = total = 0
    for item in (item for item in items[S2] if "_T31TDM_" in item.id):
        classes = pixels(item, "scl")
        opacity = Sky.draw(ground.land.grid, SEED, day_of(item)).cloud[::2, ::2][:, : classes.shape[1]]
        marked = np.isin(classes, (8, 9, 10))
        omitted += int(np.sum(~marked & (opacity > 0.2) & (classes > 0)))
        added += int(np.sum(marked & (opacity < 0)))
        total += classes.size
    assert 0 < omitted < 0.02 * total
    assert 0 < added < 0.02 * total


def test_cloud_cover_is_the_share_of_marked_pixels(items: dict[str, list[pystac.Item]]):
    for item in items[S2][::9]:
        classes = pixels(item, "scl")
        share = 100 * np.isin(classes, (8, 9, 10)).sum() / (classes > 0).sum()
        assert item.properties["eo:cloud_cover"] == pytest.approx(share, abs=0.01)


def test_the_truth_names_its_classes_and_parcels_agree_with_it(catalogue: Path):
    truth = catalogue.parent / "truth"
    legend = Legend.read(truth / "legend.json")
    with rasterio.open(truth / "crops.tif") as file:
        numbers, placed = file.read(1), file.transform
        assert Legend.model_validate_json(file.tags()["AGRIFM_LEGEND"]) == legend
        assert file.nodata == 255
        colors = ["#{:02x}{:02x}{:02x}".format(*file.colormap(1)[number][:3]) for number in range(len(legend))]
    assert colors == [entry.color for entry in legend.classes]
    parcels = geopandas.read_file(truth / "parcels.gpkg")
    assert set(parcels.crop) == set(CROPS)
    assert parcels.parcel_id.is_unique
    np.testing.assert_allclose(parcels.area_ha, parcels.area / 1e4, atol=1e-4)
    for crop, own in parcels.groupby("crop"):  # by pixels and by polygons the same area
        assert (numbers == legend.number(crop)).sum() / 100 == pytest.approx(own.area_ha.sum(), rel=0.03)
    for point, crop in zip(parcels.representative_point(), parcels.crop, strict=True):
        row, col = rowcol(placed, point.x, point.y)
        assert numbers[row, col] == legend.number(crop)


def test_the_area_is_a_square_of_the_side(catalogue: Path):
    area = shape(json.loads((catalogue.parent / "area.geojson").read_text())["features"][0]["geometry"])
    assert len(area.exterior.coords) == 5
    assert geodesic_hectares(area) == pytest.approx(225, rel=0.002)  # UTM lengths are 0.04 % off


def _hashes(root: Path) -> dict[str, str]:
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_seed_gives_the_same_bytes_again_and_another_seed_others(tmp_path: Path):
    first, again, other = (
        _hashes(simulate(tmp_path / name, seed, 1000, SHORT).parent) for name, seed in (("a", 5), ("b", 5), ("c", 6))
    )
    assert len(first) > 100
    assert first == again
    assert first["truth/crops.tif"] != other["truth/crops.tif"]
    red = "sentinel-2-c1-l2a/S2A_T31TDM_20240401T105609_L2A/red.tif"
    assert first[red] != other[red]


def test_a_season_replaces_a_season_and_nothing_else(tmp_path: Path):
    target = tmp_path / "season"
    target.mkdir()
    (target / "mine.txt").write_text("keep")
    with pytest.raises(OutputError, match="did not write"):
        simulate(target, 0, 1000, SHORT)
    assert [path.name for path in tmp_path.rglob("*")] == ["season", "mine.txt"]
    (target / "mine.txt").unlink()
    short = Season(date(2024, 4, 1), date(2024, 4, 3))
    simulate(target, 0, 1000, short)
    simulate(target, 1, 1000, short)
    assert json.loads((target / MARKER).read_text())["kind"] == "season"
    assert [path.name for path in tmp_path.iterdir()] == ["season"]


@pytest.mark.parametrize("side", [500, float("nan"), -1])
def test_a_side_too_small_is_refused(tmp_path: Path, side: float):
    with pytest.raises(ConfigError, match="1000 m or more"):
        simulate(tmp_path / "season", side=side)


def test_a_season_of_two_years_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="366 days at the most"):
        simulate(tmp_path / "season", season=Season(date(2023, 1, 1), date(2024, 6, 1)))


def test_composites_start_anew_each_year():
    season = Season(date(2023, 10, 1), date(2024, 7, 31))
    firsts = [day_date(taken.day) for taken in acquisitions(season) if taken.collection == MODIS]
    assert {first.timetuple().tm_yday % 8 for first in firsts} == {1}
    assert firsts[0] == date(2023, 9, 30)
    assert {date(2023, 12, 27), date(2024, 1, 1)} <= set(firsts)
    assert firsts[-1] <= season.end
