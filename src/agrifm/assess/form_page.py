"""The form in which an interpreter labels points: one HTML file that needs no network, driven by keys.

Neither the class of the map nor the stratum of a point is in it. Its content security policy lets the browser load
nothing from anywhere and run no other script than the form's.
"""

import base64
import hashlib
from collections.abc import Callable, Sequence
from importlib.resources import files
from string import ascii_lowercase, digits
from typing import TYPE_CHECKING, Any

import numpy as np

from agrifm.assess.interpreter_points import InterpreterPoints
from agrifm.assess.page import page_environment
from agrifm.assess.point_season import (
    CHIP_METRES,
    IndexCurve,
    PointSeason,
    chip_side,
    picture_kinds,
    picture_sensor,
    pixel_metres,
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
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
BAND_WORDS = {
    "nir": "near infrared", "swir16": "short-wave infrared", "red": "red", "green": "green", "blue": "blue",
}  # fmt: skip


def render_form(
    points: InterpreterPoints, classes: Sequence[LegendClass], cube: Cube | None, stem: str, seed: int
) -> tuple[str, list[str]]:
    """Return the form, and notes on what it cannot show.

    Args:
        points: what is to be labelled.
        classes: that labels may have.
        cube: of the season that is shown; None shows points without pictures and curves.
        stem: name of the file of points, which is the form's title and begins the name of saved answers.
        seed: of the order in which points are shown.
    """
    data, notes = _content(points, classes, cube, stem, seed)
    script = form_script()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = _template().render(
        title=stem, count=len(points.numbers), notes=notes, data=data, script=script, script_digest=digest, served=None
    )
    return page, notes


def render_served_form(
    points: InterpreterPoints,
    classes: Sequence[LegendClass],
    cube: Cube | None,
    stem: str,
    seed: int,
    interpreters: Sequence[str],
    advance: Callable[[int], None],
) -> str:
    """Return the form for a server that keeps the answers; its scripts and its style are files of the server.

    Args:
        points, classes, cube, stem, seed: see `render_form`.
        interpreters: names of those who may answer.
        advance: receives the number of the points that have been read so far.
    """
    data, notes = _content(points, classes, cube, stem, seed, advance)
    return _template().render(
        title=stem, count=len(points.numbers), notes=notes, data=data, served={"names": list(interpreters)}
    )


def form_script() -> str:
    """Return what the form does."""
    return files("agrifm.assess").joinpath(SCRIPT).read_text(encoding="utf-8")


def form_style() -> str:
    """Return how the form looks."""
    return page_environment().get_template(STYLE).render()


def _template() -> "Template":
    return page_environment().get_template(TEMPLATE_OF_FORM)


def _content(
    points: InterpreterPoints,
    classes: Sequence[LegendClass],
    cube: Cube | None,
    stem: str,
    seed: int,
    advance: Callable[[int], None] = lambda _: None,
) -> tuple[dict[str, Any], list[str]]:
    """What the script is to know, and notes on what it cannot show."""
    seasons: list[PointSeason] = []
    for season in () if cube is None else read_point_seasons(cube, points.frame):
        seasons.append(season)
        advance(len(seasons))
    order = np.random.default_rng(seed).permutation(len(points.numbers)).tolist()
    data = {
        "digest": _digest(points, classes),
        "stem": stem,
        "classes": [
            {"code": entry.code, "name": entry.name, "color": entry.color, "key": key}
            for entry, key in zip(classes, (*KEYS, *[None] * len(classes)), strict=False)
        ],
        **_about_season(cube, seasons),
        "points": [_point(points, at, seasons[at] if seasons else None) for at in order],
    }
    return data, _notes(cube, seasons)


def _notes(cube: Cube | None, seasons: Sequence[PointSeason]) -> list[str]:
    """Return what an interpreter is to know of the pictures before beginning, as sentences without their full stop."""
    if cube is None:
        return ["there are no pictures, because the form was made without a season (`--season`)"]
    notes = []
    outside = sum(not one.inside for one in seasons)
    if outside:
        notes.append(f"{outside} of {len(seasons)} points are outside the season's cube, and nothing is shown of them")
    if picture_sensor(cube) is None:
        return [*notes, _no_pictures(cube)]
    blind = sum(one.inside and not one.months for one in seasons)
    if blind:
        notes.append(f"{blind} of {len(seasons)} points have no month with a clear observation")
    return notes


def _no_pictures(cube: Cube) -> str:
    return (
        f"there are no pictures, because no sensor of the cube ({', '.join(cube.sensors)}) has bands for a colour "
        "picture in pixels that are small enough"
    )


def _digest(points: InterpreterPoints, classes: Sequence[LegendClass]) -> str:
    """What tells the answers of these points and classes from those of other forms in the same browser."""
    rows = [f"{number} {x:.7f} {y:.7f}" for number, (x, y) in zip(points.numbers, points.lonlat.tolist(), strict=True)]
    return hashlib.sha256("\n".join([*rows, *(entry.code for entry in classes)]).encode()).hexdigest()[:16]


def _about_season(cube: Cube | None, seasons: Sequence[PointSeason]) -> dict[str, Any]:
    """What all points share: months, kinds of pictures, names of curves."""
    shown = None if cube is None else picture_sensor(cube)
    curves = [curve for one in seasons for curve in one.curves]
    about: dict[str, Any] = {
        "months": [],
        "month_starts": [],
        "days": [0, 1],
        "curve_names": list(dict.fromkeys(curve.name for curve in curves)),
        "sensors": list(dict.fromkeys(curve.sensor for curve in curves)),
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


def _point(points: InterpreterPoints, at: int, season: PointSeason | None) -> dict[str, Any]:
    """One point of the form, without anything of the map or the design."""
    longitude, latitude = points.lonlat[at].tolist()
    about: dict[str, Any] = {
        "id": points.numbers[at],
        "lon": f"{longitude:.7f}",
        "lat": f"{latitude:.7f}",
        "inside": season is None or season.inside,
    }
    if season is None:
        return {**about, "months": [], "pictures": [], "curves": []}
    return {
        **about,
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
