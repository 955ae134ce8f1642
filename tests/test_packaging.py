"""What a release contains: every file of the package, the licences of foreign ones, one version everywhere."""

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src/agrifm"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
THIRD_PARTY = (ROOT / "THIRD_PARTY.md").read_text(encoding="utf-8")
FOREIGN = re.findall(r"^\| `([\w./-]+)` \|(.*)$", THIRD_PARTY, re.MULTILINE)
OURS = ("*.py", "*.jinja", "*.toml", "*/form.js", "*/form_server.js", "serve/web/*", "py.typed")
"""Files of agrifm itself, after those of others were taken away."""
BY_OTHERS = ("*.npz", "*.csv", "*maplibre*", "*pmtiles.*", "*.LICENSE.txt", "*.safetensors", "*.pt", "*.woff*", "*.ttf")
"""Files that are never only ours: copies, tables and arrays made from data, weights, fonts."""


def package_files() -> set[str]:
    return {
        path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*") if path.is_file() and path.suffix != ".pyc"
    }


def test_a_wheel_has_every_file_of_the_package() -> None:
    wheel = {one.distribution_path for one in WheelBuilder(str(ROOT)).recurse_included_files()}
    assert wheel == {f"agrifm/{name}" for name in package_files()}
    assert {"agrifm/serve/web/index.html", "agrifm/crop_calendar.npz", "agrifm/samples/legends/hcat3.csv"} <= wheel


def test_a_source_archive_has_what_its_tests_need() -> None:
    archive = {Path(one.distribution_path).as_posix() for one in SdistBuilder(str(ROOT)).recurse_included_files()}
    assert {f"src/agrifm/{name}" for name in package_files()} <= archive
    tops = {name.split("/")[0] for name in archive}
    assert {"tests", "docs", "examples", "benchmarks", "LICENSE", "THIRD_PARTY.md", "CITATION.cff", "Makefile"} <= tops


def test_every_file_by_others_is_named_with_its_licence() -> None:
    rows = dict(FOREIGN)
    named = rows.keys() | set(re.findall(r"`([\w./-]+\.LICENSE\.txt)`", THIRD_PARTY))
    files = package_files()
    assert rows.keys() <= files, "a file is named that is not there"
    foreign = {name for name in files if any(fnmatch(name, pattern) for pattern in BY_OTHERS)}
    assert foreign <= named
    left = files - named
    assert not {name for name in left if not any(fnmatch(name, pattern) for pattern in OURS)}


def test_texts_of_licences_are_there_and_in_the_metadata() -> None:
    texts = set(re.findall(r"`([\w./-]+\.LICENSE\.txt)`", THIRD_PARTY))
    assert texts == {name for name in package_files() if name.endswith(".LICENSE.txt")}
    stated = [path for pattern in PROJECT["license-files"] for path in ROOT.glob(pattern)]
    assert {PACKAGE / name for name in texts} | {ROOT / "LICENSE", ROOT / "THIRD_PARTY.md"} == set(stated)


def test_published_legends_have_the_licences_that_the_program_states() -> None:
    from agrifm.samples.legends.nomenclature import LEGENDS

    rows = dict(FOREIGN)
    for key, about in LEGENDS.items():
        licence = re.sub(r".*\((.*)\)", r"\1", about.licence)
        assert licence in rows[f"samples/legends/{key}.csv"], key


def test_one_version_everywhere() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    stated = re.search(r"^version: (.+)$", citation, re.MULTILINE)
    assert stated is not None
    assert stated[1] == PROJECT["version"]
    assert f"license: {PROJECT['license']}\n" in citation
    assert re.search(
        rf"^## {re.escape(PROJECT['version'])}\b", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE
    )
