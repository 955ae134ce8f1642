"""The form in which an interpreter labels points: one HTML file that needs no network, driven by keys.

Neither the class of the map nor the stratum of a point is in it. Its content security policy lets the browser load
nothing from anywhere and run no other script than the form's.
"""

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from string import ascii_lowercase, digits
from typing import TYPE_CHECKING, Any

import numpy as np

from agrifm.assess.color_pictures import picture_kinds
from agrifm.assess.index_curves import IndexCurve, curve_names, index_ranges, pixel_metres
from agrifm.assess.interpreter_points import InterpreterPoints
from agrifm.assess.page import page_environment
from agrifm.assess.point_cubes import PointCubes
from agrifm.assess.point_season import (
    CHIP_METRES,
    PointReader,
    PointSeason,
    chip_side,
    open_point_reader,
    picture_sensor,
    read_point_seasons,
    season_months,
)
from agrifm.cube.store import Cube
from agrifm.legend import LegendClass
from agrifm.season import EPOCH, day_date, day_number
from agrifm.sensors import SENSORS

if TYPE_CHECKING:
    from jinja2 import Template

TEMPLATE_OF_FORM, SCRIPT, STYLE = "form.html.jinja", "form.js", "form_style.css.jinja"
TAKEN = "bcnsu"
"""Letters that do something else in the form than choose a class."""
KEYS = (*digits[1:], *(letter for letter in ascii_lowercase if letter not in TAKEN))
"""Keys of the classes, in their order; further classes are found by their name."""
SAMPLE = 12
"""Points that a served form reads before it opens."""
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
BAND_WORDS = {
    "nir": "near infrared", "swir16": "short-wave infrared", "red": "red", "green": "green", "blue": "blue",
}  # fmt: skip


def render_form(
    points: InterpreterPoints, classes: Sequence[LegendClass], cubes: PointCubes | None, stem: str, seed: int
) -> tuple[str, list[str]]:
    """Return the form, and notes on what it cannot show.

    Args:
        points: what is to be labelled.
        classes: that labels may have.
        cubes: of the season that is shown; None shows points without pictures and curves.
        stem: name of the file of points, which is the form's title and begins the name of saved answers.
        seed: of the order in which points are shown.
    """
    cube = None if cubes is None else cubes.first
    seasons = [] if cubes is None else list(read_point_seasons(cubes, points.frame))
    order = _order(points, seed)
    shown = [{**_place(points, at), **_point(seasons[at] if seasons else None)} for at in order]
    data = {
        **_about(points, classes, cube, stem),
        "ranges": index_ranges(curve for season in seasons for curve in season.curves),
        "points": shown,
    }
    notes = _notes(cube, [season.inside for season in seasons])
    blind = sum(one.inside and not one.months for one in seasons)
    if blind and cube is not None and picture_sensor(cube) is not None:
        notes.append(f"{blind} of {len(seasons)} points have no month with a clear observation")
    script = form_script()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = _template().render(
        title=stem, count=len(points.numbers), notes=notes, data=data, script=script, script_digest=digest, served=None
    )
    return page, notes


@dataclass(frozen=True)
class ServedForm:
    """The form of a server that keeps the answers, and gives each point when it is looked at."""

    page: str
    order: Sequence[int]
    """Numbers of the points, as they are shown."""
    reader: PointReader | None
    """None without a season."""

    def point(self, place: int) -> dict[str, Any]:
        """What is shown of the point at a place of the order: its months, pictures and curves.

        Raises:
            CubeError: the cube is damaged.
        """
        return _point(None if self.reader is None else self.reader.read(self.order[place]))


def served_form(
    points: InterpreterPoints,
    classes: Sequence[LegendClass],
    cubes: PointCubes | None,
    stem: str,
    seed: int,
    interpreters: Sequence[str],
    advance: Callable[[int], None],
) -> ServedForm:
    """Return the form for a server that keeps the answers; its scripts and its style are files of the server.

    The first `SAMPLE` points in the order in which they are shown decide the brightness of pictures and the range of
    curves, and are read here.

    Args:
        points, classes, cubes, stem, seed: see `render_form`.
        interpreters: names of those who may answer.
        advance: is called with 1 after each of these points.
    """
    order = _order(points, seed)
    first, cube = order[:SAMPLE], None if cubes is None else cubes.first
    reader = None if cubes is None else open_point_reader(cubes, points.frame, first, advance)
    data = {
        **_about(points, classes, cube, stem),
        "ranges": {} if reader is None else index_ranges(curve for at in first for curve in reader.read(at).curves),
        "points": [_place(points, at) for at in order],
    }
    notes = _notes(cube, [] if reader is None else reader.inside)
    served = {"names": list(interpreters)}
    page = _template().render(title=stem, count=len(points.numbers), notes=notes, data=data, served=served)
    return ServedForm(page, order, reader)


def form_script() -> str:
    """Return what the form does."""
    return files("agrifm.assess").joinpath(SCRIPT).read_text(encoding="utf-8")


def form_style() -> str:
    """Return how the form looks."""
    return page_environment().get_template(STYLE).render()


def _template() -> "Template":
    return page_environment().get_template(TEMPLATE_OF_FORM)


def _order(points: InterpreterPoints, seed: int) -> list[int]:
    return [int(at) for at in np.random.default_rng(seed).permutation(len(points.numbers))]


def _about(points: InterpreterPoints, classes: Sequence[LegendClass], cube: Cube | None, stem: str) -> dict[str, Any]:
    """What the script is to know of all points."""
    return {
        "digest": _digest(points, classes),
        "stem": stem,
        "classes": [
            {"code": entry.code, "name": entry.name, "color": entry.color, "key": key}
            for entry, key in zip(classes, (*KEYS, *[None] * len(classes)), strict=False)
        ],
        **_about_season(cube),
    }


def _notes(cube: Cube | None, inside: Sequence[bool]) -> list[str]:
    """Return what an interpreter is to know of the pictures before beginning, as sentences without their full stop.

    Args:
        inside: whether each point is inside the cube.
    """
    if cube is None:
        return ["there are no pictures, because the form was made without a season (`--season`)"]
    notes = []
    if not all(inside):
        outside = len(inside) - sum(inside)
        notes.append(f"{outside} of {len(inside)} points are outside the season's cube, and nothing is shown of them")
    return notes if picture_sensor(cube) is not None else [*notes, _no_pictures(cube)]


def _no_pictures(cube: Cube) -> str:
    return (
        f"there are no pictures, because no sensor of the cube ({', '.join(cube.sensors)}) has bands for a colour "
        "picture in pixels that are small enough"
    )


def _digest(points: InterpreterPoints, classes: Sequence[LegendClass]) -> str:
    """What tells the answers of these points and classes from those of other forms in the same browser."""
    rows = [f"{number} {x:.7f} {y:.7f}" for number, (x, y) in zip(points.numbers, points.lonlat.tolist(), strict=True)]
    return hashlib.sha256("\n".join([*rows, *(entry.code for entry in classes)]).encode()).hexdigest()[:16]


def _about_season(cube: Cube | None) -> dict[str, Any]:
    """What all points share: months, kinds of pictures, names of curves."""
    shown = None if cube is None else picture_sensor(cube)
    names, titles = ([], []) if cube is None else curve_names(cube)
    about: dict[str, Any] = {
        "months": [],
        "month_starts": [],
        "days": [0, 1],
        "curve_names": names,
        "sensors": titles,
        "kinds": [],
        "side": 1,
        "about_pictures": "",
        "no_pictures": "" if cube is None else f"{_no_pictures(cube)}.".capitalize(),
    }
    if cube is not None:
        months = season_months(cube.season)
        starts = [(EPOCH.replace(year=year, month=month), MONTHS[month - 1]) for year, month in months]
        about |= {
            "months": [f"{MONTHS[month - 1]} {year}" for year, month in months],
            "month_starts": [(day_number(day), name) for day, name in starts if day >= cube.season.start],
            "days": [day_number(cube.season.start), day_number(cube.season.end)],
        }
    if shown is not None:
        metres = pixel_metres(shown.grid)
        name = shown.input.sensor
        about |= {
            "kinds": [
                {"name": name, "text": f"{name}: {', '.join(BAND_WORDS[band] for band in bands)}."}
                for name, bands in picture_kinds(shown)
            ],
            "side": chip_side(shown),
            "about_pictures": (
                f"{SENSORS[name].title if name in SENSORS else name}, the clearest observation of each month, about "
                f"{CHIP_METRES} m wide, pixels of {metres:.0f} m, north up; hatched: not observed (cloud, shadow). The "
                "yellow square is the pixel of the point."
            ),
        }
    return about


def _place(points: InterpreterPoints, at: int) -> dict[str, Any]:
    """Number and coordinates of a point, without anything of the map or the design."""
    longitude, latitude = points.lonlat[at].tolist()
    return {"id": points.numbers[at], "lon": f"{longitude:.7f}", "lat": f"{latitude:.7f}"}


def _point(season: PointSeason | None) -> dict[str, Any]:
    """What is shown of a point."""
    if season is None:
        return {"inside": True, "months": [], "pictures": [], "curves": []}
    return {
        "inside": season.inside,
        "months": [
            {
                "month": month.month,
                "date": f"{day_date(month.day).day} {MONTHS[day_date(month.day).month - 1]} {day_date(month.day).year}",
                "clear": round(100 * month.clear),
                "seen": month.seen,
            }
            for month in season.months
        ],
        "pictures": [f"data:image/jpeg;base64,{base64.b64encode(strip).decode()}" for strip in season.strips],
        "curves": [_curve(curve) for curve in season.curves],
    }


def _curve(curve: IndexCurve) -> dict[str, Any]:
    return {"sensor": curve.sensor, "name": curve.name, "days": list(curve.days), "values": list(curve.values)}
