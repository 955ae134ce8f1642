"""Scores of field polygons: cases computed by hand, and a loop over all pairs as an oracle."""

import numpy as np
import pytest
from shapely import box

from agrifm.errors import AssessmentError
from agrifm.fields.field_quality import field_scores, object_counts, object_f1


def test_two_fields_drawn_as_one_by_hand():
    """Reference: squares of 10 at 0 and 10, and one at 40. Predicted: both first ones as one; the third moved by 2.

    The first two have an intersection over union of 100 / 200 each, which is not above 0.5; the third 80 / 120.
    """
    reference = [box(0, 0, 10, 10), box(10, 0, 20, 10), box(40, 0, 50, 10)]
    predicted = [box(0, 0, 20, 10), box(42, 0, 52, 10)]
    found = field_scores(predicted, reference, tolerance=1)
    assert (found.predicted, found.reference) == (2, 3)
    assert (found.precision, found.recall) == (1 / 2, 1 / 3)
    assert found.f1 == pytest.approx(0.4)
    assert found.panoptic == pytest.approx((80 / 120) / (1 + 0.5 * 1 + 0.5 * 2))
    assert found.iou == pytest.approx(280 / 320)
    assert found.matched_iou == pytest.approx(80 / 120)
    assert found.over == pytest.approx((0 + 0 + 0.2) / 3)
    assert found.under == pytest.approx((0.5 + 0.5 + 0.2) / 3)
    assert found.bias == 0
    # Of the predicted outlines 60 + 40 all but the two sides of 10 at x = 42 and 52 are near, of which the ends are
    # near the horizontal edges or their ends (1 at each end of the side at 42, 0 at 52), and 1 of the 2 beyond x = 50.
    ours = (60 + 40 - (10 - 2) - 10 - 2 * (2 - 1)) / 100
    # Of the reference outlines 3 x 40: not the shared side twice, less its ends; of the third one the side at 40, and
    # of that at 50 all but its ends; and 1 of the 2 left of x = 42.
    theirs = (120 - 2 * (10 - 2) - 10 - (10 - 2) - 2 * (2 - 1)) / 120
    assert found.edges == pytest.approx(2 * ours * theirs / (ours + theirs), abs=0.01)


def test_perfect_fields_have_perfect_scores():
    fields = [box(0, 0, 10, 10), box(10, 0, 20, 7)]
    found = field_scores(fields, fields, tolerance=0.5)
    assert (found.f1, found.panoptic, found.iou, found.edges) == (1, 1, 1, 1)
    assert (found.over, found.under, found.bias) == (0, 0, 0)


def test_no_predicted_fields_have_the_lowest_scores():
    found = field_scores([], [box(0, 0, 1, 1)], tolerance=1)
    assert (found.f1, found.panoptic, found.iou, found.edges, found.bias) == (0, 0, 0, 0, -1)
    assert np.isnan(found.over)


def test_a_loop_over_all_pairs_finds_the_same():
    random = np.random.default_rng(1)

    def layer(moved):
        corners = [(8 * col, 8 * row) for row in range(6) for col in range(6)]
        jitter = random.uniform(0, moved, (36, 4))
        return [box(x + a, y + b, x + 8 - c, y + 8 - d) for (x, y), (a, b, c, d) in zip(corners, jitter, strict=True)]

    predicted, reference = layer(3), layer(2)[:30]
    ious = {
        (i, j): one.intersection(other).area / one.union(other).area
        for i, one in enumerate(predicted)
        for j, other in enumerate(reference)
    }
    matched = [value for value in ious.values() if value > 0.5]
    assert 5 < len(matched) < 30
    found = field_scores(predicted, reference, tolerance=1)
    assert found.f1 == pytest.approx(2 * len(matched) / (36 + 30))
    assert found.panoptic == pytest.approx(sum(matched) / (len(matched) + (36 + 30 - 2 * len(matched)) / 2))
    best = [max(predicted, key=lambda one, other=other: one.intersection(other).area) for other in reference]
    over = [1 - one.intersection(other).area / other.area for one, other in zip(best, reference, strict=True)]
    under = [1 - one.intersection(other).area / one.area for one, other in zip(best, reference, strict=True)]
    assert (found.over, found.under) == pytest.approx((np.mean(over), np.mean(under)))
    assert found.bias == pytest.approx(sum(p.area for p in predicted) / sum(r.area for r in reference) - 1)


def test_fields_count_by_their_point_in_the_region():
    """Fields on the region's edge are compared whole with the fields of the other layer, inside or not."""
    reference = [box(0, 0, 10, 10), box(14, 0, 24, 10), box(30, 0, 40, 10)]
    predicted = [box(0, 0, 10, 10), box(16, 0, 26, 10), box(60, 0, 70, 10)]
    found = field_scores(predicted, reference, tolerance=1, region=box(0, 0, 20, 10))
    # the second predicted field has its point at x = 21, outside
    assert (found.predicted, found.reference) == (1, 2)
    assert (found.precision, found.recall) == (1, 1)


def test_reference_fields_that_overlap_are_refused():
    fields = [box(0, 0, 10, 10), box(20, 0, 30, 10), box(5, 0, 15, 10)]
    with pytest.raises(AssessmentError) as error:
        field_scores(fields[:1], fields, tolerance=1)
    assert error.value.facts == {"pairs": 1, "rows": (0, 2)}
    # by a tenth of the smaller one they may, as land registers have it
    assert field_scores(fields[:1], [fields[0], box(9, 0, 19, 10)], tolerance=1).recall == 0.5


def test_a_reference_without_polygons_is_refused():
    with pytest.raises(AssessmentError):
        field_scores([box(0, 0, 1, 1)], [], tolerance=1)


def test_fields_of_rasters_are_counted_where_they_are_known():
    """By hand: 7 and 0 share 8 of 10 pixels. Of field 1 three pixels are known, of which 5 has two. Where all pixels
    are known, 8 and 1 share 6 of 12, which is not above half."""
    reference = np.array([[0] * 5 + [1] * 5] * 2)
    predicted = np.array([[7] * 4 + [8] * 4 + [-1, 5], [7] * 4 + [8] * 4 + [5, 5]])
    known = np.ones((2, 10), bool)
    known[:, 5:8] = False
    known[0, 9] = False
    assert object_counts(predicted, reference, known).tolist() == [2, 3, 2]
    assert object_counts(predicted, reference, known, least=4).tolist() == [1, 1, 1]
    known[:] = True
    counts = object_counts(predicted, reference, known)
    assert counts.tolist() == [1, 3, 2]
    assert object_f1(counts) == pytest.approx(2 * 1 / (3 + 2))
    assert object_f1(np.zeros(3)) == 0
