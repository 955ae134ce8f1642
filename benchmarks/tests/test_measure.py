"""What the benchmarks share: processes, turns, files of runs, tables, results; and the pass of a small network."""

from pathlib import Path
from typing import Any

import measure
import pytest
from measure import Command, add_run, own_process, part_of, read_runs, table, turns
from network_pass import NetworkPass, Workload, measured, seconds

from agrifm.models.agrifm.network import AgriFM, preset

TINY = Workload(preset("tiny", {"sentinel-2": 2}, classes=3, frames=4), 4, 16)


def test_a_command_prints_and_writes_its_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = {"--sides": {"type": int, "nargs": "+", "default": [480]}, "directory": {"type": Path, "nargs": "?"}}
    main = Command("A test.", lambda parsed: [f"sides {parsed.sides}"], options, quick={"sides": [3]})
    main("--quick", "--out", tmp_path)
    (result,) = tmp_path.iterdir()
    assert result.name.endswith("-test-measure.txt")
    assert "sides [3]" in result.read_text("utf-8").splitlines()
    assert "sides [3]" in capsys.readouterr().out
    main("--sides", 1, 2, "--out", tmp_path / "folder" / "result.txt")
    text = (tmp_path / "folder" / "result.txt").read_text("utf-8")
    assert "sides [1, 2]" in text
    assert str(tmp_path) not in text


def test_a_command_without_lines_writes_nothing(tmp_path: Path) -> None:
    Command("", lambda _: [])("--out", tmp_path)
    assert not list(tmp_path.iterdir())


def test_turns_alternate_and_the_first_does_not_count() -> None:
    """By hand: one takes 1 s and 2 s, the other 3 s and 4 s, after a turn that does not count."""
    clock = iter([0.0, 0.0, 0.0, 1.0, 0.0, 3.0, 0.0, 2.0, 0.0, 4.0])
    ran: list[str] = []
    runs = {name: lambda name=name: ran.append(name) for name in ("one", "other")}
    assert turns(runs, 2, lambda: next(clock)) == {"one": [1.0, 2.0], "other": [3.0, 4.0]}
    assert ran == ["one", "other"] * 3


def test_runs_are_appended_and_read_from_several_files(tmp_path: Path) -> None:
    files = [tmp_path / "one.jsonl", tmp_path / "other.jsonl"]
    runs: list[dict[str, Any]] = [{"seed": 0}, {"seed": 1}]
    assert read_runs(files) == []
    for run in runs:
        add_run(files, run)
    assert read_runs(files) == runs
    assert not files[1].exists()
    assert part_of("abcde", "1/2") == "bd"


def test_a_table_is_as_wide_as_its_cells() -> None:
    assert list(table(("name", "s"), [("a", 10), ("longer", 1)])) == ["name     s", "a       10", "longer   1"]


@pytest.mark.check
def test_a_process_of_its_own_measures_time_and_memory() -> None:
    """Weights are about 4 bytes each; in training the gradient and two means need as much again each."""
    cost = measured(Workload(TINY.config, 4, 16, kind="training"), runs=1)
    weights = sum(parameter.numel() for parameter in AgriFM(TINY.config).parameters())
    assert 8 * weights < cost.peak < 2e9
    assert cost.seconds > 0


@pytest.mark.check
def test_the_peak_of_a_process_is_its_own() -> None:
    """This process holds 400 MB, and the other one does not."""
    held = bytearray(400_000_000)
    assert own_process(measure.load).peak_bytes < len(held)


def test_a_training_step_changes_the_weights_and_a_forward_pass_does_not() -> None:
    for kind in ("forward", "training"):
        subject = NetworkPass(Workload(TINY.config, 4, 16, kind=kind))
        before = [parameter.clone() for parameter in subject.network.parameters()]
        subject.run()
        same = all(bool((a == b).all()) for a, b in zip(before, subject.network.parameters(), strict=True))
        assert same == (kind == "forward")


def test_networks_that_take_turns_are_timed_one_by_one() -> None:
    wider = preset("tiny", {"sentinel-2": 2, "landsat": 2}, classes=3, frames=4)
    timed = seconds({"one": Workload(TINY.config, 4, 48), "two": Workload(wider, 4, 48)}, runs=2)
    assert set(timed) == {"one", "two"}
    assert min(timed.values()) > 0
