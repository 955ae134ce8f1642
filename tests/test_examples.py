"""The examples on real data, as scripts; they fail, and are not skipped, where the data are absent."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data_sets import DATA

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("[0-9]*.py"))
SIMULATED = [path for path in EXAMPLES if "simulated" in path.name]
"""Examples that make their data themselves."""


@pytest.mark.check
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(example: Path, tmp_path: Path) -> None:
    assert DATA.is_dir(), f"the examples need the data sets at {DATA}; set AGRIFM_DATA"
    done = subprocess.run(
        [sys.executable, str(example), str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "AGRIFM_DATA": str(DATA)},
    )
    print(done.stdout)
    assert done.returncode == 0, done.stderr


@pytest.mark.check
def test_an_example_without_its_data_says_where_they_are_expected(tmp_path: Path) -> None:
    for example in EXAMPLES:
        if example in SIMULATED:
            continue
        done = subprocess.run(
            [sys.executable, str(example), str(tmp_path / "out")],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "AGRIFM_DATA": str(tmp_path / "nowhere")},
        )
        assert done.returncode == 1
        assert f"the data are expected at {tmp_path / 'nowhere'}" in done.stderr
        assert "Traceback" not in done.stderr


def test_examples_are_numbered_and_say_what_they_show() -> None:
    assert [path.name[:2] for path in EXAMPLES] == [f"{number:02d}" for number in range(1, len(EXAMPLES) + 1)]
    assert all(path.read_text(encoding="utf-8").startswith('"""') for path in EXAMPLES)
