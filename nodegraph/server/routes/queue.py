"""/queue, /interrupt, /free: what waits and runs."""

from __future__ import annotations

import asyncio

from aiohttp import web

from .. import schema
from ..answers import answer, bad_request, empty, large_answer
from ..bodies import field, number, read_object, texts
from ..route import TRUTH, Routes, record
from ..server import Server
from ..shapes import queue_item

routes = Routes("queue")

SMALL = 1 << 20  # bytes of a request here
UNWRITABLE = {413: "the request is too large", 503: "the journal cannot be written"}


@routes.get("/queue", "What runs and what waits, in the order it will run", answer=schema.QUEUE)
async def get_queue(server: Server, _request: web.Request) -> web.Response:
    running = [queue_item(each.job) for each in server.queue.running.values()]
    pending = [queue_item(job) for job in server.queue.pending]
    return await large_answer({"queue_running": running, "queue_pending": pending})


@routes.post(
    "/queue",
    "Cancel jobs that wait: all of them (clear), or some (delete)",
    body=schema.CLEAR_OR_DELETE,
    statuses=UNWRITABLE,
)
async def post_queue(server: Server, request: web.Request) -> web.Response:
    data = await read_object(request, SMALL)
    doomed = texts(data, "delete")
    if field(data, "clear", bool, False):
        await server.queue.clear()
    running = server.queue.running
    for id in doomed:
        if id not in running:
            await server.queue.cancel(id)
    return empty()


@routes.post(
    "/interrupt",
    "Stop what runs: everything, or the job with the prompt_id",
    body=schema.INTERRUPT,
    optional=True,
    statuses={413: UNWRITABLE[413]},
)
async def interrupt(server: Server, request: web.Request) -> web.Response:
    data = await read_object(request, SMALL, empty={})
    id = field(data, "prompt_id", str, "")
    server.queue.interrupt(id or None)
    return empty()


@routes.post(
    "/queue/pause", "Begin no more jobs", answer=record({"paused": TRUTH}), statuses=UNWRITABLE
)
async def pause(server: Server, _request: web.Request) -> web.Response:
    await server.queue.pause(True)
    return answer({"paused": True})


@routes.post(
    "/queue/resume", "Begin jobs again", answer=record({"paused": TRUTH}), statuses=UNWRITABLE
)
async def resume(server: Server, _request: web.Request) -> web.Response:
    await server.queue.pause(False)
    return answer({"paused": False})


@routes.get("/queue/state", "Whether the queue is paused", answer=schema.QUEUE_STATE)
async def get_state(server: Server, _request: web.Request) -> web.Response:
    queue = server.queue
    counts = {"running": len(queue.running), "pending": len(queue.pending)}
    return answer({"paused": queue.paused, **counts})


@routes.post(
    "/free",
    "Free memory: models that are not in use, cached results as well",
    body=schema.FREE,
    optional=True,
    statuses={413: UNWRITABLE[413]},
)
async def free(server: Server, request: web.Request) -> web.Response:
    data = await read_object(request, SMALL, empty={})
    models, results = (
        field(data, "unload_models", bool, False),
        field(data, "free_memory", bool, False),
    )
    engine = server.backend.loaded
    if engine is not None and (models or results):
        await asyncio.to_thread(engine.models.free)
    if engine is not None and results:
        await asyncio.to_thread(engine.cache.free, device="cpu")
    return empty()


def number_of(data: dict[str, object]) -> float | None:
    """Where a job is to be moved: a number, or None for the first place. Refused (400)."""
    value = number(data, "number")
    if field(data, "front", bool, False):
        return None
    if value is None:
        raise bad_request("Nothing says where to", "give number, or front: true")
    return value
