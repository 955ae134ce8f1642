"""A folder that `agrifm serve --static` wrote, served to look at it: its files as they are, and parts of them.

Nothing of a request reaches the file system: names are looked up among the files that were there at the start.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from agrifm.files import read_marker
from agrifm.serve.guards import KINDS, SafeHeaders
from agrifm.serve.refusals import NO_SUCH

KIND = "page"
"""Kind of a folder of the page, in its marker."""
INDEX = "index.html"


def is_static_page(directory: Path) -> bool:
    """Whether a directory was written by `agrifm serve --static`."""
    return read_marker(directory).get("kind") == KIND and (directory / INDEX).is_file()


def static_app(directory: Path, hosts: list[str]) -> Starlette:
    """The application that serves such a folder, with byte ranges (RFC 9110, section 14).

    Args:
        hosts: see `make_app`.
    """
    files = {path.relative_to(directory).as_posix(): path for path in directory.rglob("*") if path.is_file()}
    files = {name: path for name, path in files.items() if not path.name.startswith(".")}
    files[""] = files[INDEX]
    middleware = [Middleware(SafeHeaders), Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)]
    app = Starlette(routes=[Route("/{name:path}", _answer_from(files))], middleware=middleware)
    app.router.redirect_slashes = False
    return app


def _answer_from(files: dict[str, Path]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        path = files.get(request.path_params["name"])
        if path is None or not path.is_file():
            return JSONResponse({"error": "there is nothing of this name"}, NO_SUCH)
        kind = KINDS.get(path.suffix.removeprefix("."), "application/octet-stream")
        return FileResponse(path, headers={"cache-control": "no-cache"}, media_type=kind)

    return endpoint
