"""Requests that cost the server more than their sender, and clients that hold on to it: others are
answered meanwhile, and what was taken is given back.
"""

from __future__ import annotations

import gzip
import json
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest
from server_parts import form
from server_process import SMALL, Answer, ServerProcess, serving, until
from server_wire import (
    HOST,
    TEXT,
    answers,
    assert_calm,
    assert_safe,
    connected,
    frame,
    messages,
    received,
    upgraded,
)

MIB = 1 << 20
LONGEST = 10.0  # seconds that nobody else may have to wait; on an idle machine it is below 1.5
ROOM = 600 * MIB  # of memory that the allocator may keep; a bomb that went off takes more


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(tmp_path_factory.mktemp("bombs")) as server:
        process = psutil.Process(server.process.pid)
        before = process.memory_info().rss
        yield server
        assert_calm(server)
        assert process.memory_info().rss < before + ROOM


def longest_wait(server: ServerProcess, work: Callable[[], Answer]) -> tuple[Answer, float]:
    """What some work gives, and how long another client had to wait meanwhile, in seconds."""
    found: list[Answer] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    longest = 0.0
    while thread.is_alive():
        begin = time.monotonic()
        assert server.get("/healthz") == {"status": "ok"}
        longest = max(longest, time.monotonic() - begin)
        thread.join(0.02)
    return found[0], longest


def packed(letter: bytes, nbytes: int) -> bytes:
    """Many times a letter, as gzip."""
    return gzip.compress(letter * nbytes, 1)


# Made when they are needed: together they would fill the memory of the test.
BOMBS: dict[str, tuple[Callable[[], bytes], int]] = {
    "64 MiB of [": (lambda: b"[" * (64 * MIB), 413),
    "as many [ as may be": (lambda: b"[" * 3_900_000, 400),
    "objects in objects": (lambda: b'{"a":' * 3_900_000, 400),
    "lists side by side": (lambda: b"[" + b"[]," * (15 * MIB) + b"[]]", 413),
    "half a million lists": (lambda: b"[" + b"[]," * 500_000 + b"[]]", 400),
    "half a million names": (lambda: names(500_000), 400),
    "a million times one name": (lambda: b"{" + b'"a":0,' * 1_000_000 + b'"a":0}', 400),
    "numbers of 4,000 digits": (lambda: b"[" + b",".join([b"9" * 4000] * 4_000) + b"]", 400),
    "fractions of 4,000 digits": (
        lambda: b"[" + b",".join([b"1." + b"9" * 4000] * 4_000) + b"]",
        400,
    ),
    "a text of 30 MiB": (lambda: b'"' + b"x" * (30 * MIB) + b'"', 400),
    "escapes": (lambda: b'"' + b"\\u00e9" * (4 * MIB) + b'"', 400),
}


def names(count: int) -> bytes:
    return b"{" + b",".join(b'"%d":0' % number for number in range(count)) + b"}"


@pytest.mark.parametrize("case", BOMBS)
def test_a_json_bomb_is_refused_and_stops_nobody(server: ServerProcess, case: str) -> None:
    make, status = BOMBS[case]
    body = make()

    answer, waited = longest_wait(server, lambda: server.request("POST", "/prompt", body))

    assert_safe(answer, status=status)
    assert waited < LONGEST


@pytest.mark.parametrize("path", ["/prompt", "/userdata/x.json"])
def test_a_body_that_unpacks_to_very_much_is_refused(server: ServerProcess, path: str) -> None:
    body = packed(b"[", 100 * MIB)

    answer, waited = longest_wait(
        server, lambda: server.request("POST", path, body, {"Content-Encoding": "gzip"})
    )

    assert_safe(answer, status=413)
    assert waited < LONGEST


def test_a_bomb_over_a_websocket_is_refused_and_stops_nobody(server: ServerProcess) -> None:
    def work() -> Answer:
        with upgraded(server) as connection:
            connection.sendall(frame(TEXT, b'{"type":"subscribe","id":1}'))
            connection.sendall(frame(TEXT, b"[" * (20 * MIB)))
            connection.sendall(frame(TEXT, b'{"type":"subscribe","id":2}'))
            data = b""
            while data.count(b'"refused"') < 3:
                data += connection.recv(1 << 16)
        return Answer(200, {}, json.dumps(messages(data)).encode())

    told, waited = longest_wait(server, work)

    assert "too_large" in [m["data"]["error"]["type"] for m in told.json if m["type"] == "refused"]
    assert waited < LONGEST


def png(width: int, height: int) -> bytes:
    """A black PNG of one bit for each dot, which packs well."""
    rows = zlib.compressobj(9)
    pixels = [rows.compress(bytes(1 + (width + 7) // 8) * 64) for _ in range(height // 64)]
    content = b"".join(pixels) + rows.flush()
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))]
    parts += [(b"IDAT", content), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )


def test_a_picture_of_very_many_dots_is_not_decoded(server: ServerProcess) -> None:
    bomb = png(20_000, 20_000)
    (server.folder / "output").mkdir(exist_ok=True)
    (server.folder / "output/bomb.png").write_bytes(bomb)
    body, kind = form(bomb, "bomb.png")

    def upload() -> Answer:
        return server.request("POST", "/upload/image", body, {"Content-Type": kind})

    def convert() -> Answer:
        return server.request("GET", "/view?filename=bomb.png&preview=webp")

    for work in (upload, convert):
        answer, waited = longest_wait(server, work)
        assert_safe(answer, status=400)
        assert answer.json["error"]["type"] == "image_too_large"
        assert waited < LONGEST


@pytest.mark.parametrize(
    "header", [b"[" * (8 * MIB), b'{"a":' * MIB, b'{"__metadata__":' + b"[" * MIB, b"\xff" * MIB]
)
def test_the_header_of_a_model_may_be_a_bomb(server: ServerProcess, header: bytes) -> None:
    folder = server.folder / "models/checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bomb.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)

    answer, waited = longest_wait(
        server,
        lambda: server.request("GET", "/view_metadata/checkpoints?filename=bomb.safetensors"),
    )

    assert_safe(answer, status=404)
    assert waited < LONGEST


# -- clients that hold on ------------------------------------------------------------------------

HALVES = (
    b"",
    b"GET /healthz HT",
    b"GET /healthz HTTP/1.1\r\n" + HOST,
    b"POST /prompt HTTP/1.1\r\n" + HOST + b"Content-Length: 1000000\r\n\r\n{",
    b"POST /prompt HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
    b"POST /upload/image HTTP/1.1\r\n" + HOST + b"Content-Length: 1000\r\n"
    b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\nContent-Disposition: form-data; "
    b'name="image"; filename="x.png"\r\n\r\n',
)


def test_three_hundred_halves_of_requests_stop_nobody(server: ServerProcess) -> None:
    process = psutil.Process(server.process.pid)
    threads = process.num_threads()
    with ExitStack() as stack:
        for number in range(300):
            connection = stack.enter_context(connected(server))
            connection.sendall(HALVES[number % len(HALVES)])

        assert_calm(server)
        assert server.request("GET", "/object_info").status == 200
        assert process.num_threads() <= threads + 20  # none for each of them
    until(lambda: len(process.net_connections()) == 1)
    assert list((server.folder / "temp").glob("*")) == []


ASKED = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"


def hasty(**seconds: float) -> str:
    """A server whose patience is shorter."""
    lines = {
        "idle": "import nodegraph.server.connections as a\na.IDLE = {}",
        "patience": "import nodegraph.server.bodies as b\nb.PATIENCE = {}",
    }
    changed = [lines[name].format(value) for name, value in seconds.items()]
    return "\n".join([*changed, SMALL])


def test_a_head_that_does_not_come_ends_the_connection(tmp_path: Path) -> None:
    with serving(tmp_path, program=hasty(idle=0.3)) as server, ExitStack() as stack:
        found = [stack.enter_context(connected(server)) for _ in range(4)]
        for connection, half in zip(found, HALVES, strict=False):
            connection.sendall(half if half in HALVES[:3] else ASKED)

        assert [received(connection) for connection in found[:3]] == [b""] * 3
        (answer,) = answers(received(found[3]))
        assert answer.status == 200  # and nothing more is asked


def test_a_body_that_stops_coming_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path, program=hasty(patience=0.3)) as server, ExitStack() as stack:
        found = [stack.enter_context(connected(server)) for _ in HALVES[3:]]
        for connection, half in zip(found, HALVES[3:], strict=True):
            connection.sendall(half)
        for connection in found:
            data = b""
            while not (told := list(answers(data))):
                part = connection.recv(1 << 16)
                assert part
                data += part
            assert_safe(told[0], status=408)

        assert list(tmp_path.glob("temp/*")) == []


# So few files may be open that strangers' connections could take them all.
FEW = f"""
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
{SMALL}
"""


def test_connections_leave_files_to_the_jobs(tmp_path_factory: pytest.TempPathFactory) -> None:
    with serving(tmp_path_factory.mktemp("few"), program=FEW) as server, ExitStack() as stack:
        kept = stack.enter_context(connected(server))
        others = [stack.enter_context(connected(server)) for _ in range(150)]
        process = psutil.Process(server.process.pid)
        until(lambda: "connections are refused" in server.said())
        until(lambda: len(process.net_connections()) < 110)

        # All places are taken: a client that came before them is served as ever.
        id = submit_over(kept, {"1": {"class_type": "Write", "inputs": {"value": 1, "copies": 9}}})
        for connection in others:
            connection.close()
        until(lambda: len(process.net_connections()) == 2)
        assert server.ended(id)["status"]["status_str"] == "success"
        assert len(list((server.folder / "output").glob("written*"))) == 9
        assert "Too many open files" not in server.said()
        assert "Traceback" not in server.said()
        assert server.said().count("connections are refused") == 1


def submit_over(connection: socket.socket, graph: Mapping[str, Any]) -> str:
    """Submit a graph over a connection that is there already; the job's id."""
    body = json.dumps({"prompt": graph}).encode()
    head = b"POST /prompt HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(body)
    connection.sendall(head + body)
    data = b""
    while not (found := list(answers(data))):
        data += connection.recv(1 << 16)
    assert found[0].status == 200, found
    return str(found[0].json["prompt_id"])
