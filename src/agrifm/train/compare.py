"""`agrifm compare`: models x sets x budgets of labels under one protocol, to one report.

Shape letters: P places.
"""

import csv
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from agrifm.classic.indices import notes_on_bands
from agrifm.errors import ConfigError, require_installed
from agrifm.files import MARKER, AnyPath, as_path, translate_os_errors, write_json, write_text
from agrifm.outputs import writing
from agrifm.record import running_versions
from agrifm.samples.folds import Budget
from agrifm.samples.legends.levels import level_notes
from agrifm.samples.table_store import store_table, table_digest
from agrifm.scores import interval_words
from agrifm.train.cells import LIBRARIES, Cell, CellResult, cell_file, costs_json, read_cell, run_cell
from agrifm.train.combination import Combination, Labels, Learner, require_known, validation_parts, weighted_mean
from agrifm.train.comparison_config import read_comparison
from agrifm.train.comparison_scores import GroupScores, Tested, group_json, group_row, score_group
from agrifm.train.protocol import Division, Draw, LabelledSet, ProtocolConfig, divide_set, draws, require_two_classes
from agrifm.work import progress, run_tiles

KIND = "comparison"
BASELINE = "classic"
"""The model with which others are compared: the best classic, chosen inside."""
CSV_COLUMNS = (
    "set", "model", "budget", "draws", "labels", "macro_f1", "macro_f1_low", "macro_f1_high", "macro_f1_spread",
    "macro_f1_scored", "overall_accuracy", "average_precision", "calibration_error", "difference", "difference_low",
    "difference_high", "fit_seconds", "predict_seconds_per_1000", "parameters", "failure",
)  # fmt: skip


@dataclass(frozen=True)
class _Prepared:
    """A set with its folds and draws."""

    labelled: LabelledSet
    division: Division
    draws: tuple[Draw, ...]
    digest: str
    stored: Path


def compare(
    path: AnyPath,
    learners: Mapping[str, Learner],
    combinations: Mapping[str, Combination],
    executor: Executor | None = None,
) -> dict[str, Any]:
    """Run the comparison of a file; see `compare_sets`.

    Raises:
        ConfigError: the file cannot be used.
        LabelError: a set cannot be read, or cannot be divided without leaks.
    """
    file, config = read_comparison(path)
    require_known(config.models, (*learners, *combinations))  # before large sets are read
    sets = [one.read(file.parent) for one in config.sets]
    return compare_sets(sets, config.models, config, file.parent / config.out, learners, combinations, executor)


def compare_sets(
    sets: Sequence[LabelledSet],
    models: Sequence[str],
    config: ProtocolConfig,
    out: AnyPath,
    learners: Mapping[str, Learner],
    combinations: Mapping[str, Combination],
    executor: Executor | None = None,
) -> dict[str, Any]:
    """Compare models on sets; a comparison that was stopped continues with what is not trained yet.

    Args:
        out: the comparison's directory: `report.html`, `comparison.json`, `comparison.csv`, and the trained cells.
        learners, combinations: by name; those of agrifm are in `agrifm.train.learners`.
        executor: where models are trained: processes, or that of `open_cluster`; None = this process.

    Returns:
        The content of `comparison.json`, and under "directory" where it is.
    """
    out = as_path(out)
    require_known(models, (*learners, *combinations))
    require_installed(f"comparing models in {out}", "report", "matplotlib", "jinja2", kind=ConfigError)
    with writing(out, KIND), translate_os_errors(f"writing the comparison {out}"):
        write_json(out / MARKER, {"kind": KIND})  # first: what a kill leaves is of a comparison
        for folder in ("cells", "tables"):
            (out / folder).mkdir(exist_ok=True)
        prepared = [_prepare(labelled, config, out / "tables") for labelled in sets]
        trained = list(dict.fromkeys(part for name in models for part in _trained(name, combinations)))
        failures = _train(_cells(prepared, trained, out / "cells"), executor, learners)
        content = _content(prepared, models, combinations, out / "cells", failures)
        from agrifm.train.comparison_page import render_comparison

        write_text(out / "comparison.csv", _csv(content["results"]))
        write_json(out / "comparison.json", content)
        write_text(out / "report.html", render_comparison(content))
    return {**content, "directory": str(out)}


def comparison_lines(content: Mapping[str, Any]) -> list[str]:
    """Describe a comparison in sentences: notes on the sets, then a line for each model, budget and set."""
    lines = [f"{name}: {note}" for name, about in content["sets"].items() for note in about["notes"]]
    for row in content["results"]:
        start = f"{row['set']}, {row['budget']}, {row['model']}: "
        if row["failure"]:
            lines.append(f"{start}not scored ({row['failure']})")
            continue
        text = f"{start}macro F1 {row['macro_f1']:.3f} ({interval_words(row['macro_f1_interval'])})"
        if row["difference"]:
            within = interval_words(row["difference"]["interval"], "+.3f")
            text += f", {row['difference']['macro_f1']:+.3f} ({within}) against {row['against']}"
        text += "".join(f"; {level} {entry['macro_f1']:.3f}" for level, entry in row.get("levels", {}).items())
        lines.append(text)
    return lines


def _prepare(labelled: LabelledSet, config: ProtocolConfig, tables: Path) -> _Prepared:
    division = divide_set(labelled, config)
    require_two_classes(labelled.table, division, labelled.name)
    digest = table_digest(labelled.table)
    stored = tables / f"{digest}.npz"
    if not stored.exists():
        store_table(stored, labelled.table)
    return _Prepared(labelled, division, tuple(draws(labelled.table, division, config)), digest, stored)


def _trained(name: str, combinations: Mapping[str, Combination]) -> tuple[str, ...]:
    """The models to train for a model, which may be a combination of combinations."""
    if name not in combinations:
        return (name,)
    return tuple(one for part in combinations[name].parts for one in _trained(part, combinations))


def _cells(prepared: Sequence[_Prepared], models: Sequence[str], directory: Path) -> Iterator[Cell]:
    """All models of a draw follow each other, so that what they read in common is made once."""
    for one in prepared:
        for draw in one.draws:
            for model in models:
                file = cell_file(directory, one.digest, model, draw)
                yield Cell(one.labelled.name, model, draw, one.stored, file)


def _train(cells: Iterator[Cell], executor: Executor | None, learners: Mapping[str, Learner]) -> dict[Path, str]:
    """Train the cells that have no file; returns by file why a cell could not be trained."""
    every = list({cell.file: cell for cell in cells}.values())
    missing = [cell for cell in every if read_cell(cell.file) is None]
    failures = {}
    function: Callable[[Cell], str] = partial(run_cell, learners=learners)
    with progress("compare (models)", len(every), len(every) - len(missing)) as advance:
        for cell, failure in run_tiles(function, missing, executor, left_out=lambda cell, reason: reason):
            if failure:
                failures[cell.file] = failure
            advance(1)
    return failures


def _content(
    prepared: Sequence[_Prepared],
    models: Sequence[str],
    combinations: Mapping[str, Combination],
    directory: Path,
    failures: Mapping[Path, str],
) -> dict[str, Any]:
    """The content of `comparison.json`."""
    results: list[dict[str, Any]] = []
    sets = {}
    for one in prepared:
        tested = Tested.of(one.labelled.table, one.division.test)
        sets[one.labelled.name] = {
            "places": len(one.labelled.table),
            "folds": one.division.kind,
            "leaks": {str(fold): counts for fold, counts in one.division.leaks.items()},
            "removed": {str(fold): list(names) for fold, names in one.division.removed.items()},
            "legend": one.labelled.table.legend.model_dump(mode="json"),
            **tested.about(),
            "notes": _notes(one),
        }
        results += _set_results(one, tested, models, combinations, directory, failures)
    return {
        "models": list(models),
        "sets": sets,
        "results": results,
        "versions": running_versions(*LIBRARIES),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _notes(one: _Prepared) -> list[str]:
    """What is said of a set before it is scored."""
    table = one.labelled.table
    return [*table.notes, *notes_on_bands(table.sensors), *level_notes(table.legend), *one.division.notes]


def _set_results(
    one: _Prepared,
    tested: Tested,
    models: Sequence[str],
    combinations: Mapping[str, Combination],
    directory: Path,
    failures: Mapping[Path, str],
) -> Iterator[dict[str, Any]]:
    """A row for each budget and model of a set."""
    by_budget: dict[Budget, list[Draw]] = defaultdict(list)
    for draw in one.draws:
        by_budget[draw.budget].append(draw)
    for budget, of_budget in by_budget.items():
        scores: dict[str, GroupScores] = {}
        cells: dict[str, list[CellResult] | str] = {}
        for model in models:
            cells[model] = found = _results(one, model, of_budget, combinations, directory, failures)
            if not isinstance(found, str):
                scores[model] = score_group(tested, _by_draw(one, of_budget, found))
        against = _baseline(scores)
        labels = round(float(np.mean([len(draw.training) + len(draw.validation) for draw in of_budget])))
        times = len({draw.draw for draw in of_budget})
        for model in models:
            row = group_row(one.labelled.name, model, budget, times, labels)
            found = cells[model]
            if isinstance(found, str):
                yield {**row, "failure": found}
                continue
            numbers = group_json(scores[model], tested, scores.get(against))
            yield {**row, "failure": "", "against": against, **numbers, **costs_json(found)}


def _results(
    one: _Prepared,
    model: str,
    of_budget: Sequence[Draw],
    combinations: Mapping[str, Combination],
    directory: Path,
    failures: Mapping[Path, str],
) -> list[CellResult] | str:
    """The results of a model, one for each draw; or why there are none."""
    if model not in combinations:
        files = [cell_file(directory, one.digest, model, draw) for draw in of_budget]
        found = [read_cell(file) for file in files]
        known = [cell for cell in found if cell is not None]
        absent = (file for file, cell in zip(files, found, strict=True) if cell is None)
        return known if len(known) == len(files) else failures.get(next(absent), f"the result of {model} is absent")
    columns: dict[str, list[CellResult]] = {}
    for part in combinations[model].parts:
        of_part = _results(one, part, of_budget, combinations, directory, failures)
        if isinstance(of_part, str):
            return of_part
        columns[part] = of_part
    labels = [one.labelled.table.label[draw.validation] for draw in of_budget]
    return [
        _combined({part: column[at] for part, column in columns.items()}, combinations[model], label)
        for at, label in enumerate(labels)
    ]


def _combined(parts: Mapping[str, CellResult], combination: Combination, label: Labels) -> CellResult:
    validation = validation_parts(parts)
    weights = combination.weights(validation, label)
    numbers = [part.parameters for part in parts.values()]
    return CellResult(
        weighted_mean({name: parts[name].probability for name in weights}, weights),
        weighted_mean(validation, weights) if validation else None,
        sum(part.fit_seconds for part in parts.values()),
        sum(parts[name].predict_seconds for name in weights),
        None if None in numbers else sum(number for number in numbers if number is not None),
        dict(weights),
    )


def _by_draw(one: _Prepared, of_budget: Sequence[Draw], cells: Sequence[CellResult]) -> list[Any]:
    """Probabilities (P, classes) of all tested places, for each draw, from those of its folds."""
    test = one.division.test
    merged: dict[int, Any] = {}
    for draw, cell in zip(of_budget, cells, strict=True):
        whole = merged.setdefault(draw.draw, np.zeros((len(test), cell.probability.shape[1]), np.float32))
        whole[np.searchsorted(test, draw.test)] = cell.probability
    return list(merged.values())


def _baseline(scores: Mapping[str, GroupScores]) -> str:
    """The model with which others are compared: the best classic chosen inside, else the first model."""
    return BASELINE if BASELINE in scores else next(iter(scores), "")


def _csv(results: Sequence[Mapping[str, Any]]) -> str:
    text = StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in results:
        low, high = row.get("macro_f1_interval") or ("", "")
        difference = row.get("difference") or {"macro_f1": "", "interval": ("", "")}
        ends = difference["interval"]
        more = {"difference": difference["macro_f1"], "difference_low": ends[0], "difference_high": ends[1]}
        writer.writerow({**row, "macro_f1_low": low, "macro_f1_high": high, **more})
    return text.getvalue()
