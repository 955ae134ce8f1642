"""The metrics of the comparison with real fields, on arrays with known results and on the real data."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from realism_metrics import curves, discrimination, field_images, parcels, read
from realism_metrics.table import TOLERANCES, Row, Tolerance

from agrifm.simulator.points import POINT_BANDS, PointSeries

needs_data = pytest.mark.skipif(not read.DATA.is_dir(), reason="needs the data sets at AGRIFM_DATA")
DEKADS = np.array(
    [f"{year}-{month:02d}-{day:02d}" for year in (2022, 2023) for month in range(1, 13) for day in (1, 11, 21)],
    "datetime64[D]",
)
PEAKS = {"wheat": 5, "maize": 8, "grassland": 4}
"""Month of greatest near infrared of the parcels made here."""


def made(seed: int = 0, each: int = 40, noise: float = 0.03, shift: float = 0.0) -> PointSeries:
    """Parcels of three classes in 20 cells; near infrared is a bell around the class's month, other bands flat."""
    rng = np.random.default_rng(seed)
    label = np.repeat(list(PEAKS), each)
    month = (np.arange(len(DEKADS)) / 3) % 12 + 1
    bell = np.stack([np.exp(-(((month - PEAKS[name] - shift) / 2) ** 2)) for name in label])
    values = np.full((len(label), len(DEKADS), 9), 0.1)
    values[..., POINT_BANDS.index("B08")] = 0.2 + 0.3 * bell
    values += noise * rng.standard_normal((len(label), 1, 9))
    cell = np.arange(len(label)) % 20
    values = values.astype(np.float32)
    return PointSeries(label, cell.astype(str), cell % 5, DEKADS, values, np.ones(values.shape[:2], bool))


def changed(series: PointSeries, values: np.ndarray) -> PointSeries:
    return dataclasses.replace(series, values=values.astype(np.float32))


def images(red: np.ndarray, near_infrared: np.ndarray, days: list[str]) -> read.BandImages:
    return read.BandImages(np.array(days, "datetime64[D]"), red, near_infrared, np.ones(red.shape, bool))


def test_a_tolerance_never_holds_for_what_is_not_a_number() -> None:
    for tolerance in (tolerance for line in TOLERANCES.values() for tolerance in line.values()):
        assert not tolerance.holds(0.5, np.nan)


def test_tolerances_hold_up_to_their_ends_and_no_further() -> None:
    assert Tolerance("difference", 0.10).holds(0.38, 0.475)
    assert not Tolerance("difference", 0.10).holds(0.38, 0.49)
    assert Tolerance("factor", 1.5).holds(0.06, 0.041)
    assert not Tolerance("factor", 1.5).holds(0.06, 0.039)
    assert not Tolerance("factor", 1.5).holds(0.06, 0.091)
    assert Row("d", "length of gaps, 90th percentile, dekads", 4, 6).verdict == "fails"


def test_line_a_separable_classes_score_one_and_shuffled_labels_do_not() -> None:
    series = made(noise=0.001)
    assert list(parcels.separability(series, seeds=(0,), trees=30).values()) == [1.0, 1.0]
    shuffled = dataclasses.replace(series, label=np.random.default_rng(0).permutation(series.label))
    f1, accuracy = parcels.separability(shuffled, seeds=(0,), trees=30).values()
    assert f1 < 0.5
    assert accuracy < 0.75


def test_gaps_are_filled_on_the_line_between_their_ends() -> None:
    series = made()
    values = series.values.copy()
    values[0, 36] = values[0, 41:44] = values[1] = np.nan
    values[0, 40], values[0, 44] = 0.2, 0.6
    filled = parcels.gap_filled(changed(series, values))
    np.testing.assert_allclose(filled[0, 4:9, 0], [0.2, 0.3, 0.4, 0.5, 0.6], rtol=1e-6)
    assert filled[0, 0, 0] == values[0, 37, 0]
    assert np.isfinite(filled[1]).all()


def test_line_b_holds_for_equal_sets_and_not_for_another_level_or_timing() -> None:
    real = made()
    assert list(parcels.level_and_timing(real, real).values()) == [1.0, 1.0, 1.0, 0.0]
    brighter = real.values.copy()
    brighter[..., POINT_BANDS.index("B11")] += 0.1  # deviation between parcels is 0.03
    shares = parcels.level_and_timing(real, changed(real, brighter))
    assert shares["class-months with median NDVI within 0.10, share"] == 1.0
    assert shares["class-month-bands with median in the real 10-90 % range, share"] == pytest.approx(8 / 9)
    assert shares["class-months with median NDVI within 0.10 and every band in its range, share"] == 0.0
    late = parcels.level_and_timing(real, made(shift=2.0))
    assert late["annual crops, greatest distance of the months of greatest NDVI, months"] == 2.0
    assert late["class-months with median NDVI within 0.10, share"] < 0.80


def test_months_of_greatest_ndvi_are_those_the_parcels_were_made_with() -> None:
    assert parcels.peak_months(made()) == {"wheat": 5, "maize": 8}


def test_line_c_knows_twice_the_spread_and_the_share_between_classes() -> None:
    real = made(noise=0.01)
    for other, share in ((made(seed=1, noise=0.01), 1.0), (made(noise=0.02), 0.0)):
        assert list(parcels.equal_spread(real, other).values()) == pytest.approx([share])
    assert min(list(parcels.spread(made(noise=1e-4)).values())[2:]) > 0.999
    random = dataclasses.replace(real, label=np.random.default_rng(0).permutation(real.label))
    assert max(list(parcels.spread(random).values())[2:]) < 0.1


def test_line_d_counts_gaps_rows_that_are_absent_and_clouds() -> None:
    series = made()
    values = series.values.copy()
    values[:, 36] = np.nan  # first dekad of 2023: a third of January
    values[::2, 45:50] = np.nan  # five dekads of half the parcels, from the first of April
    values[0, 60, 0] = 0.5
    values[0, 10] = np.nan  # 2022, does not count
    found = parcels.gaps(changed(series, values))
    assert found["share of missing dekads, least of twelve months"] == 0.0
    assert found["share of missing dekads, greatest of twelve months"] == pytest.approx(0.5)
    assert found["length of gaps, 90th percentile, dekads"] == 5
    assert found["share of clear pixels with blue above 0.15"] > 1 / (120 * 36)


def test_line_e_finds_the_deviation_and_the_autocorrelation_of_a_field() -> None:
    rng, side, near = np.random.default_rng(0), 300, 0.81
    steps = rng.standard_normal((side, side))
    for axis in (0, 1):  # an autoregressive surface has the autocorrelation near ** lag along its axes
        steps = np.moveaxis(steps, axis, 0)
        for row in range(1, side):
            steps[row] = near * steps[row - 1] + np.sqrt(1 - near**2) * steps[row]
        steps = np.moveaxis(steps, 0, axis)
    ndvi = 0.7 + 0.06 * steps[None]
    near_infrared = np.full_like(ndvi, 0.4)
    red = near_infrared * (1 - ndvi) / (1 + ndvi)
    field = np.zeros((side, side), np.int32)
    field[:5, :5] = 1  # small
    summer = images(red, near_infrared, ["2018-07-01"])
    fields, deviation, near_found, far_found = field_images.within_fields(summer, field).values()
    assert fields == 1
    assert deviation == pytest.approx(0.06, rel=0.05)
    assert near_found == pytest.approx(near, abs=0.02)
    assert far_found == pytest.approx(near**4, abs=0.03)
    winter = images(red, near_infrared, ["2018-01-01"])
    assert np.isnan(list(field_images.within_fields(winter, field).values())[1:]).all()


def test_line_f_finds_the_deviation_of_each_day_that_both_sensors_saw() -> None:
    rng = np.random.default_rng(0)
    truth = np.full((2, 100, 100), 0.2)
    sentinel = images(truth, truth, ["2018-08-02", "2018-10-21"])
    error = np.array([0.01, 0.03])[:, None, None] * rng.standard_normal(truth.shape)
    landsat = images(truth + error, truth + 2 * error, ["2018-08-02", "2018-10-21"])
    found = list(field_images.same_day(sentinel, landsat).values())
    assert found == pytest.approx([2, 0.01, 0.03, 0.02, 0.06], rel=0.03)
    assert field_images.same_day(sentinel, images(truth, truth, ["2018-08-03", "2018-10-22"])) == {}


def test_line_g_finds_the_noise_of_months_and_the_time_of_the_peak() -> None:
    rng = np.random.default_rng(0)
    month = np.tile(np.arange(24) / 2 + 0.25, (400, 1))
    noise = 0.05 * np.sqrt(2) * rng.standard_normal(month.shape)  # two composites a month: 0.05 in their mean
    label = np.repeat(["soybean", "forest"], 200)
    season = np.where(label[:, None] == "soybean", np.minimum(month, 12 - month), 0.8)  # no bend before March
    series = read.ModisSeries(label, month, season + noise)
    _, pixels, soybean, forest, peak = field_images.coarse_series(series).values()
    assert pixels == 200
    assert (soybean, forest) == pytest.approx((0.05, 0.05), rel=0.05)
    assert peak == pytest.approx(5.75)


def test_line_h_finds_a_changed_band_and_month_and_nothing_in_equal_sets() -> None:
    real, alike = made(noise=0.01), made(seed=1, noise=0.01)
    pair = discrimination.Pair.of(real, alike)
    same = discrimination.auc(pair.features.reshape(240, -1), pair.simulated, pair.fold, trees=50)
    assert 0.35 < same < 0.65
    values = alike.values.copy()
    values[:, 36 + 15 : 36 + 18, POINT_BANDS.index("B11")] += 0.05  # June 2023
    pair = discrimination.Pair.of(real, changed(alike, values))
    assert discrimination.auc(pair.features.reshape(240, -1), pair.simulated, pair.fold, trees=50) > 0.95
    assert discrimination.worst(pair, "wheat").startswith("B11 month 6")


def test_line_i_a_forest_of_other_series_knows_the_like_and_not_the_unlike() -> None:
    real = made(noise=0.01)
    row = discrimination.transfer(real, made(seed=1, noise=0.01))
    assert row.simulated == 1.0
    assert row.verdict == "holds"
    swapped = made(seed=1, noise=0.01)
    label = np.where(swapped.label == "grassland", "wheat", "grassland")
    assert discrimination.transfer(real, dataclasses.replace(swapped, label=label)).verdict == "fails"


@pytest.mark.check
def test_years_of_equal_parameters_agree_and_differ_from_the_real_year() -> None:
    real, simulated = made(noise=0.01), [made(seed=seed, noise=0.01, shift=2.0) for seed in (1, 2)]
    assert parcels.pooled(simulated).values.shape == (240, 72, 9)
    found = {row.quantity: row.simulated for row in discrimination.interannual_rows(simulated)}
    quantity = "class-months with median NDVI within 0.10, share"
    assert found[f"year beside year: {quantity}"] == 1.0
    assert parcels.level_and_timing(real, parcels.pooled(simulated))[quantity] < 0.8
    assert 0.35 < found["a simulated year from another, area under curve: all bands and months"] < 0.65


def test_figures_are_small_pictures_with_a_panel_per_crop(tmp_path: Path) -> None:
    series = made()
    for quantity in curves.QUANTITIES:
        curves.draw(series, series, quantity, tmp_path / "curves.png")
        assert 5_000 < (tmp_path / "curves.png").stat().st_size < 200_000


@needs_data
def test_the_real_sets_give_the_numbers_that_the_tolerances_were_set_from() -> None:
    france = read.france()
    assert len(france.label) == 467
    deviation_least, deviation_most, least, most = parcels.spread(france).values()
    assert (round(deviation_least, 2), round(deviation_most, 2)) == (0.07, 0.26)
    assert (round(least, 2), round(most, 2)) == (0.35, 0.66)
    missing_least, missing_most, often, longest, blue = parcels.gaps(france).values()
    assert 0.12 <= missing_least < missing_most <= 0.80
    assert (often, longest) == (4, 8)
    assert 0.005 <= blue <= 0.04
    patch = read.flanders()
    fields, deviation, near, far = field_images.within_fields(patch.sentinel, patch.field).values()
    assert fields == 3
    assert 0.04 <= deviation <= 0.08
    assert (round(near, 2), round(far, 2)) == (0.81, 0.30)
    found = field_images.same_day(patch.sentinel, patch.landsat)
    assert found.pop("days of both sensors") == 2
    assert {Row("f", quantity, value, value).verdict for quantity, value in found.items()} == {"holds"}


@needs_data
@pytest.mark.check
def test_a_forest_on_the_real_parcels_has_the_score_of_the_tolerances() -> None:
    f1, accuracy = parcels.separability(read.france()).values()
    assert 0.37 <= f1 <= 0.41
    assert 0.87 <= accuracy <= 0.88
