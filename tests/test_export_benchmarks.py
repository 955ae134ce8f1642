"""The benchmarks of exported networks and of precision run, and their tables hold what they say."""

from pathlib import Path

import export
import precision
import pytest
from model_speed import kilobytes
from precision import Row


@pytest.mark.check
def test_onnxruntime_is_timed_beside_pytorch_and_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime", reason="needs agrifm[export]")
    monkeypatch.setattr(export, "SIDE", 48)
    monkeypatch.setattr(export, "peak", lambda *_: 1024.0 * kilobytes("VmHWM"))
    lines = export.report("tiny", count=1)
    apart = next(float(line.split()[-1]) for line in lines if line.startswith("greatest difference"))
    assert 0 < apart <= 1e-4
    pytorch, runtime = (next(line.split() for line in lines if line.startswith(name)) for name in ("PyTorch", "onnxr"))
    assert float(pytorch[1]) > 0
    assert float(runtime[1]) > 0


def test_ratios_of_the_runtimes_are_those_of_each_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: PyTorch takes 1 s and 2 s, onnxruntime 3 s and 4 s, after a turn that does not count."""
    clock = iter([0.0, 100.0, 0.0, 100.0, 0.0, 1.0, 0.0, 3.0, 0.0, 2.0, 0.0, 4.0])
    monkeypatch.setattr(export.time, "process_time", lambda: next(clock))
    found = export.turns({"PyTorch": list, "onnxruntime": list}, 2)
    assert found == [{"PyTorch": 1.0, "onnxruntime": 3.0}, {"PyTorch": 2.0, "onnxruntime": 4.0}]


@pytest.mark.check
def test_recomputing_takes_less_memory_as_estimated() -> None:
    """`tiny` keeps little in its blocks; `small` enough to tell."""
    rows = {way: precision.measured("small", 96, 2, "training", way, runs=3) for way in ("float32", "recomputed")}
    assert rows["recomputed"].peak < 0.95 * rows["float32"].peak
    assert rows["recomputed"].estimate < rows["float32"].estimate


def test_the_table_has_a_line_per_pass_and_way_that_says_something_of_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing is recomputed without gradients; the compiler's memory is not the network's."""
    monkeypatch.setattr(precision, "measured", lambda *_: Row(9.0, 2.0, 1.5, 3e8, 400_000_000))
    out = tmp_path / "result.txt"
    monkeypatch.setattr("sys.argv", ["precision.py", "--out", str(out)])
    precision.main()
    rows = [line.split() for line in out.read_text().splitlines() if line.startswith("tiny")]
    assert [row[1:3] for row in rows] == [
        *(["forward", way] for way in ("float32", "bfloat16", "compiled")),
        *(["training", way] for way in ("float32", "bfloat16", "compiled", "recomputed")),
    ]
    assert rows[0][3:] == ["9.0", "2.00", "1.50", "300", "400"]
    assert rows[2][3:] == ["9.0", "2.00", "1.50", "-", "-"]
