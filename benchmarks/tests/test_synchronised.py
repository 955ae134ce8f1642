"""The benchmark of down-sampling, small: what it compares and counts."""

import pytest
import synchronised
from network_pass import Measured
from synchronised import SPATIAL, SYNCHRONISED, accuracy_lines, both, networks

from agrifm.models.agrifm.network import AgriFM, preset
from agrifm.models.cost import forward_multiply_adds


def test_the_networks_differ_only_in_merging_time_steps() -> None:
    """24 frames are 6 time steps, halved three times, or kept; the parameters are the same ones."""
    configs = both(preset("tiny", {"sentinel-2": 10}, classes=3, frames=24))
    assert configs[SYNCHRONISED].encoder.time_steps(24, 4) == (6, 3, 2, 1)
    assert configs[SPATIAL].encoder.time_steps(24, 4) == (6, 6, 6, 6)
    one, other = ([tensor.shape for tensor in AgriFM(config).parameters()] for config in configs.values())
    assert one == other


def test_the_tables_compare_costs_and_accuracy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of the time and half of the memory; the same steps in half of the time."""
    monkeypatch.setattr(synchronised, "seconds", lambda *_: {SYNCHRONISED: 1.0, SPATIAL: 4.0})
    monkeypatch.setattr(synchronised, "measured", lambda load, _: Measured(0.0, 2e9 if load.config == spatial else 1e9))
    monkeypatch.setattr(synchronised, "SHAPES", (("tiny", 8, 16, 2),))
    monkeypatch.setattr(synchronised, "COUNTED", ("tiny", 8, 16))
    ways = networks("tiny", 8)
    spatial = ways[SPATIAL]
    lines = list(synchronised.cost_lines(["tiny"], runs=1))
    adds = [forward_multiply_adds(config, 8, 16).encoders for config in ways.values()]
    assert lines[4].split()[0::2] == [f"{1 - adds[0] / adds[1]:.0%}", "50%", "75%"]

    def run(hits: int, seconds: float) -> dict[str, object]:
        counts = [[[hits, 10 - hits], [10 - hits, hits]]] * 5
        return {"scored": [True, True], "counts": counts, "seconds": seconds, "steps": 10}

    lines = list(accuracy_lines({SYNCHRONISED: [run(9, 20)] * 3, SPATIAL: [run(7, 40)] * 3}))
    assert "+0.200 (+0.200 to +0.200)" in lines[-2]
    assert "50% less" in lines[-1]
