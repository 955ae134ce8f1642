"""The benchmark of growth, small: exponents of known curves, the table and the figure."""

import sys
from pathlib import Path

import growth
import pytest
from growth import Shape, exponent, read_runs
from measure import Measured, Pass

from agrifm.models.agrifm.network import AgriFMConfig


def test_the_exponent_is_that_of_the_curve() -> None:
    assert exponent([1, 2, 4, 8], [3, 6, 12, 24]) == pytest.approx(1)
    assert exponent([1, 2, 4, 8], [5, 20, 80, 320]) == pytest.approx(2)


def main(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["growth.py", "--preset", "tiny", *map(str, arguments)])
    growth.main()


def test_what_is_missing_is_measured_and_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time stands for growth with the square of the frames and with the pixels themselves."""

    def measured(config: AgriFMConfig, frames: int, side: int, batch: int, kind: Pass, runs: int) -> Measured:
        return Measured(frames**2 * side**2 * 1e-6, 1e9 * frames * side**2)

    monkeypatch.setattr(growth, "FRAMES", (4, 8))
    monkeypatch.setattr(growth, "SIDES", (16, 32))
    monkeypatch.setattr(growth, "USUAL", (8, 16))
    monkeypatch.setattr(growth, "measured", measured)
    runs, out, figure = tmp_path / "runs.jsonl", tmp_path / "result.txt", tmp_path / "growth.png"
    with pytest.raises(SystemExit, match="has not been measured"):
        main(monkeypatch, "--runs", runs, "--table")
    main(monkeypatch, "--runs", runs)
    main(monkeypatch, "--runs", runs)
    assert list(read_runs([runs])) == [Shape("tiny", 4, 16), Shape("tiny", 8, 16), Shape("tiny", 8, 32)]
    assert len(runs.read_text().splitlines()) == 3
    main(monkeypatch, "--runs", runs, "--table", "--out", out, "--figure", figure)
    text = out.read_text()
    assert text.count("time 2.00, memory 1.00: not linear") == 2
    assert text.count("time 1.00, memory 1.00: linear") == 2
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_the_work_grows_with_the_pixels() -> None:
    """Windows have their full size at every stage of `small` from 192 pixels on, and at all but the last at 96."""
    adds = [growth.work(Shape("small", 24, side).config, 24, side).whole for side in (96, 192)]
    assert exponent([96**2, 192**2], adds) == pytest.approx(1, abs=0.03)
