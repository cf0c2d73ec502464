"""What the files in the user's folder `workflows` held before, and those that were deleted."""

from __future__ import annotations

import asyncio
from pathlib import PurePosixPath

from aiohttp import web

from ..answers import answer
from ..route import NUMBER, TEXT, WHOLE, Param, Routes, array, record
from ..sending import FileAnswer, document_media, file_headers
from ..server import Server
from .users import ASKING, FILE, FULL, MATCH, NAME_OR_FILE, OTHER, WRITING, matching, told

VERSION = record({"version": TEXT, "size": WHOLE, "modified": NUMBER})

routes = Routes("user")


@routes.get(
    "/userdata/{file:[^/]+}/versions",
    "What a file held before, the newest first",
    answer=array(VERSION),
    statuses=ASKING,
)
async def versions(server: Server, request: web.Request) -> web.Response:
    """Also of a file that was deleted."""
    found = await asyncio.to_thread(server.users.history, request.match_info["file"])
    return answer([each.as_json() for each in found])


@routes.get(
    "/userdata/{file:[^/]+}/versions/{version:[^/]+}",
    "What a file held before",
    answer="*/*",
    statuses={
        206: "the part of the file that was asked for",
        304: "the client has it already",
        412: "it is another by now",
        416: "it has no such part",
        **ASKING,
    },
)
async def version(server: Server, request: web.Request) -> web.StreamResponse:
    name, id = request.match_info["file"], request.match_info["version"]
    path = await asyncio.to_thread(server.users.version, name, id)
    return FileAnswer(path, headers=file_headers(PurePosixPath(name).name, document_media(name)))


@routes.post(
    "/userdata/{file:[^/]+}/versions/{version:[^/]+}/restore",
    "Write what a file held before once more",
    query=(FULL,),
    headers=(MATCH,),
    answer=NAME_OR_FILE,
    statuses={404: "there is no such version", **WRITING, **OTHER},
)
async def restore(server: Server, request: web.Request) -> web.Response:
    """What it holds now becomes a version itself, so that nothing is lost."""
    name, id = request.match_info["file"], request.match_info["version"]
    written = await asyncio.to_thread(server.users.restore, name, id, match=matching(request))
    return told(request, written)


@routes.get(
    "/v2/userdata/deleted",
    "Files that were deleted and can be restored, the newest first",
    query=(Param("path", help="the folder they were in; the whole by default"),),
    answer=array(FILE),
    statuses=ASKING,
)
async def deleted(server: Server, request: web.Request) -> web.Response:
    """As they were last; the etag is the name of that version."""
    found = await asyncio.to_thread(server.users.deleted, request.query.get("path", ""))
    return answer([file.as_json() for file in found])
