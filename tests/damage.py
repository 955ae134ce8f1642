"""What a power cut or a failing disk makes of a file: cut, empty, zeros, a hole."""

from collections.abc import Callable
from pathlib import Path


def cut(file: Path) -> None:
    """Half of it."""
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def emptied(file: Path) -> None:
    """Its name without its content."""
    file.write_bytes(b"")


def zeroed(file: Path) -> None:
    """Its length without its content, as journalling file systems leave files that were not synced."""
    file.write_bytes(bytes(file.stat().st_size))


def holed(file: Path) -> None:
    """A fifth of it, in the middle, is zeros."""
    data = bytearray(file.read_bytes())
    fifth = max(1, len(data) // 5)
    data[2 * fifth : 3 * fifth] = bytes(len(data[2 * fifth : 3 * fifth]))
    file.write_bytes(data)


def lost(file: Path) -> None:
    """Gone."""
    file.unlink()


DAMAGES: tuple[Callable[[Path], None], ...] = (cut, emptied, zeroed, holed, lost)
