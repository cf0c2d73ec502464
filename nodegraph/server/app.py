"""The server put together: listens first, then loads the nodes, then works.

async with running(settings, load) as address: ...
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from aiohttp import web

from nodegraph.errors import SettingsError
from nodegraph.folders import Folders
from nodegraph.jobs import Ears, Job, JobQueue, Journal, JournalError, Runner
from nodegraph.settings import Settings

from .access import Access
from .answers import Refused, bad_request
from .backend import Backend
from .connections import Connections, no_text
from .guard import protect
from .live import Live
from .logs import Logs
from .metrics import Metrics
from .openapi import describe
from .results import send_result
from .route import Handler, Route
from .routes import MODULES
from .routes.system import DESCRIPTION
from .server import Server
from .sockets import Hub

if TYPE_CHECKING:
    from nodegraph.engine import Engine

Next = Callable[[web.Request], Awaitable[web.StreamResponse]]
Load = Callable[[Settings, Folders], "Engine"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Address:
    """Where the server listens, as a URL. link: lets a browser in, once, where there is a token."""

    url: str
    link: str | None = None
    token: str | None = None


@asynccontextmanager
async def running(
    settings: Settings, load: Load, stop: Callable[[BaseException | None], None]
) -> AsyncIterator[Address]:
    """A server, from listening to its end.

    load: makes the engine, in a thread. stop: called if the server cannot go on, with the reason.
    Raises SettingsError if it cannot listen, or another server uses the same journal.
    """
    folders = Folders.of(settings)
    async with AsyncExitStack() as stack:
        journal = Journal(settings.state)
        stack.callback(journal.close)
        server = await make_server(settings, folders, journal, load, stop)
        stack.push_async_callback(_end_engine, server)
        stack.callback(server.logs.detach)
        runner = Connections(make_app(server), shutdown_timeout=2.0)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        # First of all at the end: clients hear of the jobs that finish, and submit no more.
        stack.push_async_callback(server.queue.close, settings.shutdown_seconds)
        await server.queue.start()  # before anybody can ask, and be told that there are no jobs
        address = await _listen(runner, settings, server.access)
        server.backend.start()
        yield address


async def make_server(
    settings: Settings,
    folders: Folders,
    journal: Journal,
    load: Load,
    stop: Callable[[BaseException | None], None],
) -> Server:
    """The parts of a server, connected."""
    access = Access(settings)
    logs = Logs(folders, replace(settings, token=access.token))  # which it must not repeat
    metrics = Metrics()
    backend = Backend(partial(load, settings, folders), stop)
    hub = Hub(lambda: server.queue.remaining)
    live = Live(settings, hub)
    runner = Runner(
        journal,
        redact=logs.redact,
        debug=settings.debug,
        extra={"allow_ckpt": True} if settings.allow_ckpt else {},
        preview=live.preview,
        observe=metrics.event,
    )
    ears = Ears(hub.changed, hub.tell, live.sent, lambda job: _ended(server, live, job))
    queue = JobQueue(journal, runner, backend.engine, settings, ears)
    server = Server(settings, folders, backend, journal, queue, hub, access, metrics, logs, live)
    metrics.queue, metrics.engine = queue, lambda: backend.loaded
    metrics.sockets = lambda: len(hub.everybody())
    logs.attach(hub.send)
    return server


def make_app(server: Server) -> web.Application:
    """The aiohttp application with all routes."""
    routes = [route for module in MODULES for route in _routes(module)]
    open_paths = frozenset(
        path for route in routes if route.open for path in (route.path, f"/api{route.path}")
    )
    app = web.Application(
        middlewares=[_errors_as_json], client_max_size=server.settings.max_upload_bytes
    )
    protect(app, server.access, open_paths)
    app.middlewares.insert(0, _counted(server.metrics))
    app[DESCRIPTION] = describe(routes)
    for route in routes:
        handler = _bound(route.handler, server)
        for path in (route.path, f"/api{route.path}") if route.doubled else (route.path,):
            app.router.add_route(route.method, path, handler)
            if route.method == "GET" and path != "/ws":
                app.router.add_route("HEAD", path, handler)
    app.on_shutdown.append(lambda _: _close_sockets(server))
    return app


def _routes(module: str) -> list[Route]:
    return list(import_module(f".routes.{module}", __package__).routes)


def _bound(handler: Handler, server: Server) -> Next:
    async def answered(request: web.Request) -> web.StreamResponse:
        return await handler(server, request)

    return answered


def _counted(metrics: Metrics) -> Any:
    @web.middleware
    async def middleware(request: web.Request, handler: Next) -> web.StreamResponse:
        response = await handler(request)
        metrics.request(request.method, response.status)
        return response

    return middleware


@web.middleware
async def _errors_as_json(request: web.Request, handler: Next) -> web.StreamResponse:
    """Whatever goes wrong is answered in the one shape of errors."""
    try:
        return await handler(request)
    except Refused as refused:
        return refused.response()
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _plain(request, error).response()
    except JournalError as error:
        return Refused(503, "journal", "The journal cannot be used", str(error)).response()
    except asyncio.CancelledError:
        raise
    except Exception as error:
        if isinstance(error, ConnectionError) and request.transport is None:
            return bad_request("The client has gone").response()  # which nobody gets
        if no_text(request, error):
            return bad_request("A header is no text", "send UTF-8").response()
        log.exception("%s %s could not be answered", request.method, request.path)
        return Refused(500, "internal_error", "The server failed", "its log says why").response()


def _plain(request: web.Request, error: web.HTTPException) -> Refused:
    """The errors that aiohttp itself finds."""
    if error.status == 404:
        return Refused(
            404, "not_found", "There is no such route", f"{request.method} {request.path}"
        )
    if error.status == 405:
        allowed = error.headers.get("Allow", "")
        details = f"{request.method} is not among {allowed}"
        headers = {"Allow": allowed}
        return Refused(405, "wrong_method", "The method does not fit", details, headers=headers)
    if error.status == 413:
        return Refused(413, "too_large", "The request is too large", "the settings can allow more")
    return Refused(error.status, "bad_request", error.reason or "The request is wrong")


async def _listen(runner: Connections, settings: Settings, access: Access) -> Address:
    try:
        site = web.TCPSite(runner, settings.host, settings.port, backlog=runner.room.backlog)
        await site.start()
    except OSError as error:
        reason = error.strerror or str(error)
        raise SettingsError(
            f"the server cannot listen on {settings.host} port {settings.port}: {reason}; "
            "another program may use it: give another --port"
        ) from error
    port = runner.addresses[0][1]
    shown = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = settings.public_url or f"http://{shown}:{port}"
    if access.token is None:
        return Address(url)
    return Address(url, access.new_link(url), access.token)


def _ended(server: Server, live: Live, job: Job) -> None:
    server.metrics.ended(job)
    live.ended(job)
    server.hub.ended(job.id)
    for socket in server.hub.wanting(job):
        socket.wanted.discard(job.id)
        server.spawn(send_result(server, socket, job))


async def _close_sockets(server: Server) -> None:
    closing = [
        socket.ws.close(code=1001, message=b"the server is ending")
        for socket in server.hub.everybody()
    ]
    await asyncio.wait_for(asyncio.gather(*closing, return_exceptions=True), 2.0)


async def _end_engine(server: Server) -> None:
    engine = server.backend.loaded
    await asyncio.to_thread(server.live.close)  # it waits for a preview that is being made
    if engine is not None:
        await asyncio.to_thread(engine.close, cancel=True)
