"""What ComfyUI's page shows of the server itself: its log and its folders."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from aiohttp import web

from ..answers import answer, bad_request, empty
from ..bodies import field, read_object
from ..logs import SIZE
from ..places import place_of
from ..route import TEXT, TRUTH, WHOLE, Routes, array, record
from ..server import Server
from .models import folder_names

BODY = 1 << 16  # bytes
LONGEST_ID = 256  # characters

routes = Routes("internal")


@routes.get("/internal/logs", "The last lines of the log, as one text", answer=TEXT)
async def log_text(server: Server, _request: web.Request) -> web.Response:
    return answer("".join(f"{entry['t']} - {entry['m']}" for entry in server.logs.entries()))


@routes.get(
    "/internal/logs/raw",
    "The last lines of the log",
    answer=record(
        {
            "entries": array(record({"t": TEXT, "m": TEXT})),
            "size": record({"cols": WHOLE, "rows": WHOLE}),
        }
    ),
)
async def log_entries(server: Server, _request: web.Request) -> web.Response:
    return answer({"entries": server.logs.entries(), "size": dict(SIZE)})


@routes.add(
    "PATCH",
    "/internal/logs/subscribe",
    "Be sent new lines of the log over the websocket, or no longer",
    body=record(
        {
            "clientId": {"type": "string", "minLength": 1, "maxLength": LONGEST_ID},
            "enabled": TRUTH,
        }
    ),
    statuses={413: "the body is too large"},
)
async def subscribe(server: Server, request: web.Request) -> web.Response:
    data = await read_object(request, BODY)
    client = field(data, "clientId", str, "")
    if not 0 < len(client) <= LONGEST_ID:
        details = f"give the id of a websocket, of at most {LONGEST_ID} characters"
        raise bad_request("clientId is wrong", details)
    if data.get("enabled") is None:
        raise bad_request("enabled is missing", "expected true or false")
    server.logs.subscribe(client, field(data, "enabled", bool, False))
    return empty()


@routes.get(
    "/internal/folder_paths",
    "The kinds of models, with the names of their folders",
    answer={"type": "object", "additionalProperties": array(TEXT)},
)
async def folder_paths(server: Server, _request: web.Request) -> web.Response:
    return answer({kind: folder_names(server, kind) for kind in server.folders.model_kinds()})


@routes.get(
    "/internal/files/{place}",
    "The files in input, output or temp, the newest first",
    answer=array(TEXT),
)
async def files(server: Server, request: web.Request) -> web.Response:
    place = place_of(request.match_info["place"], "")
    return answer(await asyncio.to_thread(_newest_first, server.folders.folder(place)))


def _newest_first(folder: Path) -> list[str]:
    """The files of a folder itself, without hidden ones."""
    try:
        with os.scandir(folder) as entries:
            shown = [each for each in entries if not each.name.startswith(".") and each.is_file()]
            found = [(-each.stat().st_mtime, each.name) for each in shown]
    except OSError:  # it is not made yet
        return []
    return [name for _, name in sorted(found)]
