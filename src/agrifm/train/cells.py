"""Cells of a comparison: one model on one draw of labels, trained once and kept by its content.

A cell is a file named by the fingerprint of everything that decides it, so a comparison that is stopped, or gets
another model or set, trains only what is new.
"""

import json
import time
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from agrifm.errors import AgriFMError, LabelError
from agrifm.files import write_bytes
from agrifm.record import running_versions
from agrifm.samples.folds import Budget
from agrifm.samples.table import SeriesTable
from agrifm.samples.table_store import stored_table
from agrifm.train.combination import Learner, Probability, without_labels
from agrifm.train.protocol import Draw
from agrifm.work import fingerprint

FORMAT = 1
"""Of cells, and of how they are made; a change makes all of them anew."""
LIBRARIES = ("scikit-learn", "lightgbm", "torch", "scipy")
"""Packages whose version may change a result."""


@dataclass(frozen=True)
class Cell:
    """What to train, on what, and where the result is kept."""

    set_name: str
    model: str
    draw: Draw
    table: Path
    """From `store_table`."""
    file: Path

    @property
    def key(self) -> tuple[str, str, Budget, int, int]:
        """Set, model, budget, draw and fold."""
        return (self.set_name, self.model, self.draw.budget, self.draw.draw, self.draw.fold)


@dataclass(frozen=True)
class CellResult:
    """What became of a cell."""

    probability: Probability
    """(test places, classes)."""
    validation: Probability | None
    """(validation places, classes), by a model that was not trained on them."""
    fit_seconds: float
    predict_seconds: float
    parameters: int | None
    choice: dict[str, Any]


def cell_file(directory: Path, table: str, model: str, draw: Draw) -> Path:
    """Return where the cell of a model is kept.

    Args:
        table: digest of the set's table.
    """
    places = [draw.training, draw.validation, draw.test]
    content = [FORMAT, table, model, draw.seed, [part.tolist() for part in places], running_versions(*LIBRARIES)]
    return directory / f"{fingerprint(content)}.npz"


def run_cell(cell: Cell, learners: Mapping[str, Learner]) -> str:
    """Train and test the model of a cell and write its file; returns why that was impossible, or nothing.

    The model receives the test places without their labels.

    Args:
        learners: by name; for other processes, functions of modules that they have too.
    """
    table = _table(cell.table)
    draw = cell.draw
    learner = learners[cell.model]
    training, validation = table.of(draw.training), table.of(draw.validation)
    test = without_labels(table.of(draw.test))
    began = time.perf_counter()
    try:
        fitted = learner(training, validation, draw.seed)
        trained = time.perf_counter()
        probability = _sound(fitted.probabilities(test), test, cell.model)
    except AgriFMError as error:
        return str(error)
    about = {
        "fit_seconds": trained - began,
        "predict_seconds": time.perf_counter() - trained,
        "parameters": fitted.parameters,
        "choice": fitted.choice,
    }
    arrays = {"probability": probability, "about": np.frombuffer(json.dumps(about).encode(), np.uint8)}
    if fitted.validation is not None:
        arrays["validation"] = fitted.validation
    buffer = BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # its stub takes names for options
    write_bytes(cell.file, buffer.getvalue())
    return ""


def read_cell(path: Path) -> CellResult | None:
    """Read the file of a cell; None if it is absent or damaged."""
    try:
        with np.load(BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        about = json.loads(arrays.pop("about").tobytes())
        return CellResult(arrays["probability"], arrays.get("validation"), **about)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None


def _sound(probability: Probability, table: SeriesTable, model: str) -> Probability:
    expected = (len(table), len(table.legend))
    if probability.shape != expected or not np.isfinite(probability).all():
        raise LabelError(
            f"comparing models: '{model}' answers {len(table)} places of {len(table.legend)} classes with "
            f"probabilities of shape {probability.shape}, or with numbers that are not finite",
            model=model,
            shape=probability.shape,
        )
    return np.asarray(probability, np.float32)


@lru_cache(maxsize=2)
def _table(path: Path) -> SeriesTable:
    return stored_table(path)


def costs_json(cells: Sequence[CellResult]) -> dict[str, Any]:
    """Return seconds of a fit and of 1,000 places, parameters, and how often what was chosen, as JSON."""
    numbers = [cell.parameters for cell in cells if cell.parameters is not None]
    places = sum(len(cell.probability) for cell in cells)
    chosen = Counter(_chosen(cell.choice) for cell in cells if cell.choice)
    return {
        "fits": len(cells),
        "fit_seconds": sum(cell.fit_seconds for cell in cells) / len(cells),
        "predict_seconds_per_1000": 1000 * sum(cell.predict_seconds for cell in cells) / max(places, 1),
        "parameters": round(sum(numbers) / len(numbers)) if len(numbers) == len(cells) else None,
        "chosen": dict(sorted(chosen.items(), key=lambda item: (-item[1], item[0]))),
    }


def _chosen(choice: Mapping[str, Any]) -> str:
    words = [f"{name} {value:.2g}" if isinstance(value, float) else f"{name} {value}" for name, value in choice.items()]
    return ", ".join(words)
