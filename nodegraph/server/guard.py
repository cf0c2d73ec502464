"""The guard of an aiohttp application: each request is checked, each answer gets its headers.

protect(app, access, {"/healthz", "/api/healthz", "/login"})
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from . import cors
from .access import Access
from .answers import Refused
from .headers import safe_headers
from .links import cookie_is_held_back, onward

Signal = Callable[[web.Request, web.StreamResponse], Awaitable[None]]


def protect(app: web.Application, access: Access, open_paths: Collection[str]) -> None:
    """Put the guard before all that an application does. open_paths: see `guard`.

    The headers are added by a signal, since a stream or a websocket has sent its own by the time
    that a middleware sees it.
    """
    app.middlewares.insert(0, guard(access, open_paths))
    app.on_response_prepare.append(finish(access))


def guard(access: Access, open_paths: Collection[str]) -> Middleware:
    """The middleware that asks `access`, and answers Refused as JSON, whoever raised it.

    open_paths: paths of routes, as they were added, that are answered to anybody.
    """
    opened = frozenset(open_paths)

    @web.middleware
    async def ask(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if cors.is_preflight(request) and access.pages.guest(request):
                access.hosts.check(request)
                return cors.preflight()
            access.check(request, open=_route(request) in opened)
            return await handler(request)
        except Refused as refused:
            if refused.status == 401 and cookie_is_held_back(request):
                return onward(request)
            return refused.response()

    return ask


def finish(access: Access) -> Signal:
    """The signal that adds headers to an answer before it is sent."""

    async def add(request: web.Request, response: web.StreamResponse) -> None:
        safe_headers(response)
        if access.pages.allowed:
            response.headers.add("Vary", "Origin")
        if access.pages.guest(request):
            cors.allow(request, response)

    return add


def _route(request: web.Request) -> str | None:
    """The path of the route that will answer, as it was added: no two readings of a URL differ."""
    resource = request.match_info.route.resource
    return None if resource is None else resource.canonical
