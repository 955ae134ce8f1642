"""The wheel alone, in a clean environment without a network: it runs the demo and writes its page.

`make wheel PYTHON=python3.13` does the same with another Python (AGRIFM_PYTHON).
"""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

pytestmark = pytest.mark.check

ROOT = Path(__file__).parents[1]
EXTRAS = "deep,classic,report,serve"
WITHOUT_NETWORK = ["unshare", "--map-root-user", "--net"]
"""A process that has no network at all, where the system allows it."""


def clean_environment() -> dict[str, str]:
    """The environment without what leads Python to this checkout."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}


def can_leave_the_network() -> bool:
    try:
        return subprocess.run([*WITHOUT_NETWORK, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory outside the repository, with an environment `env` that has the wheel."""
    place = tmp_path_factory.mktemp("wheel")
    python, other = str(place / "env/bin/python"), os.environ.get("AGRIFM_PYTHON")
    if other:
        subprocess.run([other, "-m", "venv", str(place / "env")], check=True)
    else:
        venv.create(place / "env", with_pip=True)
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(place), str(ROOT)]
    subprocess.run([sys.executable, *build], check=True)
    (wheel,) = place.glob("agrifm-*.whl")
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"{wheel}[{EXTRAS}]"]
    subprocess.run(install, check=True, env=clean_environment(), cwd=place)
    return place


def run(place: Path, *words: str) -> str:
    """Run a program of the environment outside the repository, without a network if that is possible."""
    before = WITHOUT_NETWORK if can_leave_the_network() else []
    command = [*before, str(place / "env/bin" / words[0]), *words[1:]]
    return subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env=clean_environment(), cwd=place
    ).stdout


def test_it_is_imported_from_its_environment(place: Path) -> None:
    said = run(place, "python", "-c", "import sys, agrifm; print(sys.version); print(agrifm.__file__)")
    print(said)
    assert Path(said.splitlines()[-1]).is_relative_to(place / "env")


def test_it_runs_the_demo_and_writes_its_page(place: Path) -> None:
    print(run(place, "agrifm", "demo", "demo"))
    report = json.loads((place / "demo/report/report.json").read_text(encoding="utf-8"))
    assert report["models"].keys() == {"agrifm", "classic"}
    assert len(report["areas"]) >= 6
    print(run(place, "agrifm", "serve", "demo", "--static", "page"))
    page = {path.name for path in (place / "page").rglob("*")}
    assert {"index.html", "main.js", "maplibre-gl.mjs", "maplibre-gl.LICENSE.txt"} <= page
