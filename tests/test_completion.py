"""Completion scripts: what bash itself answers when words are begun, and every command in the others."""

import subprocess
from argparse import ArgumentParser

import pytest

from agrifm.cli import _parser
from agrifm.commands import COMMANDS
from agrifm.completion import completion


@pytest.fixture(scope="module")
def parsers() -> dict[str, ArgumentParser]:
    found: dict[str, ArgumentParser] = _parser().get_default("parsers")
    return found


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("agrifm fe", ["fetch"]),
        ("agrifm ma", ["map"]),
        ("agrifm assess des", ["design"]),
        ("agrifm cube ", ["check", "compact", "info"]),
        ("agrifm assess design --meth", ["--method"]),
        ("agrifm assess design --method s", ["simple", "stratified", "systematic"]),
        ("agrifm assess --dist", ["--district", "--districts"]),
        ("agrifm map --fr", ["--from"]),
        ("agrifm completion f", ["fish"]),
        ("agrifm cube info sce", ["scenes"]),
    ],
)
def test_bash_completes_commands_options_choices_and_files(
    words: str, answer: list[str], parsers: dict[str, ArgumentParser], tmp_path
) -> None:
    (tmp_path / "scenes").mkdir()
    (tmp_path / "script.bash").write_text(completion("bash", parsers))
    given = " ".join(f"'{word}'" for word in words.split(" "))
    ask = f"source ./script.bash; COMP_WORDS=({given}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _agrifm; "
    show = r'printf "%s\n" "${COMPREPLY[@]}"'
    run = subprocess.run(["bash", "-c", ask + show], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stderr == ""
    assert sorted(run.stdout.split()) == answer


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_command_and_option_is_in_the_script(shell: str, parsers: dict[str, ArgumentParser]) -> None:
    script = completion(shell, parsers)
    for name in COMMANDS:
        assert all(word in script for word in name.split())
    assert ("-l allocation" if shell == "fish" else "--allocation") in script
    assert "neyman" in script
