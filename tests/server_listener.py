"""A websocket to a server under test that collects what arrives, and graphs for such servers."""

from __future__ import annotations

import asyncio
import itertools
import json
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from server_process import WAIT, Answer, ServerProcess, until

Message = dict[str, Any]
Graph = dict[str, dict[str, Any]]
# What the data of each message holds beside prompt_id.
FIELDS = {
    "execution_start": {"timestamp"},
    "execution_cached": {"nodes", "timestamp"},
    "progress_state": {"nodes"},
    "executing": {"node", "display_node"},
    "progress": {"node", "value", "max"},
    "executed": {"node", "display_node", "output"},
    "execution_success": {"timestamp"},
    "execution_interrupted": {"node_id", "node_type", "executed", "timestamp"},
    "execution_error": {
        *("node_id", "node_type", "executed", "exception_message", "exception_type"),
        *("traceback", "current_inputs", "current_outputs", "timestamp"),
    },
}
FLAGS = {"supports_preview_metadata": True}
NUMBERED = {"numbered_events": True}
FRESH = itertools.count(1000)  # values that no graph of these tests has had: nothing is cached


@dataclass
class Listener:
    """A websocket. received: every message and binary frame so far, in the order of arrival.

    closed: the code and the reason with which the server closed it.
    """

    client: str
    received: list[Message | bytes] = field(default_factory=list)
    closed: tuple[int | None, str] | None = None
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _ws: aiohttp.ClientWebSocketResponse | None = None
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _leaving: asyncio.Event = field(default_factory=asyncio.Event)
    _over: threading.Event = field(default_factory=threading.Event)

    @property
    def messages(self) -> list[Message]:
        return [each for each in self.received if isinstance(each, dict)]

    @property
    def frames(self) -> list[bytes]:
        return [each for each in self.received if isinstance(each, bytes)]

    def about(self, job: str) -> list[Message]:
        """The messages about a job."""
        return [each for each in self.messages if each["data"].get("prompt_id") == job]

    def until(self, condition: Callable[[Message], Any]) -> Message:
        """The first message of which something is true, waited for."""
        return self.wait(lambda: next((each for each in self.messages if condition(each)), None))

    def wait(self, condition: Callable[[], Any]) -> Any:
        """What a condition says once it says something; asked again when something arrives."""
        with self._changed:
            found = self._changed.wait_for(condition, WAIT)
            assert found, ("it never happened", self.received[-20:], self.closed)
            return found

    def ended(self, job: str) -> list[Message]:
        """The messages about a job up to its last one, waited for."""
        self.until(lambda each: is_last(each, job))
        return self.about(job)

    def say(self, message: Any) -> None:
        """Send a text (JSON, unless it is one already) or bytes."""
        assert self._ws is not None
        if isinstance(message, bytes):
            sending = self._ws.send_bytes(message)
        else:
            text = message if isinstance(message, str) else json.dumps(message)
            sending = self._ws.send_str(text)
        asyncio.run_coroutine_threadsafe(sending, self._loop).result(WAIT)

    def announce(self, **flags: bool) -> Message:
        """Tell what this client understands; the answer."""
        before = len(self.messages)
        self.say({"type": "feature_flags", "data": flags})
        return self.wait(
            lambda: next((m for m in self.messages[before:] if m["type"] == "feature_flags"), None)
        )

    def command(self, type: str, **data: Any) -> Message:
        """The reply to a command, or the refusal."""
        id = next(self._ids)
        self.say({"type": type, "id": id, "data": data})
        return self.until(lambda each: each.get("id") == id)

    def settle(self) -> None:
        """Wait until all that was sent so far has arrived."""
        assert self.command("unsubscribe", prompt_id="nothing")["type"] == "reply"

    def heard(self, message: Message | bytes) -> None:
        with self._changed:
            self.received.append(message)
            self._changed.notify_all()

    async def work(self, url: str, headers: Mapping[str, str], ready: threading.Event) -> None:
        """Connect, and collect what arrives until one of the two sides leaves."""
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(url, max_msg_size=0, headers=headers) as ws,
        ):
            self._ws = ws
            ready.set()
            reading = asyncio.create_task(self._read(ws))
            leaving = asyncio.create_task(self._leaving.wait())
            await asyncio.wait({reading, leaving}, return_when=asyncio.FIRST_COMPLETED)
            leaving.cancel()
            await ws.close()
            await reading

    async def _read(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            message = await ws.receive()
            if message.type is aiohttp.WSMsgType.TEXT:
                self.heard(json.loads(message.data))
            elif message.type is aiohttp.WSMsgType.BINARY:
                self.heard(message.data)
            else:
                break
        reason = message.extra if message.type is aiohttp.WSMsgType.CLOSE else ""
        with self._changed:
            self.closed = (ws.close_code, reason or "")
            self._changed.notify_all()

    def leave(self) -> None:
        """Close the websocket. May be called again."""
        if not self._over.is_set():
            self._loop.call_soon_threadsafe(self._leaving.set)
            assert self._over.wait(WAIT)


@contextmanager
def listening(
    server: ServerProcess, client: str | None = "me", *, path: str = "/ws", **flags: bool
) -> Iterator[Listener]:
    """A websocket with this client id, which has got its first message. flags: announced first."""
    listener = Listener(client or "")
    query = "" if client is None else f"?clientId={client}"
    url = f"ws://127.0.0.1:{server.port}{path}{query}"
    ready = threading.Event()

    def work() -> None:
        try:
            listener._loop.run_until_complete(listener.work(url, server.headers, ready))
        finally:
            listener._over.set()
            ready.set()

    thread = threading.Thread(target=work, name="listener")
    thread.start()
    try:
        assert ready.wait(WAIT)
        listener.wait(lambda: listener.received)
        if flags:
            listener.announce(**flags)
        yield listener
    finally:
        listener.leave()
        thread.join(WAIT)
        listener._loop.close()
        assert not thread.is_alive()


def is_last(message: Message, job: str) -> bool:
    """Whether this is the last message of a job."""
    data = message["data"]
    return message["type"] == "executing" and data == {"node": None, "prompt_id": job}


def assert_well_formed(messages: list[Message]) -> None:
    """All the messages of a job have the fields of the ecosystem's, of the right types."""
    now = time.time() * 1000
    for message in messages:
        kind, data = message["type"], message["data"]
        assert set(message) == {"type", "data"}, message
        if message is messages[-1]:
            assert set(data) == {"node", "prompt_id"}, message
        elif kind == "execution_error":
            assert set(data) >= FIELDS[kind] | {"prompt_id"}, message
        else:
            assert set(data) == FIELDS[kind] | {"prompt_id"}, message
        if "timestamp" in data:
            assert type(data["timestamp"]) is int
            assert now - 600_000 < data["timestamp"] <= now + 1
        if kind == "progress":
            assert type(data["value"]) is type(data["max"]) is int
        if kind == "progress_state":
            assert_states(data)


def assert_states(data: dict[str, Any]) -> None:
    for id, state in data["nodes"].items():
        assert state["node_id"] == state["real_node_id"] == id
        assert state["prompt_id"] == data["prompt_id"]
        assert state["state"] in ("pending", "running", "finished", "error")
        assert type(state["value"]) is type(state["max"]) is int
        assert 0 <= state["value"] <= state["max"]
        assert {"display_node_id", "parent_node_id"} <= set(state)


def types(messages: Sequence[Message]) -> list[str]:
    """The types, each with the node where it is about one: `executing 2`."""
    return [f"{each['type']} {_node(each['data'])}".rstrip() for each in messages]


def _node(data: Mapping[str, Any]) -> str:
    return str(data.get("node") or data.get("node_id") or "")


def metadata(frame: bytes) -> tuple[int, Any, bytes]:
    """(kind, JSON, bytes) of a binary frame with metadata."""
    kind, length = struct.unpack(">II", frame[:8])
    return kind, json.loads(frame[8 : 8 + length]), frame[8 + length :]


def fresh() -> int:
    """A value that no graph has had."""
    return next(FRESH)


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def saving(value: int | None = None, prefix: str = "saved") -> Graph:
    """Two nodes: 1 adds, 2 saves a text."""
    left = fresh() if value is None else value
    return {"1": node("Add", left=left), "2": node("Save", value=["1", 0], prefix=prefix)}


def two_branches() -> Graph:
    """2 saves, 4 shows."""
    left, right = fresh(), fresh()
    return {
        "1": node("Add", left=left),
        "2": node("Save", value=["1", 0], prefix="left"),
        "3": node("Add", left=right),
        "4": node("Show", value=["3", 0]),
    }


def waiting(gate: str) -> Graph:
    """1 waits for a gate, 2 saves."""
    return {"1": node("Wait", gate=gate), "2": node("Save", value=["1", 0], prefix=gate)}


def open_gate(server: ServerProcess, gate: str) -> None:
    """Let the nodes go on that wait for it."""
    folder = server.folder / "gates"
    folder.mkdir(exist_ok=True)
    (folder / gate).touch()


@contextmanager
def busy(server: ServerProcess) -> Iterator[str]:
    """A job that runs for as long as the block; its id. The queue is empty at the end."""
    gate = f"busy-{fresh()}"
    id = server.submit(waiting(gate))
    until(lambda: id in running_ids(server))
    try:
        yield id
    finally:
        open_gate(server, gate)
        server.ended(id)


def running_ids(server: ServerProcess) -> list[str]:
    return [item[1] for item in server.get("/queue")["queue_running"]]


def pending_ids(server: ServerProcess) -> list[str]:
    """The ids of the jobs that wait, in the order of the list."""
    return [item[1] for item in server.get("/queue")["queue_pending"]]


def sockets(server: ServerProcess) -> int:
    """How many websockets are open."""
    lines = server.request("GET", "/metrics").body.decode().splitlines()
    [line] = [line for line in lines if line.startswith("nodegraph_websockets ")]
    return int(float(line.split()[1]))


def shape_of(answer: Answer, status: int) -> dict[str, Any]:
    """The JSON of an answer that must be an error, in the one shape that errors have."""
    assert answer.status == status, answer
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    found: dict[str, Any] = answer.json
    assert set(found) == {"error", "node_errors"}
    assert set(found["error"]) == {"type", "message", "details", "extra_info"}
    assert found["error"]["message"]
    return found


def refused(server: ServerProcess, body: Any, status: int = 400, **headers: str) -> dict[str, Any]:
    """What POST /prompt answers to a body that it refuses."""
    return shape_of(server.request("POST", "/prompt", body, headers), status)


def faultless(server: ServerProcess) -> None:
    """See that no request has made the server fail."""
    said = (server.folder / "stderr.txt").read_text()
    assert "ERROR" not in said, said
    assert "Traceback" not in said, said
    assert b'status="5' not in server.request("GET", "/metrics").body
