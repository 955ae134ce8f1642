"""`agrifm serve`: opens a port and serves the page until it is stopped."""

import errno
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agrifm.errors import ServeError, require_installed
from agrifm.files import AnyPath, as_path
from agrifm.page_address import LOOPBACK, PORT
from agrifm.record import NUMBERS
from agrifm.screen import printable
from agrifm.stac import MAP_ITEM

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.routing import Route
    from uvicorn import Server

    from agrifm.cube.store import Cube
    from agrifm.explain.place_periods import PlacePeriods
    from agrifm.serve.deciding_place import PlaceDecider, PlaceDeciders
    from agrifm.serve.finished_season import FinishedSeason

    Explainer = Callable[[Path, Cube], Callable[[int, int], PlacePeriods | None]]

NEXT_PORTS = 20
"""Ports after it that are tried if it is taken and none is stated."""
WAITING = 512
"""Connections that may wait to be accepted."""
LOOPBACK_NAMES = [LOOPBACK, "localhost", "[::1]"]
IDLE_SECONDS = 15
"""After which an idle connection is closed."""


def open_port(host: str, port: int | None) -> socket.socket:
    """A socket that listens.

    Args:
        port: None takes `PORT`, or the next one that is free; 0 any free one.

    Raises:
        ServeError: the port is taken, or the host is not an address of this machine.
    """
    ports = range(PORT, PORT + NEXT_PORTS) if port is None else [port]
    for number in ports:
        if not 0 <= number <= 65535:
            raise ServeError(f"opening port {number} of {host}: ports are 0 to 65535", host=host, port=number)
        try:
            found = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0]
            opened = socket.socket(found[0], socket.SOCK_STREAM)
            try:
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                opened.bind(found[4])
                opened.listen(WAITING)
                return opened
            except BaseException:
                opened.close()
                raise
        except OSError as error:
            if error.errno == errno.EADDRINUSE and number != ports[-1]:
                continue
            taken = error.errno == errno.EADDRINUSE
            why = "another program uses the port; choose another one with --port" if taken else f"{error.strerror}"
            raise ServeError(f"opening port {number} of {host}: {why}", host=host, port=number) from error
    raise AssertionError(ports)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class PointsToLabel(NamedTuple):
    """Points that are labelled on the page; see `agrifm.serve.labelling.open_labelling`."""

    points: AnyPath
    names: Sequence[str] = ()
    further: Sequence[str] = ()


def serve(
    directory: AnyPath,
    host: str = LOOPBACK,
    port: int | None = None,
    also: Sequence[AnyPath] = (),
    to_label: PointsToLabel | None = None,
    explainer: "Explainer | None" = None,
) -> None:
    """Serve the page of a project with a finished map, until the process is stopped.

    Args:
        directory: of the project, or its project file; or a folder that `write_static_page` wrote.
        host: address to listen on; every other one than that of this machine lets others in.
        port: see `open_port`.
        also: see `finished_season`.
        to_label: points to label on a page at `/label`.
        explainer: `agrifm.explain.map_explainer.map_explainer`, so that the page can say what decided a place.

    Raises:
        AssessmentError: the points to label cannot be read.
        ServeError: there is no finished map, a package is missing, or the port is taken.
    """
    require_installed("serving a page", "serve", "starlette", "uvicorn", "matplotlib", kind=ServeError)
    if to_label is not None:
        require_installed("serving a labelling page", "report", "jinja2", kind=ServeError)
    page = page_of(directory, also, to_label, explainer)
    with closing(open_port(host, port)) as opened:
        number = opened.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        if not is_loopback(host):
            print(f"agrifm serve: everyone who can reach {host} can open this page; there is no password", flush=True)
        for title, why in page.missing.items():
            print(printable(f"not shown: {title}: {why}"), flush=True)
        print(printable(f"{page.about}: http://{shown}:{number}/ (Ctrl+C stops it)"), flush=True)
        if to_label is not None:
            print(f"points to label: http://{shown}:{number}/label", flush=True)
        page.begin()
        page_server(page.app(host)).run(sockets=[opened])


@dataclass(frozen=True)
class OpenPage:
    """A page that can be served: of a season, or of files that were written before."""

    about: str
    """What it shows."""
    missing: Mapping[str, str]
    """By title, why something cannot be shown."""
    app_for: Callable[[list[str]], "Starlette"]
    """Makes the application for the names by which it may be asked."""
    begin: Callable[[], object] = bool
    """Begins what is computed while the page is open; by default nothing."""

    def app(self, host: str) -> "Starlette":
        """The application for a host to listen on; of this machine, only those are answered who ask for it by name."""
        return self.app_for(LOOPBACK_NAMES if is_loopback(host) else ["*"])


def page_of(
    directory: AnyPath,
    also: Sequence[AnyPath] = (),
    to_label: PointsToLabel | None = None,
    explainer: "Explainer | None" = None,
) -> OpenPage:
    """Open the page of a project with a finished map, or a folder that `agrifm serve --static` wrote.

    Raises:
        AssessmentError: the points to label cannot be read.
        ServeError: there is neither, or points are to be labelled on a page of files.
    """
    from agrifm.serve.app import make_app
    from agrifm.serve.finished_season import finished_season
    from agrifm.serve.kept_composites import begin_computing, composites_shown, keep_composites
    from agrifm.serve.static_folder import is_static_page, static_app

    folder = as_path(directory).resolve()
    if is_static_page(folder):
        if to_label is not None:
            raise ServeError(
                f"serving {directory}: it is a page of files, on which points cannot be labelled; give the "
                "directory of the project",
                path=folder,
            )
        return OpenPage(f"{folder.name}, a page of files", {}, partial(static_app, folder))
    season = finished_season(directory, also)
    if to_label is not None and season.task in NUMBERS:
        raise ServeError(
            f"serving {directory}: its map is of numbers ({NUMBERS[season.task]}), and points are labelled with the "
            "classes of a map; leave out --points",
            path=folder,
        )
    routes = [] if to_label is None else _routes_of_labelling(season, directory, to_label)
    about = f"{season.title}, {' to '.join(season.period)}"
    decider = _decider(season, explainer)
    kept = None if season.cube is None else keep_composites(season.cube, composites_shown(season.imagery.values()))
    app_for = partial(make_app, season, of_labelling=routes, decider=decider)
    return OpenPage(about, season.missing, app_for, partial(begin_computing, kept))


def _decider(season: "FinishedSeason", explainer: "Explainer | None") -> "PlaceDecider | PlaceDeciders | None":
    from agrifm.serve.deciding_place import PlaceDecider, PlaceDeciders

    if season.task in NUMBERS:  # what is explained are probabilities of classes
        return None
    if explainer is not None and season.tiles and season.has_series:
        return PlaceDeciders(explainer, season.tiles)
    item = season.downloads.get(MAP_ITEM)
    if explainer is None or season.cube is None or item is None:
        return None
    return PlaceDecider(explainer(item, season.cube), season.cube.target)


def _routes_of_labelling(season: "FinishedSeason", directory: AnyPath, to_label: PointsToLabel) -> "list[Route]":
    from agrifm.serve.label_results import agreement_of_answers, report_of_answers
    from agrifm.serve.label_routes import label_routes
    from agrifm.serve.labelling import open_labelling

    return label_routes(open_labelling(season, directory, *to_label), report_of_answers, agreement_of_answers)


def page_server(app: "Starlette") -> "Server":
    """The server of an application, which is not started yet."""
    from uvicorn import Config, Server

    config = Config(
        app,
        log_level="error",
        access_log=False,
        server_header=False,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=1,
        ws="none",
        lifespan="off",
    )
    return Server(config)
