"""The page's addresses. Nothing of a request reaches the file system: every name is looked up in a dict made at start.

/                                       the page, and its files at /web/NAME
/season.json                            what there is to show
/layers/KEY/Z/X/Y.png                   a tile of the map; ?hide=1,2 leaves values out
/imagery/SENSOR/PICTURE/FRAME/Z/X/Y.png a tile of a date
/pixel, /series, /parcel                what is known of a place: ?lon=…&lat=…; /parcel?id=… by name
/parcel-series                          the mean series of a parcel: ?row=…
/why                                    what decided the crop of a place: ?lon=…&lat=…
/parcels/Z/X/Y.mvt                      outlines of parcels as a vector tile
/hectares                               POST of an outline: hectares inside
/files/NAME                             files of the map
/label                                  points to label, if there are any (`agrifm.serve.label_routes`)
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from agrifm.grid import Grid
from agrifm.serve.deciding_place import PlaceDecider, PlaceDeciders
from agrifm.serve.endpoints import NOT_KEPT, body_of, endpoint_for, in_thread, json_answer
from agrifm.serve.finished_season import FinishedSeason
from agrifm.serve.guards import SafeHeaders, page_files
from agrifm.serve.parcel_curves import is_covered, parcel_answer
from agrifm.serve.parcel_views import ParcelViews
from agrifm.serve.pixel_answers import sensors_with_curves, series_answer
from agrifm.serve.polygon_hectares import drawn_polygon
from agrifm.serve.refusals import NO_SUCH, TOO_LARGE, RefusedRequestError, index_of, numbers_of, place_of
from agrifm.serve.tile_places import TilePlaces, empty_tile, is_tile, tile_places
from agrifm.serve.tiled_imagery import ImageryOfTiles

MOST_HIDDEN = 255
KEPT = {"cache-control": "private, max-age=3600"}
"""For tiles, in whose addresses is when the page was opened."""


def make_app(
    season: FinishedSeason,
    hosts: list[str],
    of_labelling: Sequence[Route] = (),
    decider: PlaceDecider | PlaceDeciders | None = None,
) -> Starlette:
    """The application that serves a season.

    Args:
        hosts: names by which it may be asked; others are refused, so that a foreign page cannot read it through a
            name that leads here.
        of_labelling: addresses under which points are labelled; without them there is no such page.
        decider: says what decided single places; without it the page does not.
    """
    of_server = {"labelling": bool(of_labelling), "explains": decider is not None}
    routes = [
        Route("/", endpoint_for(season, _page)),
        Route("/web/{name}", endpoint_for(season, _web)),
        Route("/season.json", endpoint_for((season, of_server), _season)),
        Route("/layers/{key}/{z}/{x}/{y}.png", endpoint_for(season, _layer_tile)),
        Route("/imagery/{sensor}/{picture}/{frame}/{z}/{x}/{y}.png", endpoint_for(season, _imagery_tile)),
        Route("/pixel", endpoint_for(season, _pixel)),
        Route("/series", endpoint_for(season, _series)),
        Route("/why", endpoint_for(decider, _why)),
        Route("/parcels/{z}/{x}/{y}.mvt", endpoint_for(season, _outline_tile)),
        Route("/parcel", endpoint_for(season, _parcel)),
        Route("/parcel-series", endpoint_for(season, _parcel_series)),
        Route("/hectares", endpoint_for(season, _hectares), methods=["POST"]),
        Route("/files/{name}", endpoint_for(season, _file)),
        *of_labelling,
    ]
    middleware = [Middleware(SafeHeaders), Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)]
    app = Starlette(routes=routes, middleware=middleware)
    app.router.redirect_slashes = False
    return app


def _found(names: Mapping[str, Any], name: str) -> Any:
    if name not in names:
        raise RefusedRequestError(NO_SUCH, "there is nothing of this name")
    return names[name]


def _numbers_of_tile(request: Request) -> tuple[int, int, int]:
    z, x, y = (index_of(request.path_params[name]) for name in "zxy")
    if not is_tile(z, x, y):
        raise RefusedRequestError(NO_SUCH, "there is no such tile")
    return z, x, y


def _places(request: Request, grid: Grid) -> TilePlaces | None:
    return tile_places(grid, *_numbers_of_tile(request))


def _tile(content: bytes | None) -> Response:
    return Response(empty_tile() if content is None else content, 200, KEPT, "image/png")


async def _page(_: FinishedSeason, __: Request) -> Response:
    content, kind = page_files()["index.html"]
    return Response(content, headers=NOT_KEPT, media_type=kind)


async def _web(_: FinishedSeason, request: Request) -> Response:
    content, kind = _found(page_files(), request.path_params["name"])
    return Response(content, headers={"cache-control": "no-cache"}, media_type=kind)


async def _season(shown: tuple[FinishedSeason, dict[str, bool]], _: Request) -> Response:
    season, of_server = shown
    return await json_answer(lambda: {**season.stated(), **of_server})


async def _layer_tile(season: FinishedSeason, request: Request) -> Response:
    layer = _found(season.layers, request.path_params["key"])
    hidden = numbers_of(request.query_params.get("hide", ""), MOST_HIDDEN)

    return _tile(await in_thread(layer.tile, *_numbers_of_tile(request), hidden))


async def _imagery_tile(season: FinishedSeason, request: Request) -> Response:
    imagery = _found(season.pictures, request.path_params["sensor"])
    picture, frame = request.path_params["picture"], index_of(request.path_params["frame"])
    _found(imagery.kinds, picture)
    if not frame < imagery.count:
        raise RefusedRequestError(NO_SUCH, "there is no such date")

    if isinstance(imagery, ImageryOfTiles):
        return _tile(await in_thread(imagery.tile, picture, frame, *_numbers_of_tile(request)))

    def draw() -> bytes | None:
        places = _places(request, imagery.grid)
        if places is not None and places.window.height * places.window.width > imagery.most_pixels:
            raise RefusedRequestError(NO_SUCH, "the tile shows too much of the cube; zoom in")
        return None if places is None else imagery.tile(picture, frame, places)

    return _tile(await in_thread(draw))


async def _pixel(season: FinishedSeason, request: Request) -> Response:
    place = place_of(request.query_params)
    return await json_answer(season.pixel, *place)


async def _series(season: FinishedSeason, request: Request) -> Response:
    place = place_of(request.query_params)
    cube = season.cube_at(*place)
    return await json_answer(lambda: [] if cube is None else series_answer(cube, *place))


async def _why(decider: PlaceDecider | PlaceDeciders | None, request: Request) -> Response:
    place = place_of(request.query_params)
    if decider is None:
        raise RefusedRequestError(NO_SUCH, "there is no cube, or no item of the map")
    return await json_answer(decider.answer, *place)


async def _outline_tile(season: FinishedSeason, request: Request) -> Response:
    z, x, y = _numbers_of_tile(request)
    if season.outlines is None:
        raise RefusedRequestError(NO_SUCH, "there are no parcels")
    content = await in_thread(season.outlines.tile, z, x, y)
    return Response(content, 200, KEPT, "application/vnd.mapbox-vector-tile")


async def _parcel(season: FinishedSeason, request: Request) -> Response:
    if season.parcels is None:
        raise RefusedRequestError(NO_SUCH, "there are no parcels")
    name = request.query_params.get("id")
    if name is not None:
        return await json_answer(season.parcels.named, name)
    return await json_answer(season.parcels.at, *place_of(request.query_params))


async def _parcel_series(season: FinishedSeason, request: Request) -> Response:
    row, parcels = index_of(request.query_params.get("row", "")), season.parcels
    if parcels is None or row >= parcels.count:
        raise RefusedRequestError(NO_SUCH, "there is no such parcel")
    return await json_answer(_series_of, season, parcels, row)


def _series_of(season: FinishedSeason, parcels: ParcelViews, row: int) -> list[dict[str, Any]]:
    shape = parcels.shapes(np.array([row]))[0]
    inside = shape.representative_point()
    cube = season.cube_at(inside.x, inside.y)
    sensors = [] if cube is None else sensors_with_curves(cube)
    if not sensors:
        raise RefusedRequestError(NO_SUCH, "the parcel has no cube")
    if season.tiles and not is_covered(sensors[0].grid, shape):
        raise RefusedRequestError(TOO_LARGE, "the parcel reaches beyond the cube of its tile, so it has no mean series")
    return [parcel_answer(sensors[0], shape)]


async def _hectares(season: FinishedSeason, request: Request) -> Response:
    polygon = drawn_polygon(await body_of(request))
    return await json_answer(season.inside, polygon)


async def _file(season: FinishedSeason, request: Request) -> Response:
    path = _found(season.downloads, request.path_params["name"])
    if not path.is_file():
        raise RefusedRequestError(NO_SUCH, "the file has gone")
    return FileResponse(path, filename=path.name, headers=NOT_KEPT)
