"""The tutorials, as a reader follows them: all commands and Python, in the order of the pages, in one directory."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import rasterio

TUTORIALS = Path(__file__).parents[1] / "docs/tutorials"
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```", re.DOTALL | re.MULTILINE)
CHAIN = ("first-map", "parcels", "cluster", "early-season", "hectares", "table-to-map", "pretraining")
"""Pages that continue the directory of the first."""
LEAVES = {
    "first-map": ("cube.zarr", "models/scores.json", "map/classes.tif", "page/index.html"),
    "parcels": ("parcels/parcels.parquet", "map/probabilities.tif"),
    "cluster": ("map-of-two/classes.tif",),
    "early-season": ("map-june/classes.tif", "models/early-season.json"),
    "hectares": ("report/report.html", "report/areas.csv"),
    "table-to-map": ("table/map/classes.tif", "table/models/scores.json"),
    "pretraining": ("pretraining/pretrained.safetensors", "table/models/agrifm.safetensors"),
    "own-area": ("my-season/map/classes.tif", "my-season/page/index.html"),
}
"""Files that each page promises."""


def script(name: str) -> str:
    """All blocks of a page as one script, so that a change of directory lasts."""
    page = (TUTORIALS / f"{name}.md").read_text(encoding="utf-8")
    parts = [
        text if kind == "sh" else f"python - <<'END_OF_PYTHON'\n{text}END_OF_PYTHON\n"
        for kind, text in BLOCK.findall(page)
    ]
    return "set -euo pipefail\n" + "".join(parts)


def follow(name: str, directory: Path) -> None:
    """Run a page in a directory, and look for what it promises."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script(name)], cwd=directory, capture_output=True, text=True, check=False, env=environment
    )
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    for file in LEAVES[name]:
        assert (directory / file).exists(), file
        if file.endswith("classes.tif"):
            with rasterio.open(directory / file) as source:
                assert (source.read(1) != 255).mean() > 0.5


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tutorials")


@pytest.mark.check
@pytest.mark.parametrize("name", CHAIN)
def test_a_tutorial_does_what_it_says(name: str, directory: Path) -> None:
    follow(name, directory)


@pytest.mark.check
def test_the_tutorial_of_an_own_area_does_what_it_says(tmp_path: Path) -> None:
    follow("own-area", tmp_path)


def test_every_tutorial_is_followed() -> None:
    assert {path.stem for path in TUTORIALS.glob("*.md")} == LEAVES.keys() == {*CHAIN, "own-area"}
    for name in LEAVES:
        assert subprocess.run(["bash", "-n", "-c", script(name)], check=False).returncode == 0, name
