"""A small aiohttp application behind the guard, and a client that sends whatever it is told to."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPResponse
from types import SimpleNamespace
from typing import Any

from aiohttp import web

from nodegraph.server.access import Access
from nodegraph.server.answers import answer, bad_request
from nodegraph.server.guard import protect
from nodegraph.server.headers import PAGE_CSP
from nodegraph.server.routes import login
from nodegraph.settings import Settings

Headers = list[tuple[str, str]]

TOKEN = "correct-horse-battery-staple"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
UPGRADE: Headers = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]  # names in lower case, several of one name joined with ", "
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        assert self.headers["content-type"].startswith("application/json"), self
        return json.loads(self.body)["error"]

    @property
    def cookie(self) -> str:
        """`name=value` of the cookie that it sets."""
        return self.headers["set-cookie"].partition(";")[0]


class Clock:
    """Stands still unless it is told to go on."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Guarded:
    """A server that runs, its access and its clock."""

    access: Access
    clock: Clock
    port: int

    def ask(
        self,
        path: str = "/thing",
        *headers: tuple[str, str],
        method: str = "GET",
        host: str | None = "localhost",
    ) -> Answer:
        """One request. path: the target as it stands in the request line."""
        hosts = [] if host is None else [("Host", host)]
        lines = [f"{name}: {value}" for name, value in [*hosts, *headers]]
        if method not in ("GET", "HEAD", "OPTIONS"):
            lines.append("Content-Length: 0")
        head = "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""])
        return self.send(head.encode("utf-8", "surrogateescape"), method)

    def post(self, *headers: tuple[str, str], host: str = "localhost") -> Answer:
        return self.ask("/thing", *headers, method="POST", host=host)

    def connect(self, *headers: tuple[str, str], host: str = "localhost") -> Answer:
        """Open a websocket."""
        return self.ask("/ws", *UPGRADE, *headers, host=host)

    def send(self, request: bytes, method: str = "GET") -> Answer:
        """Any bytes, and what comes back."""
        with socket.socket(socket.AF_INET) as connection:
            connection.settimeout(60)
            connection.connect(("127.0.0.1", self.port))
            connection.sendall(request)
            response = HTTPResponse(connection, method=method)
            response.begin()
            body = b"" if response.status == 101 else response.read()
        headers: dict[str, str] = {}
        for name, value in response.getheaders():
            known = headers.get(name.lower())
            headers[name.lower()] = value if known is None else f"{known}, {value}"
        return Answer(response.status, headers, body)


@contextmanager
def guarded(**settings: Any) -> Iterator[Guarded]:
    """A server on a free port of 127.0.0.1, which thinks it was started with these settings."""
    clock = Clock()
    access = Access(Settings(**settings), clock=clock)
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(_app(access), access_log=None)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        port = asyncio.run_coroutine_threadsafe(_start(runner), loop).result(60)
        yield Guarded(access, clock, port)
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _start(runner: web.AppRunner) -> int:
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner.addresses[0][1]


def _app(access: Access) -> web.Application:
    app = web.Application()
    protect(app, access, {"/healthz", "/login"})

    async def enter(request: web.Request) -> web.Response:
        route, _ = login.routes
        server: Any = SimpleNamespace(access=access)
        response = await route.handler(server, request)
        assert isinstance(response, web.Response)
        return response

    app.router.add_get("/", _page)
    app.router.add_get("/login", enter)
    app.router.add_get("/healthz", _thing)
    app.router.add_get("/ws", _socket)
    app.router.add_get("/stream", _stream)
    app.router.add_get("/refused", _refused)
    app.router.add_get("/picture", _picture)
    app.router.add_route("*", "/thing", _thing)
    return app


async def _page(request: web.Request) -> web.Response:
    headers = {"Content-Security-Policy": PAGE_CSP}
    return web.Response(text="<p>page", content_type="text/html", headers=headers)


async def _thing(request: web.Request) -> web.Response:
    return answer({"thing": True})


async def _refused(request: web.Request) -> web.Response:
    raise bad_request("This is wrong", "do it right")


async def _picture(request: web.Request) -> web.Response:
    return web.Response(body=b"...", headers={"Referrer-Policy": "origin", "Vary": "Accept"})


async def _stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"streamed")
    return response


async def _socket(request: web.Request) -> web.WebSocketResponse:
    response = web.WebSocketResponse()
    await response.prepare(request)
    await response.close()
    return response
