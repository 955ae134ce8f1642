"""What interpreters label points with: a table, or KML for virtual globes."""

from pathlib import Path

from agrifm.assess.class_map import read_map
from agrifm.assess.interpreter_points import points_csv, points_kml, read_interpreter_points
from agrifm.errors import OutputError
from agrifm.files import AnyPath, as_path, write_text
from agrifm.outputs import writing_file

SUFFIXES = (".csv", ".kml")


def write_form(points: AnyPath, map_path: AnyPath, out: AnyPath) -> list[str]:
    """Write points for interpreters as a table (.csv) or for virtual globes (.kml).

    Args:
        points: the file that `agrifm assess design` wrote.
        map_path: the map they were drawn for.
        out: a file that does not exist yet; its suffix says what is written.

    Returns:
        Sentences on what was written.

    Raises:
        AssessmentError: the points or the map cannot be used.
        OutputError: `out` exists, or has another suffix.
    """
    points, out = as_path(points), as_path(out)
    doing = f"writing points for interpreters to {out}"
    suffix = _suffix(out, doing)
    with writing_file(out, doing):
        drawn = read_interpreter_points(points)
        write_text(out, points_csv(drawn) if suffix == ".csv" else points_kml(drawn, read_map(map_path)))
    return [f"wrote {out} with {len(drawn.numbers)} points"]


def _suffix(out: Path, doing: str) -> str:
    suffix = out.suffix.lower()
    if suffix not in SUFFIXES:
        raise OutputError(f"{doing}: choose a name that ends in {' or '.join(SUFFIXES)}", path=out, suffixes=SUFFIXES)
    return suffix
