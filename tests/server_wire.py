"""What no well-behaved client sends: bytes over plain sockets, to a server that must bear them."""

from __future__ import annotations

import json
import re
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from server_process import WAIT, Answer, ServerProcess, until

HOST = b"Host: localhost\r\n"
TEXT, BINARY, CLOSE, PING, CONTINUED = 1, 2, 8, 9, 0
UPGRADE = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@contextmanager
def connected(server: ServerProcess) -> Iterator[socket.socket]:
    """A connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=WAIT) as connection:
        yield connection


def exchange(server: ServerProcess, data: bytes, *, seconds: float = WAIT) -> list[Answer]:
    """Send bytes, then a request after which the server closes; the answers until it does.

    seconds: after which a server that is silent is taken to wait for more.
    """
    with connected(server) as connection:
        try:
            connection.sendall(data)
            connection.sendall(b"GET /last HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
        except OSError:  # it did not want to hear all of that
            pass
        connection.settimeout(seconds)
        return list(answers(received(connection)))


def received(connection: socket.socket) -> bytes:
    """All that comes until the other side closes, or is silent for the socket's timeout."""
    parts = []
    try:
        while part := connection.recv(1 << 16):
            parts.append(part)
    except OSError:
        pass
    return b"".join(parts)


def answers(data: bytes) -> Iterator[Answer]:
    """The HTTP answers in what was received; one that was cut off is left out, and what comes
    after HTTP has ended.
    """
    while data:
        head, _, rest = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        status = int(first.split(" ")[1])
        headers = dict(line.split(": ", 1) for line in lines)
        size = 0 if status == 100 else int(headers.get("Content-Length", "0"))
        if len(rest) < size:
            return
        if status != 100:
            yield Answer(status, headers, rest[:size])
        data = b"" if status == 101 else rest[size:]


# -- websockets ----------------------------------------------------------------------------------


def frame(kind: int, payload: bytes, *, last: bool = True, **lies: int) -> bytes:
    """A client's frame. lies: `length` that it says it has; `reserved` bits; `mask`: 0 for none."""
    head = bytes([(0x80 if last else 0) | lies.get("reserved", 0) << 4 | kind])
    size = lies.get("length", len(payload))
    mask = lies.get("mask", 1)
    bit = 0x80 if mask else 0
    if size < 126:
        head += bytes([bit | size])
    elif size < 1 << 16:
        head += struct.pack(">BH", bit | 126, size)
    else:
        head += struct.pack(">BQ", bit | 127, size)
    return head + (b"\0\0\0\0" if mask else b"") + payload  # a mask of zeros changes nothing


@contextmanager
def upgraded(server: ServerProcess, client: str = "raw") -> Iterator[socket.socket]:
    """A websocket that is not one of a library: whatever is sent over it, is sent."""
    with connected(server) as connection:
        target = f"GET /ws?clientId={client} HTTP/1.1\r\n".encode()
        connection.sendall(target + HOST + UPGRADE + b"\r\n")
        head = b""
        while b"\r\n\r\n" not in head:
            part = connection.recv(1)
            assert part, head
            head += part
        assert head.startswith(b"HTTP/1.1 101"), head
        yield connection


def frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(kind, payload) of the frames in what was received; one that was cut off is left out."""
    while len(data) >= 2:
        size, start = data[1], 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(data[2:10], "big"), 10
        if len(data) < start + size:
            return
        yield data[0] & 15, data[start : start + size]
        data = data[start + size :]


def messages(data: bytes) -> list[dict[str, Any]]:
    """The JSON of the text frames in what was received."""
    return [json.loads(payload) for kind, payload in frames(data) if kind == TEXT]


# -- how the server is ---------------------------------------------------------------------------


def metric(server: ServerProcess, name: str) -> float:
    """A number without labels that /metrics tells."""
    text = server.request("GET", "/metrics").body.decode()
    match = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    assert match, (name, text)
    return float(match[1])


def assert_calm(server: ServerProcess) -> None:
    """The server answers, has let go of all websockets, works on, and has found nothing wrong."""
    assert server.get("/healthz") == {"status": "ok"}
    until(lambda: metric(server, "nodegraph_websockets") == 0)
    graph = {"1": {"class_type": "Show", "inputs": {"value": "still here"}}}
    assert server.ended(server.submit(graph))["status"]["status_str"] == "success"
    said = server.said()
    assert "Traceback" not in said, said[-3000:]
    assert "ERROR" not in said, said[-3000:]


def assert_safe(answer: Answer, *, status: int | None = None) -> None:
    """What holds for each answer: no failure, errors in one shape, nothing a browser would run."""
    headers: Mapping[str, str] = {name.lower(): value for name, value in answer.headers.items()}
    assert answer.status < 500 or answer.status in (503, 507), answer
    assert headers["x-content-type-options"] == "nosniff", answer
    assert "default-src 'none'" in headers["content-security-policy"], answer
    assert headers["server"] == "nodegraph", answer
    if status is not None:
        assert answer.status == status, answer
    if answer.status >= 400 and answer.body:
        assert headers["content-type"].startswith("application/json"), answer
        error = answer.json["error"]
        assert error["type"], answer
        assert error["message"], answer
