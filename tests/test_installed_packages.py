"""Versions and imports of the packages that are installed here, and of some that end Python."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.version import Version

from agrifm import installed_packages
from agrifm.installed_packages import _broken_imports, _import_all, _Requirement, look_at_packages


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Packages that can be imported, raise, end Python, and can be imported."""
    for name, content in {
        "good_one": "",
        "bad_one": "raise OSError('libcudart.so.12: cannot open shared object file')",
        "ends_one": f"import os; os.kill(os.getpid(), {int(signal.SIGILL)})",
        "last_one": "",
    }.items():
        (tmp_path / f"{name}.py").write_text(content)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    return ["good_one", "bad_one", "ends_one", "last_one"]


def test_an_import_that_fails_and_one_that_ends_python_are_named(
    modules: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = _import_all(modules)
    assert found.last == "ends_one"
    assert list(found.failed) == ["bad_one"]
    assert found.ended is not None
    assert str(-signal.SIGILL) in found.ended
    monkeypatch.setattr(installed_packages, "_modules", lambda: {name.replace("_", "-"): name for name in modules})
    broken, _ = _broken_imports([name.replace("_", "-") for name in modules])
    assert list(broken) == ["bad-one", "ends-one"]
    assert "libcudart" in broken["bad-one"]


def test_versions_are_compared_with_what_agrifm_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = ["numpy>=2", "rasterio>=99", "no-such-package>=1; extra == 'deep'", "torch>=2.6,<2.14; extra == 'deep'"]
    monkeypatch.setattr(installed_packages, "requires", lambda _: needed)
    monkeypatch.setattr(installed_packages, "_broken_imports", lambda _: ({"torch": "OSError"}, None))
    core, deep = look_at_packages()[0]
    assert (core.name, core.missing, len(core.faults)) == ("", [], 1)
    assert "rasterio" in core.faults[0]
    assert (deep.name, deep.missing, len(deep.faults)) == ("deep", ["no-such-package"], 1)
    assert "torch" in deep.faults[0]


@given(
    version=st.lists(st.integers(0, 30), min_size=1, max_size=3),
    least=st.lists(st.integers(0, 30), min_size=1, max_size=3),
    end=st.lists(st.integers(0, 30), min_size=1, max_size=3),
    local=st.sampled_from(["", "+cpu", ".post1"]),
)
def test_versions_fit_as_pip_says(version: list[int], least: list[int], end: list[int], local: str) -> None:
    written, first, last = (".".join(map(str, numbers)) for numbers in (version, least, end))
    text = f"torch>={first},<{last}; extra == 'deep'"
    found, oracle = _Requirement.read(text), Requirement(text)
    assert (found.name, found.extra) == ("torch", "deep")
    assert found.fits(written + local) == oracle.specifier.contains(Version(written + local))


@pytest.mark.check
def test_everything_that_is_installed_here_can_be_imported() -> None:
    found, _ = look_at_packages()
    assert {extra.name: extra.faults for extra in found if extra.faults} == {}
    assert {"", "deep", "classic"} <= {extra.name for extra in found}
