"""The table of presets, small: it measures, continues, leaves out what does not fit, and says so."""

import json
import sys
from pathlib import Path

import presets
import pytest
from measure import Measured, Pass
from presets import Shape, estimated_bytes, measured_cells, read_runs

from agrifm.models.agrifm.network import AgriFMConfig


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few shapes, the time of a forward pass 4 s and of a training step 16 s."""

    def measured(config: AgriFMConfig, frames: int, side: int, batch: int, kind: Pass, runs: int) -> Measured:
        assert (len(config.sources), frames, side, batch) == (3, 4, 48, 1)
        return Measured(4.0 if kind == "forward" else 16.0, 5e7)

    monkeypatch.setattr(presets, "measured", measured)
    monkeypatch.setattr(presets, "PRESETS", ("tiny",))
    monkeypatch.setattr(presets, "SIDES", {1: (16, 32), 3: (48,)})
    monkeypatch.setattr(presets, "FRAMES", {"tiny": 4})


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["presets.py", *map(str, arguments)])
    presets.main()


def line(shape: Shape, peak: float) -> str:
    found = {"seconds": 0.5, "peak": peak}
    content = {"shape": shape._asdict(), "date": "2026-01-01", "load": "0.0", "forward": found, "training": found}
    return json.dumps(content) + "\n"


@pytest.mark.usefixtures("small")
def test_what_is_missing_is_measured_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, page, out = tmp_path / "runs.jsonl", tmp_path / "presets.md", tmp_path / "result.txt"
    runs.write_text(line(Shape("tiny", 1, 16), 2e9) + line(Shape("tiny", 1, 32), 3e9))
    run(monkeypatch, "--runs", runs, "--presets", "tiny")
    found = read_runs([runs])
    assert len(runs.read_text().splitlines()) == len(found) == 3
    new = found[Shape("tiny", 3, 48)]
    assert [new[kind]["seconds"] for kind in ("forward", "training")] == [4.0, 16.0]
    run(monkeypatch, "--runs", runs, "--table", "--page", page, "--out", out)
    text = page.read_text()
    assert "| 2.00 | 2 | 2.00 | 2 |" in text
    assert "| 0.05 | 0.25 | 0.05 | 0.062 |" in text
    assert "growth.png" not in text
    (tmp_path / "growth.png").touch()
    run(monkeypatch, "--runs", runs, "--table", "--page", page, "--out", out)
    assert "(growth.png)" in page.read_text()
    assert "load average at the start" in out.read_text()
    assert str(tmp_path) not in out.read_text()


@pytest.mark.usefixtures("small")
def test_what_does_not_fit_is_left_out_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, page = tmp_path / "runs.jsonl", tmp_path / "presets.md"
    runs.write_text(line(Shape("tiny", 1, 16), 40e9) + line(Shape("tiny", 3, 48), 1e9))
    monkeypatch.setattr(presets, "free_bytes", lambda: 100e9)
    run(monkeypatch, "--runs", runs, "--presets", "tiny")
    run(monkeypatch, "--runs", runs, "--table", "--page", page)
    assert page.read_text().count("left out: needs about 160 GB, 100 GB were free") == 2


def test_memory_is_estimated_from_weights_and_a_smaller_side() -> None:
    """1 GB of weights is 4 GB in training; the other 2 GB of 64 pixels become 32 GB at 256."""
    assert estimated_bytes(250_000_000, "forward", 64, None) == 1e9
    assert estimated_bytes(250_000_000, "training", 256, (64, 6e9)) == 4e9 + 16 * 2e9


def test_what_was_not_measured_is_a_dash() -> None:
    assert measured_cells(None) == ("–", "–")
    assert measured_cells({"seconds": 0.04, "peak": 1.5e9}) == ("1.50", "25")
