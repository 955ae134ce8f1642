"""How much memory this process can still allocate."""

from pathlib import Path

import psutil

CGROUP = Path("/sys/fs/cgroup")
"""Files of the process's control group on Linux (kernel documentation, cgroup-v2)."""


def free_memory() -> int:
    """Return the bytes that this process can still allocate.

    They are the smaller of what the system has available and what the process's control group (a container's limit,
    on Linux) leaves.
    """
    available: int = psutil.virtual_memory().available
    try:
        limit, used = (int((CGROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
        parts = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
        cache = int(parts["inactive_file"])  # the kernel gives it back when memory is needed
    except (OSError, ValueError, KeyError):  # no such group, or "max": no limit
        return available
    return min(available, limit - used + cache)
