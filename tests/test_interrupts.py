"""Commands that are asked to stop: exit codes, and what a stopped command leaves."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agrifm.cli import main
from agrifm.commands import COMMANDS
from tests.toy import toy_project

WAITING = """
import signal, sys, time
from agrifm import status
from agrifm.cli import main
if sys.argv[1] == "nohup":
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
def wait(*_):
    print("begun", flush=True)
    time.sleep(0.5 if sys.argv[1] == "nohup" else 30)
    return ["done"]
status.status = wait
sys.exit(main(["status"]))
"""
TRAINING = """
import os, signal, sys
from agrifm.cli import main
from agrifm.train import fit
usual, steps = fit.TrainingModule.training_step, []
def step(self, batch):
    steps.append(batch)
    if len(steps) == 2:
        os.kill(os.getpid(), int(sys.argv[2]))
    return usual(self, batch)
fit.TrainingModule.training_step = step
sys.exit(main(["train", "--project", sys.argv[1]]))
"""


def signalled(number: int, *arguments: str) -> tuple[int, str]:
    """Exit code and standard error of a command that gets a signal while it waits."""
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(number)
    _, said = process.communicate(timeout=20)
    return process.returncode, said


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_stopped_command_exits_with_its_signal_and_one_sentence(number: int, code: int) -> None:
    found, said = signalled(number, "-")
    assert (found, said.count("\n")) == (code, 1)
    assert "stopped" in said


def test_a_hangup_that_is_ignored_stays_ignored() -> None:
    assert signalled(signal.SIGHUP, "nohup") == (0, "")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.check)]
)
def test_training_that_is_stopped_says_so_and_continues_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], number: int, code: int
) -> None:
    """Lightning has its own handlers, of which one ends with exit code 0."""
    from agrifm.train.fit import TrainingModule

    usual, steps = TrainingModule.training_step, []

    def stopped(self: TrainingModule, batch: object) -> object:
        steps.append(batch)
        if len(steps) == 2:
            os.kill(os.getpid(), number)
        return usual(self, batch)

    toy_project(tmp_path, steps=2)
    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "training_step", stopped)
        assert main(["train", "--project", str(tmp_path)]) == code
    assert "Traceback" not in capfd.readouterr().err
    assert not list(tmp_path.rglob(".*lock"))
    assert main(["train", "--project", str(tmp_path)]) == 0


@pytest.mark.check
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_process_whose_training_is_stopped_exits_with_the_signal(tmp_path: Path, number: int, code: int) -> None:
    toy_project(tmp_path, steps=2)
    command = [sys.executable, "-c", TRAINING, str(tmp_path), str(int(number))]
    stopped = subprocess.run(command, capture_output=True, text=True, check=False)
    assert stopped.returncode == code, stopped.stderr
    assert "Traceback" not in stopped.stderr


def test_the_signals_of_the_caller_are_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    monkeypatch.setitem(COMMANDS, "status", replaced(lambda _: os.kill(os.getpid(), signal.SIGTERM)))
    assert main(["status"]) == 143
    assert [signal.getsignal(number) for number in numbers] == before


def replaced(run):
    """The command `status` that does something else."""
    return type(COMMANDS["status"])("", COMMANDS["status"].arguments, run)


def test_what_a_library_makes_of_a_signal_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    def swallow(_: object) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except KeyboardInterrupt:
            raise RuntimeError("a worker ended") from None

    monkeypatch.setitem(COMMANDS, "status", replaced(swallow))
    assert main(["status"]) == 143
