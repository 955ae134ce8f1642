"""The memory of this process: now, and at its peak since it was last reset."""

import resource
import sys
from contextlib import suppress
from pathlib import Path

import psutil


def resident_bytes() -> int:
    """Return the bytes of memory that this process has now (resident set)."""
    size: int = psutil.Process().memory_info().rss
    return size


def peak_bytes() -> int:
    """Return the most bytes of memory that this process had since it began, or since `forget_peak`."""
    with suppress(OSError, ValueError, IndexError):
        # not that of `getrusage`, which a new process inherits from the one that started it (Linux)
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def forget_peak() -> None:
    """Begin the peak anew, where the system can (Linux; proc(5), clear_refs)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
