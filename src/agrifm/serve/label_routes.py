"""Addresses of the labelling page. Who answers is a number, and all files are named at the start.

/label                    the form
/label/NAME               its style and its scripts
/label/points/0           pictures and curves of the first point that the form shows
/label/answers            ?interpreter=0: the answers so far; POST of one: written
/label/report             POST: the report of the answers; /label/report/0 is its page
/label/agreement          POST: the interpreters are compared

What changes something must be sent by the page itself: as JSON, with its token, and from the same origin.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from functools import cache
from html import escape
from importlib.resources import files
from secrets import compare_digest
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from agrifm.errors import AgriFMError, OutputError
from agrifm.serve.endpoints import NOT_KEPT, body_of, endpoint_for, in_thread, json_answer
from agrifm.serve.guards import KINDS, REPORT_POLICY
from agrifm.serve.labelling import GivenAnswer, Labelling
from agrifm.serve.refusals import NO_SUCH, WRONG, RefusedRequestError, index_of

if TYPE_CHECKING:
    from agrifm.assess.form_page import ServedForm

FOREIGN, BUSY = 403, 409
LARGEST_ANSWER = 8_000
"""Bytes of a request with an answer."""
SOON, AGAIN = 3, 2
"""Seconds to wait for the form, and after which a browser asks again."""
WAITING = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>
<link rel="icon" href="web/icon.svg" type="image/svg+xml"><link rel="stylesheet" href="label/form.css"></head>
<body><header><h1>{title}</h1></header>
<main><p role="status">Reading the first points: {read} so far. The form opens by itself.</p></main>
</body>
</html>
"""
SEED = 0
"""Of the order of the points, as in `agrifm assess form`."""
TOKEN = "x-agrifm-token"
Body = TypeVar("Body", bound=BaseModel)
Result = Callable[[Labelling, int, bool], dict[str, Any]]
"""What is computed of the answers of an interpreter, by number; true: although some points have none."""


class WantedResult(BaseModel):
    """A request for a report, or for the agreement."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    interpreter: int
    early: bool


def label_routes(labelling: Labelling, report: Result, agreement: Result) -> list[Route]:
    """The addresses under which points are labelled.

    Args:
        report, agreement: functions of `agrifm.serve.label_results`.
    """
    return [
        Route("/label", endpoint_for(labelling, _form)),
        Route("/label/answers", endpoint_for(labelling, _answers)),
        Route("/label/answers", endpoint_for(labelling, _answer), methods=["POST"]),
        Route("/label/report", endpoint_for((labelling, report), _result), methods=["POST"]),
        Route("/label/report/{number}", endpoint_for(labelling, _report_page)),
        Route("/label/points/{place}", endpoint_for(labelling, _point)),
        Route("/label/agreement", endpoint_for((labelling, agreement), _result), methods=["POST"]),
        Route("/label/{name}", endpoint_for(labelling, _file)),
    ]


@cache
def _form_files() -> dict[str, tuple[str, str]]:
    """Content and media type of the form's files, by name."""
    from agrifm.assess.form_page import form_script, form_style

    server = files("agrifm.serve").joinpath("form_server.js").read_text(encoding="utf-8")
    return {
        "form.css": (form_style(), KINDS["css"]),
        "form.js": (form_script(), KINDS["js"]),
        "form_server.js": (server, KINDS["js"]),
    }


def _require_same_origin(labelling: Labelling, request: Request) -> None:
    """Refuse a request that another page has made a browser send."""
    headers = request.headers
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        same = site == "same-origin"
    else:
        same = origin is None or urlsplit(origin).netloc == headers.get("host")
    as_json = headers.get("content-type", "").partition(";")[0].strip() == "application/json"
    stated = headers.get(TOKEN, "").encode()
    if not (same and as_json and compare_digest(stated, labelling.token.encode())):
        raise RefusedRequestError(FOREIGN, "answers are taken from the labelling page alone; load it again")


async def _content(labelling: Labelling, request: Request, kind: type[Body]) -> Body:
    _require_same_origin(labelling, request)
    try:
        return kind.model_validate_json(await body_of(request, LARGEST_ANSWER))
    except ValidationError as error:
        raise RefusedRequestError(WRONG, "the request has not the parts that it needs") from error


async def _written(function: Callable[..., Any], *arguments: Any) -> Response:
    """What a function returns that writes something, as JSON."""
    try:
        return await json_answer(function, *arguments)
    except OutputError as error:
        raise RefusedRequestError(BUSY, str(error)) from error
    except AgriFMError as error:
        raise RefusedRequestError(WRONG, str(error)) from error


async def _form(labelling: Labelling, _: Request) -> Response:
    form = _begun(labelling)
    await asyncio.wait([asyncio.wrap_future(form)], timeout=SOON)
    if form.done():
        return HTMLResponse(form.result().page, headers=NOT_KEPT)
    text = WAITING.format(title=escape(labelling.points.stem), read=labelling.read[0])
    return HTMLResponse(text, headers={**NOT_KEPT, "refresh": f"{AGAIN}"})


def _begun(labelling: Labelling) -> "Future[ServedForm]":
    """The form, which is made when it is first asked for, in a thread that does not outlive the server."""
    with labelling.writing:
        if not labelling.made:
            labelling.made.append(Future())
            Thread(target=_make, args=(labelling, labelling.made[0]), daemon=True).start()
        return labelling.made[0]


def _make(labelling: Labelling, form: "Future[ServedForm]") -> None:
    from agrifm.assess.form_page import served_form

    def advance(count: int) -> None:
        labelling.read[0] += count

    names = [one.name for one in labelling.interpreters]
    points, classes, stem = labelling.drawn, labelling.classes, labelling.points.stem
    try:
        form.set_result(served_form(points, classes, labelling.cubes, stem, SEED, names, advance))
    except BaseException as error:
        form.set_exception(error)


async def _point(labelling: Labelling, request: Request) -> Response:
    place = index_of(request.path_params["place"])
    if place >= len(labelling.drawn.numbers):
        raise RefusedRequestError(NO_SUCH, "there is no such point")
    form = await asyncio.wrap_future(_begun(labelling))
    return await json_answer(form.point, place)


async def _file(_: Labelling, request: Request) -> Response:
    found = _form_files().get(request.path_params["name"])
    if found is None:
        raise RefusedRequestError(NO_SUCH, "there is nothing of this name")
    return Response(found[0], headers={"cache-control": "no-cache"}, media_type=found[1])


async def _answers(labelling: Labelling, request: Request) -> Response:
    who = labelling.interpreter(index_of(request.query_params.get("interpreter", "")))
    return await json_answer(lambda: {"token": labelling.token, "answers": labelling.rows(who)})


async def _answer(labelling: Labelling, request: Request) -> Response:
    given = await _content(labelling, request, GivenAnswer)
    return await _written(lambda: {"answered": labelling.answer(given)})


async def _result(subject: tuple[Labelling, Result], request: Request) -> Response:
    labelling, compute = subject
    wanted = await _content(labelling, request, WantedResult)
    return await _written(compute, labelling, wanted.interpreter, wanted.early)


async def _report_page(labelling: Labelling, request: Request) -> Response:
    page = labelling.interpreter(index_of(request.path_params["number"])).report / "report.html"
    if not page.is_file():
        raise RefusedRequestError(NO_SUCH, "there is no report yet")
    content = await in_thread(page.read_bytes)
    return HTMLResponse(content, headers={**NOT_KEPT, "content-security-policy": REPORT_POLICY})
