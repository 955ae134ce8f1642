"""`agrifm demo`: simulate, fetch, train, map and assess, offline, with the time of each stage."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from agrifm.config import PROJECT_FILE, read_project
from agrifm.errors import AssessmentError, OutputError
from agrifm.files import MARKER, AnyPath, as_path, translate_os_errors, write_geopackage, write_json, write_text
from agrifm.legend import LEGEND_TAG, Legend
from agrifm.outputs import writing
from agrifm.page_address import LOOPBACK, PORT
from agrifm.process_memory import peak_bytes
from agrifm.rasters import open_raster
from agrifm.scores import interval_words
from agrifm.season import Season
from agrifm.vectors import read_vector

PROJECT = """\
# The demo's project: a simulated season. `agrifm fetch`, `train` and `map` work here as on any other project.
[season]
area = "season/area.geojson"
start = {season.start}
end = {season.end}

[imagery]
catalog = "season/catalog.json"
products = [{products}]

[labels]
file = "season/truth/parcels.gpkg"
column = "crop"
legend = "season/truth/legend.json"
other = "season/truth/landcover.tif"
other_values = [10, 50, 80]
block = 480

[model]
frames = {frames}
side = 48
steps = {steps}
batch = 4
learning_rate = 3e-3

[map]
window = {window}
"""
STAGES = {
    "simulate": "a season of satellite scenes with known crops",
    "fetch": "one cube from all scenes, without clouds",
    "train": "AgriFM and the best classic model learn from fields, and are tested on blocks that they have not seen",
    "map": "the crop of every pixel, and the confidence",
    "assess": "accuracy and hectares with intervals, from reference points",
}
"""What each stage does."""


@dataclass(frozen=True)
class DemoSize:
    """How large a demo is, and what each stage takes on two cores, from which the remaining time is estimated."""

    kilometres: float
    season: Season
    products: tuple[str, ...]
    frames: int
    steps: int
    window: int
    reference_points: int
    seconds: dict[str, float]

    @property
    def project(self) -> str:
        """The project file."""
        names = ", ".join(f'"{name}"' for name in self.products)
        return PROJECT.format(
            season=self.season, products=names, frames=self.frames, steps=self.steps, window=self.window
        )


WHOLE = DemoSize(
    # Large enough for over 70 unseen blocks of 480 m with 15 parcels of each of nine crops.
    kilometres=7.5,
    season=Season(date(2024, 3, 1), date(2024, 10, 31)),
    products=("sentinel-2-c1-l2a", "landsat-c2-l2", "modis-09A1-061"),
    frames=24,
    steps=800,
    window=192,
    reference_points=400,
    seconds={"simulate": 80, "fetch": 64, "train": 490, "map": 78, "assess": 3},
)
SMALL = DemoSize(
    kilometres=1.92,
    season=Season(date(2024, 4, 1), date(2024, 9, 30)),
    products=("sentinel-2-c1-l2a",),
    frames=12,
    steps=40,
    window=96,
    reference_points=150,
    seconds={"simulate": 15, "fetch": 7, "train": 21, "map": 6, "assess": 1},
)
"""Shows that an installation works from scenes to hectares; too small for good models and narrow intervals."""
FIRST_PICTURE, CLEAR = "first-picture.png", 5.0
"""Picture of the first scene of Sentinel-2 with at most so much cloud, percent."""
PART = "outside-training-parcels.tif"
"""The part of the map that is assessed."""


def demo(directory: AnyPath, small: bool = False) -> dict[str, Any]:
    """Run every stage on a simulated season, in a new directory or that of an earlier demo; a stopped demo continues.

    Args:
        small: the small size, to see in a minute whether everything works.

    Returns:
        The report, as written to `report/report.json`.

    Raises:
        OutputError: the directory holds other files, or the disk is full.
    """
    directory = as_path(directory)
    with writing(directory, "demo"):
        return _run_stages(directory, SMALL if small else WHOLE)


def _run_stages(directory: Path, size: DemoSize) -> dict[str, Any]:
    from agrifm.assess.reference_data import find_training_data
    from agrifm.assess.report import assess
    from agrifm.cube.fetch import fetch
    from agrifm.mapping.run import map_project
    from agrifm.simulator.catalog import simulate
    from agrifm.train.run import train

    _begin(directory, size.project)
    project = read_project(directory)
    season, points, report = directory / "season", directory / "reference.gpkg", directory / "report"
    seconds: dict[str, float] = {}
    with _stage("simulate", seconds, size):
        if not (season / MARKER).exists():
            picture = _FirstPicture(directory / FIRST_PICTURE)
            simulate(season, size=size.kilometres, season=size.season, on_scene=picture)
    with _stage("fetch", seconds, size):
        _, account = fetch(project)
    with _stage("train", seconds, size):
        train(project)
    with _stage("map", seconds, size):
        map_project(project)
    with _stage("assess", seconds, size):
        classes = project.maps / "classes.tif"
        truth, part, parcels = season / "truth" / "crops.tif", directory / PART, find_training_data(classes)
        assert parcels is not None, "`agrifm train` writes them, and `agrifm map` leads to them"
        draw_reference(classes, parcels, truth, points, part, size.reference_points, project.model.seed)
        result = assess(
            part,
            points,
            project.assess.column,
            report,
            scores=project.models / "scores.json",
            training=parcels,
            truth=truth,
            whole_map=classes,
        )
    peak = peak_bytes() / 1e9
    write_json(directory / "stages.json", {"seconds": seconds, "peak_memory_gb": round(peak, 3)})
    _summary(directory, account, seconds, peak, result)
    return result


def draw_reference(
    classes: AnyPath, parcels: AnyPath, truth: AnyPath, points: AnyPath, part: AnyPath, count: int, seed: int
) -> None:
    """Draw reference points on the land outside the training parcels, and label them with the truth.

    Args:
        classes: the map.
        parcels: polygons that the model was trained on; points there would flatter the map.
        truth: raster of true classes with its legend.
        points: GeoPackage of labelled points to write.
        part: GeoTIFF to write, the map outside the parcels; it is what the points are a sample of.
        count: how many points.
    """
    from agrifm.assess.design import draw_points
    from agrifm.assess.outside_parcels import write_outside

    points = as_path(points)
    drawn = points.with_name(f"{points.stem}-drawn.gpkg")
    write_outside(classes, parcels, part)
    draw_points(part, count, seed, drawn)
    _visit(drawn, as_path(truth), points)


def _begin(directory: Path, project: str) -> None:
    """Write the marker and the project file; a project file that was edited is kept, and refused.

    The marker comes first, so that a demo that is killed at any moment can continue.
    """
    file = directory / PROJECT_FILE
    with translate_os_errors(f"writing the demo {directory}"):
        if file.exists() and file.read_text(encoding="utf-8", errors="replace") != project:
            raise OutputError(
                f"writing the demo {directory}: its {PROJECT_FILE} was edited, or is of another size or "
                "version of agrifm; run the stages one by one (`agrifm fetch`, ...), or choose another directory",
                path=file,
            )
        write_json(directory / MARKER, {"kind": "demo"})
        write_text(file, project)


class _FirstPicture:
    """Draws the first clear scene of Sentinel-2 as soon as it is written, and shows it."""

    def __init__(self, out: Path) -> None:
        self.out, self.start, self.done = out, time.perf_counter(), False

    def __call__(self, item: Any, folder: Path) -> None:
        clear = item.properties.get("eo:cloud_cover", 100) <= CLEAR
        if self.done or not (clear and str(item.collection_id).startswith("sentinel-2")):
            return
        from rich.console import Console

        from agrifm.first_picture import draw_true_colour, print_picture

        self.done = True
        print_picture(draw_true_colour(folder, self.out), Console(stderr=True))
        waited = time.perf_counter() - self.start
        print(f"agrifm demo: {item.datetime:%d %B %Y} from above, after {waited:.0f} s: {self.out}", file=sys.stderr)


def seconds_left(spent: dict[str, float], usual: dict[str, float]) -> float:
    """Estimate the seconds of the stages that are not in `spent`, from how fast the finished ones were.

    Stages that only continued, in less than a fifth of their time, say nothing about the speed.
    """
    known = {name: took for name, took in spent.items() if took >= usual[name] / 5}
    speed = sum(known.values()) / sum(usual[name] for name in known) if known else 1.0
    return speed * sum(seconds for name, seconds in usual.items() if name not in spent)


@contextmanager
def _stage(name: str, seconds: dict[str, float], size: DemoSize) -> Iterator[None]:
    number, left = list(STAGES).index(name) + 1, seconds_left(seconds, size.seconds)
    time_left = f"about {left / 60:.0f} min left" if left >= 60 else "less than a minute left"
    so_far = f"{sum(seconds.values()) / 60:.1f} min so far, " if seconds else ""
    print(f"agrifm demo: {name}, {number} of {len(STAGES)}: {STAGES[name]} ({so_far}{time_left})", file=sys.stderr)
    start = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - start


def _visit(drawn: Path, truth: Path, points: Path) -> None:
    """Write reference points with the truth in the label column, as after a field visit."""
    frame = read_vector(drawn, f"labelling {drawn}", AssessmentError).frame
    with open_raster(truth) as source:
        legend = Legend.model_validate_json(source.tags()[LEGEND_TAG])
        moved = frame.to_crs(source.crs)
        values = [int(value[0]) for value in source.sample(zip(moved.geometry.x, moved.geometry.y, strict=True))]
    frame["label"] = [legend.codes[value] for value in values]
    write_geopackage(points, frame)
    drawn.unlink()


def _summary(
    directory: Path, account: list[str], seconds: dict[str, float], peak: float, report: dict[str, Any]
) -> None:
    """Print tables of stages, models and areas, and the paths to open."""
    from rich.console import Console
    from rich.table import Table

    from agrifm.train.score_lines import describe_differences

    console = Console(width=100, markup=False)
    stages = Table(title="Stages", title_justify="left")
    stages.add_column("stage")
    stages.add_column("seconds", justify="right")
    for name, spent in seconds.items():
        stages.add_row(name, f"{spent:.0f}")
    stages.add_row("all", f"{sum(seconds.values()):.0f}")
    models = Table(title="On blocks that no model has seen", title_justify="left")
    for column in ("model", "overall accuracy", "macro F1", "macro F1, parcels"):
        models.add_column(column, justify="left" if column == "model" else "right")
    for name, scores in report["models"].items():
        accuracy, macro_f1 = _interval(scores, "overall_accuracy"), _interval(scores, "macro_f1")
        models.add_row(name, accuracy, macro_f1, _share(scores["macro_f1_parcels"]))
    areas = Table(title="Area of each class, with 95 % interval", title_justify="left")
    for column in ("class", "mapped ha", "estimated ha", "±"):
        areas.add_column(column, justify="left" if column == "class" else "right")
    for entry in report["areas"]:
        half = (entry["interval_ha"][1] - entry["interval_ha"][0]) / 2
        areas.add_row(entry["name"], f"{entry['mapped_ha']:.0f}", f"{entry['area_ha']:.0f}", f"{half:.0f}")
    for table in (stages, models):
        console.print(table)
    for sentence in describe_differences(report["unseen_blocks"].get("differences", [])):
        console.print(f"macro F1, {sentence}", highlight=False)
    console.print(areas)
    console.print(f"peak memory {peak:.1f} GB")
    console.print("\n".join(account))
    console.print(f"open  {directory / 'report' / 'report.html'}\n      {directory / 'map' / 'map.png'}")
    console.print(f"      {directory / 'map' / 'classes.tif'} (opens in QGIS with its colours)", highlight=False)
    page = f"http://{LOOPBACK}:{PORT}/"
    console.print(f"look  agrifm serve {directory}, then {page} (all of it on a page)", highlight=False)


def _share(score: float | None) -> str:
    return "–" if score is None else f"{score:.2f}"


def _interval(scores: dict[str, Any], key: str) -> str:
    return f"{scores[key]:.2f} ({interval_words(scores[f'{key}_interval'], '.2f')})"
