"""The sentence on trust: the facts behind it, and that it says them."""

import pytest

from agrifm.assess.trust import outside_warnings, trust_of, trust_sentence


def report(overall, interval, *areas):
    """A report of classes given as (name, mapped, estimated, low, high)."""
    return {
        "overall_accuracy": {"estimate": overall, "interval": interval},
        "areas": [
            {"name": name, "mapped_ha": mapped, "area_ha": area, "interval_ha": [low, high]}
            for name, mapped, area, low, high in areas
        ],
    }


def test_a_published_area_that_pixels_doubled_is_rough_and_corrected():
    """AlJazirah, Sudan (nasaharvest/crop-mask): 2.13 million hectares counted, 1.04 ± 0.21 by the reference points."""
    areas = [("other", 0.6e6, 1.69e6, 1.48e6, 1.9e6), ("crop", 2.13e6, 1.04e6, 0.83e6, 1.25e6)]
    trust = trust_of(report(0.61, [0.536, 0.681], *areas), [False, True])
    assert trust == (61, 53, 69, (), ("crop",), ("crop",))
    sentence = trust_sentence(trust)
    assert all(word in sentence for word in ("61", "53", "69", "crop"))


def test_a_fifth_is_the_line_between_close_and_rough():
    areas = [("a", 100, 100, 80, 120), ("b", 100, 100, 85, 121), ("c", 0, 0, 0, 5), ("other", 9, 9, 1, 30)]
    trust = trust_of(report(0.9, [0.8, 0.95], *areas), [True, True, True, False])
    assert (trust.close, trust.rough, trust.corrected) == (("a",), ("b", "c"), ())


def test_without_crops_every_class_counts():
    trust = trust_of(report(0.9, [0.8, 0.95], ("water", 10, 10, 9, 11)), [False])
    assert trust.close == ("water",)


@pytest.mark.parametrize(
    ("overall", "interval", "expected"),
    [(0.9996, [0.991, 1.0], (99, 99, 100)), (0.003, [0.0, 0.012], (1, 0, 2)), (1.0, [0.97, 1.0], (100, 97, 100))],
)
def test_rounding_promises_nothing(overall, interval, expected):
    assert trust_of(report(overall, interval, ("a", 1, 1, 0, 2)), [True])[:3] == expected


def test_many_crops_are_counted_and_not_listed():
    areas = [(f"crop{i}", 1, 1, 0.9, 1.1) for i in range(7)] + [("rough", 1, 1, 0, 2)]
    sentence = trust_sentence(trust_of(report(0.9, [0.8, 0.95], *areas), [True] * 8))
    assert "7" in sentence
    assert "crop0" not in sentence
    assert "rough" in sentence


def test_points_that_were_chosen_promise_nothing():
    trust = trust_of(report(0.9, [0.8, 0.95], ("a", 1, 1, 0.9, 1.1)), [True])
    assert not any(digit in trust_sentence(trust, probability_sample=False) for digit in "0123456789")


@pytest.mark.parametrize(("share", "warned"), [(0.03, False), (0.1, False), (0.34, True)])
def test_much_land_unlike_the_training_data_is_warned_of(share, warned):
    found = outside_warnings({"applicability": {"outside_share": share}})
    assert [text for text in found if f"{100 * share:.0f} %" in text] == found
    assert len(found) == warned
    assert outside_warnings({}) == []
