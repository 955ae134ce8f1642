"""The benchmark of growth, small: exponents of known curves, the table and the figure."""

from pathlib import Path

import growth
import pytest
from growth import exponent
from measure import by_shape
from network_pass import Measured, Workload
from presets import BYTES_PER_PARAMETER, Shape

from agrifm.models.agrifm.network_cost import count_parameters


def test_the_exponent_is_that_of_the_curve() -> None:
    assert exponent([1, 2, 4, 8], [3, 6, 12, 24]) == pytest.approx(1)
    assert exponent([1, 2, 4, 8], [5, 20, 80, 320]) == pytest.approx(2)


@pytest.mark.check
def test_missing_shapes_are_measured_and_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time grows with the square of the frames and with the pixels."""

    def measured(workload: Workload, runs: int) -> Measured:
        fixed = sum(count_parameters(workload.config)) * BYTES_PER_PARAMETER[workload.kind]
        pixels = workload.frames * workload.side**2
        return Measured(workload.frames * pixels * 1e-6, fixed + 1e3 * pixels)

    monkeypatch.setattr(growth, "FRAMES", (4, 8))
    monkeypatch.setattr(growth, "SIDES", (16, 32))
    monkeypatch.setattr(growth, "MIDDLE", (8, 16))
    monkeypatch.setattr(growth.presets, "measured", measured)
    files, out, figure = tmp_path / "runs.jsonl", tmp_path / "result.txt", tmp_path / "growth.png"
    for _ in range(2):
        growth.main("--preset", "tiny", "--runs", files)
    assert list(by_shape(Shape, [files])) == [Shape("tiny", 1, 16, 4), Shape("tiny", 1, 16, 8), Shape("tiny", 1, 32, 8)]
    assert len(files.read_text().splitlines()) == 3
    growth.main("--preset", "tiny", "--runs", files, "--table", "--out", out, "--figure", figure)
    text = out.read_text()
    assert text.count("time 2.00, memory 1.00: not linear") == 2
    assert text.count("time 1.00, memory 1.00: linear") == 2
    assert figure.read_bytes().startswith(b"\x89PNG")
