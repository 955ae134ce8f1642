"""The documentation as a site: it builds without a warning, loads nothing from elsewhere, has every command and key."""

import os
import re
import subprocess
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from threading import Thread

import pytest

from agrifm.commands import COMMANDS
from agrifm.init import TEMPLATE
from tests.browser import Browser, installed

ROOT = Path(__file__).parents[1]
LOADED = re.compile(
    r"<(?:script|img|source|iframe|link)\b[^>]*?\b(?:src|href)=[\"']?((?:https?:)?//[^\"'\s>]+)|"
    r"(?:@import|url\()\s*[\"']?((?:https?:)?//[^\"')\s]+)",
    re.IGNORECASE,
)
"""What a browser loads by itself from another server: not links that a reader clicks."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if find_spec("mkdocs") is None or find_spec("mkdocstrings") is None:
        pytest.skip("the extra `docs` is not installed: make docs")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    )
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.check
def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = [*site.rglob("*.html"), *site.rglob("*.css")]
    assert len(pages) > 50
    found = {(path.name, "".join(hit)) for path in pages for hit in LOADED.findall(path.read_text(encoding="utf-8"))}
    assert not found


@pytest.mark.check
def test_the_reference_has_every_command_key_and_public_name(site: Path) -> None:
    commands = (site / "reference/commands.html").read_text(encoding="utf-8")
    assert set(COMMANDS) <= set(re.findall(r'<h2 id="[\w-]+">([\w -]+?)<a', commands))
    keys = (site / "reference/project-file.html").read_text(encoding="utf-8")
    sections = re.findall(r"^\[(\w+)\]", TEMPLATE, re.MULTILINE)
    assert len(sections) >= 6
    assert all(f"[{name}]" in keys for name in sections)
    names = (site / "reference/python.html").read_text(encoding="utf-8")
    stated = re.findall(r"^\| `(agrifm\.[\w.]+)` \|", (ROOT / "docs/api.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert all(f'id="{name}"' in names for name in stated)


def test_the_pattern_sees_what_is_loaded_and_not_what_is_linked() -> None:
    loaded = '<script async src="https://cdn.example/a.js"></script><link rel="stylesheet" href=//fonts.example/b.css>'
    assert len(LOADED.findall(loaded + '<style>@import "https://c.example/d.css"</style>')) == 3
    assert not LOADED.findall('<a href="https://github.com/flyakon/AgriFM">AgriFM</a><img src="chain.svg">')


@pytest.mark.check
@pytest.mark.skipif(not installed(), reason="needs Chromium")
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_finds_pages_asks_nobody_else_and_fits_a_phone(site: Path, tmp_path: Path, width: int) -> None:
    handler = partial(SimpleHTTPRequestHandler, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, Browser(tmp_path, width, 900) as browser:
        Thread(target=server.serve_forever, daemon=True).start()
        start = f"http://127.0.0.1:{server.server_port}"
        browser.open(f"{start}/tutorials/first-map.html")
        assert browser.run("document.documentElement.scrollWidth") <= width
        if width > 1000:  # the field is always there
            browser.run("document.querySelector('.md-search__input').focus()")
            browser.write("interval")
            browser.until("/\\d+ matching/.test(document.querySelector('.md-search-result__meta').textContent)")
        assert not browser.complaints()
        asked = [event["params"] for event in browser.events if event.get("method") == "Network.requestWillBeSent"]
        server.shutdown()
    assert asked
    assert all(one["request"]["url"].startswith((start, "data:")) for one in asked)
