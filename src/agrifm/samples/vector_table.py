"""Labelled places with vectors as a table: those of `agrifm embed places`, of our networks or of others.

A vector is a series of one date of the sensor `EMBEDDING`, whose bands are its numbers.

Shape letters: P places, K numbers of a vector.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import LabelError, doing
from agrifm.files import AnyPath, as_path
from agrifm.record import SensorInput
from agrifm.samples.series_places import BLOCK, PlaceColumns, parcels_of, read_blocks, read_classes, read_folds
from agrifm.samples.table import SeriesTable, TableSeries

if TYPE_CHECKING:
    import geopandas

Vectors = NDArray[np.float32]
EMBEDDING = "embedding"
"""Column of the vectors in the file, and name of their sensor."""


def is_of_vectors(table_sensors: Sequence[SensorInput]) -> bool:
    """Whether a table has vectors in place of series."""
    return any(sensor.sensor == EMBEDDING for sensor in table_sensors)


def read_vector_table(path: AnyPath, label: str, block: str | None = None, fold: str | None = None) -> SeriesTable:
    """Read labelled places with vectors.

    Args:
        path: GeoParquet with a column `embedding`, a list of K numbers each, as `agrifm embed places` writes it; places
            without a vector are left out and counted.
        label: column of the classes.
        block: column of the blocks; None = squares.
        fold: column of the folds; None = none are stated.

    Raises:
        LabelError: it cannot be read, lacks a column or a CRS, or its vectors differ in length or are not finite.
    """
    path = as_path(path)
    about = f"reading the vectors {path}"
    frame = _frame(path, about, [name for name in (label, block, fold) if name is not None])
    known = frame[EMBEDDING].notna() & frame.geometry.notna()
    without = int((~known).sum())
    notes = [f"{without} of {len(frame)} places have no vector, and are left out"] if without else []
    frame = frame[known].reset_index(drop=True)
    vectors = _vectors(frame[EMBEDDING], about)
    points = frame.geometry.representative_point().to_crs("EPSG:4326")
    lon, lat = points.x.to_numpy(np.float64), points.y.to_numpy(np.float64)
    named = {"label": label} | {key: name for key, name in (("block", block), ("fold", fold)) if name is not None}
    places = PlaceColumns(frame, named, about, notes)
    legend, classes = read_classes(places, None, ())
    blocks = read_blocks(places, lon, lat, BLOCK)
    return SeriesTable(
        legend=legend,
        label=classes,
        series={EMBEDDING: _series(vectors)},
        season_start=np.zeros(len(vectors), np.int32),
        season_days=365,
        lon=lon,
        lat=lat,
        block=blocks,
        fold=read_folds(places, parcels_of(places, lon, lat), blocks),
        notes=tuple(places.notes),
    )


def _frame(path: Path, about: str, columns: Sequence[str]) -> "geopandas.GeoDataFrame":
    """The file, which has these columns, vectors and a CRS."""
    import geopandas

    with doing(about, LabelError, "give a file that `agrifm embed places` wrote", path=path):
        frame = geopandas.read_parquet(path)
    for column in (EMBEDDING, *columns):
        if column not in frame.columns:
            raise LabelError(
                f"{about}: it has no column {column!r} (it has {', '.join(map(str, frame.columns[:12]))}); name one of "
                "these, or write the file with `agrifm embed places`",
                column=column,
            )
    if frame.crs is None:
        raise LabelError(f"{about}: it states no CRS; write it with one", path=path)
    return frame


def _series(vectors: Vectors) -> TableSeries:
    """Vectors (P, K) as series of one date."""
    count, numbers = vectors.shape
    sensor = SensorInput(
        sensor=EMBEDDING,
        bands=tuple(f"V{number:02d}" for number in range(numbers)),
        quantity="index",
        scale=1.0,
        resolution=10.0,
    )
    valid = np.ones((count, 1), bool)
    return TableSeries(sensor, vectors[:, None], valid, np.zeros((count, 1), np.int32), np.ones(count, np.int64))


def _vectors(column: Sequence[Sequence[float]], about: str) -> Vectors:
    """The vectors (P, K) of a column of lists."""
    lengths = {len(vector) for vector in column}
    if len(lengths) != 1:
        raise LabelError(
            f"{about}: " + ("no place has a vector" if not lengths else f"its vectors have {sorted(lengths)} numbers")
            + "; write it with `agrifm embed places`, from one raster",
            lengths=sorted(lengths),
        )  # fmt: skip
    vectors = np.array([np.asarray(vector, np.float32) for vector in column])
    if not np.isfinite(vectors).all():
        row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
        raise LabelError(f"{about}: a number of the vector in row {row} is not finite; leave the row out", row=row)
    return vectors
