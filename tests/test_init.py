"""`agrifm init`: the template has every key of the project file, and each of its lines is valid."""

import os
import re
import threading
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from agrifm.config import PROJECT_FILE, Project, read_project
from agrifm.errors import OutputError
from agrifm.files import write_text
from agrifm.init import TEMPLATE, init

LINE = re.compile(r"^(?P<comment># )?(?P<key>\w+) = (?P<value>.+)$")
HEADER = re.compile(r"^(?:# )?\[+([\w.]+)\]+$")
SECTIONS = {
    name: next((one for one in get_args(field.annotation) if one is not type(None)), field.annotation)
    for name, field in Project.model_fields.items()
    if not field.exclude
}
ABSENT = "parcels"
"""The section that is commented out as a whole."""


TOGETHER = {
    ("map", "cropland_values"),
    ("season", "halo"),
    ("imagery", "provider"),
    ("labels", "series"),
    ("labels", "products"),
    ("labels", "columns"),
    ("labels", "series_share"),
    ("labels", "value"),
    ("labels", "covered"),
    ("map", "minimum_area"),
    ("map", "largest_hole"),
    ("labels", "unit"),
    ("model", "crop"),
    ("model", "crops"),
}
"""Keys that are valid only with or instead of others."""


def lines() -> list[tuple[str, str, str, bool]]:
    """Section, key, line and whether it is commented out, of every key in the template."""
    found, section = [], ""
    for line in TEMPLATE.splitlines():
        header, match = HEADER.match(line), LINE.match(line)
        section = header[1] if header else section
        if match:
            found.append((section, match["key"], line, match["comment"] is not None))
    return found


def keys_of(section: Any, name: str) -> set[str]:
    """Dotted names of the keys of a section, and of those of its tables."""
    found = set()
    for key, field in section.model_fields.items():
        table = next(iter(get_args(field.annotation)), None)
        if isinstance(table, type) and issubclass(table, BaseModel):
            found |= keys_of(table, f"{name}.{key}")
        else:
            found.add(f"{name}.{key}")
    return found


def test_the_template_has_every_key_of_the_project_file_and_no_other() -> None:
    known = set().union(*(keys_of(section, name) for name, section in SECTIONS.items()))
    assert {f"{section}.{key}" for section, key, _, _ in lines()} == known


def test_the_template_is_read_as_it_is_written(tmp_path: Path) -> None:
    init(tmp_path)
    project = read_project(tmp_path)
    assert project.imagery.products == ("sentinel-2-c1-l2a", "landsat-c2-l2", "modis-09A1-061")
    with pytest.raises(OutputError) as error:
        init(tmp_path)
    assert error.value.facts["path"] == tmp_path / PROJECT_FILE


@pytest.mark.parametrize(
    ("section", "line"),
    [
        (section, line)
        for section, key, line, commented in lines()
        if commented and section in SECTIONS and section != ABSENT and (section, key) not in TOGETHER
    ],
)
def test_each_commented_line_is_valid_without_its_comment(tmp_path: Path, section: str, line: str) -> None:
    assert TEMPLATE.count(f"\n{line}\n") == 1
    (tmp_path / PROJECT_FILE).write_text(TEMPLATE.replace(f"\n{line}\n", f"\n{line.removeprefix('# ')}\n"))
    ((key, value),) = tomllib.loads(line.removeprefix("# ")).items()
    stated = getattr(getattr(read_project(tmp_path), section), key)
    stated = stated.model_dump(exclude_none=True) if isinstance(stated, BaseModel) else stated
    assert (list(stated) if isinstance(stated, tuple) else str(stated) if isinstance(stated, Path) else stated) == value


def test_a_provider_or_files_can_replace_the_catalogue(tmp_path: Path) -> None:
    (tmp_path / PROJECT_FILE).write_text(
        TEMPLATE.replace("\ncatalog = ", "\n# catalog = ").replace("# provider", "provider")
    )
    assert read_project(tmp_path).imagery.provider == "earth-search"
    text = re.sub(r"^(catalog|products) = ", r"# \1 = ", TEMPLATE, flags=re.MULTILINE)
    text = re.sub(r"^# (\[\[imagery.files|product = |pattern = |baseline = )", r"\1", text, flags=re.MULTILINE)
    (tmp_path / PROJECT_FILE).write_text(text)
    (files,) = read_project(tmp_path).imagery.files
    assert (files.product, files.pattern, files.baseline) == ("sentinel-2-c1-l2a", "imagery/*.tif", "05.10")


def test_a_table_of_series_can_be_the_labels(tmp_path: Path) -> None:
    text = re.sub(
        r"^# (series = .points|products = ..sentinel-2-world|columns = )", r"\1", TEMPLATE, flags=re.MULTILINE
    )
    (tmp_path / PROJECT_FILE).write_text(text)
    labels = read_project(tmp_path).labels
    assert (labels.series, labels.products) == (Path("points.parquet"), ("sentinel-2-worldcereal",))
    assert (labels.columns.sample, labels.columns.date) == ("id", "day")


def test_of_two_at_once_one_writes_the_project_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[OutputError] = []

    def second() -> None:
        try:
            init(tmp_path)
        except OutputError as error:
            refused.append(error)

    def written_meanwhile(path: Path, text: str) -> None:
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
        write_text(path, text)

    monkeypatch.setattr("agrifm.init.write_text", written_meanwhile)
    init(tmp_path)
    assert [error.facts["pid"] for error in refused] == [os.getpid()]
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(PROJECT_FILE, TEMPLATE)]


def test_the_section_of_parcels_is_valid_without_its_comments(tmp_path: Path) -> None:
    before, header, after = TEMPLATE.partition(f"# [{ABSENT}]\n")
    section, end, rest = after.partition("\n\n")
    text = "\n".join(line.removeprefix("# ") for line in (header + section).splitlines())
    (tmp_path / PROJECT_FILE).write_text(before + text + end + rest)
    parcels = read_project(tmp_path).parcels
    assert parcels is not None
    assert (parcels.file, parcels.id, parcels.area, parcels.geopackage, parcels.crs) == (
        Path("parcels.parquet"),
        "parcel_id",
        "hectares",
        True,
        "EPSG:32631",
    )
