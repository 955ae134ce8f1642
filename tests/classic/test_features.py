"""Features of pixels: what lies where, against scipy and numpy on whole images; cut equals whole."""

import numpy as np
import pytest
from scipy.ndimage import uniform_filter

from agrifm.classic.features import (
    FEATURE_KINDS,
    PARTS,
    FeatureKind,
    Part,
    feature_margin,
    parts_of_kind,
    pixel_features,
)
from agrifm.grid import Window
from agrifm.record import SensorInput
from agrifm.samples.sample import Sample, Series
from agrifm.samples.transforms import cut

FRAMES, SIDE = 7, 12
BANDS = ("B04", "B08")
SENSORS = [
    SensorInput(sensor="sentinel-2", bands=BANDS, quantity="surface reflectance", scale=1e-4, resolution=10),
    SensorInput(sensor="landsat", bands=("B04",), quantity="surface reflectance", scale=1e-4, resolution=30),
]
EVERYWHERE = np.ones((SIDE, SIDE), bool)


def kind_features(sample: Sample, where: np.ndarray, sensors: list[SensorInput], kind: FeatureKind) -> np.ndarray:
    return pixel_features(sample, where, sensors, parts_of_kind(kind), FRAMES)


@pytest.fixture
def sample() -> Sample:
    generator = np.random.default_rng(0)
    days = np.arange(FRAMES, dtype=np.int32)
    fine = generator.random((FRAMES, 2, SIDE, SIDE), np.float32) + np.float32(0.1)
    coarse = generator.random((FRAMES, 1, SIDE // 3, SIDE // 3), np.float32)
    series = {
        "sentinel-2": Series(fine, np.ones((FRAMES, SIDE, SIDE), bool), days),
        "landsat": Series(coarse, np.ones((FRAMES, SIDE // 3, SIDE // 3), bool), days),
    }
    return Sample(series, np.zeros((SIDE, SIDE), np.uint8), Window(0, 0, SIDE, SIDE), 0)


def greenness(image: np.ndarray) -> np.ndarray:
    return (image[:, 1] - image[:, 0]) / (image[:, 1] + image[:, 0])


def test_series_are_all_bands_at_all_steps_and_the_coarse_pixel_around(sample: Sample) -> None:
    where = np.zeros((SIDE, SIDE), bool)
    where[5, 7] = True
    fine, coarse = (series.image for series in sample.series.values())
    expected = [*fine[:, :, 5, 7].ravel(), *coarse[:, :, 1, 2].ravel()]
    assert kind_features(sample, where, SENSORS, "series").ravel().tolist() == expected


def test_each_kind_begins_with_the_features_of_the_kind_before(sample: Sample) -> None:
    before = kind_features(sample, EVERYWHERE, SENSORS, "series")
    for kind in FEATURE_KINDS[1:]:
        rows = kind_features(sample, EVERYWHERE, SENSORS, kind)
        assert rows.shape[1] > before.shape[1]
        np.testing.assert_array_equal(rows[:, : before.shape[1]], before)
        before = rows


def test_the_statistics_are_those_of_numpy(sample: Sample) -> None:
    image = sample.series["sentinel-2"].image
    every = np.concatenate([image, greenness(image)[:, None]], axis=1).reshape(FRAMES, 3, -1)
    quantiles = np.quantile(every, [0, 0.1, 0.25, 0.5, 0.75, 0.9, 1], axis=0, method="nearest")
    spread = [every.mean(0), every.std(0), every.max(0) - every.min(0)]
    green = every[:, 2]
    expected = np.concatenate([*quantiles, *spread, green.argmax(0)[None], green.argmin(0)[None], green])
    series = kind_features(sample, EVERYWHERE, SENSORS, "series").shape[1]
    found = kind_features(sample, EVERYWHERE, SENSORS, "statistics")[:, series:]
    np.testing.assert_allclose(found, expected.T, rtol=1e-5, atol=1e-6)


def test_the_neighbourhood_is_scipys_mean_of_5_by_5_mirrored_at_the_edge(sample: Sample) -> None:
    image = sample.series["sentinel-2"].image
    mean = uniform_filter(image.astype(np.float64), (1, 1, 5, 5), mode="reflect")
    before = kind_features(sample, EVERYWHERE, SENSORS, "statistics").shape[1]
    found = kind_features(sample, EVERYWHERE, SENSORS, "neighbourhood")[:, before : before + 2 * FRAMES]
    np.testing.assert_allclose(found, mean.reshape(2 * FRAMES, -1).T, rtol=1e-5)


def test_neighbours_never_seen_do_not_count(sample: Sample) -> None:
    series = sample.series["sentinel-2"]
    where = np.zeros((SIDE, SIDE), bool)
    where[5, 5] = True
    series.valid[:, 5, 6] = False
    series.image[:, :, 5, 6] = 0
    near = series.image[:, :, 3:8, 3:8].reshape(FRAMES * 2, 25)
    before = kind_features(sample, where, SENSORS, "statistics").shape[1]
    found = kind_features(sample, where, SENSORS, "neighbourhood")[0, before : before + 2 * FRAMES]
    np.testing.assert_allclose(found, near.sum(axis=1) / 24, rtol=1e-5)


@pytest.mark.parametrize("kind", FEATURE_KINDS)
def test_a_window_cut_with_its_margin_has_the_features_of_the_whole(sample: Sample, kind: FeatureKind) -> None:
    whole = kind_features(sample, EVERYWHERE, SENSORS, kind).reshape(SIDE, SIDE, -1)
    for window in (Window(0, 0, 4, 5), Window(4, 5, 5, 3), Window(8, 7, 4, 5)):
        part = cut(sample, window.grown(feature_margin(parts_of_kind(kind)), (SIDE, SIDE)))
        where = np.zeros(part.label.shape, bool)
        where[window.within(part.window).slices] = True
        found = kind_features(part, where, SENSORS, kind).reshape(window.height, window.width, -1)
        np.testing.assert_array_equal(found, whole[window.slices])


def test_a_sensor_without_infrared_or_of_a_strange_name_has_no_greenness(sample: Sample) -> None:
    renamed = SENSORS[0].model_copy(update={"bands": ("x", "y")})
    known = kind_features(sample, EVERYWHERE, SENSORS, "statistics")
    # without greenness: its 10 numbers over the steps, both of its steps, and its series
    found = kind_features(sample, EVERYWHERE, [renamed, SENSORS[1]], "statistics")
    assert known.shape[1] - found.shape[1] == 10 + 2 + FRAMES


@pytest.mark.parametrize("part", PARTS)
def test_a_window_without_a_wanted_pixel_has_no_rows_and_all_columns(sample: Sample, part: Part) -> None:
    """Sparse labels leave whole windows empty."""
    where = np.zeros(sample.label.shape, bool)
    nowhere = pixel_features(sample, where, SENSORS, [part], FRAMES)
    where[3, 4] = True
    assert nowhere.shape == (0, pixel_features(sample, where, SENSORS, [part], FRAMES).shape[1])
