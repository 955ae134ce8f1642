"""Cubes, models and maps as pictures and tables in Jupyter: `%load_ext agrifm.notebook`."""

from base64 import b64encode
from collections.abc import Callable, Iterable
from html import escape
from math import prod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agrifm.cube.store import Cube
    from agrifm.legend import LegendClass
    from agrifm.mapping.run import MapSummary
    from agrifm.record import ModelRecord

MOST_MASKS = 500_000_000
"""Pixels times dates up to which the coverage of a cube is drawn when it is shown, which reads all its masks."""
MAP_PICTURE = "map.png"
"""Of a map of classes, in its directory."""


def cube_html(cube: "Cube") -> str:
    """Return what a cube contains as HTML, and where and when it was observed as a picture if it is not too large."""
    from agrifm.cube.coverage import coverage_png
    from agrifm.cube.info import describe_cube

    masks = sum(prod(sensor.grid.shape) * len(sensor.date) for sensor in cube.sensors.values())
    text = _details("Record of the cube", f"<pre>{escape(chr(10).join(describe_cube(cube)))}</pre>")
    if masks > MOST_MASKS:
        return f"<p>{escape(_sensors(cube))}. `agrifm cube info --picture` draws when it was observed.</p>{text}"
    return _picture(coverage_png(cube), f"Usable observations of {_sensors(cube)}") + text


def _sensors(cube: "Cube") -> str:
    counts = [f"{len(sensor.date)} dates of {name}" for name, sensor in cube.sensors.items()]
    return f"{', '.join(counts)} from {cube.season.start} to {cube.season.end}"


def model_html(model: Any) -> str:
    """Return what a model knows and expects as HTML.

    Args:
        model: a trained model, whose `record` says it.
    """
    record: ModelRecord = model.record
    rows = [
        ("task", record.task),
        ("season", f"{record.season[0]} to {record.season[1]}"),
        ("series", f"{record.series}, {record.frames} steps"),
        *((sensor.sensor, f"{', '.join(sensor.bands)} ({sensor.quantity})") for sensor in record.sensors),
        ("calibration", "none" if record.calibration is None else record.calibration.describe()),
    ]
    lines = [f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows]
    head = f"<p>Model <b>{escape(record.name)}</b> of the family {escape(record.family)}</p>"
    return f"{head}<table>{''.join(lines)}</table><p>{_swatches(record.legend.classes)}</p>"


def map_html(summary: "MapSummary") -> str:
    """Return a map as a picture with the hectares of its classes, and sentences on how far it can be trusted.

    Hectares are counted pixels, as in `agrifm map`; `agrifm assess` estimates them.
    """
    path = summary.path / MAP_PICTURE
    picture = _picture(path.read_bytes(), f"The map in {summary.path}") if path.exists() else ""
    rows = sorted(summary.hectares.items(), key=lambda one: -one[1])
    cells = [f"<tr><th>{escape(code)}</th><td>{hectares:,.1f}</td></tr>" for code, hectares in rows]
    head = "<tr><th>Class</th><th>Hectares on the map</th></tr>"
    notes = "".join(f"<p>{escape(line)}</p>" for line in (*summary.notes, *summary.trust))
    return picture + _details("Hectares on the map", f"<table>{head}{''.join(cells)}</table>") + notes


DISPLAYS: dict[tuple[str, str], Callable[[Any], str]] = {
    ("agrifm.cube.store", "Cube"): cube_html,
    ("agrifm.mapping.run", "MapSummary"): map_html,
    ("agrifm.inference.predictor", "TorchModel"): model_html,
    ("agrifm.inference.mean", "MeanModel"): model_html,
    ("agrifm.inference.onnx", "ExportedModel"): model_html,
    ("agrifm.classic.classic_model", "ClassicModel"): model_html,
}
"""How things are shown, by module and name of their class; none of these modules is imported for it."""


def load_ipython_extension(shell: Any) -> None:
    """Show cubes, models and maps in a notebook; Jupyter calls it for `%load_ext agrifm.notebook`."""
    formatter = shell.display_formatter.formatters["text/html"]
    for (module, name), show in DISPLAYS.items():
        formatter.for_type_by_name(module, name, show)


def _picture(png: bytes, alternative: str) -> str:
    address = f"data:image/png;base64,{b64encode(png).decode()}"
    return f'<img src="{address}" alt="{escape(alternative)}" style="max-width: 100%">'


def _details(title: str, content: str) -> str:
    return f"<details><summary>{escape(title)}</summary>{content}</details>"


def _swatches(classes: Iterable["LegendClass"]) -> str:
    return " ".join(
        f'<span style="border-left: 1em solid {escape(entry.color)}; padding-left: .3em">{escape(entry.name)}</span>'
        for entry in classes
    )
