"""Clients that do not read, or are gone without a word: nobody else notices."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from server_listener import faultless, fresh, listening, node, saving, sockets
from server_process import SMALL, WAIT, ServerProcess, serving, until

# The same server with small buffers and much patience, and one whose heart beats fast.
NARROW = f"""
import nodegraph.server.socket as buffers
import nodegraph.server.routes.socket as route
buffers.MAX_BYTES, buffers.MAX_RESULTS, buffers.PATIENCE = 1 << 20, 2 << 20, {WAIT}
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
    graph = {"0": node("Add", left=fresh())}
    graph |= {str(n): node("Add", left=[str(n - 1), 0]) for n in range(1, 60)}
    graph["60"] = node("Steps", value=["59", 0], count=1500)  # each step tells of all before it
    graph["61"] = node("Show", value=["60", 0])
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
        *(["executing"] * 62),
        *("executed", "execution_success"),
        "executing",
    ]
    values = [m["data"]["value"] for m in told if m["type"] == "progress"]
    assert values == sorted(values)
    assert values[-1] == 1500


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
