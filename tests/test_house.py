"""The architecture: order of imports, no cycles, sizes, distinct names, and a reason for each dependency."""

import ast
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "agrifm"
STAGES = [
    "ground", "scene", "simulator", "cube", "fields", "samples", "models", "classic", "inference", "train", "mapping",
    "assess", "explain", "serve", "plan", "top",
]  # fmt: skip
TOP_FLOOR = {
    "__main__",
    "cli",
    "command_examples",
    "commands",
    "completion",
    "demo",
    "doctor",
    "init",
    "installed_packages",
    "new_project",
    "notebook",
    "status",
}
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


@cache
def import_chain(module: str) -> tuple[str, ...]:
    """The longest chain of imports that begins at a module, the module itself included."""
    return (module, *max((import_chain(name) for name in OWN[module] - {module}), key=len, default=()))


def test_the_longest_import_chain_has_at_most_15_modules() -> None:
    longest = max((import_chain(module) for module in MODULES), key=len)
    print(f"longest import chain: {len(longest)}", *longest, sep="\n  ")
    assert len(longest) <= 15


SCRIPTS = sorted(path for folder in ("benchmarks", "docs", "examples") for path in (ROOT / folder).rglob("*.py"))


@cache
def top_names(module: str) -> frozenset[str]:
    """What a module of agrifm defines or imports at its top, without running it."""
    names = set[str]()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {one.asname or one.name for one in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return frozenset(names | {name.rpartition(".")[2] for name in MODULES if name.rpartition(".")[0] == module})


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_scripts_import_what_exists(script: Path) -> None:
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "agrifm":
            assert {one.name for one in node.names} <= top_names(str(node.module)), node.lineno


@pytest.mark.parametrize("module", MODULES)
def test_modules_and_functions_are_short(module: str) -> None:
    text = MODULES[module].read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 60, node.name


def public_names() -> dict[str, list[str]]:
    """Modules that define each public class or function, and modules by their last name."""
    places: dict[str, list[str]] = defaultdict(list)
    for module, path in MODULES.items():
        if path.name != "__init__.py":
            places[module.rpartition(".")[2]].append(module)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                places[node.name].append(f"{module}.{node.name}")
    return places


SAME_NAMES = {"run": "the stage's command, in train and in mapping"}
"""Names that mean the same thing in two stages."""


def test_no_two_public_names_are_alike() -> None:
    # A module and the one function or class in it that has its name count once.
    alike = {
        name: places
        for name, places in public_names().items()
        if name not in SAME_NAMES and len({place.split(f".{name}")[0] for place in places}) > 1
    }
    assert not alike


def docstrings(path: Path) -> list[str]:
    """Docstrings of a module, its classes and its functions."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return [text for node in nodes if isinstance(node, documented) and (text := ast.get_docstring(node))]


def exists(dotted: str) -> bool:
    """Whether a dotted name is a module of agrifm, or a name in one."""
    parts = dotted.split(".")
    for end in range(len(parts), 1, -1):
        if (module := ".".join(parts[:end])) in MODULES:
            names = parts[end:]
            return not names or re.search(rf"\b{names[0]}\b", MODULES[module].read_text(encoding="utf-8")) is not None
    return False


NOT_MODULES = {"agrifm.toml", "agrifm.masks"}
"""The project file, and the group of plug-ins' entry points."""


@pytest.mark.parametrize("module", MODULES)
def test_docstrings_name_only_modules_that_exist(module: str) -> None:
    for text in docstrings(MODULES[module]):
        dotted = set(re.findall(r"`(agrifm(?:\.\w+)+)", text))
        dotted |= {f"agrifm.{name}" for name in re.findall(rf"`((?:{'|'.join(STAGES)})\.[a-z_.]+\w)`", text)}
        files = re.findall(r"`?((?:\w+/)+\w+\.py)\b", text)
        assert not {name for name in dotted - NOT_MODULES if not exists(name)}
        assert not {name for name in files if not any((base / name).exists() for base in (ROOT, ROOT / "src", SOURCE))}


BANNED = ("is no", "are no", "one's own", "told", "lies", "meets", "beside", "at hand", "goes without", "held against")
"""Phrases of a private dialect; CONTRIBUTING.md has plainer words."""


@pytest.mark.parametrize("module", MODULES)
def test_text_is_plain_english(module: str) -> None:
    banned = re.compile(rf"(?<!here )\b({'|'.join(BANNED)})\b")
    nodes = ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8")))
    strings = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    # A key of the simulator's random numbers: another word would draw another season.
    assert not [match.group() for text in strings if text != "hedge beside" for match in banned.finditer(text)]


def test_rasters_are_opened_for_reading_in_one_module() -> None:
    for module, path in MODULES.items():
        calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
        opened = [call for call in calls if ast.unparse(call.func) == "rasterio.open"]
        reading = [call for call in opened if not {"'w'", "'r+'"} & {ast.unparse(one) for one in call.args}]
        assert not reading or module == "agrifm.rasters", module


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
    modules = (
        "",
        ".cli",
        ".cli_arguments",
        ".cli_assess_arguments",
        ".command_examples",
        ".commands",
        ".errors",
        ".interrupts",
        ".screen",
    )
    assert own.split() == [f"agrifm{module}" for module in modules]
    assert "fetch" in done.stdout


def test_every_dependency_has_its_reason_on_the_line_above() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    extras = project["optional-dependencies"]
    assert len(project["dependencies"]) <= 16
    used = ("deep", "classic", "files", "report", "serve", "s3")
    groups = [project["dependencies"], *(extras[name] for name in used)]
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


def test_pages_and_code_have_no_marks_of_an_unfinished_merge() -> None:
    kinds = {".md", ".py", ".toml", ".js", ".jinja", ".css", ".html"}
    parts = (ROOT / name for name in ("src", "tests", "docs", "benchmarks", "examples"))
    files = [*ROOT.glob("*.*"), *(file for part in parts for file in part.rglob("*.*"))]
    marks = ("<" * 7 + " ", ">" * 7 + " ")
    for file in files:
        if file.suffix in kinds:
            found = [line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith(marks)]
            assert not found, file
