"""Damaged and odd inputs end in one sentence or a result: no traceback, no hang, no word of a library."""

import subprocess
import sys
from pathlib import Path

import pytest


def run(*options: str) -> str:
    """The table of a run in a process of its own, whose children begin without threads."""
    command = [sys.executable, "-m", "tests.mutations", *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1], check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def tried(table: str) -> int:
    return next(int(line.split()[1]) for line in table.splitlines() if line.startswith("all "))


@pytest.mark.check
def test_one_input_of_many_kinds_ends_in_a_sentence_or_a_result() -> None:
    assert tried(run("--quick")) > 12


@pytest.mark.check
def test_two_thousand_inputs_end_in_a_sentence_or_a_result() -> None:
    table = run()
    print(table)
    assert tried(table) >= 2000
