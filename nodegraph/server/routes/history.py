"""/history: jobs that have ended."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from aiohttp import web

from nodegraph.jobs import Query, Status, store

from .. import schema
from ..answers import answer, empty, large_answer
from ..bodies import field, read_object, texts, whole
from ..route import OBJECT, Param, Routes
from ..server import Server
from ..shapes import history

routes = Routes("history")

ENDED = (Status.SUCCESS, Status.ERROR, Status.CANCELLED)


@routes.get(
    "/history",
    "Jobs that have ended, oldest first",
    query=(
        Param("max_items", schema.FROM_ZERO, "how many; without an offset, the newest"),
        Param("offset", schema.FROM_ZERO, "how many of the oldest to leave out"),
        Param("q", help="a text that stands in the graph or the outputs"),
    ),
    answer=OBJECT,
)
async def get_history(server: Server, request: web.Request) -> web.Response:
    count = whole(request, "max_items", -1)
    offset = whole(request, "offset", -1)
    newest = count >= 0 and offset < 0
    query = Query(
        ENDED, request.query.get("q", ""), newest=newest, offset=max(0, offset), begun=True
    )
    query = replace(query, limit=count if count >= 0 else None)
    jobs, _ = await asyncio.to_thread(server.journal.read, lambda c: store.find(c, query))
    return await large_answer(history(reversed(jobs) if newest else jobs))


@routes.get("/history/{prompt_id:[^/]+}", "One job that has ended; {} for another", answer=OBJECT)
async def get_entry(server: Server, request: web.Request) -> web.Response:
    job = await server.queue.find(request.match_info["prompt_id"])
    return answer(history([job] if job is not None and job.status.ended else []))


@routes.post(
    "/history",
    "Forget jobs that have ended: all of them (clear), or some (delete); their files stay",
    body=schema.CLEAR_OR_DELETE,
    statuses={413: "the request is too large", 503: "the journal cannot be written"},
)
async def post_history(server: Server, request: web.Request) -> web.Response:
    data = await read_object(request, 1 << 20)
    doomed = texts(data, "delete")
    if field(data, "clear", bool, False):
        await server.queue.forget(None)
    elif doomed:
        await server.queue.forget(doomed)
    return empty()
