"""Clients that do not read, or are gone without a word: nobody else notices."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from server_listener import faultless, fresh, listening, node, saving
from server_process import SMALL, WAIT, ServerProcess, serving, until

from nodegraph.jobs import Message
from nodegraph.server import away as away_module
from nodegraph.server import socket as socket_module
from nodegraph.server.away import Away
from nodegraph.server.socket import Socket

# The same server with small buffers and much patience, and one whose heart beats fast.
NARROW = f"""
import nodegraph.server.socket as buffers
import nodegraph.server.routes.socket as route
buffers.MAX_BYTES, buffers.MAX_RESULTS, buffers.PATIENCE = 300_000, 2 << 20, {WAIT}
route.HEARTBEAT = 10 * {WAIT}
{SMALL}
"""
LIVELY = f"""
import nodegraph.server.routes.socket as route
route.HEARTBEAT = 0.2
{SMALL}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(tmp_path_factory.mktemp("slow"), program=NARROW) as server:
        yield server
        faultless(server)


# -- a client that is only a socket ----------------------------------------------------------------


@dataclass
class Raw:
    """A websocket of which nothing is read unless it is asked for."""

    connection: socket.socket
    buffer: bytes = b""

    def say(self, message: Any) -> None:
        data = json.dumps(message).encode()
        length = bytes([0x80 | len(data)]) if len(data) < 126 else b""
        length = length or b"\xfe" + struct.pack(">H", len(data))
        self.connection.sendall(b"\x81" + length + bytes(4) + data)

    def frame(self) -> tuple[int, bytes]:
        """The opcode and the bytes of the next frame; (0, b"") at the end."""
        head = self._take(2)
        if len(head) < 2:
            return 0, b""
        size = head[1] & 127
        if size >= 126:
            size = int.from_bytes(self._take(2 if size == 126 else 8), "big")
        return head[0] & 15, self._take(size)

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """All frames up to the end of the connection."""
        while (frame := self.frame()) != (0, b""):
            yield frame

    def _take(self, size: int) -> bytes:
        while len(self.buffer) < size:
            more = self.connection.recv(1 << 16)
            if not more:
                return b""
            self.buffer += more
        found, self.buffer = self.buffer[:size], self.buffer[size:]
        return found


@contextmanager
def connected(server: ServerProcess, client: str) -> Iterator[Raw]:
    """A websocket whose system keeps as little as possible for it."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(WAIT)
    connection.connect(("127.0.0.1", server.port))
    with connection:
        connection.sendall(
            f"GET /ws?clientId={client} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        assert b" 101 " in head
        yield Raw(connection)


def sockets(server: ServerProcess) -> int:
    lines = server.request("GET", "/metrics").body.decode().splitlines()
    [line] = [line for line in lines if line.startswith("nodegraph_websockets ")]
    return int(float(line.split()[1]))


# -- a client that does not read -------------------------------------------------------------------


def test_who_does_not_read_is_closed_with_a_reason_and_nobody_else_notices(
    server: ServerProcess,
) -> None:
    with connected(server, "both") as slow, listening(server, "both") as other:
        ids = []
        while sockets(server) == 2 and len(ids) < 60:
            graph = {"1": node("SendLarge", megabytes=1)}
            ids.append(server.submit(graph, client_id="both"))
            other.ended(ids[-1])
            until(lambda: len(other.frames) == len(ids))

        told = list(slow.frames())
        opcode, reason = told[-1]
        assert opcode == 8
        assert int.from_bytes(reason[:2], "big") == 1013
        assert b"too slow" in reason
        assert 0 < sum(opcode == 2 for opcode, _ in told) < len(ids)
        assert other.closed is None
    for id in ids:
        assert server.ended(id)["status"]["completed"]


def test_who_asks_more_than_it_reads_is_closed(server: ServerProcess) -> None:
    nodes = {str(n): node("Count", value=-1) for n in range(40)}
    graph = {**nodes, "save": node("Join", words=["1", 0])}
    validate = {"type": "validate", "data": {"prompt": graph, "partial_execution_targets": None}}
    with connected(server, "curious") as slow:
        slow.connection.settimeout(1.0)
        try:
            for _ in range(3000):
                slow.say(validate)
        except OSError:  # it is not read from any more either, or closed
            pass
        slow.connection.settimeout(WAIT)
        until(lambda: sockets(server) == 0)
    assert server.ended(server.submit(saving()))["status"]["completed"]


def test_progress_and_previews_alone_never_close_a_socket(server: ServerProcess) -> None:
    graph = {"1": node("Steps", value=fresh(), count=3000), "2": node("Show", value=["1", 0])}
    with connected(server, "patient") as slow:
        flags = {"supports_preview_metadata": True}
        slow.say({"type": "feature_flags", "data": flags})
        id = server.submit(graph, client_id="patient", extra_data={"preview_method": "auto"})
        server.ended(id)

        last = {"type": "executing", "data": {"node": None, "prompt_id": id}}
        told = []
        while not told or told[-1] != last:
            opcode, data = slow.frame()
            assert opcode in (1, 2, 9), data
            if opcode == 1:
                told.append(json.loads(data))
    kinds = [m["type"] for m in told if m["type"] not in ("progress", "progress_state", "status")]
    assert kinds == [
        "feature_flags",
        "execution_start",
        "execution_cached",
        *("executing", "executing", "executed"),
        "execution_success",
        "executing",
    ]
    values = [m["data"]["value"] for m in told if m["type"] == "progress"]
    assert values == sorted(values)
    assert values[-1] == 3000


# -- a client that is gone -------------------------------------------------------------------------


@pytest.mark.parametrize("reset", [False, True])
def test_who_goes_without_a_word_is_forgotten_and_its_job_goes_on(
    server: ServerProcess, reset: bool
) -> None:
    client = f"gone-{fresh()}"
    with connected(server, client) as raw:
        raw.frame()
        id = server.submit({**saving(), "3": node("Slow", steps=30)}, client_id=client)
        if reset:
            linger = struct.pack("ii", 1, 0)
            raw.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    until(lambda: sockets(server) == 0)

    assert server.ended(id)["status"]["completed"]
    with listening(server, client) as again:
        assert again.ended(id)[-2]["type"] == "execution_success"


def test_who_is_cut_off_does_not_answer_pings_and_is_let_go(tmp_path: Path) -> None:
    """Its system keeps the connection as if somebody were there."""
    with (
        serving(tmp_path, program=LIVELY) as server,
        listening(server, "there") as there,
        connected(server, "cut-off") as raw,
    ):
        raw.frame()
        assert sockets(server) == 2

        until(lambda: sockets(server) == 1)
        there.settle()


def test_half_a_handshake_and_half_a_frame_hold_nothing_up(server: ServerProcess) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as half:
        half.sendall(b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: webso")
        with connected(server, "half") as raw:
            raw.connection.sendall(b"\x81\xfe\xff\xff\0\0")
            assert server.ended(server.submit(saving()))["status"]["completed"]


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x81\x82" + bytes(4) + b"\xff\xfe", 1007),  # a text that is none
        (b"\x83\x80" + bytes(4), 1002),  # a kind that does not exist
        (b"\xf1\x80" + bytes(4), 1002),  # bits that nobody has agreed on
        (b"\x89\xfe\x01\x00" + bytes(4) + bytes(256), 1002),  # a ping that is too long
    ],
)
def test_what_is_no_websocket_frame_closes_its_socket_alone(
    server: ServerProcess, frame: bytes, code: int
) -> None:
    with connected(server, "broken") as raw, listening(server, "fine") as other:
        raw.connection.sendall(frame)

        opcode, reason = list(raw.frames())[-1]
        assert (opcode, int.from_bytes(reason[:2], "big")) == (8, code)
        other.ended(server.submit(saving(), client_id="fine"))


# -- the buffer itself -----------------------------------------------------------------------------


@dataclass
class Wire:
    """Stands for the websocket of aiohttp; sends when it is let."""

    sent: list[Any] = field(default_factory=list)
    closed: list[tuple[int, bytes]] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)

    async def send_str(self, text: str) -> None:
        await self.open.wait()
        self.sent.append(text)

    async def send_bytes(self, data: bytes) -> None:
        await self.send_str(data)  # type: ignore[arg-type]

    async def close(self, *, code: int, message: bytes) -> None:
        await self.open.wait()
        self.closed.append((code, message))


def buffered(test: Callable[[Socket, Wire], Awaitable[None]]) -> list[str]:
    """Run a test of a socket; whether its connection was ended."""
    aborted: list[str] = []

    async def work() -> None:
        wire = Wire()
        socket = Socket("me", wire, lambda: aborted.append("aborted"))  # type: ignore[arg-type]
        emptying = asyncio.create_task(socket.empty())
        await asyncio.sleep(0)
        await test(socket, wire)
        socket.close()
        wire.open.set()
        await asyncio.wait_for(emptying, WAIT)

    asyncio.run(work())
    return aborted


async def drained(wire: Wire, count: int) -> list[Any]:
    wire.open.set()
    while len(wire.sent) < count:
        await asyncio.sleep(0)
    return wire.sent


def test_what_waits_is_sent_in_order() -> None:
    async def test(socket: Socket, wire: Wire) -> None:
        for n in range(20):
            socket.send(str(n), key="the same")

        assert await drained(wire, 20) == [str(n) for n in range(20)]

    buffered(test)


def test_for_who_is_behind_the_newest_of_a_kind_waits_alone() -> None:
    async def test(socket: Socket, wire: Wire) -> None:
        for n in range(socket_module.BEHIND + 1):
            socket.send(f"event {n}")
        for n in range(100):
            socket.send(f"progress {n}", key="progress")
            socket.send(f"preview {n}".encode(), key="preview", droppable=True)
        socket.send("end")

        told = await drained(wire, socket_module.BEHIND + 4)
        assert told[-3:] == ["progress 99", b"preview 99", "end"]

    buffered(test)


def test_previews_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_module, "MAX_BYTES", 1000)

    async def test(socket: Socket, wire: Wire) -> None:
        socket.send(b"p" * 600, key="one", droppable=True)
        socket.send(b"q" * 300, key="two", droppable=True)
        socket.send("x" * 400)
        socket.send("y" * 500)

        assert not socket.closed
        assert await drained(wire, 2) == ["x" * 400, "y" * 500]

    assert buffered(test) == []


def test_then_the_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_module, "MAX_BYTES", 1000)

    async def test(socket: Socket, wire: Wire) -> None:
        for _ in range(3):
            socket.send("x" * 400)
        assert socket.closed
        socket.send("more")
        wire.open.set()
        while not wire.closed:
            await asyncio.sleep(0)

        [(code, reason)] = wire.closed
        assert code == 1013
        assert b"connect again" in reason
        assert wire.sent == []

    assert buffered(test) == ["aborted"]


def test_too_many_small_ones_close_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_module, "MAX_FRAMES", 100)

    async def test(socket: Socket, wire: Wire) -> None:
        for n in range(102):
            socket.send(f"{n}")
        assert socket.closed

    buffered(test)


def test_who_does_not_even_read_why_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_module, "MAX_BYTES", 10)
    monkeypatch.setattr(socket_module, "PATIENCE", 0.01)
    aborted: list[str] = []

    async def work() -> None:
        socket = Socket("me", Wire(), lambda: aborted.append("aborted"))  # type: ignore[arg-type]
        socket.send("x" * 100)
        while not aborted:
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(work(), WAIT))


def test_a_result_may_be_larger_than_the_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_module, "MAX_BYTES", 1000)
    monkeypatch.setattr(socket_module, "MAX_RESULTS", 10_000)

    async def test(socket: Socket, wire: Wire) -> None:
        socket.send(b"r" * 9_000, result=True)
        socket.send("an event", key="status")
        socket.send(b"s" * 50_000, result=True)
        assert not socket.closed

        assert [len(each) for each in await drained(wire, 3)] == [9_000, 8, 50_000]
        wire.open.clear()
        for size in (9_000, 9_000, 1):
            assert not socket.closed
            socket.send(b"r" * size, result=True)
        assert socket.closed

    buffered(test)


def test_results_that_can_wait_are_put_in_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_module, "ROOM", 100)
    monkeypatch.setattr(socket_module, "MAX_RESULTS", 1)

    async def test(socket: Socket, wire: Wire) -> None:
        putting = [asyncio.create_task(socket.send_all(bytes([n]) * 200)) for n in range(5)]
        for _ in range(20):
            await asyncio.sleep(0)
        assert sum(task.done() for task in putting) == 1

        told = await drained(wire, 5)
        assert [each[0] for each in told] == [0, 1, 2, 3, 4]
        await asyncio.wait_for(asyncio.gather(*putting), WAIT)

    buffered(test)


def test_nobody_waits_for_room_in_a_socket_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_module, "ROOM", 100)

    async def test(socket: Socket, wire: Wire) -> None:
        await socket.send_all(bytes(200))
        waiting = asyncio.create_task(socket.send_all(bytes(200)))
        await asyncio.sleep(0)
        socket.close()

        await asyncio.wait_for(waiting, WAIT)
        assert wire.sent == []

    buffered(test)


# -- what is kept for those who are away -----------------------------------------------------------


def message(n: int) -> Message:
    return Message("executed", {"prompt_id": "job", "node": str(n)}, n)


def test_what_is_kept_is_given_once_and_in_order() -> None:
    away = Away()
    kept = [message(1), b"picture", message(2)]
    for each in kept:
        away.keep("me", each)

    assert away.take("other") is None
    assert away.take("me") == kept
    assert away.take("me") is None


def test_of_equal_keys_the_newest_is_kept_in_the_newests_place() -> None:
    away = Away()
    for each, key in ((message(1), "progress"), (message(2), None), (message(3), "progress")):
        away.keep("me", each, key)

    assert away.take("me") == [message(2), message(3)]


def test_only_so_many_are_kept_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(away_module, "MAX_KEPT", 3)
    monkeypatch.setattr(away_module, "MAX_CLIENTS", 2)
    now = [0.0]
    away = Away(lambda: now[0])
    for client in ("one", "two", "three"):
        for n in range(5):
            away.keep(client, message(n))

    assert away.take("one") is None
    assert away.take("two") == [message(2), message(3), message(4)]
    now[0] += away_module.KEPT_SECONDS + 1
    assert away.take("three") is None


def test_the_oldest_pictures_are_let_go_and_messages_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(away_module, "MAX_BYTES", 250)
    away = Away()
    for client in ("one", "two"):
        for n in range(2):
            away.keep(client, message(n))
            away.keep(client, bytes([n]) * 100)

    assert away.take("one") == [message(0), message(1)]
    two = away.take("two")
    assert two == [message(0), b"\0" * 100, message(1), b"\1" * 100]
    away.keep("one", bytes(250))
    assert away.take("one") == [bytes(250)]
