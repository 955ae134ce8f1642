"""The benchmark of down-sampling, small: what it compares, what it counts, and its lines."""

import pytest
import synchronised
from measure import Measured
from synchronised import SPATIAL, SYNCHRONISED, accuracy_lines, both, less, networks

from agrifm.models.agrifm.network import AgriFM, preset


def test_the_two_differ_in_the_merging_of_time_steps_alone() -> None:
    """24 frames are 6 time steps, halved three times, or kept; the parameters are the same ones."""
    configs = both(preset("tiny", {"sentinel-2": 10}, classes=3, frames=24))
    assert configs[SYNCHRONISED].encoder.time_steps(24, 4) == (6, 3, 2, 1)
    assert configs[SPATIAL].encoder.time_steps(24, 4) == (6, 6, 6, 6)
    one, other = ([tensor.shape for tensor in AgriFM(config).parameters()] for config in configs.values())
    assert one == other


def test_costs_are_said_in_percent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of the time and half of the memory; the multiply-adds are those of the counter."""
    ways = {}

    def seconds(configs: dict[str, object], *_: object) -> dict[str, float]:
        ways.update({id(config): way for way, config in configs.items()})
        return {SYNCHRONISED: 1.0, SPATIAL: 4.0}

    def measured(config: object, *_: object) -> Measured:
        return Measured(0.0, 1e9 if ways[id(config)] == SYNCHRONISED else 2e9)

    monkeypatch.setattr(synchronised, "seconds", seconds)
    monkeypatch.setattr(synchronised, "measured", measured)
    monkeypatch.setattr(synchronised, "SHAPES", (("tiny", 8, 16, 2),))
    monkeypatch.setattr(synchronised, "COUNTED", ("tiny", 8, 16))
    lines = list(synchronised.cost_lines(["tiny"]))
    assert lines[4].split()[-4:] == ["50%", "less", "75%", "less"]
    assert less(3, 4) == "25% less"
    work = [synchronised.work(config, 8, 16).encoders for config in networks("tiny", 8).values()]
    assert f"{1 - work[0] / work[1]:.0%} less" in lines[5]


def test_the_difference_is_said_with_its_interval() -> None:
    def run(hits: int, seconds: float) -> dict[str, object]:
        counts = [[[hits, 10 - hits], [10 - hits, hits]]] * 5
        return {"scored": [True, True], "counts": counts, "seconds": seconds, "steps": 10}

    runs = {SYNCHRONISED: [run(9, 20)] * 3, SPATIAL: [run(7, 40)] * 3}
    lines = list(accuracy_lines(runs))
    assert lines[-2].endswith("macro F1 +0.200 (+0.200 to +0.200)")
    assert lines[-1].endswith("50% less")
