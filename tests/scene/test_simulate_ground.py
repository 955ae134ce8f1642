"""The simulated land, its growth and its sky, without files."""

from collections import Counter
from datetime import date

import numpy as np
import pytest
from rasterio.features import rasterize

from agrifm.scene.simulate_growth import MATERIALS, SPECTRA, WAVELENGTHS, Ground, mix
from agrifm.scene.simulate_land import CROPS, Land, crop_numbers, draw_land, simulated_legend, world_cover
from agrifm.scene.simulate_view import SinusoidalGrid, Sky, coarser
from agrifm.season import day_number

YEAR = 2024


@pytest.fixture(scope="module")
def full() -> Land:
    return draw_land(0, 5000)


@pytest.fixture(scope="module")
def ground() -> Ground:
    return Ground.draw(draw_land(0, 2500), 0, YEAR)


def test_every_crop_has_forty_parcels_and_fifteen_in_each_quarter_of_the_area(full: Land):
    assert min(Counter(cover for cover in full.covers if cover in CROPS).values()) >= 40
    assert len(CROPS) >= 6
    left, bottom, right, top = full.grid.bounds
    quarters: Counter[tuple[str, bool, bool]] = Counter()
    for cover, outline in zip(full.covers, full.outlines, strict=True):
        if outline is not None and cover in CROPS:
            x, y = outline.centroid.coords[0]
            quarters[cover, x > (left + right) / 2, y > (bottom + top) / 2] += 1
    assert len(quarters) == 4 * len(CROPS)
    assert min(quarters.values()) >= 15


def test_parcels_are_of_the_size_of_fields(full: Land):
    hectares = np.array([o.area / 1e4 for o, c in zip(full.outlines, full.covers, strict=True) if o and c in CROPS])
    assert 2 < np.median(hectares) < 4
    assert np.mean((hectares > 1) & (hectares < 12)) > 0.9
    assert all(outline is None or outline.is_valid for outline in full.outlines)


def test_the_area_is_the_square_asked_for_and_lies_off_the_480_m_lines(full: Land):
    longitude, latitude = full.area.centroid.coords[0]
    assert (longitude, latitude) == pytest.approx((2.35, 46.9), abs=0.01)
    left, bottom, right, top = full.grid.bounds
    assert {edge % 30 for edge in (left, bottom, right, top)} == {0}
    assert 5000 + 600 <= right - left <= 5000 + 600 + 2 * 480


def test_class_numbers_are_those_of_the_parcels(full: Land):
    legend = simulated_legend()
    numbers = crop_numbers(full)
    shapes = [
        (outline, legend.number(cover))
        for outline, cover in zip(full.outlines, full.covers, strict=True)
        if outline is not None and cover in CROPS
    ]
    burnt = rasterize(shapes, full.grid.shape, fill=legend.number("other"), transform=full.grid.transform)
    assert np.mean(burnt == numbers) > 0.9999
    assert 0.05 < np.mean(numbers == legend.number("other")) < 0.3


def test_land_cover_knows_every_kind_and_agrees_with_the_crops(full: Land):
    cover, numbers, legend = world_cover(full), crop_numbers(full), simulated_legend()
    assert set(np.unique(cover)) == {10, 30, 40, 50, 60, 80}
    assert (cover[numbers == legend.number("wheat")] == 40).all()
    assert (cover[numbers == legend.number("fallow")] == 60).all()
    assert (numbers[np.isin(cover, (10, 50, 80))] == legend.number("other")).all()


def test_other_land_is_the_last_class_and_is_not_scored():
    legend = simulated_legend()
    assert [entry.code for entry in legend.classes if not entry.scored] == ["other"]
    assert legend.number("other") == len(legend) - 1


@pytest.mark.parametrize(
    ("crop", "months"),
    [
        ("wheat", (4, 5)),
        ("barley", (4, 5)),
        ("rapeseed", (3, 4, 5)),
        ("maize", (7, 8)),
        ("soybean", (7, 8)),
        ("sunflower", (7, 8)),
    ],
)
def test_greenness_peaks_in_the_months_of_the_crop(ground: Ground, crop: str, months: tuple[int, ...]):
    here = crop_numbers(ground.land) == simulated_legend().number(crop)
    greenness = {}
    for month in range(3, 11):
        red, infrared = ground.reflectance(day_number(date(YEAR, month, 15)), (665, 842))[:, here]
        greenness[month] = float(np.median((infrared - red) / (infrared + red)))
    assert max(greenness, key=lambda month: greenness[month]) in months
    assert max(greenness.values()) > 0.6


def test_rapeseed_blooms_yellow_in_april(ground: Ground):
    numbers, legend = crop_numbers(ground.land), simulated_legend()
    blue, green, red = ground.reflectance(day_number(date(YEAR, 4, 20)), (490, 560, 665))

    def yellowness(crop: str) -> float:
        here = numbers == legend.number(crop)
        return float(np.median(((green + red) / 2 - blue)[here]))

    assert yellowness("rapeseed") > yellowness("wheat") + 0.03


def test_fields_of_one_crop_differ_in_their_dates(ground: Ground):
    wheat = np.array([cover == "wheat" for cover in ground.land.covers])
    assert 5 < np.std(ground.growth.rise[wheat]) < 15
    barley = np.array([cover == "barley" for cover in ground.land.covers])
    later = np.median(ground.growth.fall[wheat]) - np.median(ground.growth.fall[barley])
    assert 7 < later < 21


def test_clear_land_reflects_between_0_and_0_7(ground: Ground):
    for month in range(3, 11):
        reflectance = ground.reflectance(day_number(date(YEAR, month, 10)), WAVELENGTHS)
        assert reflectance.min() >= 0
        assert reflectance.max() < 0.7


def test_a_pure_pixel_reflects_the_tabled_spectrum():
    weights = np.zeros((len(MATERIALS), 1, 1), np.float32)
    weights[MATERIALS.index("soil")] = 1
    np.testing.assert_allclose(mix(weights, WAVELENGTHS)[:, 0, 0], SPECTRA["soil"], rtol=1e-6)
    between = mix(weights, (640.0,))[0, 0, 0]  # 4/7 of the way from 0.18 at 600 nm to 0.21 at 670 nm
    assert between == pytest.approx(0.18 + 0.03 * 4 / 7, abs=1e-6)


def test_averaging_weights_averages_reflectance(ground: Ground):
    day = day_number(date(YEAR, 5, 1))
    np.testing.assert_allclose(
        mix(coarser(ground.weights(day), 2), (665, 842)), coarser(ground.reflectance(day, (665, 842)), 2), atol=1e-6
    )


def test_half_of_the_sky_is_cloudy_and_some_days_wholly(ground: Ground):
    first = day_number(date(YEAR, 3, 1))
    skies = [Sky.draw(ground.land.grid, seed, day) for seed in (0, 1) for day in range(first, first + 120)]
    clear = np.array([np.mean((sky.cloud < 0.1) & (sky.shadow < 0.1)) for sky in skies])
    assert 0.35 < clear.mean() < 0.55
    assert 0.15 < np.mean(clear < 0.01) < 0.45
    assert np.mean(clear > 0.85) > 0.1


def test_clouds_hang_together(ground: Ground):
    days = range(day_number(date(YEAR, 3, 1)), day_number(date(YEAR, 5, 1)))
    cloudy = (Sky.draw(ground.land.grid, 0, day).cloud > 0.3 for day in days)
    broken = [mask for mask in cloudy if 0.2 < mask.mean() < 0.8]
    assert broken
    for mask in broken:  # 200 m on, a pixel is mostly as it was; independent pixels would differ in a third of cases
        assert np.mean(mask[:, 20:] != mask[:, :-20]) < 0.2


def test_modis_pixels_are_those_of_the_global_grid(full: Land):
    """MODIS tile h18v04 starts at x = 0, y = 50 degrees north, and 2400 pixels span ten degrees of the sphere."""
    own = SinusoidalGrid.over(full.grid)
    pixel = 6371007.181 * np.pi / 180 * 10 / 2400
    columns, rows = own.transform.c / pixel, (6371007.181 * np.deg2rad(50) - own.transform.f) / pixel
    assert columns == pytest.approx(round(columns), abs=0.01)
    assert rows == pytest.approx(round(rows), abs=0.01)
    assert own.transform.a == pytest.approx(pixel, rel=1e-6)
    assert own.complete.sum() > (5000 / 463.3) ** 2
