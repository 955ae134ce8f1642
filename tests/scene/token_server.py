"""A token service on this machine, of both kinds: SAS tokens with an expiry, and bearer tokens for a user."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass
class TokenServer:
    """Answers every request with the next of `answers`, the last one again and again."""

    url: str
    answers: list[tuple[int, Any]]
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    """Method, path and headers of each."""


@contextmanager
def token_server(*answers: tuple[int, Any]) -> Iterator[TokenServer]:
    """Serve these answers (status, JSON or text)."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            state.requests.append((self.command, self.path, dict(self.headers)))
            status, content = state.answers[0] if len(state.answers) == 1 else state.answers.pop(0)
            body = (content if isinstance(content, str) else json.dumps(content)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state = TokenServer(f"http://127.0.0.1:{server.server_port}", list(answers))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
