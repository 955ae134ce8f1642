"""A series table as one file of arrays, for processes that work on it, and the digest of its content."""

import hashlib
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import LabelError, doing
from agrifm.files import write_bytes
from agrifm.legend import Legend
from agrifm.record import SensorInput
from agrifm.samples.table import SeriesTable, TableSeries

_OF_PLACES = ("label", "season_start", "lon", "lat", "block", "fold", "weight")
_OF_SERIES = ("values", "valid", "date", "length")


def table_digest(table: SeriesTable) -> str:
    """Return the SHA-256 of everything in a table that decides a model and its scores; notes do not count."""
    digest = hashlib.sha256()
    for name, array in sorted(_arrays(table).items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def store_table(path: Path, table: SeriesTable) -> None:
    """Write a table as a NumPy archive, whole or not at all."""
    buffer = BytesIO()
    np.savez(buffer, **_arrays(table))  # type: ignore[arg-type]  # its stub takes names for options
    write_bytes(path, buffer.getvalue())


def stored_table(path: Path) -> SeriesTable:
    """Read a table that `store_table` wrote; it has no notes.

    Raises:
        LabelError: the file is absent, damaged, or something else.
    """
    with (
        doing(f"reading the stored table {path}", LabelError, "remove it and run the comparison again", path=path),
        np.load(BytesIO(path.read_bytes()), allow_pickle=False) as archive,
    ):
        arrays = {name: archive[name] for name in archive.files}
        about = json.loads(arrays["about"].tobytes())
        series = {
            name: TableSeries(
                SensorInput.model_validate(content),
                **{part: arrays[f"series/{number}/{part}"] for part in _OF_SERIES},
            )
            for number, (name, content) in enumerate(about["sensors"].items())
        }
        return SeriesTable(
            legend=Legend.model_validate(about["legend"]),
            series=series,
            season_days=about["season_days"],
            place=tuple(about["place"]),
            static={name: arrays[f"static/{name}"] for name in about["static"]},
            **{name: arrays[name] for name in _OF_PLACES if name in arrays},
        )


def _arrays(table: SeriesTable) -> dict[str, NDArray[Any]]:
    about = {
        "legend": table.legend.model_dump(mode="json", exclude={"hierarchy"}),  # it decides no model
        "sensors": {name: series.input.model_dump(mode="json") for name, series in table.series.items()},
        "season_days": table.season_days,
        "place": list(table.place),
        "static": list(table.static),
    }
    arrays = {"about": np.frombuffer(json.dumps(about).encode(), np.uint8)}
    arrays |= {name: array for name in _OF_PLACES if (array := getattr(table, name)) is not None}
    for number, series in enumerate(table.series.values()):
        arrays |= {f"series/{number}/{part}": getattr(series, part) for part in _OF_SERIES}
    return arrays | {f"static/{name}": values for name, values in table.static.items()}
