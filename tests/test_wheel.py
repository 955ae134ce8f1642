"""The wheel alone, in a clean environment without a network: it runs the demo and writes its page.

`make test` does it with the small demo and the packages that are installed, `make wheel` with packages installed anew.
`make wheel PYTHON=python3.13` does the same with another Python (AGRIFM_PYTHON).
"""

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXTRAS = "deep,classic,report,serve"
FILES = sorted(
    path.relative_to(ROOT / "src").as_posix()
    for path in (ROOT / "src/agrifm").rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
)
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


def build_wheel(place: Path) -> Path:
    """Build the wheel of this checkout in a directory, and return its path."""
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(place), str(ROOT)]
    subprocess.run([sys.executable, *build], check=True)
    (wheel,) = place.glob("agrifm-*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an environment `env` that has the wheel, and the other packages of the running environment."""
    place = tmp_path_factory.mktemp("installed")
    venv.create(place / "env", with_pip=False)
    python, wheel = str(place / "env/bin/python"), build_wheel(place)
    install = ["-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([sys.executable, *install], check=True, env=clean_environment(), cwd=place)
    (packages,) = (place / "env/lib").glob("python*/site-packages")
    # Files with the suffix .pth of the added directory are not read, so this checkout is not on the path.
    (packages / "packages.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory outside the repository, with an environment `env` that has the wheel and packages installed anew."""
    place = tmp_path_factory.mktemp("wheel")
    python, other = str(place / "env/bin/python"), os.environ.get("AGRIFM_PYTHON")
    if other:
        subprocess.run([other, "-m", "venv", str(place / "env")], check=True)
    else:
        venv.create(place / "env", with_pip=True)
    wheel = build_wheel(place)
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


def check_import(place: Path) -> None:
    said = run(place, "python", "-c", "import sys, agrifm; print(sys.version); print(agrifm.__file__)")
    print(said)
    assert Path(said.splitlines()[-1]).is_relative_to(place / "env")


def check_demo(place: Path, *size: str) -> None:
    print(run(place, "agrifm", "demo", *size, "demo"))
    report = json.loads((place / "demo/report/report.json").read_text(encoding="utf-8"))
    assert report["models"].keys() == {"agrifm", "classic"}
    assert len(report["areas"]) >= 6


@pytest.mark.parametrize("file", FILES)
def test_each_file_is_installed(installed: Path, file: str) -> None:
    (packages,) = (installed / "env/lib").glob("python*/site-packages")
    assert (packages / file).is_file()


def test_the_small_demo_runs_from_the_wheel_alone(installed: Path) -> None:
    check_import(installed)
    check_demo(installed, "--small")


@pytest.mark.check
def test_the_demo_runs_from_the_wheel_alone_with_packages_installed_anew(place: Path) -> None:
    check_import(place)
    check_demo(place)
    print(run(place, "agrifm", "serve", "demo", "--static", "page"))
    page = {path.name for path in (place / "page").rglob("*")}
    assert {"index.html", "main.js", "maplibre-gl.mjs", "maplibre-gl.LICENSE.txt"} <= page
