"""The table of presets, small: it measures, continues, and reports shapes that do not fit."""

import json
import re
from pathlib import Path

import presets
import pytest
from measure import by_shape
from network_pass import Measured, Workload
from presets import Shape, estimated_bytes, measured_cells


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few shapes, the time of a forward pass 4 s and of a training step 16 s."""

    def measured(workload: Workload, runs: int) -> Measured:
        assert (len(workload.config.sources), workload.frames, workload.side, workload.batch) == (3, 4, 48, 1)
        return Measured(4.0 if workload.kind == "forward" else 16.0, 5e7)

    monkeypatch.setattr(presets, "measured", measured)
    monkeypatch.setattr(presets, "PRESETS", ("tiny",))
    monkeypatch.setattr(presets, "SIDES", {1: (16, 32), 3: (48,)})
    monkeypatch.setattr(presets, "FRAMES", {"tiny": 4})


def line(shape: Shape, peak: float) -> str:
    found = {"seconds": 0.5, "peak": peak}
    content = {"shape": shape._asdict(), "date": "2026-01-01", "load": "0.0", "forward": found, "training": found}
    return json.dumps(content) + "\n"


@pytest.mark.usefixtures("small")
def test_missing_shapes_are_measured_and_written(tmp_path: Path) -> None:
    runs, page, out = tmp_path / "runs.jsonl", tmp_path / "presets.md", tmp_path / "result.txt"
    runs.write_text(line(Shape("tiny", 1, 16), 2e9) + line(Shape("tiny", 1, 32), 3e9))
    presets.main("--runs", runs, "--presets", "tiny")
    found = by_shape(Shape, [runs])
    assert len(runs.read_text().splitlines()) == len(found) == 3
    new = found[Shape("tiny", 3, 48)]
    assert [new[kind]["seconds"] for kind in ("forward", "training")] == [4.0, 16.0]
    documented = Path(__file__).parents[2] / "docs" / "presets.md"
    page.write_text(documented.read_text("utf-8"), "utf-8")
    presets.main("--runs", runs, "--table", "--page", page, "--out", out)
    text = page.read_text()
    assert "| 2.00 | 2 | 2.00 | 2 |" in text
    assert "| 0.05 | 0.25 | 0.05 | 0.062 |" in text
    assert "(growth.png)" in text
    assert "Measured on 2026-01-01 and " in text
    assert not set(re.findall(r"^\| base .*", text, re.M))
    assert "2026-01-01" in out.read_text()


@pytest.mark.usefixtures("small")
def test_shapes_that_do_not_fit_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = tmp_path / "runs.jsonl"
    runs.write_text(line(Shape("tiny", 1, 16), 40e9) + line(Shape("tiny", 3, 48), 1e9))
    monkeypatch.setattr(presets, "free_bytes", lambda: 100e9)
    presets.main("--runs", runs, "--presets", "tiny")
    left_out = by_shape(Shape, [runs])[Shape("tiny", 1, 32)]
    assert all("160 GB" in left_out[kind]["left_out"] for kind in ("forward", "training"))
    assert "160 GB" in measured_cells(left_out["forward"])[0]


def test_memory_is_estimated_from_weights_and_a_smaller_side() -> None:
    """1 GB of weights is 4 GB in training; the other 2 GB of 64 pixels become 32 GB at 256."""
    assert estimated_bytes(250_000_000, "forward", 64, None) == 1e9
    assert estimated_bytes(250_000_000, "training", 256, (64, 6e9)) == 4e9 + 16 * 2e9


def test_what_was_not_measured_is_a_dash() -> None:
    assert measured_cells(None) == ("–", "–")
    assert measured_cells({"seconds": 0.04, "peak": 1.5e9}) == ("1.50", "25")
