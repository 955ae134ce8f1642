"""`agrifm samples check`: doubtful labels of a project, in a file to look at on a map."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from shapely import box

from agrifm.classic.classics import fit_classic
from agrifm.classic.table_rows import table_columns, table_rows
from agrifm.codes import read_codes
from agrifm.config import Project
from agrifm.errors import LabelError, OutputError
from agrifm.files import AnyPath, as_path
from agrifm.grid import LONLAT, utm_zone
from agrifm.legend import Legend
from agrifm.outputs import replace_file
from agrifm.samples.label_quality import Fault, shape_faults, table_faults
from agrifm.samples.project_table import project_table
from agrifm.samples.table import SeriesTable
from agrifm.train.combination import Fitted, Probability
from agrifm.train.label_review import Review, review_labels
from agrifm.train.parcel_review import review_parcels
from agrifm.train.tile_training import parcels_of_tiles
from agrifm.vectors import read_vector

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

JUDGE = "extra-trees"
"""The classic model that judges labels: fast, and hard to mislead by single wrong labels."""
FRAMES = 24
"""Equal steps of the season to which it reads series."""
COLUMNS = ("rank", "row", "code", "kind", "reason")
"""Columns of the file, and the position; `rank` 1 is the most doubtful."""


def check_labels(project: Project, out: AnyPath, seed: int = 0) -> list[str]:
    """Write the doubtful labels of a project, and describe them in lines.

    Of every label: is the same place in the file twice, does it overlap a shape of another class, is it near land? Of a
    series table, and of parcels and points with a cube, also: what does a model of other blocks call it?

    Of a divided area, the table of the parcels of all tiles is checked.

    Args:
        out: a .gpkg file, replaced only if it is one of this command.

    Raises:
        LabelError: the labels cannot be read, or are a raster.
        OutputError: `out` has another ending, or is another file.
    """
    out = as_path(out)
    if out.suffix.lower() != ".gpkg":
        raise OutputError(f"writing doubtful labels to {out}: choose a name that ends in .gpkg", path=out)
    if project.season.tiles is not None and project.labels.on_cube:
        of_table, note = parcels_of_tiles(project)
        frame, lines = _of_table(project_table(of_table), seed)
        lines = [f"{note}; `row` counts the parcels of this table from 0", *lines]
    elif not project.labels.on_cube:
        frame, lines = _of_table(project_table(project), seed)
    else:
        frame, lines = _of_shapes(project, seed)
    with replace_file(out, f"writing doubtful labels to {out}", _is_ours) as place:
        frame.to_file(place, driver="GPKG", layer=out.stem, engine="pyogrio")
    return lines


def _of_table(table: SeriesTable, seed: int) -> tuple["GeoDataFrame", list[str]]:
    from geopandas import points_from_xy

    review = review_labels(table, _judge, seed)
    faults = [*table_faults(table), *_doubts(review, np.arange(len(table)), table.legend, table.label)]
    codes = [table.legend.codes[number] if number < len(table.legend) else "" for number in table.label]
    places = points_from_xy(table.lon, table.lat)
    return _frame(faults, codes, np.asarray(places), LONLAT), [*table.notes, *_lines(faults, len(table))]


def _judge(training: SeriesTable, validation: SeriesTable, seed: int) -> Fitted:
    """Train the model that judges."""
    sensors = training.sensors
    model = fit_classic(
        JUDGE,
        table_rows(training, sensors, FRAMES),
        training.label,
        groups=training.block,
        seed=seed,
        columns=table_columns(sensors, FRAMES),
    )

    def probabilities(table: SeriesTable) -> Probability:
        result = np.zeros((len(table), len(table.legend)), np.float32)
        result[:, model.classes] = model.probabilities(table_rows(table, sensors, FRAMES))
        return result

    return Fitted(probabilities)


def _doubts(review: Review, rows: NDArray[np.integer], legend: Legend, label: NDArray[np.integer]) -> list[Fault]:
    """The labels that are likely wrong, the most doubtful first.

    Args:
        rows: (P,), of the places in their file, from 0.
        label: (P,), class numbers.
    """
    doubts = []
    for place in review.order:
        if review.doubtful[place]:
            given, other = label[place], review.suggested[place]
            probability = review.probability[place]
            doubts.append(
                Fault(
                    int(rows[place]),
                    "label",
                    f"{JUDGE} of other blocks: {legend.codes[other]} {probability[other]:.0%}, "
                    f"{legend.codes[given]} {probability[given]:.0%}",
                )
            )
    return doubts


def _of_cube(project: Project, seed: int) -> tuple[list[Fault], list[str]]:
    """The likely wrong labels of the project's parcels, and why they are not ranked, if they are not."""
    if not project.cube.exists():
        return [], ["labels that are likely wrong are not ranked: there is no cube yet; `agrifm fetch` makes it"]
    try:
        review, rows, legend, label = review_parcels(project, JUDGE, seed)
    except LabelError as error:
        return [], [f"labels that are likely wrong are not ranked: {error}"]
    return _doubts(review, rows, legend, label), []


def _of_shapes(project: Project, seed: int) -> tuple["GeoDataFrame", list[str]]:
    config = project.labels
    file = project.path(config.file or "")
    layer = read_vector(file, f"checking the labels {file}", LabelError, keys=config)
    frame = layer.frame
    if config.column not in frame.columns:
        columns = [str(name) for name in frame.columns if name != frame.geometry.name]
        raise LabelError(
            f"checking the labels {file}: it has no column '{config.column}' (its columns: {', '.join(columns)}); "
            "name it with `column` under [labels]",
            column=config.column,
            columns=columns,
        )
    codes, notes = read_codes(frame[config.column])
    labelled = np.flatnonzero(np.array(codes) != "")
    whole, frame = frame, frame.assign(code=codes).iloc[labelled].reset_index(drop=True)
    metres = utm_zone(box(*frame.geometry.to_crs(LONLAT).total_bounds))
    legend = Legend.of(sorted(set(frame["code"])))
    placed = frame.to_crs(metres)
    doubts, reasons = _of_cube(project, seed)
    faults = [*shape_faults(placed, legend.encode(frame["code"].to_numpy()), legend.codes, labelled), *doubts]
    result = _frame(faults, codes, np.asarray(whole.geometry), str(frame.crs))
    return result, [*layer.notes, *notes, *reasons, *_lines(faults, len(frame))]


def _frame(faults: list[Fault], codes: list[str], shapes: NDArray[np.object_], crs: str) -> "GeoDataFrame":
    from geopandas import GeoDataFrame

    rows = [fault.place for fault in faults]
    content = {
        "rank": np.arange(1, len(faults) + 1),
        "row": [row + 1 for row in rows],
        "code": [codes[row] for row in rows],
        "kind": [fault.kind for fault in faults],
        "reason": [fault.text for fault in faults],
    }
    return GeoDataFrame(content, geometry=shapes[rows], crs=crs)


def _lines(faults: list[Fault], labels: int) -> list[str]:
    counts = Counter(fault.kind for fault in faults)
    lines = [
        f"{labels} labels: {counts['place']} places not near land, {counts['duplicate']} named twice, "
        f"{counts['conflict']} in conflict with another, {counts['label']} likely wrong"
    ]
    return [*lines, *(f"row {fault.place + 1}, {fault.kind}: {fault.text}" for fault in faults[:10])]


def _is_ours(path: Path) -> bool:
    from pyogrio import read_info
    from pyogrio.errors import DataSourceError

    try:
        return list(read_info(path)["fields"]) == list(COLUMNS)
    except DataSourceError:
        return False
