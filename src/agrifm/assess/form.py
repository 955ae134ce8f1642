"""What interpreters label points with: a form that works without a network, a table, or KML for virtual globes."""

from collections.abc import Sequence
from pathlib import Path

from agrifm.assess.interpreter_points import (
    InterpreterPoints,
    label_classes,
    points_csv,
    points_kml,
    read_interpreter_points,
)
from agrifm.assess.zoned_map import read_assessed_map
from agrifm.errors import AssessmentError, OutputError, require_installed
from agrifm.files import AnyPath, as_path, write_text
from agrifm.outputs import writing_file

SUFFIXES = (".html", ".csv", ".kml")


def write_form(
    points: AnyPath,
    map_path: AnyPath,
    out: AnyPath,
    season: AnyPath | None = None,
    also: Sequence[str] = (),
    seed: int = 0,
) -> list[str]:
    """Write points for interpreters as a form (.html), as a table (.csv) or for virtual globes (.kml).

    Args:
        points: the file that `agrifm assess design` wrote.
        map_path: the map they were drawn for, whose classes labels may have.
        out: a file that does not exist yet; its suffix says what is written.
        season: project or cube from which a form shows pictures and curves; without it there are none.
        also: further classes that a form offers, each as a code or `code=name`.
        seed: of the order in which a form shows the points.

    Returns:
        Sentences on what was written.

    Raises:
        AssessmentError: the points or the map cannot be used, or jinja2 or matplotlib is not installed.
        CubeError: the season has no finished cube, or it is damaged.
        OutputError: `out` exists, or has another suffix.
    """
    points, out = as_path(points), as_path(out)
    doing = f"writing points for interpreters to {out}"
    suffix = _suffix(out, doing)
    if suffix == ".html":
        require_installed(doing, "report", "jinja2", "matplotlib", kind=AssessmentError)
    notes: list[str] = []
    with writing_file(out, doing):
        drawn = read_interpreter_points(points)
        if suffix == ".csv":
            text = points_csv(drawn)
        elif suffix == ".kml":
            text = points_kml(drawn, read_assessed_map(map_path))
        else:
            text, notes = _form(drawn, map_path, season, also, points.stem, seed)
        write_text(out, text)
    size = f", {out.stat().st_size / 1e6:.1f} MB" if suffix == ".html" else ""
    return [*(f"note: {note}" for note in notes), f"wrote {out} with {len(drawn.numbers)} points{size}"]


def _form(
    drawn: InterpreterPoints, map_path: AnyPath, season: AnyPath | None, also: Sequence[str], stem: str, seed: int
) -> tuple[str, list[str]]:
    """The page, and notes on what it cannot show."""
    from agrifm.assess.form_page import render_form
    from agrifm.assess.point_cubes import find_point_cubes

    classes = label_classes(read_assessed_map(map_path).legend, also)
    cubes = None if season is None else find_point_cubes(season, drawn.frame)
    return render_form(drawn, classes, cubes, stem, seed)


def _suffix(out: Path, doing: str) -> str:
    suffix = out.suffix.lower()
    if suffix not in SUFFIXES:
        raise OutputError(
            f"{doing}: choose a name that ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}",
            path=out,
            suffixes=SUFFIXES,
        )
    return suffix
