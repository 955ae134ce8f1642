"""Published legends of crops and land cover, and translation of a class from one to another.

Each legend is a file `code,name,parent,hcat3`. The last column says where in HCAT3 a class belongs, the hierarchy of
EuroCrops, in which crops are ordered from the group to the species and the season of sowing: "3301010400" = the class
is all of barley; "3301010100;3301010200" = it is common and durum wheat together; "<3301990000" = it is a part of the
other arable crops; empty = it has no place there. Land cover that HCAT3 does not have is written as a word (`LAND`).

A class is translated to the smallest class of the other legend that contains it. A class that no other contains has
no translation: it is named, never given to a similar class.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from agrifm.codes import code_of
from agrifm.errors import LabelError, did_you_mean

Relation = Literal["same", "broader", "none"]
"""How a translated class compares with the original: as large, larger, or there is none."""
LAND = ("water", "wetland", "shrubland", "bare", "built-up", "snow-ice")
"""Land cover outside HCAT3."""
PART = "<"
"""Marks a class that is only a part of an HCAT3 class."""


@dataclass(frozen=True)
class Publication:
    """Where a legend comes from."""

    title: str
    source: str
    date: str
    """When its codes were taken from the source; ISO 8601."""
    licence: str
    fields: tuple[int, ...] = ()
    """Digits of each level in a code that states its parents by zeros; () if it does not."""


LEGENDS = {
    "hcat3": Publication(
        "HCAT3, Hierarchical Crop and Agriculture Taxonomy of EuroCrops",
        "Schneider et al. 2023, Scientific Data 10, 612; github.com/maja601/EuroCrops, hcat_core/HCAT3.csv",
        "2026-11-29",
        "CC-BY-4.0",
        (2, 2, 2, 2, 2),
    ),
    "ewoc": Publication(
        "WorldCereal crop type legend (EWOC), without the classes that no translation needs",
        "Van Tricht et al. 2023, ESSD 15, 5491; github.com/WorldCereal/worldcereal-classification",
        "2026-11-29",
        "MIT",
        (2, 2, 2, 3, 1),
    ),
    "fao-icc": Publication(
        "FAO Indicative Crop Classification 1.0",
        "FAO, World Programme for the Census of Agriculture 2010, annex 3",
        "2026-11-29",
        "FAO open data (CC-BY-4.0)",
    ),
    "cdl": Publication(
        "USDA NASS Cropland Data Layer",
        "www.nass.usda.gov/Research_and_Science/Cropland/metadata",
        "2026-11-29",
        "public domain",
    ),
    "rpg": Publication(
        "Groups of crops of the French parcel register (RPG, codes of `CODE_GROUP`)",
        "IGN, RPG version 2.0, description of content",
        "2026-11-29",
        "Licence Ouverte 2.0",
    ),
    "glc-fcs30": Publication(
        "GLC_FCS30D land cover, fine classes with their basic groups",
        "Zhang et al. 2024, ESSD 16, 1353, table 3",
        "2026-11-29",
        "CC-BY-4.0",
    ),
}


@dataclass(frozen=True)
class PublishedClass:
    """A class of a published legend."""

    code: str
    name: str
    parent: str | None
    within: frozenset[str]
    """HCAT3 codes or words of `LAND` that contain the class together; empty = it has no place there."""
    covers: frozenset[str]
    """Those of them that the class is all of."""


@dataclass(frozen=True)
class Nomenclature:
    """A published legend; it may have more classes than a map can."""

    key: str
    about: Publication
    classes: dict[str, PublishedClass]
    """By code, in the order of the file."""

    def ancestors(self, code: str) -> Iterator[PublishedClass]:
        """Yield a class and its parents, the smallest first.

        A code that is not listed stands for the smallest listed class that its digits name, so that "1101010015" is
        a part of common wheat (1101010010).
        """
        written: str | None = self._nearest(code_of(code))
        while written is not None:
            entry = self.classes[written]
            yield entry
            written = entry.parent

    def find(self, code: str) -> PublishedClass | None:
        """Return the class of a code, None if it is not listed and no listed class contains it."""
        return next(self.ancestors(code), None)

    def _nearest(self, code: str) -> str | None:
        code = code.replace("-", "") if self.about.fields else code  # EWOC is also written 11-01-01-001-1
        if code in self.classes or not self.about.fields or not code.isdigit() or len(code) != sum(self.about.fields):
            return code if code in self.classes else None
        kept = len(code)
        for width in reversed(self.about.fields[1:]):
            kept -= width
            shorter = code[:kept].ljust(len(code), "0")
            if shorter in self.classes:
                return shorter
        return None


@dataclass(frozen=True)
class Match:
    """What a class is in another legend."""

    code: str | None
    name: str | None
    relation: Relation


@cache
def read_nomenclature(key: str) -> Nomenclature:
    """Read a published legend by its key, such as "hcat3".

    Raises:
        LabelError: it is unknown.
    """
    if key not in LEGENDS:
        raise LabelError(
            f"reading a published legend: unknown legend '{key}'{did_you_mean(key, LEGENDS)} "
            f"(known: {', '.join(LEGENDS)})",
            legend=key,
        )
    text = files("agrifm.samples.legends").joinpath(f"{key}.csv").read_text(encoding="utf-8")
    classes = {}
    for row in csv.DictReader(text.splitlines()):
        places = [row["code"]] if key == "hcat3" else [part for part in row["hcat3"].split(";") if part]
        classes[row["code"]] = PublishedClass(
            row["code"],
            row["name"],
            row["parent"] or None,
            frozenset(place.removeprefix(PART) for place in places),
            frozenset(place for place in places if not place.startswith(PART)),
        )
    return Nomenclature(key, LEGENDS[key], classes)


def translate(code: str, source: Nomenclature, target: Nomenclature) -> Match:
    """Return the smallest class of `target` that contains a class of `source`."""
    original = source.find(code)
    if original is None or not original.within:
        return Match(None, None, "none")
    listed = source.key == target.key or original.code == code_of(code).replace("-", "")
    containing = [entry for entry in target.classes.values() if _contains(entry, original.within)]
    if not containing:
        return Match(None, None, "none")
    # All others contain the smallest; of two that are alike the first one is the more general.
    best = max(containing, key=lambda entry: sum(_contains(other, entry.covers) for other in containing))
    same = listed and original.within == original.covers == best.covers
    return Match(best.code, best.name, "same" if same else "broader")


def _contains(entry: PublishedClass, places: frozenset[str]) -> bool:
    """Whether a class is all of these HCAT3 classes, each by itself or by one above it."""
    return all(any(above in entry.covers for above in _and_above(place)) for place in places)


@cache
def _and_above(place: str) -> tuple[str, ...]:
    if place in LAND:
        return (place,)
    return tuple(entry.code for entry in read_nomenclature("hcat3").ancestors(place))


def groups_at(codes: Sequence[str], legend: Nomenclature, level: int) -> tuple[str, ...]:
    """Return the class above each code at a level of the hierarchy, by which scores can be merged.

    Args:
        codes: of `legend`; a code that it does not know is a group of its own.
        level: 0 = the broadest classes; a code that is not as deep is a group of its own.
    """
    groups = []
    for code in codes:
        lineage = [entry.code for entry in legend.ancestors(code)][::-1]
        groups.append(lineage[min(level, len(lineage) - 1)] if lineage else code)
    return tuple(groups)
