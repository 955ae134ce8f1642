"""Transforms: eight turns that move every array of a sample alike, and what models see of its series."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from agrifm.grid import Window
from agrifm.samples.sample import Sample, Series
from agrifm.samples.transforms import MAX_FRAMES, composited, cut, dihedral, interpolated, observed
from agrifm.season import Season, day_number


def make_sample(side: int = 6) -> Sample:
    """Every array shows the position of its pixel; the coarse sensor has pixels three times as long."""
    row, col = np.indices((side, side))
    label = (row * side + col).astype(np.uint8)
    image = np.stack([label, label + 100]).astype(np.float32)[None].repeat(2, 0)
    coarse = label[1::3, 1::3].astype(np.float32)[None, None]
    series = {
        "fine": Series(
            image,
            np.stack([label % 3 == 0, label % 5 == 0]),
            np.array([10, 20], np.int32),
            absent=np.array([False, True]),
        ),
        "coarse": Series(coarse, coarse[:, 0] > 10, np.array([10], np.int32), (coarse[:, 0] + 19_000).astype(np.int32)),
    }
    return Sample(series, label, Window(0, 0, side, side), 0)


@pytest.mark.parametrize("turn", range(8))
def test_a_turn_moves_labels_images_validity_and_days_alike(turn: int) -> None:
    sample = dihedral(make_sample(), turn)
    label, fine, coarse = sample.label, sample.series["fine"], sample.series["coarse"]
    assert (fine.image[:, 0] == label).all()
    assert (fine.image[:, 1] == label + 100.0).all()
    assert (fine.valid[0] == (label % 3 == 0)).all()
    assert (fine.valid[1] == (label % 5 == 0)).all()
    assert (coarse.image[0, 0] == label[1::3, 1::3]).all()
    assert (coarse.valid[0] == (label[1::3, 1::3] > 10)).all()
    assert coarse.day is not None
    assert (coarse.day[0] == label[1::3, 1::3].astype(int) + 19_000).all()
    assert fine.date.tolist() == [10, 20]
    assert fine.absent is not None
    assert fine.absent.tolist() == [False, True]


def test_the_eight_turns_are_all_different_and_the_first_changes_nothing() -> None:
    sample = make_sample()
    assert (dihedral(sample, 0).label == sample.label).all()
    assert len({dihedral(sample, turn).label.tobytes() for turn in range(8)}) == 8


@pytest.mark.parametrize("turn", range(8))
def test_every_turn_is_undone_by_another(turn: int) -> None:
    sample = make_sample()
    undone = [
        inverse for inverse in range(8) if (dihedral(dihedral(sample, turn), inverse).label == sample.label).all()
    ]
    assert len(undone) == 1


@pytest.mark.parametrize("turn", range(8))
def test_a_turn_keeps_neighbours_neighbours(turn: int) -> None:
    row, col = np.divmod(dihedral(make_sample(), turn).label.astype(int), 6)
    for axis in (0, 1):
        steps = np.abs(np.diff(row, axis=axis)) + np.abs(np.diff(col, axis=axis))
        assert (steps == 1).all()


def test_the_original_sample_stays_as_it_was() -> None:
    sample = make_sample()
    before = sample.label.copy()
    dihedral(sample, 5).label[...] = 0
    assert (sample.label == before).all()


def test_interpolated_series_have_the_steps_as_dates() -> None:
    image = np.zeros((2, 1, 1, 2), np.float32)
    image[:, 0, 0, 0] = 0.2, 0.4
    valid = np.array([[[True, False]], [[True, False]]])
    sample = Sample(
        {"fine": Series(image, valid, np.array([100, 110], np.int32))},
        np.array([[1, 2]], np.uint8),
        Window(0, 0, 1, 2),
        90,
    )
    steps = np.array([100, 105, 120], np.int32)
    found = interpolated(sample, steps)
    series = found.series["fine"]
    assert series.image[:, 0, 0, 0] == pytest.approx([0.2, 0.3, 0.4])
    assert (series.image[:, 0, 0, 1] == 0).all()
    assert series.valid.tolist() == [[[True, False]]] * 3
    assert (series.date == steps).all()
    assert series.day is None
    assert (found.label == sample.label).all()


def test_a_cut_shows_what_lay_under_it_though_it_nests_in_no_coarse_pixel() -> None:
    whole = replace(make_sample(9), window=Window(30, 60, 9, 9))
    part = cut(whole, Window(32, 61, 5, 4))
    inside = (slice(2, 7), slice(1, 5))
    assert (part.label == whole.label[inside]).all()
    assert (part.series["fine"].image == whole.series["fine"].image[..., *inside]).all()
    assert (part.series["fine"].valid == whole.series["fine"].valid[:, *inside]).all()
    for found, own in (
        (part.series["coarse"].image[0], whole.series["coarse"].image[0]),
        (part.series["coarse"].valid, whole.series["coarse"].valid),
        (part.series["coarse"].day, whole.series["coarse"].day),
    ):
        assert found is not None
        assert own is not None
        assert (found[0] == np.kron(own[0], np.ones((3, 3)))[inside]).all()


def test_composites_have_the_day_of_every_pixel_and_gaps() -> None:
    """Two periods of ten days from 1 April; the middles are noon of 5 and 15 April (days 104 and 114 from day 100)."""
    season = Season(date(2024, 4, 1), date(2024, 4, 20))
    first = day_number(season.start)
    image = np.array([0.1, 0.2, 0.3], np.float32)[:, None, None, None] * np.ones((1, 2, 1, 2), np.float32)
    valid = np.array([[[True, True]], [[False, True]], [[True, False]]])
    days = np.array([1, 4, 12], np.int32) + first
    absent = np.array([True, False])
    made = Sample(
        {"fine": Series(image * valid[:, None], valid, days, absent=absent)},
        np.zeros((1, 2), np.uint8),
        Window(0, 0, 1, 2),
        first,
    )
    found = composited(made, season, 2).series["fine"]
    np.testing.assert_allclose(found.image[:, 0, 0], np.array([[0.1, 0.2], [0.3, 0]], np.float32))
    assert found.valid[:, 0].tolist() == [[True, True], [True, False]]
    assert found.day is not None
    assert (found.day[:, 0] - first).tolist() == [[1, 4], [12, 15]]
    assert (found.date == season.steps(2)).all()
    assert found.absent is absent


def test_observed_series_keep_the_clearest_frames_in_order_of_date() -> None:
    rng = np.random.default_rng(7)
    frames = MAX_FRAMES + 20
    share = rng.permutation(np.linspace(0, 1, frames))
    valid = rng.random((frames, 6, 6)) < share[:, None, None]
    image = rng.random((frames, 2, 6, 6)).astype(np.float32) * valid[:, None]
    days = (3 * np.arange(frames) + 19_000).astype(np.int32)
    day = (days[:, None, None] + rng.integers(0, 3, valid.shape)).astype(np.int32)
    made = Sample({"fine": Series(image, valid, days, day)}, np.zeros((6, 6), np.uint8), Window(0, 0, 6, 6), 19_000)
    found = observed(made).series["fine"]
    # by hand: sorted by cloudiness then date, the first so many, back in the order of their dates
    ranked = sorted(range(frames), key=lambda frame: (-valid[frame].sum(), frame))[:MAX_FRAMES]
    kept = [frame for frame in sorted(ranked) if valid[frame].any()]
    assert found.date.tolist() == days[kept].tolist()
    assert len(kept) == MAX_FRAMES
    assert found.day is not None
    for own, whole in ((found.image, image), (found.valid, valid), (found.day, day)):
        np.testing.assert_array_equal(own, whole[kept])


def test_an_observed_series_without_a_valid_pixel_keeps_one_frame() -> None:
    made = make_sample()
    fine = replace(made.series["fine"], valid=np.zeros((2, 6, 6), bool))
    found = observed(replace(made, series={"fine": fine})).series["fine"]
    assert found.date.tolist() == [10]
    assert not found.valid.any()
