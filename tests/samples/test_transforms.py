"""Transforms: eight turns that move every array of a sample alike, and interpolation of its series."""

from dataclasses import replace

import numpy as np
import pytest

from agrifm.grid import Window
from agrifm.samples.sample import Sample, Series
from agrifm.samples.transforms import cut, interpolated, turned


def make_sample(side: int = 6) -> Sample:
    """Every array shows the position of its pixel; the coarse sensor has pixels three times as long."""
    row, col = np.indices((side, side))
    label = (row * side + col).astype(np.uint8)
    image = np.stack([label, label + 100]).astype(np.float32)[None].repeat(2, 0)
    coarse = label[1::3, 1::3].astype(np.float32)[None, None]
    series = {
        "fine": Series(image, np.stack([label % 3 == 0, label % 5 == 0]), np.array([10, 20], np.int32)),
        "coarse": Series(coarse, coarse[:, 0] > 10, np.array([10], np.int32), (coarse[:, 0] + 19_000).astype(np.int32)),
    }
    return Sample(series, label, Window(0, 0, side, side), 0)


@pytest.mark.parametrize("turn", range(8))
def test_a_turn_moves_labels_images_validity_and_days_alike(turn: int) -> None:
    sample = turned(make_sample(), turn)
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


def test_the_eight_turns_are_all_different_and_the_first_changes_nothing() -> None:
    sample = make_sample()
    assert (turned(sample, 0).label == sample.label).all()
    assert len({turned(sample, turn).label.tobytes() for turn in range(8)}) == 8


@pytest.mark.parametrize("turn", range(8))
def test_every_turn_is_undone_by_another(turn: int) -> None:
    sample = make_sample()
    undone = [inverse for inverse in range(8) if (turned(turned(sample, turn), inverse).label == sample.label).all()]
    assert len(undone) == 1


@pytest.mark.parametrize("turn", range(8))
def test_a_turn_keeps_neighbours_neighbours(turn: int) -> None:
    row, col = np.divmod(turned(make_sample(), turn).label.astype(int), 6)
    for axis in (0, 1):
        steps = np.abs(np.diff(row, axis=axis)) + np.abs(np.diff(col, axis=axis))
        assert (steps == 1).all()


def test_the_sample_that_is_turned_stays_as_it_was() -> None:
    sample = make_sample()
    before = sample.label.copy()
    turned(sample, 5).label[...] = 0
    assert (sample.label == before).all()


def test_interpolated_series_have_the_steps_as_dates_and_one_validity_per_pixel() -> None:
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
