"""Maps by date in a report: what `agrifm map --until DAY` showed, in a row of small pictures that ends with the map."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from agrifm.assess.class_map import ClassMap, open_classified
from agrifm.assess.page_pictures import MapPicture, layered_picture
from agrifm.assess.reference_data import item_properties
from agrifm.legend import LegendClass
from agrifm.pictures import read_reduced
from agrifm.stac import MODEL_DIGEST, UNTIL_PROPERTY

EARLY_MAPS = "map-until-*"
"""Directories next to that of the map."""
MOST_MAPS = 12
"""In the row; of more, the last ones."""
STRIP_SIDE = 260
"""Longer side of a picture, pixels."""


def early_maps(map_path: Path) -> tuple[list[dict[str, str]], list[str]]:
    """Return the maps of earlier dates by the model of a map of agrifm, on its pixels, in order of dates; and notes.

    Returns:
        `until` (date) and `file` (path from the directory that holds both maps), and why others are left out.
    """
    made_by = item_properties(map_path).get(MODEL_DIGEST)
    found: list[dict[str, str]] = []
    notes: list[str] = []
    if made_by is None:
        return found, notes
    for directory in sorted(map_path.absolute().parent.parent.glob(EARLY_MAPS)):
        path, stated = directory / map_path.name, item_properties(directory / map_path.name)
        until = str(stated.get(UNTIL_PROPERTY, ""))
        if path == map_path.absolute() or not path.is_file() or not _is_date(until):
            continue
        if stated.get(MODEL_DIGEST) != made_by:
            notes.append(f"the map until {until} is left out: it is of another model than the map")
        elif _pixels(path) != _pixels(map_path):
            notes.append(f"the map until {until} is left out: it has other pixels than the map")
        else:
            found.append({"until": until, "file": f"{directory.name}/{path.name}"})
    return sorted(found, key=lambda one: one["until"])[-MOST_MAPS:], notes


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _pixels(path: Path) -> tuple[Any, ...]:
    with open_classified(path) as source:
        return source.shape, tuple(source.transform), source.crs


def strip_pictures(
    mapped: ClassMap, classes: Sequence[LegendClass], maps: Sequence[Mapping[str, str]]
) -> list[MapPicture]:
    """Return the pictures of earlier maps and of the map, with the class layers of the report; none without any.

    Args:
        maps: from `early_maps`.
    """
    codes = dict(zip(mapped.values, mapped.legend.codes, strict=True))
    own = {entry.code: entry for entry in mapped.legend.classes}
    shown = [(f"until {one['until']}", mapped.path.absolute().parent.parent / one["file"]) for one in maps]
    pictures = []
    for title, path in [*shown, ("the map", mapped.path)] if shown else []:
        with open_classified(path) as source:
            pixels = read_reduced(source, STRIP_SIDE)
        pictures.append(layered_picture(title, pixels, mapped.grid, codes, classes, own))
    return pictures
