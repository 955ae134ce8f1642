"""What an HDF5 file may hold, which NetCDF 4 files are: only its own numbers, and sizes that this machine can read.

The HDF5 library follows external links, virtual datasets and external storage into any file that the user may read, and
makes room for whatever a file declares. So a file is looked through before it is opened for its numbers.
"""

from pathlib import Path
from typing import Any

MAX_BLOCK_BYTES = 512 * 1024**2
"""Largest tile or strip, unpacked: what one pixel of a file may cost in memory."""
MAX_PIXELS = 100_000_000_000
"""Pixels of one band: a country at 10 m has a tenth of them."""
MAX_PIXELS_PER_BYTE = 1_000_000
"""Pixels per byte of a file; those of an empty GeoTIFF with tiles of 1024 pixels have 130,000."""
MAX_OBJECTS = 100_000
"""Groups and variables of a file."""


class UnreadableContentError(ValueError):
    """A file has content that is not read; the message says which, and what would help."""


def require_plain_hdf5(path: Path) -> None:
    """Refuse an HDF5 file that leads to other files, or declares more than it can hold.

    Raises:
        UnreadableContentError: it does.
        Exception: it is damaged; h5py raises errors of many kinds.
    """
    import h5py

    size, seen, waiting = path.stat().st_size, set[Any](), ["/"]
    with h5py.File(path, "r") as file:
        while waiting:
            name = waiting.pop()
            entry = file[name]
            place = h5py.h5o.get_info(entry.id).addr
            if place in seen:
                continue
            seen.add(place)
            if len(seen) > MAX_OBJECTS:
                raise UnreadableContentError(f"it has more than {MAX_OBJECTS} groups and variables")
            _require_readable_attributes(entry)
            if isinstance(entry, h5py.Dataset):
                _require_its_own_numbers(entry)
                _require_plausible_hdf5_sizes(entry, size)
            elif isinstance(entry, h5py.Group):
                waiting += [f"{name.rstrip('/')}/{one}" for one in entry if _is_inside(entry, one)]


def _require_readable_attributes(entry: Any) -> None:
    """Read every attribute: GDAL ends the process at one that is damaged, and h5netcdf leaves a file half open."""
    for name in entry.attrs:
        try:
            entry.attrs[name]
        except TypeError:  # of a type that NumPy does not have, which is not read
            continue


def _is_inside(group: Any, name: str) -> bool:
    """Whether a name leads to an object of this file; a soft link leads to one that has another name as well."""
    import h5py

    kind = group.get(name, getclass=True, getlink=True)
    if kind is h5py.ExternalLink:
        link = group.get(name, getlink=True)
        raise UnreadableContentError(
            f"'{name}' is a link to another file ({link.filename}), which is not followed; write its content into one "
            "file, such as with h5repack --merge or xarray"
        )
    return bool(kind is h5py.HardLink)


def _require_its_own_numbers(variable: Any) -> None:
    others = {source.file_name for source in variable.virtual_sources()} - {"."} if variable.is_virtual else set()
    others |= {str(name) for name, *_ in variable.external or ()}
    if others:
        raise UnreadableContentError(
            f"the numbers of '{variable.name}' are in other files ({', '.join(sorted(others)[:3])}), which are not "
            "opened; write them into one file, such as with h5repack or xarray"
        )


def _require_plausible_hdf5_sizes(variable: Any, size: int) -> None:
    """Refuse a variable that no file of this size holds, or that needs too much memory at once."""
    width = max(variable.dtype.itemsize, 1)
    if variable.size is not None and (variable.size > MAX_PIXELS or variable.size > MAX_PIXELS_PER_BYTE * max(size, 1)):
        raise UnreadableContentError(
            f"'{variable.name}' declares {' x '.join(map(str, variable.shape))} numbers, which its {size} bytes cannot "
            "hold"
        )
    whole = (variable.size or 0) * width if variable.ndim < 2 else 0  # coordinates are read at once
    chunk = width
    for side in variable.chunks or ():
        chunk *= side
    if max(whole, chunk) > MAX_BLOCK_BYTES:
        raise UnreadableContentError(
            f"'{variable.name}' needs {max(whole, chunk) / 1e9:.1f} GB of memory at once; write it in smaller chunks"
        )
