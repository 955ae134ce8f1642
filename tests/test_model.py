"""The entry script of the network's benchmarks: its commands are those that the scripts take, and failures end it."""

import subprocess
import sys
from pathlib import Path

import export
import gpu
import growth
import lean_decoder
import loader
import model
import model_speed
import precision
import presets
import pytest
import synchronised

MODULES = (export, gpu, growth, lean_decoder, loader, model_speed, precision, presets, synchronised)
SCRIPTS = {f"{module.__name__}.py": module for module in MODULES}


class ParsedError(Exception):
    """The options were understood."""


def test_every_command_is_understood_by_its_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What follows the options is stopped: the first thing that each script does then is named here."""

    def stop(*_: object) -> None:
        raise ParsedError

    for module, name in (
        (export, "report"),
        (gpu, "report"),
        (growth, "read_runs"),
        (lean_decoder, "cost_lines"),
        (loader, "read_demo"),
        (model_speed, "report"),
        (precision, "lines_of"),
        (presets, "read_runs"),
        (synchronised, "read_runs"),
    ):
        monkeypatch.setattr(module, name, stop)
    for commands in model.plan(tmp_path, tmp_path, "2026-01-01").values():
        for script, *arguments in commands:
            monkeypatch.setattr(sys, "argv", [script, *arguments])
            with pytest.raises(ParsedError):
                SCRIPTS[script].main()


def test_a_failure_ends_it_and_an_unknown_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run: list[str] = []

    def failing(command: list[str], check: bool) -> subprocess.CompletedProcess[str]:
        run.append(Path(command[1]).name)
        return subprocess.CompletedProcess(command, 3 if "presets.py" in command[1] else 0)

    monkeypatch.setattr(subprocess, "run", failing)
    monkeypatch.setattr(sys, "argv", ["model.py", "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"presets: presets\.py ended with exit code 3"):
        model.main()
    assert run == ["model_speed.py", "lean_decoder.py", "synchronised.py", "precision.py", "export.py", "presets.py"]
    monkeypatch.setattr(sys, "argv", ["model.py", "--only", "loader"])
    with pytest.raises(SystemExit, match="2"):
        model.main()
    assert "there is no benchmark 'loader' here" in capsys.readouterr().err
