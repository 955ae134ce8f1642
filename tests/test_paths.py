"""Paths in Python: text and `os.PathLike` wherever a documented function takes a path, and a sentence for bytes."""

import inspect
import re
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from agrifm.assess.design import draw_points
from agrifm.assess.report import assess
from agrifm.config import read_project
from agrifm.cube.info import cube_info
from agrifm.cube.store import open_cube
from agrifm.files import AnyPath, as_path
from agrifm.init import init
from agrifm.legend import Legend
from agrifm.object_store import ObjectPath
from agrifm.status import status
from tests.scenes import UTM, write_tiff
from tests.toy import toy_project

ROOT = Path(__file__).parents[1]
COMMANDS = {
    "assess.class_map": ("read_map",), "assess.reference_data": ("read_scores",), "assess.report": ("assess",),
    "assess.design": ("draw_points",), "classic.forest": ("load_forest", "save_forest"), "config": ("read_project",),
    "cube.info": ("cube_info", "find_cube"), "cube.qc.check": ("cube_check",), "cube.store": ("open_cube",),
    "demo": ("demo",), "inference.compatibility": ("check_model", "describe_model"), "init": ("init",),
    "inference.predictor": ("load_model", "load_record"), "mapping.run": ("map_area", "map_cube", "map_project"),
    "models.export": ("export",), "samples.labels": ("read_labels",), "simulator.catalog": ("simulate",),
    "status": ("status",),
}  # fmt: skip
"""Functions behind the commands, and those that read what a user has, by module."""


def documented() -> dict[str, Callable[..., Any]]:
    """Functions of `COMMANDS`, and those that the documents and examples import, by name."""
    texts = [path.read_text(encoding="utf-8") for folder in ("docs", "examples") for path in (ROOT / folder).rglob("*")
             if path.suffix in (".md", ".py")]  # fmt: skip
    found = {
        f"{module}.{name.strip()}"
        for text in [*texts, (ROOT / "README.md").read_text(encoding="utf-8")]
        for module, names in re.findall(r"^ *from (agrifm[\w.]*) import ([\w, ]+)$", text, re.MULTILINE)
        for name in names.split(",")
    }
    found |= {f"agrifm.{module}.{name}" for module, names in COMMANDS.items() for name in names}
    split = {dotted: dotted.rpartition(".") for dotted in found}
    functions = {dotted: getattr(import_module(module), name) for dotted, (module, _, name) in split.items()}
    return {dotted: function for dotted, function in functions.items() if inspect.isfunction(function)}


FUNCTIONS = documented()


def path_names(function: Callable[..., Any]) -> list[str]:
    """Parameters of a function that are paths."""
    return [
        name
        for name, one in inspect.signature(function).parameters.items()
        if "Path" in str(one.annotation) and "Callable" not in str(one.annotation)
    ]


def test_the_documented_functions_are_found() -> None:
    assert len([name for name, function in FUNCTIONS.items() if path_names(function)]) > 25


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_documented_functions_take_paths_of_every_kind(name: str) -> None:
    for parameter in path_names(FUNCTIONS[name]):
        stated = inspect.signature(FUNCTIONS[name]).parameters[parameter].annotation
        assert stated in (AnyPath, AnyPath | None, AnyPath | ObjectPath, Sequence[AnyPath]), f"{name}({parameter})"


@pytest.mark.parametrize("name", sorted(name for name, function in FUNCTIONS.items() if path_names(function)))
def test_bytes_are_refused_before_anything_is_done(name: str) -> None:
    function = FUNCTIONS[name]
    paths = set(path_names(function))
    given = {key: b"name" if key in paths else None for key in inspect.signature(function).parameters}
    with pytest.raises(TypeError, match="not bytes"):
        function(**given)


def test_text_is_the_path_that_it_names(tmp_path: Path) -> None:
    project = toy_project(tmp_path)
    assert read_project(str(tmp_path)) == project
    cube = open_cube(str(project.cube))
    assert cube.path == project.cube
    assert cube_info(str(tmp_path)) == cube_info(tmp_path)
    assert status(str(tmp_path)) == status(tmp_path)
    assert init(str(tmp_path / "new")) == tmp_path / "new" / "agrifm.toml"
    (tmp_path / "legend.csv").write_text("code,name,color\n1,wheat,#ddcc77\n")
    assert Legend.read(str(tmp_path / "legend.csv")).codes == ("1",)
    assert as_path(PurePosixPath("a/b")) == Path("a/b")


def test_a_map_is_assessed_by_paths_as_text(tmp_path: Path) -> None:
    import geopandas
    import numpy as np

    classes = write_tiff(tmp_path / "map.tif", np.tile(np.array([1, 2], np.uint8), (20, 10)), crs=UTM)
    points = tmp_path / "points.gpkg"
    assert draw_points(str(classes), 20, 0, str(points)) == {"1": 10, "2": 10}
    drawn = geopandas.read_file(points)
    drawn.assign(label=drawn.map_class).to_file(points)
    report = assess(str(classes), str(points), "label", str(tmp_path / "report"))
    assert report["overall_accuracy"]["estimate"] == 1
    assert (tmp_path / "report" / "report.html").exists()
