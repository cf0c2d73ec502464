"""GET /templates: the example workflows, for the page to offer."""

from __future__ import annotations

import asyncio

from aiohttp import hdrs, web

from ..answers import answer, not_found
from ..route import OBJECT, TEXT, Routes, array
from ..sending import FileAnswer
from ..server import Server
from ..templates import template, templates

routes = Routes("page")


@routes.get("/templates", "Names of the example workflows", answer=array(TEXT))
async def list_templates(_server: Server, _request: web.Request) -> web.Response:
    return answer(await asyncio.to_thread(templates))


@routes.get(
    "/templates/{name:[^/]+}",
    "An example workflow",
    answer=OBJECT,
    statuses={
        206: "the part of the file that was asked for",
        304: "the file is what the client has already",
        404: "there is no such example",
        412: "the file is another by now",
        416: "the file has no such part",
    },
)
async def get_template(_server: Server, request: web.Request) -> web.StreamResponse:
    name = request.match_info["name"]
    path = await asyncio.to_thread(template, name)
    if path is None:
        raise not_found("There is no such example", name)
    headers = {hdrs.CONTENT_TYPE: "application/json", hdrs.CACHE_CONTROL: "no-cache"}
    return FileAnswer(path, headers=headers)
