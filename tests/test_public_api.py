"""What others may import: the names and parameters that docs/api.md states."""

import ast
import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROW = re.compile(r"^\| `(agrifm\.[\w.]+)` \| (?:`([^`]*)`)? ?\|", re.MULTILINE)
STATED = {
    name: [one for one in parameters.split(", ") if one]
    for name, parameters in ROW.findall((ROOT / "docs/api.md").read_text(encoding="utf-8"))
}


def imported_names() -> set[str]:
    """Functions and classes of agrifm that the examples import, with their modules."""
    found = set()
    for path in (ROOT / "examples").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("agrifm."):
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_the_page_states_what_most_examples_need() -> None:
    assert len(STATED) > 40
    assert {"agrifm.cube.fetch.fetch", "agrifm.train.project.train_project", "agrifm.mapping.run.map_project"} <= (
        STATED.keys() & imported_names()
    )


@pytest.mark.parametrize("name", STATED)
def test_a_public_name_is_there_with_its_parameters(name: str) -> None:
    module, _, last = name.rpartition(".")
    found = getattr(import_module(module), last)
    assert found.__module__ == module, "it is only imported there"
    assert inspect.getdoc(found)
    if not STATED[name]:
        return
    parameters = list(inspect.signature(found).parameters.values())
    stated, added = parameters[: len(STATED[name])], parameters[len(STATED[name]) :]
    assert [one.name for one in stated] == STATED[name]
    assert all(one.default is not inspect.Parameter.empty for one in added)
