"""The house holds itself up: import order, no cycles, small modules, and what each dependency is for."""

import ast
import re
import subprocess
import sys
import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "agrifm"
STAGES = [
    "ground", "scene", "simulator", "cube", "samples", "models", "classic", "inference", "train", "mapping", "assess",
    "serve", "top",
]  # fmt: skip
TOP_FLOOR = {"__main__", "cli", "demo", "init", "status"}
MODULES = {
    ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(SOURCE.rglob("*.py"))
}


def stage(module: str) -> str:
    """The stage that a module of agrifm belongs to."""
    parts = module.split(".")
    if len(parts) > 2 or (len(parts) == 2 and (SOURCE / parts[1]).is_dir()):
        return parts[1]
    return "top" if parts[-1] in TOP_FLOOR else "ground"


def imports(path: Path) -> set[str]:
    """Every module that a file imports when it runs, at its top or inside functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    only_for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in only_for_types:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = names & MODULES.keys()
            found |= modules or {str(node.module)}
    return found


IMPORTS = {module: imports(path) for module, path in MODULES.items()}
OWN = {module: {name for name in found if name in MODULES} for module, found in IMPORTS.items()}


def reached(module: str) -> set[str]:
    """Top-level names of everything that a module imports, directly or through agrifm's own modules."""
    seen, waiting = {module}, [module]
    while waiting:
        for name in OWN[waiting.pop()] - seen:
            seen.add(name)
            waiting.append(name)
    return {name.split(".")[0] for one in seen for name in IMPORTS[one]}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_from_its_own_stage_and_those_above(module: str) -> None:
    order = STAGES.index(stage(module))
    late = {name for name in OWN[module] if STAGES.index(stage(name)) > order}
    assert not late


def test_imports_have_no_cycles() -> None:
    try:
        TopologicalSorter(OWN).prepare()
    except CycleError as error:
        pytest.fail(f"import cycle: {error.args[1]}")


@pytest.mark.parametrize("module", [name for name in MODULES if stage(name) == "models"])
def test_models_need_torch_and_the_ground_floor_only(module: str) -> None:
    foreign = {name.split(".")[0] for name in IMPORTS[module]} - set(sys.stdlib_module_names)
    exporting = {"onnx", "onnxscript", "onnxruntime"} if module.startswith("agrifm.models.export") else set()
    assert foreign <= {"torch", "einops", "safetensors", "pydantic", "psutil", "numpy", "agrifm"} | exporting
    assert "agrifm.grid" not in OWN[module]
    geographic = {"rasterio", "odc", "pyproj", "shapely", "geopandas", "affine"}
    assert not reached(module) & geographic


@pytest.mark.parametrize("module", [name for name in MODULES if stage(name) == "mapping"])
def test_a_map_is_made_without_training(module: str) -> None:
    assert not {name for name in OWN[module] if stage(name) == "train"}


@pytest.mark.parametrize("module", [name for name in MODULES if stage(name) in {"assess", "serve", "classic"}])
def test_assessment_and_classic_models_never_reach_torch(module: str) -> None:
    assert not reached(module) & {"torch", "lightning"}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_at_most_500_lines(module: str) -> None:
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= 500


def test_help_answers_without_loading_any_library() -> None:
    script = (
        "import sys; from agrifm.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)\n"
        "print(*sorted(name for name in sys.modules if name.startswith('agrifm')), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    packages, own = done.stderr.strip().splitlines()
    libraries = {"numpy", "torch", "pydantic", "xarray", "rasterio", "zarr", "rich", "geopandas", "sklearn", "odc"}
    assert not set(packages.split()) & libraries
    assert own.split() == ["agrifm", "agrifm.cli", "agrifm.errors"]
    assert "fetch" in done.stdout


def test_every_dependency_has_its_reason_on_the_line_above() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    extras = project["optional-dependencies"]
    assert len(project["dependencies"]) <= 16
    groups = [project["dependencies"], *(extras[name] for name in ("deep", "classic", "files", "report", "s3"))]
    lines = [line.strip() for line in text.splitlines()]
    for requirement in (entry for group in groups for entry in group):
        name = re.split(r"[<>=]", requirement)[0]
        place = next(number for number, line in enumerate(lines) if line.startswith(f'"{name}'))
        above = lines[place - 1]
        assert above.startswith("#") or (name == "h5py" and "h5netcdf" in above)


def test_every_test_file_mirrors_a_source_file() -> None:
    for path in (ROOT / "tests").glob("*/**/test_*.py"):
        folder = path.parent.relative_to(ROOT / "tests")
        names = [file.stem for file in (SOURCE / folder).glob("*.py")]
        assert any(path.stem.removeprefix("test_").startswith(name) for name in names), path


def test_the_readme_has_at_most_150_lines_and_names_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    assert "make demo" in text
    assert "make test" in text
