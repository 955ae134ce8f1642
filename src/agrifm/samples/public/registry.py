"""The public sets by name: which set a folder holds, and what reads it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agrifm.errors import LabelError
from agrifm.files import AnyPath, as_path
from agrifm.samples.public import breizhcrops, cropglobe, eurocropsml, timesen2crop
from agrifm.samples.public.public_set import PublicSet, SetFacts


@dataclass(frozen=True)
class PublicReader:
    """How a set is recognised and read."""

    facts: SetFacts
    recognises: Callable[[Path], bool]
    read: Callable[..., PublicSet]
    """`read(directory, ...)`; its further arguments choose parts of the set."""


PUBLIC_SETS = {
    reader.facts.name: reader
    for reader in (
        PublicReader(eurocropsml.FACTS, eurocropsml.is_eurocropsml, eurocropsml.read_eurocropsml),
        PublicReader(breizhcrops.FACTS, breizhcrops.is_breizhcrops, breizhcrops.read_breizhcrops),
        PublicReader(cropglobe.FACTS, cropglobe.is_cropglobe, cropglobe.read_cropglobe),
        PublicReader(timesen2crop.FACTS, timesen2crop.is_timesen2crop, timesen2crop.read_timesen2crop),
    )
}


def recognise(directory: AnyPath) -> str | None:
    """Return the name of the public set that a folder holds, by its files; None if it is none of `PUBLIC_SETS`."""
    folder = as_path(directory)
    if not folder.is_dir():
        return None
    return next((name for name, reader in PUBLIC_SETS.items() if reader.recognises(folder)), None)


def read_public_set(directory: AnyPath, **choices: Any) -> PublicSet:
    """Read the public set in a folder, whichever it is.

    Args:
        choices: further arguments of its reader.

    Raises:
        LabelError: the folder holds no set that agrifm reads, or its reader refuses it.
    """
    name = recognise(directory)
    if name is None:
        raise LabelError(
            f"reading the public set in {directory}: none of its files are those of a set that agrifm reads; give the "
            f"folder that holds the unpacked files of one of {', '.join(PUBLIC_SETS)}",
            path=as_path(directory),
            known=list(PUBLIC_SETS),
        )
    return PUBLIC_SETS[name].read(directory, **choices)
