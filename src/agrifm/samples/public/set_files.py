"""Files of public sets: arrays, HDF5, JSON; each error is a sentence that names the file. Pickle is never loaded."""

import json
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import LabelError, doing, require_installed
from agrifm.season import day_number

AGAIN = "the file is damaged or incomplete, so download it again"
PICKLES = {".pkl", ".pickle", ".p"}
"""Suffixes of files that can run any code when they are loaded."""


def require_file(path: Path, about: str, remedy: str = "download the set again, as its makers distribute it") -> Path:
    """Return the path of a file of a set.

    Raises:
        LabelError: it does not exist.
    """
    if not path.exists():
        raise LabelError(f"{about}: {path} does not exist; {remedy}", path=path)
    return path


def load_array(path: Path, about: str, lazy: bool = False) -> NDArray[Any]:
    """Load a .npy file; with `lazy` its numbers stay on disk until they are used.

    Raises:
        LabelError: the file is absent or damaged, or holds pickled objects, which are never loaded.
    """
    with doing(f"{about}, {path}", LabelError, AGAIN, path=path):
        loaded: NDArray[Any] = np.load(require_file(path, about), mmap_mode="r" if lazy else None, allow_pickle=False)
        return loaded


def load_arrays(path: Path, about: str, *keys: str) -> tuple[NDArray[Any], ...]:
    """Load arrays of a .npz file by their keys.

    Raises:
        LabelError: the file or a key is absent, the file is damaged, or it holds pickled objects.
    """
    with (
        doing(f"{about}, {path}", LabelError, AGAIN, path=path),
        require_file(path, about).open("rb") as stream,
        np.load(stream, allow_pickle=False) as archive,
    ):
        return tuple(archive[key] for key in keys)


def load_json(path: Path, about: str) -> Any:
    """Load a JSON file.

    Raises:
        LabelError: it is absent or not JSON.
    """
    with doing(f"{about}, {path}", LabelError, AGAIN, path=path):
        return json.loads(require_file(path, about).read_text(encoding="utf-8-sig"))


@contextmanager
def open_hdf5(path: Path, about: str) -> Iterator[Any]:
    """Open an HDF5 or NetCDF 4 file for reading; yields an `h5py.File`.

    Whatever is wrong with its content inside the `with` block is reported with the name of the file.

    Raises:
        LabelError: the file is absent or damaged, lacks what is read, or h5py is not installed.
    """
    require_installed(about, "files", "h5py", kind=LabelError)
    import h5py

    with (
        doing(f"{about}, {path}", LabelError, AGAIN, path=path),
        h5py.File(require_file(path, about), "r") as content,
    ):
        yield content


def day_of(written: object, about: str, path: Path) -> int:
    """Return days since 1970-01-01 of a date written as YYYYMMDD or YYYY-MM-DD, as text or number.

    Raises:
        LabelError: it is not a date.
    """
    digits = re.fullmatch(r"(\d{4})[-/]?(\d{2})[-/]?(\d{2})(?:[T ].*)?", str(written).strip().removesuffix(".0"))
    try:
        assert digits is not None
        return day_number(date(*(int(part) for part in digits.groups())))
    except (AssertionError, ValueError):
        raise LabelError(
            f"{about}, {path}: {written!r} is not a date; dates of this set are written as YYYYMMDD or YYYY-MM-DD",
            path=path,
            found=written,
        ) from None


def require_shape(array: Any, expected: tuple[int | None, ...], about: str, path: Path) -> None:
    """Refuse an array of another shape than the set has; None in `expected` fits any length.

    Raises:
        LabelError: with both shapes.
    """
    fits = len(array.shape) == len(expected) and all(
        wanted in (None, length) for wanted, length in zip(expected, array.shape, strict=True)
    )
    if not fits:
        wanted = " x ".join("any" if length is None else str(length) for length in expected)
        raise LabelError(
            f"{about}, {path}: an array has the shape {tuple(array.shape)}, this set has {wanted}; {AGAIN}",
            path=path,
            shape=tuple(array.shape),
            expected=expected,
        )


def require_codes(codes: NDArray[Any], known: Collection[int], about: str, path: Path) -> None:
    """Refuse an array with a class code that the set does not have.

    Raises:
        LabelError: with the least of them.
    """
    strangers = np.setdiff1d(codes, list(known))
    if strangers.size:
        raise LabelError(
            f"{about}, {path}: it has the class {strangers[0]}, and the set has {min(known)} to {max(known)}; {AGAIN}",
            path=path,
            code=int(strangers[0]),
        )
