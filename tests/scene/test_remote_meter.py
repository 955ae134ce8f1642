"""What came from servers is counted by what it was for, from every thread, and reported in one sentence."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from agrifm.scene import remote
from agrifm.scene.remote import Traffic, TrafficCounter, traffic_since


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> TrafficCounter:
    own = TrafficCounter()
    monkeypatch.setattr(remote, "TRAFFIC", own)
    return own


def test_answers_are_counted_under_the_purpose_of_the_moment(meter: TrafficCounter) -> None:
    """1.5 MB in 300 answers from eight threads for the check; then one for the scenes, which is the usual purpose."""
    before = meter.totals()
    with meter.purpose("offset check"), ThreadPoolExecutor(8) as executor:
        list(executor.map(meter.add, [5000] * 300))
    meter.add(250_000)
    assert meter.totals() == {
        "search": Traffic(0, 0),
        "comparison": Traffic(0, 0),
        "offset check": Traffic(300, 1_500_000),
        "scenes": Traffic(1, 250_000),
    }
    assert traffic_since(before) == [
        "read from servers: offset check 300 requests, 1.50 MB; scenes 1 requests, 0.25 MB"
    ]


def test_earlier_traffic_is_not_reported_again(meter: TrafficCounter) -> None:
    meter.add(1_000_000)
    before = meter.totals()
    assert traffic_since(before) == []
    with meter.purpose("search"):
        meter.add(40_000)
    assert traffic_since(before) == ["read from servers: search 1 requests, 0.04 MB"]


def test_a_purpose_ends_with_its_block_even_where_it_fails(meter: TrafficCounter) -> None:
    with pytest.raises(ZeroDivisionError), meter.purpose("search"):
        meter.add(1 // 0)
    meter.add(7)
    assert meter.totals()["scenes"] == Traffic(1, 7)
