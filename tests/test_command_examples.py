"""Examples in the help of commands: of every one, and such that its own parser reads them."""

import shlex

import pytest

from agrifm.cli import _parser
from agrifm.command_examples import EXAMPLES, examples_of
from agrifm.commands import COMMANDS


def test_every_command_has_an_example() -> None:
    assert set(EXAMPLES) == set(COMMANDS)


@pytest.mark.parametrize(("command", "line"), [(name, line) for name, lines in EXAMPLES.items() for line in lines])
def test_an_example_is_read_by_the_parser_of_its_command(command: str, line: str) -> None:
    words = shlex.split(line.partition(" > ")[0])
    length = len(command.split())
    assert " ".join(words[:length]) == command
    assert _parser().parse_args([command, *words[length:]]).command == command
    assert f"agrifm {line}" in examples_of(command)
