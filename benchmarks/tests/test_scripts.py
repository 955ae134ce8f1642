"""Every benchmark: its documented commands are understood, and its quick form runs and writes a result."""

import importlib
import re
import shlex
from pathlib import Path

import pytest
from measure import Command

BENCHMARKS = Path(__file__).parents[1]
SCRIPTS = sorted(
    path.stem for path in BENCHMARKS.glob("*.py") if re.search(r"^main = Command", path.read_text("utf-8"), re.M)
)
PAGES = [*BENCHMARKS.glob("*.py"), *BENCHMARKS.parent.glob("docs/**/*.md")]


def documented(page: Path) -> list[tuple[str, str]]:
    """The scripts and arguments that a page shows; a command in backticks may continue on the next line."""
    text = re.sub(r"(?<!`)`[^`]+`", lambda code: code[0].replace("\n", " "), page.read_text("utf-8"))
    return re.findall(r"python benchmarks/(\w+)\.py([^`\n]*)", text)


COMMANDS = sorted({command for page in PAGES for command in documented(page) if command[0] in SCRIPTS})


def main_of(name: str) -> Command:
    command: Command = importlib.import_module(name).main
    return command


@pytest.mark.parametrize(("name", "arguments"), COMMANDS)
def test_a_documented_command_is_understood(name: str, arguments: str) -> None:
    """Options in brackets are optional; two spaces or more separate a command from its explanation."""
    command = re.split(r" {2,}", arguments)[0].replace("[", "").replace("]", "")
    main_of(name).parse([word for word in shlex.split(command) if word not in ("…", "...")])


def test_documents_name_scripts_that_exist() -> None:
    named = {name for page in PAGES for name in re.findall(r"benchmarks/(\w+)\.py", page.read_text("utf-8"))}
    assert named <= {path.stem for path in BENCHMARKS.glob("*.py")}


def test_every_script_shows_its_commands() -> None:
    assert set(SCRIPTS) <= {name for name, _ in COMMANDS}


@pytest.mark.check
@pytest.mark.parametrize("name", [name for name in SCRIPTS if name != "gpu"])
def test_the_quick_form_writes_a_result(name: str, tmp_path: Path) -> None:
    if main_of(name).quick is None:
        pytest.skip("it has no quick form")
    if name == "export":
        pytest.importorskip("onnxruntime", reason="needs agrifm[export]")
    main_of(name)("--quick", "--out", tmp_path)
    (result,) = tmp_path.iterdir()
    lines = result.read_text("utf-8").splitlines()
    assert result.name.endswith(f"-{name.replace('_', '-')}.txt")
    assert [line.split()[0] for line in lines[:5]] == ["date", "hardware", "versions", "command", "commit"]
    assert len(lines) > 8
