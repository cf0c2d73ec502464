"""What clients say over a websocket.

    {"type": "feature_flags", "data": {"supports_preview_metadata": true, "numbered_events": true}}
    {"type": "submit", "id": 1, "data": {"prompt": {...}, "images": true}}
    {"type": "validate", "id": 2, "data": {"prompt": {...}}}
    {"type": "cancel", "id": 3, "data": {"prompt_id": "..."}}
    {"type": "subscribe", "id": 4, "data": {"prompt_id": "...", "since": 0}}
    {"type": "unsubscribe", "id": 5, "data": {"prompt_id": "..."}}
    {"type": "result", "id": 6, "data": {"prompt_id": "...", "images": true}}

A command is answered by `{"type": "reply", "id", "data"}` or `{"type": "refused", "id", "data"}`,
`data` then being what HTTP would answer. What is no message at all is ignored, unless the client
has used commands before: clients of the ecosystem cannot read an answer to that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from nodegraph.jobs import Job

from . import frames
from .answers import Refused, bad_request, not_found
from .bodies import SMALL, as_object, field, parse_json
from .results import answer_of, send_pictures, send_result
from .socket import Socket
from .submission import read_submission, submit, validate

if TYPE_CHECKING:
    from .server import Server

Command = Callable[["Server", Socket, dict[str, Any]], Awaitable[dict[str, Any]]]
WAITING = 1000  # jobs whose pictures one socket waits for

log = logging.getLogger(__name__)


def features(server: Server) -> dict[str, Any]:
    """What the server understands, as /features says and websockets answer."""
    return {
        "supports_preview_metadata": True,
        "max_upload_size": server.settings.max_upload_bytes,
        "numbered_events": True,
        "websocket_commands": sorted(COMMANDS),
    }


async def receive(server: Server, socket: Socket, text: str) -> None:
    """Do what a client's message says, and answer it. Never raises."""
    message: dict[str, Any] = {}
    try:
        large = len(text) > SMALL
        said = await asyncio.to_thread(parse_json, text) if large else parse_json(text)
        message = as_object(said, "the message")
        kind, data = message.get("type"), message.get("data")
        if kind == "feature_flags":
            return _set_flags(server, socket, data)
        command = COMMANDS.get(kind) if isinstance(kind, str) else None
        if command is None:
            raise bad_request(
                "There is no such command", f"there are: {', '.join(COMMANDS)}", type="no_command"
            )
        socket.flags.extended = True
        reply = await command(server, socket, as_object({} if data is None else data, "data"))
        socket.send(frames.text("reply", reply, id=message.get("id")))
    except Refused as refused:
        if socket.flags.extended or "id" in message:
            socket.send(frames.text("refused", refused.as_json(), id=message.get("id")))
    except Exception:
        log.exception("a message over a websocket could not be answered")
        failure = Refused(500, "internal_error", "The server failed", "its log says why")
        if socket.flags.extended:
            socket.send(frames.text("refused", failure.as_json(), id=message.get("id")))
    return None


def _set_flags(server: Server, socket: Socket, data: Any) -> None:
    given = data if isinstance(data, Mapping) else {}
    socket.flags.previews = given.get("supports_preview_metadata") is True
    socket.flags.numbered = given.get("numbered_events") is True
    socket.send(frames.text("feature_flags", features(server)))


async def _submit(server: Server, socket: Socket, data: dict[str, Any]) -> dict[str, Any]:
    submission = read_submission({**data, "client_id": None}, socket.client)
    if not field(data, "images", bool, False):
        return await submit(server, submission)
    if len(socket.wanted) >= WAITING:
        raise bad_request("Too many jobs", f"pictures of {WAITING} jobs are waited for already")
    again = submission.id in socket.wanted
    socket.wanted.add(submission.id)
    try:
        reply = await submit(server, submission)
    except Refused:
        if not again:
            socket.wanted.discard(submission.id)
        raise
    job = await server.queue.find(submission.id)
    if job is not None and job.status.ended and submission.id in socket.wanted:
        socket.wanted.discard(submission.id)  # it had ended before
        server.spawn(send_result(server, socket, job))
    return reply


async def _validate(server: Server, socket: Socket, data: dict[str, Any]) -> dict[str, Any]:
    return await validate(server, read_submission(data, socket.client))


async def _cancel(server: Server, _socket: Socket, data: dict[str, Any]) -> dict[str, Any]:
    return {"cancelled": await server.queue.cancel(_id(data))}


async def _subscribe(server: Server, socket: Socket, data: dict[str, Any]) -> dict[str, Any]:
    id, since = _id(data), field(data, "since", int, 0)
    messages = await server.queue.messages(id, since)
    if messages is None:
        raise not_found("There is no such job", f"none has the id {id!r}, or it was forgotten")
    # The job may have gone on meanwhile. From here to `listen` nothing is awaited, so that what
    # happens from now on comes after what has happened.
    live = server.queue.running.get(id)
    last = messages[-1].n if messages else since
    missed = [] if live is None else [message for message in live.log if message.n > last]
    for message in [*messages, *missed]:
        server.hub.pass_on(socket, message)
    server.hub.listen(socket, id)
    job = await server.queue.find(id)
    if job is None or job.status.ended:
        server.hub.ignore(socket, id)  # there is nothing more to hear
    return {"prompt_id": id, "status": None if job is None else job.status.value}


async def _unsubscribe(server: Server, socket: Socket, data: dict[str, Any]) -> dict[str, Any]:
    server.hub.ignore(socket, _id(data))
    return {}


async def _result(server: Server, socket: Socket, data: dict[str, Any]) -> dict[str, Any]:
    job = await _ended(server, _id(data))
    sent = await send_pictures(server, socket, job) if field(data, "images", bool, False) else 0
    return answer_of(job, sent)


async def _ended(server: Server, id: str) -> Job:
    job = await server.queue.find(id)
    if job is None:
        raise not_found("There is no such job", f"none has the id {id!r}, or it was forgotten")
    if not job.status.ended:
        details = f"it is {job.status.value}: subscribe to it, or ask again later"
        raise Refused(409, "not_ended", "The job has not ended", details)
    return job


def _id(data: Mapping[str, Any]) -> str:
    id = field(data, "prompt_id", str, "")
    if not id:
        raise bad_request("prompt_id is missing", "name the job")
    return id


COMMANDS: Mapping[str, Command] = {
    "submit": _submit,
    "validate": _validate,
    "cancel": _cancel,
    "subscribe": _subscribe,
    "unsubscribe": _unsubscribe,
    "result": _result,
}
