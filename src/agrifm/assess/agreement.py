"""`agrifm assess agree`: two interpreters of the same points, how far they agree, and what it does to the areas.

Two things are kept apart. `at_points` counts every point once and describes the two interpreters at these points.
`of_area` weights points by the hectares that each stands for in its design, and describes the area.
"""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agrifm.assess.agreement_lines import agreement_rows
from agrifm.assess.answers import MORE, Answers, points_of_answers, read_answers
from agrifm.assess.class_map import ClassMap
from agrifm.assess.estimators import Estimate
from agrifm.assess.interpreter_points import ANSWER, PLACE, InterpreterPoints, label_classes, read_interpreter_points
from agrifm.assess.kappa import design_kappa, kappa_of_points
from agrifm.assess.plain_numbers import plain_number
from agrifm.assess.point_estimators import estimate_change, ratio_of_totals, stratified_points
from agrifm.assess.probability_sample import ProbabilitySample
from agrifm.assess.reference_data import file_sha256
from agrifm.assess.report_tables import Row, csv_of_rows
from agrifm.assess.sample_columns import read_drawn_design
from agrifm.assess.sampling_statement import Sampling, chosen_points, read_method, require_probability_sample
from agrifm.assess.third_look import FILES_OF_AGREED, third_look
from agrifm.assess.zoned_map import ZonedMap, read_assessed_map, require_zone_design
from agrifm.codes import alike_notes
from agrifm.errors import AssessmentError
from agrifm.files import MARKER, AnyPath, as_path, write_geopackage, write_json, write_text
from agrifm.grid import LONLAT
from agrifm.legend import Legend, LegendClass
from agrifm.outputs import require_replaceable, write_directory, writing
from agrifm.point_columns import LABEL, METHOD, NON_PROBABILITY, NUMBER
from agrifm.record import running_versions

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

KIND_OF_AGREEMENT = "agreement of interpreters"
FILES_OF_AGREEMENT = ("agreement.json", "agreement.csv", "disagreements.csv", "disagreements.gpkg", MARKER)
"""Files in its directory; the last two only if there are disagreements."""


@dataclass(frozen=True)
class _Pair:
    """Two interpreters at the points that both have labelled."""

    drawn: InterpreterPoints
    names: tuple[str, str]
    answers: tuple[Answers, Answers]
    classes: tuple[LegendClass, ...]
    """Those that one of them has used."""
    at: NDArray[np.intp]
    """(N,), positions of the points that both have labelled."""
    first: NDArray[np.int64]
    """(N,), class numbers."""
    second: NDArray[np.int64]


def compare_interpreters(
    first: AnyPath,
    second: AnyPath,
    out: AnyPath,
    points: AnyPath | None = None,
    map_path: AnyPath | None = None,
    also: Sequence[str] = (),
    sampling: Sampling | None = None,
    third: AnyPath | None = None,
) -> dict[str, Any]:
    """Compare the answers of two interpreters, and write the files of `FILES_OF_AGREEMENT`.

    Args:
        first, second: their answers, as `agrifm.assess.answers.read_form` reads them.
        out: the directory, new or with an earlier comparison, which is replaced.
        points: the file that `agrifm assess design` wrote; with it and the map areas are estimated, too.
        map_path: the map, whose classes labels may have.
        also: further classes that labels may have, each as a code or `code=name`.
        sampling: how the points were drawn, if their file does not state it.
        third: answers of a third interpreter at the points on which these differ; then the points with the labels that
            two of the three gave are written, too, and a list of those that remain undecided.

    Returns:
        The content of `agreement.json`.

    Raises:
        AssessmentError: answers cannot be used, or no point has a label of both.
        OutputError: `out` is not the directory of such a comparison, or cannot be written.
    """
    first, second, out = as_path(first), as_path(second), as_path(out)
    about = f"comparing the answers {first} with {second}"
    if (points is None) != (map_path is None):
        raise AssessmentError(f"{about}: give --points and --map together, or neither", points=points, map=map_path)
    with writing(out, KIND_OF_AGREEMENT):
        require_replaceable(out, KIND_OF_AGREEMENT, (*FILES_OF_AGREEMENT, *FILES_OF_AGREED))
        mapped = None if map_path is None else read_assessed_map(map_path)
        legend = None if mapped is None else label_classes(mapped.legend, also)
        drawn = points_of_answers(first, second) if points is None else read_interpreter_points(as_path(points))
        pair = _read_pair(drawn, (first, second), legend, about)
        result, weights = _compare(pair, mapped, sampling, about)
        look = None
        if third is not None:
            codes = None if legend is None else [entry.code for entry in legend]
            look = third_look(drawn, (*pair.answers, read_answers(as_path(third), drawn, codes)), as_path(third).stem)
            result["third"] = look.stated()
        result["provenance"] = {
            "files": {
                path.name: file_sha256(path) for path in (first, second, *([] if third is None else [as_path(third)]))
            },
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": running_versions("geopandas", "pyproj"),
        }
        with write_directory(out, KIND_OF_AGREEMENT) as partial:
            _write(partial, pair, result, weights)
            if look is not None:
                look.write(partial)
    return result


def _read_pair(
    drawn: InterpreterPoints, files: tuple[Path, Path], legend: Sequence[LegendClass] | None, about: str
) -> _Pair:
    codes = None if legend is None else [entry.code for entry in legend]
    one, other = (read_answers(path, drawn, codes) for path in files)
    labels = np.array([one.by_point(LABEL), other.by_point(LABEL)], dtype=np.str_)
    at = np.flatnonzero((labels != "").all(axis=0))
    if not len(at):
        counts = [int((of_one != "").sum()) for of_one in labels]
        raise AssessmentError(
            f"{about}: no point has a label of both ({counts[0]} have one of the first, {counts[1]} of the second); "
            "give answers for the same points",
            first=counts[0],
            second=counts[1],
        )
    used = set(labels[:, at].ravel().tolist())
    classes = tuple(entry for entry in legend or Legend.of(sorted(used)).classes if entry.code in used)
    number = {entry.code: position for position, entry in enumerate(classes)}
    first, second = (np.array([number[code] for code in of_one[at].tolist()]) for of_one in labels)
    names = tuple(_name(answers, path) for answers, path in zip((one, other), files, strict=True))
    return _Pair(drawn, (names[0], names[1]), (one, other), classes, at, first, second)


def _name(answers: Answers, path: Path) -> str:
    """Name of the interpreter, or of the file."""
    stated = set(answers.values.get(MORE[0], ())) - {""}
    return stated.pop() if len(stated) == 1 else path.stem


def _compare(
    pair: _Pair, mapped: ClassMap | None, sampling: Sampling | None, about: str
) -> tuple[dict[str, Any], NDArray[np.float64]]:
    """The content of `agreement.json`, and the hectares that each point stands for, (N,), NaN if it is not known."""
    labelled = [np.array(answers.by_point(LABEL)) != "" for answers in pair.answers]
    each = stratified_points(np.zeros(len(pair.at), np.int64), [1.0])
    result: dict[str, Any] = {
        "interpreters": list(pair.names),
        "warnings": _warnings(pair),
        "points": {
            "all": len(pair.drawn.numbers),
            "both": len(pair.at),
            "only_first": int((labelled[0] & ~labelled[1]).sum()),
            "only_second": int((labelled[1] & ~labelled[0]).sum()),
            "different": int((pair.first != pair.second).sum()),
        },
        "matrix": {
            "codes": [entry.code for entry in pair.classes],
            "counts": _counts(pair.first, pair.second, len(pair.classes)),
        },
        "at_points": _agreement(
            pair, pair.first, pair.second, each, kappa_of_points(pair.first, pair.second, len(pair.classes))
        ),
        "of_area": None,
        "areas": None,
    }
    weights = np.full(len(pair.at), np.nan)
    if mapped is not None:
        try:
            drawn, used, notes = _design(pair, mapped, sampling, about)
        except AssessmentError as error:
            result["warnings"].append(f"neither areas nor agreement of the area are estimated: {error}")
        else:
            first, second = pair.first[used], pair.second[used]
            kappa = design_kappa(first, second, len(pair.classes), drawn)
            result["warnings"] += notes
            result["of_area"] = {
                "points": len(first),
                "hectares": drawn.hectares,
                **_agreement(pair, first, second, drawn, kappa),
            }
            result["areas"] = _areas(pair, first, second, drawn)
            weights[used] = drawn.weights
    return result, weights


def _warnings(pair: _Pair) -> list[str]:
    notes = alike_notes(Counter(entry.code for entry in pair.classes))
    if pair.names[0] == pair.names[1]:
        notes.append(
            f"both files have answers of {pair.names[0]}, and one person agrees more with oneself than with another"
        )
    return notes


def _counts(first: NDArray[np.int64], second: NDArray[np.int64], classes: int) -> list[list[int]]:
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (first, second), 1)
    table: list[list[int]] = counts.tolist()
    return table


def _design(
    pair: _Pair, mapped: ClassMap, sampling: Sampling | None, about: str
) -> tuple[ProbabilitySample, NDArray[np.bool_], list[str]]:
    """The design of the points that both have labelled and that are on the map, which these are, (N,), and notes.

    Raises:
        AssessmentError: they are not a probability sample, or too few in a stratum.
    """
    frame = pair.drawn.frame.iloc[pair.at].to_crs(mapped.grid.crs.to_wkt())
    rows, _, number = mapped.locate(frame)
    chosen = chosen_points(frame)
    used = (number >= 0) & (~chosen if not chosen.all() else True)
    if not used.any():
        raise AssessmentError(f"{about}: none of the points is on a class of the map", points=len(frame))
    points, number = frame[used], number[used]
    method = read_method(points, about)
    notes = require_probability_sample(method, sampling, len(points), 0, about)
    drawn, more = _drawn_in(mapped, points, rows[used], number, method, sampling, about)
    left_out = len(frame) - len(points)
    if left_out:
        more = [*more, f"{left_out} points are outside the map, on nodata or chosen, and have no part in the area"]
    return drawn, used, [*notes, *more]


def _drawn_in(
    mapped: ClassMap,
    points: "GeoDataFrame",
    rows: NDArray[np.int64],
    number: NDArray[np.int64],
    method: str | None,
    sampling: Sampling | None,
    about: str,
) -> tuple[ProbabilitySample, list[str]]:
    """The strata or clusters of points, and notes.

    Args:
        rows, number: (N,), row of the map and class number at each point.
    """
    if isinstance(mapped, ZonedMap):
        require_zone_design(method, [str(name) for name in points.columns], about)
        return mapped.strata(rows, number), []
    hectares = mapped.hectares()
    codes = np.array(mapped.legend.codes)[number]
    drawn, notes = read_drawn_design(points, method, sampling, codes, float(hectares.sum()))
    return stratified_points(number, hectares, names=mapped.legend.codes) if drawn is None else drawn, notes


def _agreement(
    pair: _Pair,
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    drawn: ProbabilitySample,
    kappa: Estimate,
) -> dict[str, Any]:
    """Share on which both agree, kappa, and the agreement on each class: 2 x both / (first + second)."""
    same, everywhere = first == second, np.ones(len(first))
    return {
        "agreement": plain_number(ratio_of_totals(same, everywhere, drawn)),
        "kappa": plain_number(kappa),
        "classes": [
            {
                "code": entry.code,
                "name": entry.name,
                "first": int((first == number).sum()),
                "second": int((second == number).sum()),
                "both": int(((first == number) & same).sum()),
                **plain_number(
                    ratio_of_totals(
                        2.0 * ((first == number) & same), (first == number) * 1.0 + (second == number), drawn
                    )
                ),
            }
            for number, entry in enumerate(pair.classes)
        ],
    }


def _areas(
    pair: _Pair, first: NDArray[np.int64], second: NDArray[np.int64], drawn: ProbabilitySample
) -> list[dict[str, Any]]:
    """Hectares of each class by the labels of each, and the second's less the first's, paired on the same points."""
    net = estimate_change(first, second, len(pair.classes), drawn).net
    everywhere = np.ones(len(first))
    areas = []
    for number, entry in enumerate(pair.classes):
        of_each = [ratio_of_totals(labels == number, everywhere, drawn) for labels in (first, second)]
        scaled = [Estimate(*(part * drawn.hectares for part in vars(share).values())) for share in of_each]
        by_which = zip(("first", "second", "difference"), (*scaled, net.of(number)), strict=True)
        areas.append({"code": entry.code, "name": entry.name, **{name: _hectares(one) for name, one in by_which}})
    return areas


def _hectares(estimate: Estimate) -> dict[str, Any]:
    value, error, low, high = (float(part) for part in vars(estimate).values())
    return {"area_ha": value, "standard_error_ha": error, "interval_ha": [low, high]}


def _write(directory: Path, pair: _Pair, result: dict[str, Any], weights: NDArray[np.float64]) -> None:
    write_json(directory / FILES_OF_AGREEMENT[0], result)
    write_text(directory / FILES_OF_AGREEMENT[1], csv_of_rows(agreement_rows(result)))
    rows = _disagreements(pair, weights)
    if rows:
        text = StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(directory / FILES_OF_AGREEMENT[2], text.getvalue())
        write_geopackage(directory / FILES_OF_AGREEMENT[3], _again(pair, rows))


def _disagreements(pair: _Pair, weights: NDArray[np.float64]) -> list[Row]:
    """The points on which they differ, those that stand for most hectares first."""
    columns = {name: [answers.by_point(name) for answers in pair.answers] for name in ANSWER}
    rows = []
    order = np.argsort(-np.nan_to_num(weights), kind="stable")
    for one in order[pair.first[order] != pair.second[order]].tolist():
        at = int(pair.at[one])
        longitude, latitude = pair.drawn.lonlat[at].tolist()
        row: Row = {NUMBER: pair.drawn.numbers[at], PLACE[0]: f"{longitude:.7f}", PLACE[1]: f"{latitude:.7f}"}
        for name in ANSWER:
            row |= {f"first_{name}": columns[name][0][at], f"second_{name}": columns[name][1][at]}
        rows.append({**row, "hectares": "" if np.isnan(weights[one]) else round(float(weights[one]), 4)})
    return rows


def _again(pair: _Pair, rows: Sequence[Row]) -> "GeoDataFrame":
    """Points to be looked at again; they are marked as chosen, because they are not a sample of the area."""
    import pandas as pd
    from geopandas import GeoDataFrame, points_from_xy

    where = [pair.drawn.numbers.index(row[NUMBER]) for row in rows]
    return GeoDataFrame(
        {
            NUMBER: pair.drawn.frame[NUMBER].iloc[where].to_numpy(),
            METHOD: NON_PROBABILITY,
            LABEL: pd.Series([None] * len(rows), dtype="string"),
        },
        geometry=points_from_xy(*pair.drawn.lonlat[where].T),
        crs=LONLAT,
    )
