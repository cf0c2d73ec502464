"""The one user's settings and files."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import hdrs, web

from ..answers import answer, bad_request, empty
from ..bodies import read_bytes, read_json, read_object, truth
from ..places import trimmed
from ..route import ANYTHING, NUMBER, OBJECT, TEXT, TRUTH, WHOLE, Param, Routes, array, record
from ..sending import document_media, file_answer
from ..server import Server
from ..users import UserFile

FILE = record({"path": TEXT, "size": WHOLE, "modified": NUMBER, "created": NUMBER, "etag": TEXT})
NAME_OR_FILE = {"anyOf": [TEXT, FILE]}
ENTRY = record(
    {
        "name": TEXT,
        "path": TEXT,
        "type": {"type": "string", "enum": ["file", "directory"]},
        "modified": NUMBER,
    },
    size=WHOLE,
)
FULL = Param("full_info", help="true: facts of the file, not its name alone")
OVERWRITE = Param("overwrite", help="false: a file that is there stays; true by default")
MATCH = Param(
    hdrs.IF_MATCH, help="etags: only if the file has one of them, or `*`: if there is one"
)
OTHER = {412: "it has none of the etags in If-Match, or is not there"}
ASKING = {403: "it leads out of the user's folder", 404: "it is not there"}
WRITING = {
    403: "it leads out of the user's folder",
    409: "it is there already",
    507: "the disk takes no more, or there are too many files",
}

routes = Routes("user")


@routes.get(
    "/users",
    "Where settings are kept",
    answer=record({"storage": TEXT, "migrated": TRUTH}),
)
async def users(_server: Server, _request: web.Request) -> web.Response:
    return answer({"storage": "server", "migrated": True})


@routes.post("/users", "Always refused: there is one user")
async def add_user(_server: Server, _request: web.Request) -> web.Response:
    details = "this server has one user, who is there already: use /settings and /userdata"
    raise bad_request("Users are not created here", details)


# -- settings ------------------------------------------------------------------------------------


@routes.get("/settings", "All settings", answer=OBJECT, statuses={507: "they cannot be read"})
async def settings(server: Server, _request: web.Request) -> web.Response:
    return answer(await asyncio.to_thread(server.users.settings))


@routes.post(
    "/settings",
    "Change some settings",
    body=OBJECT,
    statuses={413: "they are too large", 507: "they cannot be written"},
)
async def change_settings(server: Server, request: web.Request) -> web.Response:
    changes = await read_object(request, server.settings.max_document_bytes)
    await asyncio.to_thread(server.users.change_settings, changes)
    return empty()


@routes.get(
    "/settings/{id:[^/]+}",
    "One setting; null if nobody has set it",
    answer=ANYTHING,
    statuses={507: "it cannot be read"},
)
async def setting(server: Server, request: web.Request) -> web.Response:
    found = await asyncio.to_thread(server.users.settings)
    return answer(found.get(request.match_info["id"]))


@routes.post(
    "/settings/{id:[^/]+}",
    "Change one setting",
    body=ANYTHING,
    statuses={413: "it is too large", 507: "it cannot be written"},
)
async def change_setting(server: Server, request: web.Request) -> web.Response:
    value = await read_json(request, server.settings.max_document_bytes)
    await asyncio.to_thread(server.users.change_settings, {request.match_info["id"]: value})
    return empty()


# -- files ---------------------------------------------------------------------------------------


@routes.get(
    "/userdata",
    "The files in a folder of the user's",
    query=(
        Param("dir", {"type": "string", "minLength": 1}, "the folder", required=True),
        Param("recurse", help="true: with the files in its folders"),
        FULL,
        Param("split", help="true: lists, of the name and of its parts"),
    ),
    answer=array({"anyOf": [TEXT, FILE, array(TEXT)]}),
    statuses=ASKING,
)
async def user_files(server: Server, request: web.Request) -> web.Response:
    """Names start at the folder."""
    folder = request.query.get("dir", "")
    if not folder:
        raise bad_request("dir is missing", "name a folder, as dir=workflows")
    recurse = truth(request, "recurse")
    found = await asyncio.to_thread(server.users.list, folder, recurse=recurse)
    files = [file for file in found if not file.folder]
    if truth(request, "full_info"):
        return answer([file.as_json() for file in files])
    if truth(request, "split"):
        return answer([[file.path, *file.path.split("/")] for file in files])
    return answer([file.path for file in files])


@routes.get(
    "/v2/userdata",
    "The files and folders in a folder of the user's",
    query=(Param("path", help="the folder; the whole by default"),),
    answer=array(ENTRY),
    statuses=ASKING,
)
async def user_entries(server: Server, request: web.Request) -> web.Response:
    """Paths start at the user's folder; times in seconds since 1970, sizes in bytes."""
    folder = request.query.get("path", "")
    found = await asyncio.to_thread(server.users.list, folder)
    start = trimmed(folder).replace("\\", "/")
    return answer([_entry(file, start) for file in found])


@routes.get(
    "/userdata/{file:[^/]+}",
    "A file of the user's",
    answer="*/*",
    statuses={
        206: "the part of the file that was asked for",
        304: "the file is what the client has already",
        412: "the file is another by now",
        416: "the file has no such part",
        **ASKING,
    },
)
async def user_file(server: Server, request: web.Request) -> web.StreamResponse:
    """JSON and plain text are shown; all else comes as a file to save."""
    path = await asyncio.to_thread(server.users.find, request.match_info["file"])
    return file_answer(path, document_media(path.name))


@routes.post(
    "/userdata/{file:[^/]+}",
    "Write a file of the user's",
    query=(OVERWRITE, FULL),
    headers=(MATCH,),
    body="application/octet-stream",
    optional=True,
    answer=NAME_OR_FILE,
    statuses={413: "it is too large", **WRITING, **OTHER},
)
async def write_user_file(server: Server, request: web.Request) -> web.Response:
    content = await read_bytes(request, server.settings.max_document_bytes)
    overwrite = truth(request, "overwrite", True)
    name = request.match_info["file"]
    written = await asyncio.to_thread(
        server.users.write, name, content, overwrite=overwrite, match=matching(request)
    )
    return told(request, written)


@routes.add(
    "DELETE",
    "/userdata/{file:[^/]+}",
    "Delete a file of the user's",
    headers=(MATCH,),
    statuses={204: "it is gone", 507: "the disk refuses", **ASKING, **OTHER},
)
async def delete_user_file(server: Server, request: web.Request) -> web.Response:
    name = request.match_info["file"]
    await asyncio.to_thread(server.users.delete, name, match=matching(request))
    return empty(204)


@routes.post(
    "/userdata/{file:[^/]+}/move/{dest:[^/]+}",
    "Give a file of the user's another name",
    query=(OVERWRITE, FULL),
    headers=(MATCH,),
    answer=NAME_OR_FILE,
    statuses={404: "it is not there", **WRITING, **OTHER},
)
async def move_user_file(server: Server, request: web.Request) -> web.Response:
    name, to = request.match_info["file"], request.match_info["dest"]
    overwrite = truth(request, "overwrite", True)
    moved = await asyncio.to_thread(
        server.users.move, name, to, overwrite=overwrite, match=matching(request)
    )
    return told(request, moved)


def matching(request: web.Request) -> set[str] | None:
    """The etags in If-Match; None if it is not there."""
    wanted = request.if_match
    return None if wanted is None else {tag.value for tag in wanted if not tag.is_weak}


def told(request: web.Request, file: UserFile) -> web.Response:
    """The answer after a file was written: its name, or if asked for, facts."""
    data = file.as_json() if truth(request, "full_info") else file.path
    return answer(data, headers={hdrs.ETAG: f'"{file.etag}"'})


def _entry(file: UserFile, folder: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": file.path,
        "path": f"{folder}/{file.path}" if folder else file.path,
        "type": "directory" if file.folder else "file",
        "modified": file.modified,
    }
    return row if file.folder else {**row, "size": file.size}
