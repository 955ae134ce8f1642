"""Which labelled pixels are explained: of each class a bounded number, spread over test blocks drawn by seed; parcels.

Shape letters: H W rows and columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agrifm.config import Project
from agrifm.errors import LabelError, did_you_mean
from agrifm.legend import UNLABELLED
from agrifm.samples.labels import Labels
from agrifm.samples.split import FOLDS, HeldOutBlocks, Split
from agrifm.samples.table import SeriesTable
from agrifm.vectors import read_vector

NOWHERE = -1
"""In rasters of units: the pixel is not explained."""


@dataclass(frozen=True)
class Selection:
    """Pixels of a labelled cube and the unit that each belongs to."""

    unit: NDArray[np.int32]
    """(H, W), the class times `blocks` plus the number of the block, or the number of the parcel; -1 elsewhere."""
    blocks: int
    """Of which pixels were drawn."""


@dataclass(frozen=True)
class ExplainedParcel:
    """A parcel that the user named."""

    name: str
    number: int
    """Of its class."""
    fold: str
    """train, validation, test or unused: a model has seen the first."""


def draw_pixels_by_class(
    unseen: HeldOutBlocks, classes: int, most_pixels: int, most_blocks: int, seed: int
) -> Selection:
    """Draw test blocks, and in them pixels of each class.

    Blocks are taken in a random order for the class that has the fewest so far, so that rare classes have some too.

    Args:
        most_pixels: of each class; a block gives at most its share of them, unless there are fewer blocks.
        most_blocks: of all.
    """
    generator = np.random.default_rng(seed)
    labelled = unseen.label != UNLABELLED
    present = np.zeros((int(unseen.block.max()) + 1, classes), bool)
    present[unseen.block[labelled], unseen.label[labelled]] = True
    chosen = _drawn_blocks(present, most_blocks, generator)
    unit = np.full(unseen.label.shape, NOWHERE, np.int32)
    pixels = np.flatnonzero(labelled & np.isin(unseen.block, chosen))
    block, label = unseen.block.ravel()[pixels], unseen.label.ravel()[pixels]
    for number in range(classes):
        candidates = [pixels[(block == one) & (label == number)] for one in chosen]
        of_block = np.array([len(some) for some in candidates])
        share = _shares(of_block, most_pixels)
        for index, (some, count) in enumerate(zip(candidates, share, strict=True)):
            unit.ravel()[generator.choice(some, count, replace=False)] = number * len(chosen) + index
    return Selection(unit, len(chosen))


def _drawn_blocks(present: NDArray[np.bool_], most: int, generator: np.random.Generator) -> list[int]:
    """Numbers of the drawn blocks, of those with labels; `present` is (blocks, classes)."""
    waiting = generator.permutation(np.flatnonzero(present.any(axis=1))).tolist()
    chosen: list[int] = []
    while waiting and len(chosen) < most:
        has = present[chosen].sum(axis=0)
        left = present[waiting].any(axis=0)
        rarest = int(np.flatnonzero(left)[has[left].argmin()])
        chosen.append(waiting.pop(next(at for at, block in enumerate(waiting) if present[block, rarest])))
    return chosen


def _shares(available: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """How many pixels each block gives: as equal as what is available allows, `most` in all."""
    given = np.zeros_like(available)
    while (left := most - given.sum()) > 0 and (open_ := given < available).any():
        each = max(1, int(left // open_.sum()))
        order = np.flatnonzero(open_)[:left]
        given[order] = np.minimum(available[order], given[order] + each)
    return given


def find_parcels(
    project: Project, labels: Labels, split: Split, names: Sequence[str], column: str | None
) -> tuple[Selection, list[ExplainedParcel]]:
    """Return the pixels of the parcels that the user named.

    Args:
        column: of the parcels' names in the file of labels; None = their rows in it, from 0.

    Raises:
        LabelError: the labels have no parcels, the file has no such column, or no parcel on the cube has that name.
    """
    unit = np.full(labels.label.shape, NOWHERE, np.int32)
    if not names:
        return Selection(unit, 0), []
    about = f"explaining the parcel {names[0]}"
    if "row" not in labels.places or project.labels.file is None:
        raise LabelError(f"{about}: the labels are a raster, whose regions are not parcels; leave `--parcel` out")
    rows = labels.places["row"].to_numpy()
    known = [str(row) for row in rows]
    if column is not None:
        frame = read_vector(project.path(project.labels.file), about, LabelError, keys=project.labels).frame
        if column not in frame.columns:
            columns = [str(other) for other in frame.columns if other != frame.geometry.name]
            raise LabelError(
                f"{about}: {project.labels.file} has no column {column!r} (it has {', '.join(columns) or 'none'})"
                f"{did_you_mean(column, columns)}",
                column=column,
            )
        known = [str(value) for value in frame[column].iloc[rows]]
    parcels = []
    for number, name in enumerate(dict.fromkeys(names)):
        if name not in known:
            what = "row of the file" if column is None else f"'{column}'"
            raise LabelError(
                f"explaining the parcel {name}: no labelled parcel on the cube has that {what} (there are "
                f"{', '.join(known[:3])} and others){did_you_mean(name, known)}",
                parcel=name,
            )
        place = known.index(name)
        unit[labels.place == place] = number
        fold = FOLDS[int(split.place_fold[place])]
        parcels.append(ExplainedParcel(name, int(labels.places["number"].iloc[place]), fold))
    return Selection(unit, 0), parcels


def find_places(
    table: SeriesTable, fold: NDArray[np.int8], names: Sequence[str], column: str | None
) -> tuple[Selection, list[ExplainedParcel]]:
    """Return the labelled places (P, 1) of a series table that the user named; several may have one name.

    Args:
        fold: (P,), of each place, -1 = not used.
        column: must be None, as a table has its column of names.

    Raises:
        LabelError: a column is given, or no labelled place has that name.
    """
    unit = np.full((len(table), 1), NOWHERE, np.int32)
    places = []
    if column is not None:
        raise LabelError(
            f"explaining places of a series table: `--id {column}` is of files of labels; name the column of the "
            "table's places as `sample` under [labels.columns]",
            column=column,
        )
    known = np.array(table.place if table.place else [str(row) for row in range(len(table))])
    labelled = table.label != UNLABELLED
    for number, name in enumerate(dict.fromkeys(names)):
        rows = np.flatnonzero((known == name) & labelled)
        if not len(rows):
            some = known[labelled].tolist()
            raise LabelError(
                f"explaining the place {name}: no labelled place of the table has that name (there are "
                f"{', '.join(some[:3])} and others){did_you_mean(name, some)}",
                parcel=name,
            )
        unit[rows] = number
        of_place = int(fold[rows[0]])
        places.append(ExplainedParcel(name, int(table.label[rows[0]]), FOLDS[of_place] if of_place >= 0 else "unused"))
    return Selection(unit, 0), places
