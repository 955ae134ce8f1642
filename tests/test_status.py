"""`agrifm status`: what is done and what is next, for a project at every step and without one."""

from pathlib import Path

import pytest

from agrifm.errors import ConfigError
from agrifm.files import MARKER
from agrifm.init import init
from agrifm.scene.providers import PROVIDERS
from agrifm.status import status


def lines(path: Path) -> dict[str, str]:
    return dict(line.partition(": ")[::2] for line in status(path))


def test_without_a_project_the_machine_is_described(tmp_path: Path) -> None:
    found = lines(tmp_path)
    assert found["project"] == f"none at {tmp_path / 'agrifm.toml'}; `agrifm init DIR` writes one"
    assert found["versions"].startswith("python 3.")
    assert "agrifm 0" in found["versions"]
    assert "cores" in found["processor"]
    assert all(f"credentials of {name}" in found for name in PROVIDERS)


def test_each_step_that_is_done_makes_another_one_the_next(tmp_path: Path) -> None:
    init(tmp_path)
    assert (lines(tmp_path)["fetch"], lines(tmp_path)["next"]) == ("not done", "`agrifm fetch`")
    (tmp_path / "cube.zarr.partial").mkdir()
    assert lines(tmp_path)["fetch"].startswith("started")
    for command, following, made in (
        ("fetch", "train", Path("cube.zarr", MARKER)),
        ("train", "map", Path("models", "scores.json")),
        ("map", "assess design`, then `agrifm assess", Path("map", "classes.tif")),
    ):
        (tmp_path / made).parent.mkdir()
        (tmp_path / made).touch()
        found = lines(tmp_path / "agrifm.toml")
        assert found[command].startswith("done")
        assert found["next"] == f"`agrifm {following}`"


def test_a_damaged_project_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "agrifm.toml").write_text("[seasn]")
    with pytest.raises(ConfigError, match="unknown key 'seasn'"):
        status(tmp_path)
