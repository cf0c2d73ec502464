"""GET /ws: the websocket."""

from __future__ import annotations

import asyncio
import uuid

from aiohttp import WSMsgType, web

from .. import frames
from ..answers import Refused, bad_request
from ..commands import receive
from ..route import Param, Routes
from ..server import Server
from ..socket import Socket

routes = Routes("events")

HEARTBEAT = 30.0  # seconds after which a client that is gone without a word is noticed
COMMANDS_AT_ONCE = 16  # of one client
LONGEST_ID = 200


@routes.get(
    "/ws",
    "Events of this client's jobs, and commands (a websocket)",
    query=(
        Param("clientId", help="whose events; made up and told in the first message if missing"),
    ),
    statuses={101: "a websocket", 426: "this is no websocket request"},
)
async def websocket(server: Server, request: web.Request) -> web.StreamResponse:
    client = request.query.get("clientId") or uuid.uuid4().hex
    if len(client) > LONGEST_ID:
        raise bad_request("clientId is too long", f"at most {LONGEST_ID} characters")
    ws = web.WebSocketResponse(
        heartbeat=HEARTBEAT, max_msg_size=server.settings.max_document_bytes, compress=False
    )
    if not _can_be_one(ws, request):
        raise Refused(
            426,
            "no_websocket",
            "This is the address of the websocket",
            "connect with ws://",
            headers={"Upgrade": "websocket", "Connection": "Upgrade"},
        )
    await ws.prepare(request)
    socket = Socket(client, ws, lambda: _abort(request))
    sending = asyncio.create_task(socket.empty())
    try:
        _greet(server, socket)
        await _listen(server, socket)
    finally:
        server.hub.leave(socket)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    return ws


def _can_be_one(ws: web.WebSocketResponse, request: web.Request) -> bool:
    try:
        return bool(ws.can_prepare(request))
    except ValueError:  # a header is no text, or no ASCII
        return False


def _greet(server: Server, socket: Socket) -> None:
    """The first messages; who has missed none learns what is going on."""
    if server.hub.join(socket):
        return
    for running in server.queue.running.values():
        if running.job.request.client == socket.client:
            for node in running.story.running:
                data = {"node": node, "display_node": node, "prompt_id": running.job.id}
                socket.send(frames.text("executing", data))


async def _listen(server: Server, socket: Socket) -> None:
    """Commands are worked on side by side, since one may take long; but not too many.

    A client that goes does not stop them: what it submitted is in the queue whole or not at all.
    """
    working: set[asyncio.Task[None]] = set()
    async for message in socket.ws:
        if message.type is not WSMsgType.TEXT:
            continue
        if len(working) >= COMMANDS_AT_ONCE:
            await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
        task = server.spawn(receive(server, socket, message.data))
        working.add(task)
        task.add_done_callback(working.discard)


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
