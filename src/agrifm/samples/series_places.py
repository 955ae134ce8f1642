"""The places of a series table: classes, coordinates, blocks, folds and weights, one row for each.

Shape letters: P places.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agrifm.codes import code_of, read_codes, why_not_classes, year_notes
from agrifm.errors import LabelError
from agrifm.legend import UNLABELLED, Legend
from agrifm.record import METRES_PER_DEGREE
from agrifm.samples.land import is_on_land

if TYPE_CHECKING:
    import pandas

FOLD_NAMES = {"train": 0, "training": 0, "validation": 1, "val": 1, "valid": 1, "test": 2, "testing": 2, "": -1}
"""Names of folds and their numbers."""
BLOCK = 960.0
"""Side of the squares that are kept apart, metres, if the table has no blocks."""
SAME_PLACE_DEGREES = 1e-6
"""Points nearer than this are one place: a decimetre."""


@dataclass
class PlaceColumns:
    """What is known of each place."""

    frame: "pandas.DataFrame"
    """A row for each place, in the order of the series."""
    named: dict[str, str]
    """Key of `SeriesColumns` -> column."""
    about: str
    notes: list[str] = field(default_factory=list)

    def has(self, key: str) -> bool:
        """Whether there is a column of that kind."""
        return key in self.named

    def values(self, key: str) -> "pandas.Series[Any]":
        """Values of the column of that kind."""
        return self.frame[self.named[key]]

    def numbers(self, key: str) -> NDArray[np.float64]:
        """Return the numbers of a column (P,); NaN where there is none.

        Raises:
            LabelError: a value is not a number.
        """
        if not self.has(key):
            return np.full(len(self.frame), np.nan)
        values = self.values(key)
        try:
            return np.array([np.nan if value is None or value == "" else float(value) for value in values])
        except (TypeError, ValueError) as error:
            raise LabelError(
                f"{self.about}: the column {self.named[key]!r} ({key}) has a value that is not a number ({error})",
                column=self.named[key],
            ) from error


def read_classes(
    places: PlaceColumns, legend: Legend | None, unlabelled: Collection[object]
) -> tuple[Legend, NDArray[np.uint8]]:
    """Return the legend, by default of the codes found, and the class numbers (P,), 255 = unlabelled.

    Raises:
        LabelError: there is no column of classes, it cannot be one, or a code is not in the legend.
    """
    if not places.has("label"):
        columns = ", ".join(str(name) for name in list(places.frame.columns)[:12])
        raise LabelError(
            f"{places.about}: it has no column of classes (it has {columns}); name it with `column` under [labels]",
            key="label",
        )
    column = places.named["label"]
    try:
        codes, notes = read_codes(places.values("label"), legend.every_code if legend else ())
    except LabelError as error:
        raise LabelError(f"{places.about}, column '{column}': {error}", **error.facts) from error
    places.notes += notes
    without = {code_of(code) for code in unlabelled}
    codes = ["" if code in without else code for code in codes]
    different = sorted(set(codes) - {""})
    if legend is None:
        fault = why_not_classes(codes)
        if fault or len(different) < 2:
            raise LabelError(
                f"{places.about}, column '{column}': {fault or f'it has a single class ({different})'}; name the "
                "column of the class codes, or give a `legend` that lists them",
                column=column,
            )
        places.notes += year_notes(codes)
        legend = Legend.of(different)
    number = np.full(len(codes), UNLABELLED, np.uint8)
    labelled = np.array([code != "" for code in codes])
    try:
        number[labelled] = legend.encode([code for code in codes if code])
    except LabelError as error:
        raise LabelError(f"{places.about}: {error}", **error.facts) from error
    if not labelled.all():
        places.notes.append(f"{int((~labelled).sum())} of {len(codes)} places are unlabelled")
    return legend, number


def read_coordinates(places: PlaceColumns) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return longitudes and latitudes (P,), degrees; NaN where the table states none.

    Raises:
        LabelError: the two are exchanged, or they are not degrees.
    """
    lon, lat = places.numbers("longitude"), places.numbers("latitude")
    known = np.isfinite(lon) & np.isfinite(lat)
    if not known.any():
        return np.full(len(lon), np.nan), np.full(len(lat), np.nan)
    at_sea = known & ~is_on_land(lon, lat)
    exchanged = at_sea & is_on_land(lat, lon)
    names = f"{places.named['longitude']!r} and {places.named['latitude']!r}"
    if exchanged.sum() > known.sum() / 2:
        raise LabelError(
            f"{places.about}: {int(exchanged.sum())} of {int(known.sum())} places are at sea, and on land with the "
            f"columns {names} exchanged (the first: {lon[known][0]:g}, {lat[known][0]:g}); exchange them in the table, "
            "or state them under [labels.columns]",
            exchanged=int(exchanged.sum()),
        )
    beyond = known & ((np.abs(lon) > 180) | (np.abs(lat) > 90))
    if beyond.any():
        raise LabelError(
            f"{places.about}: {int(beyond.sum())} places are not on the globe ({names} of the first: "
            f"{lon[beyond][0]:g}, {lat[beyond][0]:g}); give degrees",
            places=int(beyond.sum()),
        )
    if at_sea.any():
        places.notes.append(f"{int(at_sea.sum())} of {len(lon)} places are outside any land")
    return lon, lat


def square_blocks(lon: NDArray[np.float64], lat: NDArray[np.float64], side: float) -> NDArray[np.int32]:
    """Return the numbers of the squares of places (P,), from 0; a place without coordinates is a block by itself.

    Squares are `side` metres from south to north; in each row of squares they are as wide, at its middle latitude.

    Args:
        lon, lat: (P,), degrees.
        side: metres.
    """
    known = np.isfinite(lon) & np.isfinite(lat)
    degrees = side / METRES_PER_DEGREE
    row = np.floor(np.where(known, lat, 0) / degrees)
    width = degrees / np.maximum(np.cos(np.radians((row + 0.5) * degrees)), 1e-3)
    col = np.floor(np.where(known, lon, 0) / width)
    alone = np.where(known, -1, np.arange(len(lon)))
    _, number = np.unique(np.stack([row, col, alone]), axis=1, return_inverse=True)
    return number.reshape(-1).astype(np.int32)


def read_blocks(
    places: PlaceColumns, lon: NDArray[np.float64], lat: NDArray[np.float64], side: float
) -> NDArray[np.int32]:
    """Return the number of each place's block (P,): of the given column, else of squares; a parcel has one block."""
    if places.has("block"):
        texts = [code_of(value) for value in places.values("block")]
        named = np.array([text or f"\0{index}" for index, text in enumerate(texts)])
        block = np.unique(named, return_inverse=True)[1].astype(np.int32)
    else:
        block = square_blocks(lon, lat, side)
        lost = int((~np.isfinite(lon)).sum())
        if lost:
            places.notes.append(
                f"{lost} places have neither coordinates nor a block, so each is a block by itself; give `block` under "
                "[labels.columns], or neighbours may be in training and test"
            )
    parcel = parcels_of(places, lon, lat)
    # all places of a parcel are in the block of its first place
    _, first, index = np.unique(parcel, return_index=True, return_inverse=True)
    return np.asarray(block[first][index], np.int32)


def parcels_of(places: PlaceColumns, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the number of each place's parcel (P,): of the given column, else places of the same coordinates."""
    if places.has("parcel"):
        texts = [code_of(value) or f"\0{index}" for index, value in enumerate(places.values("parcel"))]
        return np.unique(np.array(texts), return_inverse=True)[1]
    rounded = np.stack([np.round(axis / SAME_PLACE_DEGREES) for axis in (lon, lat)])
    known = np.isfinite(rounded).all(axis=0)
    keys = np.stack([*np.where(known, rounded, 0), np.where(known, -1, np.arange(len(lon)))])
    return np.unique(keys, axis=1, return_inverse=True)[1].reshape(-1)


def read_folds(places: PlaceColumns, parcel: NDArray[np.int64], block: NDArray[np.int32]) -> NDArray[np.int8] | None:
    """Return the fold of each place (P,), 0.., -1 = not used; None if the table states none.

    Raises:
        LabelError: a fold is neither a known name nor a number, or places of one parcel or block are in two folds.
    """
    if not places.has("fold"):
        return None
    folds = []
    for value in places.values("fold"):
        text = code_of(value).casefold()
        number = FOLD_NAMES.get(text)
        if number is None and text.lstrip("-").isdigit():
            number = max(int(text), -1)
        if number is None or number > 100:
            raise LabelError(
                f"{places.about}: unknown fold {value!r}; write train, validation or test, or numbers from 0",
                fold=value,
            )
        folds.append(number)
    fold = np.array(folds, np.int8)
    groups: list[tuple[str, NDArray[Any], str]] = [("parcel", parcel, "place them in one")]
    if places.has("block"):
        groups.append(("block", block, "place it in one, or leave out one of the two columns"))
    for what, group, remedy in groups:
        shared = _in_two_folds(group, fold)
        if len(shared):
            example = int(np.flatnonzero(group == shared[0])[0])
            raise LabelError(
                f"{places.about}: {len(shared)} {what}s have places in two folds (such as that of row {example + 1}, "
                f"in the folds {sorted(set(fold[group == shared[0]].tolist()))}), so a score would count what was "
                f"trained on; {remedy}",
                **{what: example, "shared": len(shared)},
            )
    return fold


def _in_two_folds(group: NDArray[Any], fold: NDArray[np.int8]) -> NDArray[Any]:
    """The groups with places in more than one fold; -1 is not a fold."""
    used = fold >= 0
    pairs = np.unique(np.stack([group[used].astype(np.int64), fold[used].astype(np.int64)]), axis=1)
    different, counts = np.unique(pairs[0], return_counts=True)
    return different[counts > 1]


def read_weights(places: PlaceColumns) -> NDArray[np.float32] | None:
    """Return the weights of places (P,); None if the table states none.

    Raises:
        LabelError: a weight is not above 0.
    """
    if not places.has("weight"):
        return None
    weight = places.numbers("weight")
    if not (weight > 0).all():
        raise LabelError(
            f"{places.about}: a weight of the column {places.named['weight']!r} is not above 0; give "
            "every place a weight",
            column=places.named["weight"],
        )
    return weight.astype(np.float32)


def duplicate_notes(lon: NDArray[np.float64], lat: NDArray[np.float64], label: NDArray[np.uint8]) -> list[str]:
    """Return notes on places with the coordinates of another one, of the same class or of a different one."""
    known = np.isfinite(lon) & np.isfinite(lat)
    rounded = np.stack([np.round(axis[known] / SAME_PLACE_DEGREES) for axis in (lon, lat)])
    if not known.any():
        return []
    place = np.unique(rounded, axis=1, return_inverse=True)[1].reshape(-1)
    again = len(place) - len(np.unique(place))
    pairs = np.unique(np.stack([place, label[known].astype(np.int64)]), axis=1)
    conflicting = int((np.unique(pairs[0], return_counts=True)[1] > 1).sum())
    notes = [f"{again} places have the coordinates of another one"] if again else []
    if conflicting:
        notes.append(f"places at {conflicting} coordinates have more than one class")
    return notes


def one_row_each(
    frame: "pandas.DataFrame", samples: Sequence[object], column: str, named: dict[str, str], about: str
) -> "pandas.DataFrame":
    """Return the first row of each sample, in the order of `samples`.

    Raises:
        LabelError: rows of one sample have different classes.
    """
    label = named.get("label")
    if label is not None:
        different = frame.groupby(column)[label].nunique()
        if (different > 1).any():
            sample = different.index[different > 1][0]
            raise LabelError(
                f"{about}: the rows of {sample!r} have different classes ({int((different > 1).sum())} samples have); "
                "name the right column of samples, or correct the classes",
                sample=sample,
            )
    first = frame.drop_duplicates(column).set_index(column, drop=False)
    return first.reindex(list(samples))
