"""The public sets by name: which set a folder holds, and what reads it."""

from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

from agrifm.errors import LabelError, did_you_mean
from agrifm.files import AnyPath, as_path
from agrifm.samples.public import (
    agrifm_samples,
    breizhcrops,
    cropglobe,
    cropharvest,
    eurocropsml,
    ftw,
    hls_crops,
    pastis,
    sen4agrinet,
    swisscrop25,
    timesen2crop,
    zuericrop,
)
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
        PublicReader(cropharvest.FACTS, cropharvest.is_cropharvest, cropharvest.read_cropharvest),
        PublicReader(breizhcrops.FACTS, breizhcrops.is_breizhcrops, breizhcrops.read_breizhcrops),
        PublicReader(pastis.FACTS, pastis.is_pastis, pastis.read_pastis),
        PublicReader(timesen2crop.FACTS, timesen2crop.is_timesen2crop, timesen2crop.read_timesen2crop),
        PublicReader(hls_crops.FACTS, hls_crops.is_hls_crops, hls_crops.read_hls_crops),
        PublicReader(zuericrop.FACTS, zuericrop.is_zuericrop, zuericrop.read_zuericrop),
        PublicReader(ftw.FACTS, ftw.is_ftw, ftw.read_ftw),
        PublicReader(swisscrop25.FACTS, swisscrop25.is_swisscrop25, swisscrop25.read_swisscrop25),
        PublicReader(cropglobe.FACTS, cropglobe.is_cropglobe, cropglobe.read_cropglobe),
        PublicReader(agrifm_samples.FACTS, agrifm_samples.is_agrifm_samples, agrifm_samples.read_agrifm_samples),
        PublicReader(sen4agrinet.FACTS, sen4agrinet.is_sen4agrinet, sen4agrinet.read_sen4agrinet),
    )
}


@dataclass(frozen=True)
class RefusedSet:
    """A distribution that agrifm recognises and does not read."""

    name: str
    patterns: tuple[str, ...]
    """Files or folders that all must be there."""
    reason: str
    """What is wrong with it, and what to do."""


REFUSED_SETS = (
    RefusedSet(
        "PASTIS24",
        ("pickle24x24/*",),
        "its patches are pickles, which can run any code when they are loaded; download PASTIS (Zenodo 5012942) and "
        "read it with side=24, which gives the same windows",
    ),
    RefusedSet(
        "DENETHOR",
        ("**/bbox.pkl",),
        "the places of its patches are pickles, which can run any code when they are loaded; export BANDS.npy and the "
        "fields as GeoTIFF and GeoJSON, and use them as files and labels of a project",
    ),
    RefusedSet(
        "SICKLE",
        ("S2/npy", "masks/yield_distributed"),
        "it has no licence, and no table in it says which of its crops are labelled how; ask its makers, and use its "
        "images and masks as files and labels of a project",
    ),
    RefusedSet(
        "PASTIS pixel sets",
        ("metadata_parcel.csv",),
        "its arrays are not described by its makers' documents; read PASTIS (Zenodo 5012942), of which it is made",
    ),
)


def recognise(directory: AnyPath) -> str | None:
    """Return the name of the public set that a folder holds, by its files; None if it is none of `PUBLIC_SETS`."""
    folder = as_path(directory)
    if not folder.is_dir():
        return None
    return next((name for name, reader in PUBLIC_SETS.items() if reader.recognises(folder)), None)


def why_not_read(directory: AnyPath) -> RefusedSet | None:
    """Return the set that a folder holds and agrifm refuses to read, with the reason; None if it is none of these."""
    folder = as_path(directory)
    return next(
        (one for one in REFUSED_SETS if all(any(folder.glob(pattern)) for pattern in one.patterns)),
        None,
    )


def read_public_set(directory: AnyPath, **choices: Any) -> PublicSet:
    """Read the public set in a folder, whichever it is.

    Args:
        choices: further arguments of its reader.

    Raises:
        LabelError: the folder holds no set that agrifm reads, its reader refuses it or has no such argument.
    """
    about, folder = f"reading the public set in {directory}", as_path(directory)
    name = recognise(directory)
    if name is not None:
        reader = PUBLIC_SETS[name].read
        known = list(signature(reader).parameters)[1:]
        for choice in choices:
            if choice not in known:
                raise LabelError(
                    f"{about}: the reader of {name} has no argument {choice!r}{did_you_mean(choice, known)} It has "
                    f"{', '.join(known)}",
                    choice=choice,
                    known=known,
                )
        return reader(directory, **choices)
    if refused := why_not_read(directory):
        raise LabelError(f"{about}: it is {refused.name}: {refused.reason}", path=folder, set=refused.name)
    raise LabelError(
        f"{about}: none of its files are those of a set that agrifm reads, and it has no agrifm.toml; give the folder "
        f"that holds the unpacked files of one of {', '.join(PUBLIC_SETS)}, or a project's directory",
        path=folder,
        known=list(PUBLIC_SETS),
    )
