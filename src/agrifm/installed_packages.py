"""Which optional packages are installed, whether their versions fit, and whether they can be imported."""

import json
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires, version
from typing import NamedTuple

IMPORT_SECONDS = 120.0
"""How long all imports together may take."""
IMPORTING = """
import importlib, json, sys
for name in sys.argv[1:]:
    print(json.dumps(["begun", name, ""]), flush=True)
    try:
        importlib.import_module(name)
    except BaseException as error:
        print(json.dumps(["failed", name, f"{type(error).__name__}: {error}"]), flush=True)
if "torch" in sys.modules:
    import torch
    if torch.cuda.is_available():
        print(json.dumps(["accelerator", torch.cuda.get_device_name(0), ""]), flush=True)
"""
"""What another process runs, because an import may end it."""


class Extra(NamedTuple):
    """The packages of an extra of agrifm; of "" those that agrifm always needs."""

    name: str
    versions: dict[str, str | None]
    """By package; None = not installed."""
    faults: tuple[str, ...]
    """Packages of a version that does not fit, or that cannot be imported."""

    @property
    def missing(self) -> list[str]:
        """Packages that are not installed."""
        return [name for name, known in self.versions.items() if known is None]


class _Requirement(NamedTuple):
    """A line of agrifm's metadata, such as "torch>=2.6,<2.14; extra == 'deep'"."""

    name: str
    bounds: tuple[tuple[str, str], ...]
    """Each a relation, >= or <, and a version."""
    extra: str

    @classmethod
    def read(cls, text: str) -> "_Requirement":
        stated, _, marker = text.partition(";")
        name = re.match(r"[\w.-]+", stated)
        assert name is not None, text
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", marker)
        bounds = re.findall(r"(>=|<)\s*([\w.]+)", stated)
        return cls(name[0], tuple(bounds), extra[1] if extra else "")

    def fits(self, version: str) -> bool:
        return all((_numbers(version) < _numbers(bound)) == (relation == "<") for relation, bound in self.bounds)

    def __str__(self) -> str:
        return ",".join(relation + bound for relation, bound in self.bounds)


def _numbers(version: str) -> tuple[int, ...]:
    """The release of a version, without zeros at its end: 2.13.0+cpu is (2, 13)."""
    release = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(part) for part in release[0].split(".")] if release else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


class _Imports(NamedTuple):
    last: str
    """The module that was begun last."""
    failed: dict[str, str]
    ended: str | None
    """How the process was ended by a module; None = it was not."""
    accelerator: str | None


def look_at_packages() -> tuple[list[Extra], str | None]:
    """Return the extras of agrifm, and the accelerator that PyTorch can use, if any; imports all their packages."""
    extras: dict[str, list[_Requirement]] = {}
    for requirement in map(_Requirement.read, requires("agrifm") or ()):
        extras.setdefault(requirement.extra, []).append(requirement)
    versions = {one.name: _version(one.name) for of in extras.values() for one in of}
    broken, accelerator = _broken_imports([name for name, known in versions.items() if known])
    found = []
    for extra, requirements in extras.items():
        faults = [
            f"{one.name} {known} is installed, and agrifm needs {one}"
            for one in requirements
            if (known := versions[one.name]) is not None and not one.fits(known)
        ]
        faults += [f"{one.name} cannot be imported ({broken[one.name]})" for one in requirements if one.name in broken]
        found.append(Extra(extra, {one.name: versions[one.name] for one in requirements}, tuple(faults)))
    return found, accelerator


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _broken_imports(names: list[str]) -> tuple[dict[str, str], str | None]:
    """Why packages cannot be imported, by name; and the accelerator."""
    modules = _modules()
    wanted = {name: modules[_canonical(name)] for name in names if _canonical(name) in modules}
    broken: dict[str, str] = {}
    while wanted:
        imports = _import_all(list(wanted.values()))
        broken |= {name: imports.failed[module] for name, module in wanted.items() if module in imports.failed}
        if imports.ended is None:
            return broken, imports.accelerator
        at = list(wanted.values()).index(imports.last)
        broken[list(wanted)[at]] = imports.ended
        wanted = dict(list(wanted.items())[at + 1 :])  # the others, in a process of their own
    return broken, None


def _modules() -> dict[str, str]:
    """The main module of each installed distribution, by its canonical name: scikit-learn is imported as sklearn."""
    found = {}
    for module, distributions in packages_distributions().items():
        for name in map(_canonical, distributions):
            if _canonical(module) in (name, name.replace("scikit-", "sk")):
                found[name] = module
    return found


def _canonical(name: str) -> str:
    return name.lower().replace("_", "-")


def _import_all(modules: list[str]) -> _Imports:
    """Import modules in another process."""
    command = [sys.executable, "-c", IMPORTING, *modules]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=IMPORT_SECONDS)
        output = run.stdout
        ended = None if run.returncode == 0 else f"its import ends Python, exit code {run.returncode}"
    except subprocess.TimeoutExpired as error:
        output = error.stdout.decode() if isinstance(error.stdout, bytes) else error.stdout or ""
        ended = f"its import took more than {IMPORT_SECONDS:.0f} s"
    said = [json.loads(line) for line in output.splitlines() if line.startswith('["')]
    begun = [name for kind, name, _ in said if kind == "begun"]
    failed = {name: why.splitlines()[0] for kind, name, why in said if kind == "failed"}
    accelerator = next((name for kind, name, _ in said if kind == "accelerator"), None)
    return _Imports(begun[-1] if begun else modules[0], failed, ended, accelerator)
