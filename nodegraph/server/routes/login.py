"""The end of a one-time link: a browser gets its cookie."""

from __future__ import annotations

from aiohttp import web

from ..route import Param, Routes
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
