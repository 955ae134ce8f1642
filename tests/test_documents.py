"""The Python in the documents runs as it stands, commands are those of the parser, links lead somewhere."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch

from agrifm.cli import _parser
from agrifm.commands import COMMANDS
from agrifm.config import Project
from agrifm.plan.prices import Prices
from agrifm.train.comparison_config import CompareConfig
from agrifm.train.pretrain_config import PretrainConfig

DOCS, PARSER = Path(__file__).parents[1] / "docs", _parser()
WITH_DATA = {
    "assess",
    "cube",
    "early-season",
    "embed",
    "explain",
    "map",
    "parcels",
    "precision",
    "serve",
    "sets",
    "train",
}
"""Pages whose Python needs a finished project, or a set that was fetched."""
BLOCKS = [
    (page.stem, block)
    for page in sorted(DOCS.glob("*.md"))
    if page.stem not in WITH_DATA
    for block in re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
]
PAGES = [*sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("tutorials/*.md")), DOCS.parent / "README.md"]
FIRST = re.compile(r"\A# .+\n+(?:    |```(?:sh|bash|python)\n)\S")
"""A title, and a command or Python right after it."""
SHELL = re.compile(r"^```(?:sh|bash)\n(.*?)^```|\n\n((?: {4}[^\n]*\n)+)", re.DOTALL | re.MULTILINE)
"""Fenced blocks of a shell, and indented ones after an empty line."""

SETTINGS = re.compile(
    r"^```toml\n(.*?)^```|\n\n((?: {4}(?:\[|\w+ = )[^\n]*\n(?: {4}[^\n]*\n| *\n(?= {4}))*))", re.DOTALL | re.MULTILINE
)
"""Fenced blocks of TOML, and indented ones that begin with a table or a key."""
PLAIN: dict[str, Any] = {
    "season": {"area": "area.gpkg", "start": "2024-03-01", "end": "2024-10-31"},
    "imagery": {"catalog": "catalog.json", "products": ["sentinel-2-c1-l2a"]},
    "labels": {"file": "labels.gpkg"},
}
"""A project file, to which a page adds keys."""
INSTEAD = {
    ("imagery", "files"): ("catalog", "products"),
    ("imagery", "provider"): ("catalog",),
    ("labels", "series"): ("file",),
}
"""Keys of `PLAIN` that are left out where a page has another one."""
OTHER_FILES = {"models": CompareConfig, "currency": Prices, "shards": PretrainConfig}
"""What reads a file that is no project, by a key of it."""


def settings() -> list[tuple[str, dict[str, Any]]]:
    """Blocks of TOML of all pages."""
    return [
        (page.stem, tomllib.loads(fenced or re.sub("^ {4}", "", indented, flags=re.MULTILINE)))
        for page in PAGES
        for fenced, indented in SETTINGS.findall(page.read_text(encoding="utf-8"))
    ]


def commands(page: Path) -> list[str]:
    """Lines of a page's blocks that call agrifm, one for each call."""
    found = []
    for fenced, indented in SHELL.findall(page.read_text(encoding="utf-8")):
        for line in (fenced or indented).replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|;|\|", line.split(" #")[0]):
                if part.strip().startswith("agrifm "):
                    found.append(part.partition(" > ")[0].strip())
    return found


def test_pages_hold_python() -> None:
    assert {"models", "tasks", "understanding"} <= {page for page, _ in BLOCKS}


@pytest.mark.parametrize(("page", "block"), BLOCKS, ids=[page for page, _ in BLOCKS])
def test_the_python_of_a_page_runs(page: str, block: str, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    exec(compile(block, f"docs/{page}.md", "exec"), {"__name__": page})
    assert capsys.readouterr().out.strip()


def test_pages_together_show_most_commands() -> None:
    shown = {" ".join(shlex.split(line)[1:3]) for page in PAGES for line in commands(page)}
    shown |= {words.split(" ")[0] for words in shown}
    assert len(COMMANDS.keys() & shown) > 0.8 * len(COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_of_a_page_are_read_by_the_parser(page: Path) -> None:
    for line in commands(page):
        words = shlex.split(line)[1:]
        if {"--help", "--version", "COMMAND"} & set(words):
            continue
        if " ".join(words[:2]) in COMMANDS:
            words[:2] = [" ".join(words[:2])]
        assert PARSER.parse_args(words).command in COMMANDS, line


@pytest.mark.parametrize("page", PAGES[:-1], ids=lambda page: page.stem)
def test_a_page_begins_with_what_one_can_copy(page: Path) -> None:
    assert FIRST.match(page.read_text(encoding="utf-8"))


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if target.startswith(("reference/", "../reference/")):
                continue  # made when the site is built, which checks them
            assert (page.parent / target).exists(), f"{page.name} points to {target}"


def test_pages_hold_settings() -> None:
    assert {"areas", "compare", "cube", "imagery", "plan", "tables", "yield"} <= {page for page, _ in settings()}


@pytest.mark.parametrize(("page", "block"), settings(), ids=[page for page, _ in settings()])
def test_settings_of_a_page_are_valid(page: str, block: dict[str, Any]) -> None:
    if "project" in block:  # of a package that adds to agrifm
        return
    for key, record in OTHER_FILES.items():
        if key in block:
            record.model_validate(block)
            return
    project = {**PLAIN, **block}
    for section in PLAIN:
        dropped = {
            name for (of, key), names in INSTEAD.items() if of == section and key in block.get(of, {}) for name in names
        }
        plain = {key: value for key, value in PLAIN[section].items() if key not in dropped}
        project[section] = {**plain, **block.get(section, {})}
    Project.model_validate(project)
