"""How much memory is free: the smaller of what the machine and a container have."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from agrifm import free_memory as module
from agrifm.free_memory import free_memory


@pytest.mark.parametrize(
    ("limit", "free"),
    [("3000000000\n", 2_000_000_000), ("max\n", 4_096_000_000), ("9000000000\n", 4_096_000_000), (None, 4_096_000_000)],
    ids=["limited", "unlimited", "limited above what is available", "no control group"],
)
def test_free_memory_is_the_smaller_of_system_and_control_group(
    limit: str | None, free: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By hand: the group uses 1.5 GB, a third of it file cache; the machine has 4.096 GB available."""
    (tmp_path / "memory.stat").write_text("anon 1000000000\ninactive_file 500000000\n")
    (tmp_path / "memory.current").write_text("1500000000\n")
    if limit is not None:
        (tmp_path / "memory.max").write_text(limit)
    monkeypatch.setattr(module, "CGROUP", tmp_path)
    monkeypatch.setattr(module.psutil, "virtual_memory", lambda: SimpleNamespace(available=4_096_000_000))
    assert free_memory() == free
