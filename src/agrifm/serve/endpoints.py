"""Endpoints of the page: refusals become answers with a status, work runs in a few threads, bodies are bounded."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from agrifm.errors import AgriFMError
from agrifm.files import finite_or_none
from agrifm.serve.refusals import NO_SUCH, TOO_LARGE, RefusedRequestError

THREADS = 8
"""Requests that are worked on at a time, which bounds memory."""
LARGEST_BODY = 200_000
"""Bytes of a request's body."""
BODY_SECONDS = 10
"""Time in which a body must have come."""
NOT_KEPT = {"cache-control": "no-store"}
T = TypeVar("T")
Subject = TypeVar("Subject")


def endpoint_for(
    subject: Subject, handler: Callable[[Subject, Request], Awaitable[Response]]
) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint: what it cannot give is one sentence with a status from 400 to 499.

    Args:
        subject: what is served, which the handler receives with each request.
    """

    async def endpoint(request: Request) -> Response:
        try:
            return await handler(subject, request)
        except RefusedRequestError as refused:
            return JSONResponse({"error": refused.sentence}, refused.status)
        except (AgriFMError, OSError) as error:
            return JSONResponse({"error": str(error)}, NO_SUCH)

    return endpoint


async def in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """What a function returns that runs in one of a few threads, so that others are answered meanwhile."""
    return await asyncio.get_running_loop().run_in_executor(_threads(), partial(function, *arguments))


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, "serve")


async def json_answer(function: Callable[..., Any], *arguments: Any) -> Response:
    """What a function returns, as JSON."""
    return JSONResponse(finite_or_none(await in_thread(function, *arguments)), headers=NOT_KEPT)


async def body_of(request: Request, largest: int = LARGEST_BODY) -> bytes:
    """The body of a request, of at most `largest` bytes; of a longer one the rest is read and not kept.

    Raises:
        RefusedRequestError: it is longer, or did not come in time.
    """
    body, length = bytearray(), 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                length += len(part)
                if length <= largest:
                    body += part
    except TimeoutError as error:
        raise RefusedRequestError(408, "the request did not come in time") from error
    if length > largest:
        raise RefusedRequestError(TOO_LARGE, f"a request has at most {largest:,} bytes")
    return bytes(body)
