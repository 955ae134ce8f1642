"""What came from servers: requests and bytes, told apart by what they were for."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

PURPOSES = ("search", "offset check", "scenes")
"""What requests are for, in the order in which a fetch makes them; "scenes" is what nothing else is said of."""


class Traffic(NamedTuple):
    """Requests that were answered, repeated ones too, and bytes of the answers' bodies."""

    requests: int = 0
    bytes: int = 0


class Meter:
    """Counts from any thread, under the purpose of the moment; stages follow one another within a process."""

    def __init__(self) -> None:
        self._found = dict.fromkeys(PURPOSES, Traffic())
        self._purpose = PURPOSES[-1]
        self._lock = threading.Lock()

    def add(self, length: int) -> None:
        """Count one answer with a body of so many bytes."""
        with self._lock:
            before = self._found[self._purpose]
            self._found[self._purpose] = Traffic(before.requests + 1, before.bytes + length)

    @contextmanager
    def purpose(self, name: str) -> Iterator[None]:
        """What comes within this block is for one of `PURPOSES`."""
        assert name in PURPOSES
        before, self._purpose = self._purpose, name
        try:
            yield
        finally:
            self._purpose = before

    def found(self) -> dict[str, Traffic]:
        """What came so far since the process began, by purpose."""
        with self._lock:
            return dict(self._found)


METER = Meter()
"""What this process read from servers."""


def lines_since(before: Mapping[str, Traffic]) -> list[str]:
    """One sentence on what came since `METER.found()` gave `before`; none where nothing did."""
    parts = []
    for name, now in METER.found().items():
        requests, size = (new - old for new, old in zip(now, before[name], strict=True))
        if requests:
            parts.append(f"{name} {requests} requests, {size / 1e6:.2f} MB")
    return [f"read from servers: {'; '.join(parts)}"] if parts else []
