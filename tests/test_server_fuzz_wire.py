"""Bytes that are no HTTP, or nearly: each gets a plain refusal, and nobody else suffers."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from server_process import Answer, ServerProcess, serving
from server_wire import HOST, answers, assert_calm, assert_safe, connected, exchange, received

BOUNDED = settings(
    max_examples=100,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
LONGER = settings(BOUNDED, max_examples=3000, derandomize=False)
SILENT = 0.2  # seconds after which a server that says nothing is taken to wait for more

GET = b"GET /healthz HTTP/1.1\r\n" + HOST
POST = b"POST /queue HTTP/1.1\r\n" + HOST
CHUNKED = b"Transfer-Encoding: chunked\r\n"
SMUGGLED = b"POST /queue/pause HTTP/1.1\r\n" + HOST + b"\r\n"

# Refused with 400, and the connection is closed: what follows is not read as another request.
UNREADABLE = {
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no target": b"GET\r\n\r\n",
    "another version": b"GET /healthz HTTP/9.9\r\n" + HOST + b"\r\n",
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "a method with a sign": b"G@T /healthz HTTP/1.1\r\n" + HOST + b"\r\n",
    "an unknown method": b"BREW /healthz HTTP/1.1\r\n" + HOST + b"\r\n",
    "a long target": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "a long header": GET + b"X: " + b"a" * 100_000 + b"\r\n\r\n",
    "5,000 headers": GET + b"".join(b"X%d: a\r\n" % i for i in range(5000)) + b"\r\n",
    "NUL in a header": GET + b"X: a\0b\r\n\r\n",
    "a header without a colon": GET + b"nothing\r\n\r\n",
    "a header without a name": GET + b": a\r\n\r\n",
    "a space before the colon": GET + b"X : a\r\n\r\n",
    "a header over two lines": GET + b"X: a\r\n b\r\n\r\n",
    "lines without CR": b"GET /healthz HTTP/1.1\nHost: localhost\n\n",
    "bytes above 127 in the target": b"GET /\xc3\xa9\xff HTTP/1.1\r\n" + HOST + b"\r\n",
    "half an address in the target": b"GET http://[::1/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "a port above all": b"GET http://localhost:99999/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "a chunk's size that is none": POST + CHUNKED + b"\r\nzz\r\n{}\r\n0\r\n\r\n",
    "a chunk of 2^80 bytes": POST + CHUNKED + b"\r\nffffffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    "a negative chunk": POST + CHUNKED + b"\r\n-2\r\n{}\r\n0\r\n\r\n",
    "a chunk longer than it says": POST + CHUNKED + b"\r\n2\r\n{}{}\r\n0\r\n\r\n",
    "length and chunks": POST + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n0\r\n\r\n" + SMUGGLED,
    "chunks and length": POST + CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "two lengths": POST + b"Content-Length: 2\r\nContent-Length: 50\r\n\r\n{}" + SMUGGLED,
    "two lengths in one": POST + b"Content-Length: 2, 50\r\n\r\n{}" + SMUGGLED,
    "a length with a sign": POST + b"Content-Length: +2\r\n\r\n{}" + SMUGGLED,
    "a negative length": POST + b"Content-Length: -2\r\n\r\n{}",
    "a length of 2^80": POST + b"Content-Length: 1208925819614629174706176\r\n\r\n{}",
    "a length in hexadecimal": POST + b"Content-Length: 0x2\r\n\r\n{}" + SMUGGLED,
    "another coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n{}" + SMUGGLED,
    "chunked, but not at last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n" + SMUGGLED,
    "chunked twice": POST + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n" + SMUGGLED,
    "a name with a tab": POST + b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
}
# Read as requests, and refused as such.
REFUSED = {
    "a proxy's request": (b"GET http://evil.example/ HTTP/1.1\r\n" + HOST + b"\r\n", 403),
    "CONNECT": (b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST + b"\r\n", 403),
    "OPTIONS *": (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    "TRACE": (b"TRACE /healthz HTTP/1.1\r\n" + HOST + b"\r\n", 405),
    "DELETE": (b"DELETE /healthz HTTP/1.1\r\n" + HOST + b"\r\n", 405),
    "HTTP/1.0 without a host": (b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 403),
    "a strange escape": (b"GET /%zz%GG HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    "another expectation": (POST + b"Expect: wonders\r\nContent-Length: 2\r\n\r\n{}", 417),
    "the same of no route": (b"GET /x HTTP/1.1\r\n" + HOST + b"Expect: wonders\r\n\r\n", 417),
    "gzip that is none": (POST + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", 400),
    "a body of bytes": (POST + b"Content-Length: 2\r\n\r\n\xff\xfe", 400),
    "a websocket's key that is no text": (
        b"GET /ws HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \x80\r\n\r\n",
        426,
    ),
    "an expectation that is no text": (POST + b"Expect: \xff\r\nContent-Length: 0\r\n\r\n", 400),
    "a type that is no text": (
        b"POST /upload/image HTTP/1.1\r\n"
        + HOST
        + b"Content-Type: multipart/form-data; boundary=\xff\r\nContent-Length: 0\r\n\r\n",
        400,
    ),
    "an origin that is no text": (
        POST + b"Origin: http://\xff.example\r\nContent-Length: 0\r\n\r\n",
        403,
    ),
    "a host that is no text": (
        b"GET /queue HTTP/1.1\r\nHost: \xffevil.example\r\n\r\n",
        403,
    ),
    "a websocket without a key": (
        b"GET /ws HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        426,
    ),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(tmp_path_factory.mktemp("wire")) as server:
        yield server
        assert_calm(server)


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_cannot_be_read_is_refused_and_ends_the_connection(
    server: ServerProcess, case: str
) -> None:
    (answer,) = exchange(server, UNREADABLE[case])

    assert_safe(answer, status=400)
    assert server.get("/queue/state")["paused"] is False, "a request hid in the body of another"


@pytest.mark.parametrize("case", REFUSED)
def test_what_can_be_read_and_is_wrong_gets_its_status(server: ServerProcess, case: str) -> None:
    data, status = REFUSED[case]

    first, *_ = exchange(server, data)

    assert_safe(first, status=status)


def test_requests_may_come_all_at_once(server: ServerProcess) -> None:
    found = exchange(server, (GET + b"\r\n") * 50)

    assert [each.status for each in found] == [200] * 50 + [404]


def test_the_request_after_a_wrong_one_is_answered(server: ServerProcess) -> None:
    wrong = POST + b"Content-Length: 1\r\n\r\n{"

    found = exchange(server, (wrong + GET + b"\r\n") * 3)

    assert [each.status for each in found] == [400, 200] * 3 + [404]


@pytest.mark.parametrize("piece", [1, 7])
def test_a_request_in_small_pieces_is_a_request(server: ServerProcess, piece: int) -> None:
    data = POST + b"Connection: close\r\nContent-Length: 15\r\n\r\n" + b'{"delete": [] }'
    with connected(server) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(data), piece):
            connection.sendall(data[start : start + piece])
        (answer,) = answers(received(connection))

    assert_safe(answer, status=200)


@pytest.mark.parametrize(
    "data",
    [b"", b"G", GET, POST + b"Content-Length: 100\r\n\r\n{", POST + CHUNKED + b"\r\n5\r\n{"],
    ids=["nothing", "a letter", "half a head", "half a body", "half a chunk"],
)
@pytest.mark.parametrize("way", ["close", "half", "reset"])
def test_who_goes_in_the_middle_is_no_trouble(server: ServerProcess, data: bytes, way: str) -> None:
    with connected(server) as connection:
        connection.sendall(data)
        server.get("/healthz")  # by now it has been read
        if way == "half":
            connection.shutdown(socket.SHUT_WR)
            assert received(connection) == b""
        elif way == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_an_answer_that_nobody_reads_holds_up_nobody(server: ServerProcess) -> None:
    with connected(server) as connection:
        connection.setblocking(False)
        try:
            while True:
                connection.send((b"GET /object_info HTTP/1.1\r\n" + HOST + b"\r\n") * 100)
        except BlockingIOError:
            pass

        assert server.get("/healthz") == {"status": "ok"}


def spoilt(data: bytes) -> st.SearchStrategy[bytes]:
    """A request with some bytes of it changed, left out or doubled."""

    @st.composite
    def change(draw: st.DrawFn) -> bytes:
        text = bytearray(data)
        for _ in range(draw(st.integers(1, 6))):
            at = draw(st.integers(0, len(text)))
            kept = draw(st.integers(0, 3))
            text[at : at + kept] = draw(st.binary(max_size=4) | st.sampled_from(TRICKS))
        return bytes(text)

    return change()


TRICKS = [
    b"\r\n",
    b"\r",
    b"\n",
    b"\0",
    b" ",
    b"\t",
    b":",
    b"%00",
    b"\xff",
    b"chunked",
    b"0\r\n\r\n",
]
RIGHT = [
    GET + b"Accept: */*\r\n\r\n",
    POST + b'Content-Type: application/json\r\nContent-Length: 13\r\n\r\n{"delete":[]}',
    POST + CHUNKED + b"\r\n5\r\n{}   \r\n0\r\n\r\n",
    b"GET /view?filename=a.png&type=output&preview=webp;90 HTTP/1.1\r\n" + HOST + b"\r\n",
    b"POST /upload/image HTTP/1.1\r\n"
    + HOST
    + b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 93\r\n\r\n"
    + b'--b\r\nContent-Disposition: form-data; name="image"; filename="x.png"\r\n\r\n'
    + b"\x89PNG\r\n\x1a\n\r\n--b--",
    b"GET /ws HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
]


def survives(server: ServerProcess, data: bytes) -> None:
    for answer in exchange(server, data, seconds=SILENT):
        check(answer)
    assert server.get("/healthz") == {"status": "ok"}


def check(answer: Answer) -> None:
    if answer.status != 101:
        assert_safe(answer)


@BOUNDED
@given(data=st.binary(max_size=200))
def test_any_bytes_are_survived(server: ServerProcess, data: bytes) -> None:
    survives(server, data)


@BOUNDED
@given(data=st.one_of([spoilt(each) for each in RIGHT]))
def test_requests_with_spoilt_bytes_are_survived(server: ServerProcess, data: bytes) -> None:
    survives(server, data)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@LONGER
@given(data=st.one_of([st.binary(max_size=200), *[spoilt(each) for each in RIGHT]]))
def test_many_spoilt_requests_are_survived(server: ServerProcess, data: bytes) -> None:
    survives(server, data)
