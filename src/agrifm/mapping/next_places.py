"""`agrifm samples next`: the places to label next, of a cube, the cubes of tiles, or a table with unlabelled places.

A cube is read window by window; memory holds one window, and of all pixels a sample of bounded size with its features
(`agrifm.inference.active_learning`). The places are marked as chosen, so that no design-based estimate uses them.

Shape letters: P places, K classes, F features.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from agrifm.area_tiles import LISTED, read_tile_list
from agrifm.calibration import calibrated
from agrifm.classic.classic_model import ClassicModel
from agrifm.classic.features import pixel_features
from agrifm.classic.numbers import Rows
from agrifm.classic.place_probabilities import place_probabilities
from agrifm.classic.table_rows import WITHOUT_NEIGHBOURS, table_rows
from agrifm.config import Project
from agrifm.cube.store import open_cube
from agrifm.errors import CubeError, LabelError, OutputError
from agrifm.files import AnyPath, as_path
from agrifm.grid import LONLAT, Window
from agrifm.inference.active_learning import CandidatePool, Candidates, choose_places, margin_uncertainty
from agrifm.inference.mean import mean_where_known, members_of
from agrifm.inference.predictor import TorchModel, TrainedModel, load_model, uncalibrated
from agrifm.legend import UNLABELLED
from agrifm.mapping.labelled_pixels import NOTHING, classes_in_window, training_pixels, training_shapes
from agrifm.mapping.predict import predict_windows
from agrifm.mapping.run import named_model, window_side
from agrifm.mapping.windows import MapPlan, plan_map
from agrifm.outputs import replace_file
from agrifm.point_columns import METHOD, NON_PROBABILITY, RANK
from agrifm.record import PARCELS_OF_TILES, TRAINING_DATA, require_classes, require_fit
from agrifm.samples.patches import read_patch
from agrifm.samples.project_table import project_table
from agrifm.samples.table import SeriesTable
from agrifm.samples.table_samples import TableSamples
from agrifm.vectors import read_vector
from agrifm.work import progress

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

CANDIDATES = 4000
"""Places with features that memory holds."""
FRAMES = 24
"""Equal steps of the season to which series are read for the features of distances."""
APART = 10
"""Least distance of two chosen places of a cube, pixels along rows or columns."""
TABLE_CHUNK = 1000
"""Places of a table that are predicted together."""
ZONE_COLUMNS = 10**7
"""Columns that are kept apart for a UTM zone: more than any has pixels."""
HOW = "uncertainty x distance in features, scarce classes first, ranked by area"
COLUMNS = (RANK, METHOD, "chosen_by", "model", "class", "second", "uncertainty", "gain", "place", "label")
"""Columns of the file. `label` is empty and is filled in after looking at the ground; `class` and `second` are the two
classes of highest probability; `gain` is uncertain hectares, in a table uncertain places, that resemble the place."""


def write_next_places(
    project: Project, number: int, out: AnyPath, model: AnyPath | None = None, seed: int = 0
) -> list[str]:
    """Write the places to label next, the one of most expected gain first, and describe them in lines.

    Args:
        number: of places.
        out: a .gpkg or .csv file, replaced only if it is one of this command without labels.
        model: model file; by default the one named under [map].
        seed: of the sample of pixels.

    Raises:
        LabelError: fewer than one place is asked for, or no place can be chosen.
        OutputError: `out` has another ending, or is another file.
        CubeError, ModelError, MapError: the cube or the model cannot be used.
    """
    out = as_path(out)
    about = f"writing places to label next to {out}"
    if out.suffix.lower() not in (".gpkg", ".csv"):
        raise OutputError(f"{about}: choose a name that ends in .gpkg or .csv", path=out)
    if number < 1:
        raise LabelError(f"choosing {number} places to label next: ask for one at least", number=number)
    path = named_model(project) if model is None else as_path(model)
    trained = load_model(path)
    require_classes(trained.record, about)
    if project.labels.on_cube and project.season.tiles is not None:
        frame, line = _of_tiles(project, trained, number, seed)
    elif project.labels.on_cube:
        frame, line = _of_cube(project, trained, number, seed)
    else:
        frame, line = _of_table(project_table(project), trained, number)
    frame.insert(3, "model", path.name)
    with replace_file(out, about, _is_unlabelled) as place:
        if out.suffix.lower() == ".gpkg":
            frame.to_file(place, driver="GPKG", layer=out.stem, engine="pyogrio")
        else:
            lonlat = frame.to_crs(LONLAT).geometry
            frame.drop(columns="geometry").assign(lon=lonlat.x, lat=lonlat.y).to_csv(place, index=False)
    return [line]


def _of_cube(project: Project, model: TrainedModel, number: int, seed: int) -> tuple["GeoDataFrame", str]:
    """The pixels of a cube to label next."""
    from geopandas import points_from_xy

    cube = open_cube(project.source)
    plan = plan_map(cube, model.record, window_side(project, model.record.side), 0)
    shapes = training_shapes(project.models / TRAINING_DATA, model.record.legend, seed)
    pool = CandidatePool(max(CANDIDATES, number))
    known = _offer(plan, model, shapes, pool, [seed])
    candidates = _required(pool, str(cube.path))
    chosen, gain, line = _chosen(candidates, known, number)
    row, col = candidates.facts[chosen, :2].T
    places = points_from_xy(plan.grid.x[col], plan.grid.y[row])
    names = [f"row {one}, column {other}" for one, other in zip(row.tolist(), col.tolist(), strict=True)]
    return _frame(model, candidates, chosen, gain, names, places, str(plan.grid.crs)), line


def _of_tiles(project: Project, model: TrainedModel, number: int, seed: int) -> tuple["GeoDataFrame", str]:
    """The pixels of the cubes of a divided area's tiles to label next.

    Rows and columns of candidates count from the origin of their zone, so that places are apart across tiles too, and
    columns of each zone begin at a multiple of `ZONE_COLUMNS`.

    Raises:
        ConfigError, LabelError, CubeError: the tiles are not listed, none has a cube, or their cubes differ in sensors.
    """
    from geopandas import points_from_xy

    place = project.path("tiles")
    tiles = [tile for tile in read_tile_list(place / LISTED) if project.of_tile(tile).is_fetched]
    if not tiles:
        raise CubeError(f"choosing places in the tiles of {place}: none has a cube; run `agrifm fetch`", path=place)
    zones = list(dict.fromkeys(tile.crs for tile in tiles))
    shapes = training_shapes(place / PARCELS_OF_TILES, model.record.legend, seed)
    pool, known, plans = CandidatePool(max(CANDIDATES, number)), list[tuple[Rows, NDArray[np.int64]]](), list[MapPlan]()
    for at, tile in enumerate(tiles):
        cube = open_cube(project.of_tile(tile).cube)
        plans.append(plan_map(cube, model.record, window_side(project, model.record.side), 0, lattice=True))
        if plans[-1].sensors != plans[0].sensors or plans[-1].grid.resolution != plans[0].grid.resolution:
            raise CubeError(
                f"choosing places in the tiles of {place}: the cubes of {tiles[0].name} and {tile.name} differ in "
                "their sensors, so their pixels are not compared; fetch the same sensors for all tiles",
                tiles=(tiles[0].name, tile.name),
            )
        left, _, _, top = plans[-1].grid.bounds
        resolution = plans[-1].grid.resolution
        corner = round(-top / resolution), round(left / resolution) + zones.index(tile.crs) * ZONE_COLUMNS
        known += _offer(plans[-1], model, shapes, pool, [seed, at], corner)
    candidates = _required(pool, str(place))
    chosen, gain, line = _chosen(candidates, known, number)
    row, col = candidates.facts[chosen, :2].T
    resolution = plans[0].grid.resolution
    x, y = (col % ZONE_COLUMNS + 0.5) * resolution, -(row + 0.5) * resolution
    lon, lat = np.zeros(len(x)), np.zeros(len(x))
    for zone, crs in enumerate(zones):
        here = col // ZONE_COLUMNS == zone
        lon[here], lat[here] = Transformer.from_crs(crs, LONLAT, always_xy=True).transform(x[here], y[here])
    codes = [zones[zone].removeprefix("EPSG:") for zone in (col // ZONE_COLUMNS).tolist()]
    names = [f"{zone}: {one:.0f} {other:.0f}" for zone, one, other in zip(codes, x, y, strict=True)]
    return _frame(model, candidates, chosen, gain, names, points_from_xy(lon, lat), LONLAT), line


def _offer(
    plan: MapPlan,
    model: TrainedModel,
    shapes: "GeoDataFrame | None",
    pool: CandidatePool,
    seeds: list[int],
    corner: tuple[int, int] = (0, 0),
) -> list[tuple[Rows, NDArray[np.int64]]]:
    """Offer the pixels of a cube to the pool; returns features and class numbers of labelled pixels, by window.

    Args:
        corner: row and column of the first pixel, from where those of candidates are counted.
    """
    training, known = training_pixels(shapes, plan), list[tuple[Rows, NDArray[np.int64]]]()
    with progress("predict", len(plan.windows)) as advance:
        for window, probabilities in predict_windows(plan.cube, uncalibrated(model), plan.windows.values()):
            if probabilities is not None:
                honest = calibrated(model.record.calibration, probabilities)
                known += _window_candidates(plan, window, honest, training, pool, seeds, corner)
            advance(1)
    return known


def _required(pool: CandidatePool, place: str) -> Candidates:
    """The candidates of a pool, of which there is at least one."""
    candidates = pool.candidates()
    if candidates is None:
        raise LabelError(
            f"choosing places to label next in {place}: the model is certain of every observed pixel, or all of "
            "them are labelled; nothing is to be gained by its uncertainty",
            candidates=0,
        )
    return candidates


def _chosen(
    candidates: Candidates, known: list[tuple[Rows, NDArray[np.int64]]], number: int
) -> tuple[NDArray[np.intp], NDArray[np.float64], str]:
    """Numbers of the chosen candidates, the gain of each, and a line."""
    labelled = np.concatenate([*(rows for rows, _ in known), candidates.rows[:0]])
    classes = np.concatenate([*(numbers for _, numbers in known), candidates.predicted[:0]])
    chosen, gain = choose_places(candidates, labelled, classes, number, candidates.facts[:, :2], APART)
    total = float(candidates.weight.sum())
    return (
        chosen,
        gain,
        f"{len(chosen)} places, which resemble {gain.sum():.0f} of {total:.0f} uncertain hectares; "
        f"{len(labelled)} labelled places were taken into account",
    )


def _window_candidates(
    plan: MapPlan,
    window: Window,
    probabilities: NDArray[np.float16],
    training: NDArray[np.intp],
    pool: CandidatePool,
    seeds: list[int],
    corner: tuple[int, int],
) -> Iterator[tuple[Rows, NDArray[np.int64]]]:
    """Offer the pixels of a window to the pool; yields the features and class numbers of its labelled pixels."""
    usable = plan.area.inside(window) & np.isfinite(probabilities[0]) & _first_seen(plan, window)
    known = np.where(usable, classes_in_window(training, window), NOTHING)
    labelled = known != NOTHING
    where = usable & ~labelled
    rows, cols = np.nonzero(where)
    found = probabilities[:, rows, cols].T.astype(np.float64)
    uncertainty = margin_uncertainty(found)
    weight = uncertainty * plan.grid.pixel_hectares()[window.row + rows]
    kept, priority = pool.admitted(weight, np.random.default_rng([*seeds, window.row, window.col]))
    if not len(kept) and not labelled.any():
        return
    sensors = plan.sensors
    sample = read_patch(plan.cube, window, sensors, plan.cube.season.steps(FRAMES))

    def features(pixels: NDArray[np.bool_]) -> Rows:
        return pixel_features(sample, pixels, sensors, WITHOUT_NEIGHBOURS, plan.cube.season.days)

    if len(kept):
        admitted = np.zeros(where.shape, bool)
        admitted[rows[kept], cols[kept]] = True
        top = np.argsort(-found[kept], axis=1, kind="stable")[:, :2]
        row, col = corner[0] + window.row + rows[kept], corner[1] + window.col + cols[kept]
        facts = np.column_stack([row, col, top])
        pool.add(Candidates(uncertainty[kept], weight[kept], facts, top[:, 0], features(admitted)), priority)
    if labelled.any():
        yield features(labelled), known[labelled]


def _first_seen(plan: MapPlan, window: Window) -> NDArray[np.bool_]:
    """The pixels of a window that no earlier one has: the last ones along an axis are moved back to end with it."""
    row, col = np.ogrid[: window.height, : window.width]
    before = [
        max((start for start in starts if start < first), default=-plan.side) + plan.side - first
        for starts, first in ((plan.rows, window.row), (plan.cols, window.col))
    ]
    return np.asarray((row >= before[0]) & (col >= before[1]))


def _of_table(table: SeriesTable, model: TrainedModel, number: int) -> tuple["GeoDataFrame", str]:
    """The unlabelled places of a table to label next."""
    from geopandas import points_from_xy

    inputs = {sensor.sensor: sensor for sensor in table.sensors}
    require_fit(model.record, inputs, "the series table")
    unlabelled = np.flatnonzero(table.label == UNLABELLED)
    probabilities = np.concatenate(
        [
            _place_answers(model, table.of(unlabelled[first : first + TABLE_CHUNK]))
            for first in range(0, len(unlabelled), TABLE_CHUNK)
        ]
        or [np.zeros((0, len(model.record.legend)), np.float32)]
    )
    observed = np.isfinite(probabilities).all(axis=1)
    places = unlabelled[observed]
    if not len(places):
        raise LabelError(
            f"choosing places to label next: of the table's {len(table)} places {len(unlabelled)} are without a label, "
            "and none of these has an observation; add series of places whose label is empty",
            unlabelled=len(unlabelled),
            observed=0,
        )
    uncertainty = margin_uncertainty(probabilities[observed])
    top = np.argsort(-probabilities[observed], axis=1, kind="stable")[:, :2]
    wanted = [sensor for sensor in model.record.sensors if sensor.sensor in inputs]
    rows = table_rows(table.of(places), wanted, FRAMES)
    labelled = table.of(np.flatnonzero(table.label != UNLABELLED))
    known = table_rows(labelled, wanted, FRAMES)
    candidates = Candidates(uncertainty, uncertainty, np.column_stack([places, places, top]), top[:, 0], rows)
    chosen, gain = choose_places(candidates, known, labelled.label, number)
    at = places[chosen]
    names = [table.place[one] if table.place else str(one) for one in at]
    frame = _frame(model, candidates, chosen, gain, names, points_from_xy(table.lon[at], table.lat[at]), LONLAT)
    return frame, (
        f"{len(chosen)} of {len(places)} places without a label; {len(known)} labelled places were taken into account"
    )


def _place_answers(model: TrainedModel, table: SeriesTable) -> NDArray[np.float32]:
    """Class probabilities (P, K) of the places of a table, calibrated; NaN without any observation."""
    answers, weights = [], []
    for member in members_of(uncalibrated(model)):
        one, record = member.model, member.model.record
        if isinstance(one, ClassicModel):
            observed = np.any([series.valid.any(axis=1) for series in table.series.values()], axis=0)
            found = np.where(observed[:, None], place_probabilities(one, table), np.float32(np.nan))
        else:
            places = TableSamples(table, record.series, record.frames)
            samples = [places[at] for at in range(len(table))]
            if isinstance(one, TorchModel):
                found = one.of_places(samples)
            else:
                found = np.stack([one.probabilities(sample)[:, 0, 0] for sample in samples])
            observed = np.array([sample.any_valid.any() for sample in samples])
            found = np.where(observed[:, None], found, np.float32(np.nan))
        answers.append(found)
        weights.append(member.weight)
    return np.asarray(calibrated(model.record.calibration, mean_where_known(answers, weights), axis=1), np.float32)


def _frame(
    model: TrainedModel,
    candidates: Candidates,
    chosen: NDArray[np.intp],
    gain: NDArray[np.float64],
    names: list[str],
    shapes: Any,
    crs: str,
) -> "GeoDataFrame":
    """The file's content, without the model's name."""
    import pandas as pd
    from geopandas import GeoDataFrame

    codes = np.array(model.record.legend.codes)
    first, second = candidates.facts[chosen, 2:].T
    content = {
        "rank": np.arange(1, len(chosen) + 1),
        METHOD: NON_PROBABILITY,
        "chosen_by": HOW,
        "class": codes[first],
        "second": codes[second],
        "uncertainty": candidates.uncertainty[chosen].round(4),
        "gain": gain.round(4),
        "place": names,
        "label": pd.Series([None] * len(chosen), dtype="string"),
    }
    return GeoDataFrame(content, geometry=shapes, crs=crs)


def _is_unlabelled(path: Path) -> bool:
    """Whether a file is one of this command, without labels."""
    try:
        frame = read_vector(path, f"reading {path}", LabelError).frame
    except LabelError:
        return False
    if not set(COLUMNS) <= set(frame.columns):
        return False
    return bool((frame["label"].fillna("").astype(str).str.strip() == "").all())
