"""The dissimilarity index and its threshold: naive loops, land that is unlike, and files."""

import numpy as np
import pytest

from agrifm.errors import ModelError
from agrifm.inference.training_reference import TrainingReference, fit_reference
from agrifm.record import SensorInput

BANDS = SensorInput(
    sensor="sentinel-2", bands=("B04", "B08"), quantity="surface reflectance", scale=1e-4, resolution=10
)


def reference(rows, fold, label=None):
    label = np.arange(len(rows)) % 2 if label is None else label
    lonlat = np.column_stack([np.full(len(rows), 2.0), np.linspace(46, 47, len(rows))])
    about = lonlat, (BANDS,), 1, ("series",), ("maize", "wheat"), len(np.unique(fold))
    return fit_reference(rows, label.astype(np.uint8), fold, *about)


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(0).normal((0.1, 0.4), (0.02, 0.1), (60, 2)).astype(np.float32)


def test_index_and_threshold_are_those_of_plain_loops(rows):
    """Meyer and Pebesma 2021: distances of weighted features; Q3 + 1.5 IQR of the training pixels' index."""
    fold, label = np.arange(60) % 4, (rows[:, 1] + 3 * rows[:, 0] > 0.7).astype(np.uint8)
    found = reference(rows, fold, label)
    plain = rows.astype(np.float64)
    groups = [plain[label == one] for one in (0, 1)]
    between = sum(len(one) * (one.mean(0) - plain.mean(0)) ** 2 for one in groups)
    weight = np.sqrt(between / ((plain - plain.mean(0)) ** 2).sum(0))
    assert weight.min() > 0.2
    standard = ((plain - plain.mean(0)) / plain.std(0) * weight).tolist()

    def apart(one, other):
        return sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5

    pairs = [apart(standard[i], standard[j]) for i in range(60) for j in range(i)]
    spread = sum(pairs) / len(pairs)
    index = [min(apart(standard[i], standard[j]) for j in range(60) if fold[j] != fold[i]) / spread for i in range(60)]
    low, high = np.quantile(index, [0.25, 0.75])
    assert found.facts.threshold == pytest.approx(min(high + 1.5 * (high - low), max(index)), rel=1e-5)
    new = np.array([[0.2, 0.1], [0.1, 0.4]], np.float32)
    scaled = ((new - plain.mean(0)) / plain.std(0) * weight).tolist()
    expected = [min(apart(one, other) for other in standard) / spread for one in scaled]
    assert found.dissimilarity(new) == pytest.approx(expected, rel=1e-4)
    assert found.dissimilarity(rows) == pytest.approx(np.zeros(60), abs=1e-5)
    assert found.dissimilarity(rows[:0]).shape == (0,)


def test_unseen_blocks_of_the_same_land_are_inside_and_shifted_ones_are_outside():
    """Blocks differ from each other; 40 series of 12 values. Another season is the same series, later."""
    generator = np.random.default_rng(1)

    def season(blocks, shift):
        centre = generator.normal(0, 0.3, (blocks, 1, 1))
        of_class = 0.3 * (np.arange(40) % 2)[:, None]
        phase = np.linspace(0, 2 * np.pi, 12) + shift + of_class + generator.normal(0, 0.15, (blocks, 40, 1))
        noise = generator.normal(0, 0.1, (blocks, 40, 12))
        return (np.sin(phase) + centre + noise).reshape(-1, 12).astype(np.float32)

    found = reference(season(20, 0.0), np.repeat(np.arange(20), 40) % 5)
    outside = [(found.dissimilarity(season(20, shift)) > found.facts.threshold).mean() for shift in (0.0, 1.2)]
    assert outside[0] < 0.08
    assert outside[1] > 0.8


def test_a_file_is_read_as_it_was_written_and_is_always_the_same(rows, tmp_path):
    found = reference(rows, np.arange(60) % 4)
    found.write(tmp_path / "one.npz")
    found.write(tmp_path / "two.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    again = TrainingReference.read(tmp_path / "one.npz")
    assert again.facts == found.facts
    assert again.digest == found.digest
    np.testing.assert_array_equal(again.lonlat, found.lonlat)


@pytest.mark.parametrize("how", ["absent", "short", "pickled", "other"])
def test_a_file_that_cannot_be_read_is_one_error(rows, tmp_path, how):
    path = tmp_path / "training-features.npz"
    reference(rows, np.arange(60) % 4).write(path)
    if how == "absent":
        path.unlink()
    elif how == "short":
        path.write_bytes(path.read_bytes()[:100])
    elif how == "pickled":
        np.savez(path, facts=np.array([{}], object))
    else:
        np.savez(path, facts=np.array("{}"))
    with pytest.raises(ModelError) as error:
        TrainingReference.read(path)
    assert error.value.facts["path"] == path
