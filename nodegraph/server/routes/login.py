"""One-time links: a program gets one, and a browser that opens it gets its cookie."""

from __future__ import annotations

from aiohttp import web

from ..answers import answer
from ..route import TEXT, Param, Routes, record
from ..server import Server

routes = Routes("access")


@routes.get(
    "/login",
    "Let the browser in that opens a one-time link",
    query=(Param("code", help="what the link carries", required=True),),
    answer="text/html",
    statuses={
        303: "on to the first page, with the cookie",
        403: "the link was used already, is too old, or was not opened in a tab",
        429: "too many wrong codes came from this address",
    },
    open=True,
    doubled=False,
)
async def login(server: Server, request: web.Request) -> web.Response:
    return server.access.login(request.query.get("code", ""), request)


@routes.post(
    "/login/link",
    "A new link that lets one browser in, once, within 15 minutes",
    answer=record({"link": TEXT}),
)
async def link(server: Server, request: web.Request) -> web.Response:
    base = server.settings.public_url or f"{request.scheme}://{request.host}"
    return answer({"link": server.access.new_link(base)})
