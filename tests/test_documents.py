"""The Python in the documents runs as it stands."""

import re
from pathlib import Path

import pytest
import torch

DOCS = Path(__file__).parents[1] / "docs"
WITH_DATA = {"early-season", "explain", "map", "parcels", "precision", "serve", "sets", "train"}
"""Pages whose Python needs a finished project, or a set that was fetched."""
BLOCKS = [
    (page.stem, block)
    for page in sorted(DOCS.glob("*.md"))
    if page.stem not in WITH_DATA
    for block in re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
]


def test_pages_hold_python() -> None:
    assert {"models", "tasks"} <= {page for page, _ in BLOCKS}


@pytest.mark.parametrize(("page", "block"), BLOCKS, ids=[page for page, _ in BLOCKS])
def test_the_python_of_a_page_runs(page: str, block: str, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    exec(compile(block, f"docs/{page}.md", "exec"), {"__name__": page})
    assert capsys.readouterr().out.strip()


def test_links_between_pages_lead_somewhere() -> None:
    for page in [*DOCS.glob("*.md"), DOCS.parent / "README.md"]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} points to {target}"
