"""GET /templates: the example workflows, for the page to offer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from aiohttp import hdrs, web

from ..answers import answer, not_found
from ..route import OBJECT, TEXT, TRUTH, Routes, array, record
from ..sending import FileAnswer
from ..server import Server
from ..templates import picture, template, templates

routes = Routes("page")

TEMPLATE = record(dict.fromkeys(("name", "title", "group", "description"), TEXT), picture=TRUTH)
SENT: Mapping[int, str] = MappingProxyType(
    {
        206: "the part of the file that was asked for",
        304: "the file is what the client has already",
        404: "there is no such example",
        412: "the file is another by now",
        416: "the file has no such part",
    }
)


@routes.get("/templates", "The example workflows, by group", answer=array(TEMPLATE))
async def list_templates(_server: Server, _request: web.Request) -> web.Response:
    found = await asyncio.to_thread(templates)
    return answer([each.as_json() for each in found])


@routes.get("/templates/{name:[^/]+}", "An example workflow", answer=OBJECT, statuses=SENT)
async def get_template(_server: Server, request: web.Request) -> web.StreamResponse:
    name = request.match_info["name"]
    return _file(await asyncio.to_thread(template, name), name, "application/json")


@routes.get(
    "/templates/{name:[^/]+}/picture",
    "What an example makes, as a small picture",
    answer="image/webp",
    statuses=SENT,
)
async def get_picture(_server: Server, request: web.Request) -> web.StreamResponse:
    name = request.match_info["name"]
    return _file(await asyncio.to_thread(picture, name), name, "image/webp")


def _file(path: Path | None, name: str, media: str) -> FileAnswer:
    if path is None:
        raise not_found("There is no such example", name)
    headers = {hdrs.CONTENT_TYPE: media, hdrs.CACHE_CONTROL: "no-cache"}
    return FileAnswer(path, headers=headers)
