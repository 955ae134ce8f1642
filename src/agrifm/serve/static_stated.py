"""What a page without a server is to know: which archives there are, and at which zooms."""

from typing import Any

from agrifm.assess.point_season import MIN_CLEAR
from agrifm.serve.finished_season import FinishedSeason
from agrifm.serve.greenness_composites import Composites
from agrifm.serve.imagery import Imagery
from agrifm.serve.map_layers import CLASSES
from agrifm.serve.parcel_archives import stated_parcels
from agrifm.serve.pixel_answers import PROBABILITIES, sensors_with_curves
from agrifm.serve.series_blocks import OUTER, block_zoom, stated_series
from agrifm.serve.tile_archives import imagery_zooms, layer_zooms


def shown_dates(imagery: Imagery | Composites) -> dict[str, int]:
    """Frame by ISO day of the dates that show something: at least `MIN_CLEAR` of the area."""
    stated = imagery.stated()
    found: dict[str, int] = {}
    for frame, (date, clear) in enumerate(zip(stated["dates"], stated["clear"], strict=True)):
        if clear is None or clear >= MIN_CLEAR:
            found.setdefault(date, frame)
    return found


def stated_static(season: FinishedSeason, written: dict[str, int]) -> dict[str, Any]:
    """What the page is to know: as from a server, and what there is in archives.

    Args:
        written: number of tiles by archive; those of none are not there.
    """
    stated = season.stated()
    there = {name for name, count in written.items() if count}
    stated["layers"] = [
        {**one, **_zooms(layer_zooms(season.layers[one["key"]]))} for one in stated["layers"] if _has(there, one)
    ]
    stated["imagery"] = [
        found for one in stated["imagery"] if (found := _stated_imagery(season.imagery[one["key"]], one, there))
    ]
    series = [] if season.cube is None else [stated_series(one) for one in sensors_with_curves(season.cube)]
    for one in series:
        start = f"series/{one['key']}/"
        one["archives"] = sorted(name.removeprefix(start) for name in there if name.startswith(start))
    stated["series"] = bool(series)
    stated["static"] = {
        "series": series,
        "pixels": _stated_pixels(season, there),
        "parcels": stated_parcels(season.parcels) if season.parcels is not None and "parcels" in there else None,
        "parcel_series": "parcel-series" in there,
    }
    return stated


def _has(there: set[str], layer: dict[str, Any]) -> bool:
    return f"layers/{layer['key']}" in there


def _stated_imagery(imagery: Imagery | Composites, stated: dict[str, Any], there: set[str]) -> dict[str, Any] | None:
    """A sensor with the dates of which there are pictures; None if there is none."""
    dates = {date: frame for date, frame in shown_dates(imagery).items() if f"imagery/{stated['key']}/{date}" in there}
    if not dates:
        return None
    clear = [stated["clear"][frame] for frame in dates.values()]
    labels = {"labels": [stated["labels"][frame] for frame in dates.values()]} if "labels" in stated else {}
    return {**stated, **labels, "dates": list(dates), "clear": clear, **_zooms(imagery_zooms(imagery))}


def _zooms(zooms: tuple[int, int]) -> dict[str, int]:
    return {"minzoom": zooms[0], "maxzoom": zooms[1]}


def keys_of_pixels(season: FinishedSeason) -> list[str]:
    """The layers on the grid of the crops, which are the first: their values are in blocks."""
    grid = season.layers[CLASSES].grid
    return [key for key, layer in season.layers.items() if layer.grid == grid]


def _stated_pixels(season: FinishedSeason, there: set[str]) -> dict[str, Any]:
    zoom = block_zoom(season.layers[CLASSES].grid)
    return {
        "zoom": zoom,
        "archive_zoom": max(zoom - OUTER, 0),
        "archives": sorted(name.split("/")[1] for name in there if name.startswith("pixels/")),
        "layers": keys_of_pixels(season),
        "probabilities": PROBABILITIES in season.downloads,
    }
