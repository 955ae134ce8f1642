"""Class probabilities of the places of a series table from a classic model."""

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.classic_model import ClassicModel, record_columns
from agrifm.classic.table_rows import table_rows
from agrifm.samples.table import SeriesTable


def place_probabilities(model: ClassicModel, table: SeriesTable) -> NDArray[np.float32]:
    """Return class probabilities (P, classes) of the places of a series table."""
    result = np.zeros((len(table), len(model.record.legend)), np.float32)
    columns = record_columns(model.record)
    rows = table_rows(table, model.record.sensors, model.record.frames, columns.parts)
    result[:, model.rows.classes] = model.rows.probabilities(rows)
    return result
