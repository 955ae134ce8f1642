"""The benchmark of remote reading finds the same pixels with every reader, and few requests."""

import re

import pytest


@pytest.mark.check
def test_the_readers_agree_and_ours_asks_for_little() -> None:
    """Windows inside one row of two tiles: one request for the head, one for the tiles."""
    import fetch

    lines = fetch.compare(files=3, side=1024, window=300, latency=0.0, rounds=1)
    ours = next(line for line in lines if line.startswith("agrifm, 8 threads"))
    found = re.search(r"([\d.]+) requests per file", ours)
    assert found is not None
    assert float(found[1]) <= 3
    assert any(line.startswith("whole files") for line in lines)
