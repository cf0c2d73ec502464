"""/prompt: submit a graph. /object_info: the node types it may be made of."""

from __future__ import annotations

import asyncio

from aiohttp import web

from nodegraph.catalogue import node_info, object_info

from .. import schema
from ..answers import answer
from ..bodies import read_object
from ..route import OBJECT, Routes
from ..server import Server
from ..submission import read_submission, submit, validate

routes = Routes("graphs")

REFUSALS = {
    409: "the prompt_id is another graph's",
    413: "the graph is too large",
    429: "the queue is full",
    503: "the server is ending, or the nodes could not be loaded",
}


@routes.get("/prompt", "How many jobs wait or run", answer=schema.QUEUE_INFO)
async def get_prompt(server: Server, _request: web.Request) -> web.Response:
    return answer({"exec_info": {"queue_remaining": server.queue.remaining}})


@routes.post(
    "/prompt",
    "Submit a graph, in API or editor format; the job is on disk before the answer",
    body=schema.SUBMISSION,
    answer=schema.SUBMITTED,
    statuses=REFUSALS,
)
async def post_prompt(server: Server, request: web.Request) -> web.Response:
    data = await read_object(request, server.settings.max_document_bytes)
    return answer(await submit(server, read_submission(data)))


@routes.post(
    "/validate",
    "What is wrong with a graph, without running it",
    body=schema.SUBMISSION,
    answer=schema.VALIDATED,
    statuses={413: REFUSALS[413], 503: REFUSALS[503]},
)
async def post_validate(server: Server, request: web.Request) -> web.Response:
    data = await read_object(request, server.settings.max_document_bytes)
    return answer(await validate(server, read_submission(data)))


@routes.get(
    "/object_info", "All node types", answer=OBJECT, statuses={503: "the nodes could not be loaded"}
)
async def get_object_info(server: Server, _request: web.Request) -> web.Response:
    engine = await server.engine()
    return answer(await asyncio.to_thread(object_info, engine.registry))


@routes.get(
    "/object_info/{name}",
    "One node type; {} if there is none of that name",
    answer=OBJECT,
    statuses={503: "the nodes could not be loaded"},
)
async def get_node_info(server: Server, request: web.Request) -> web.Response:
    engine = await server.engine()
    name = request.match_info["name"]
    kind = engine.registry.nodes.get(name)
    if kind is None:
        return answer({})
    return answer({name: await asyncio.to_thread(node_info, engine.registry, kind)})
