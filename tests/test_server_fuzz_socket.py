"""Websockets whose clients send what they like: at worst their own socket is closed."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odd_values import as_json, commands, texts, values
from server_process import SMALL, ServerProcess, serving, until
from server_wire import (
    BINARY,
    CLOSE,
    CONTINUED,
    PING,
    TEXT,
    assert_calm,
    frame,
    frames,
    messages,
    metric,
    received,
    upgraded,
)

BOUNDED = settings(
    max_examples=30,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
MIB = 1 << 20
LIMIT = MIB  # of a message, here
READERS = 80  # files: each thread that reads the journal may keep two
ROOM = 200 * MIB  # by which the server's memory may differ; a bomb that went off would be more

PROTOCOL, NO_TEXT, TOO_LARGE = 1002, 1007, 1009
WRONG = {
    "text that is no UTF-8": (frame(TEXT, b"\xff\xfe"), NO_TEXT),
    "half a character": (frame(TEXT, b"\xed\xa0\x80"), NO_TEXT),
    "bits that are reserved": (frame(TEXT, b"{}", reserved=4), PROTOCOL),
    "an opcode that is reserved": (frame(3, b""), PROTOCOL),
    "a reserved opcode of control": (frame(11, b""), PROTOCOL),
    "a long ping": (frame(PING, b"a" * 126), PROTOCOL),
    "half a ping": (frame(PING, b"", last=False), PROTOCOL),
    "an end without a beginning": (frame(CONTINUED, b"{}"), PROTOCOL),
    "a beginning in the middle": (frame(TEXT, b"{", last=False) + frame(TEXT, b"}"), PROTOCOL),
    "2^62 bytes, it says": (frame(TEXT, b"x", length=1 << 62), TOO_LARGE),
    "2^64 - 1 bytes, it says": (frame(TEXT, b"x", length=(1 << 64) - 1), TOO_LARGE),
    "more than may be": (frame(TEXT, b"x" * (LIMIT + 1)), TOO_LARGE),
    "more than may be, in parts": (
        frame(TEXT, b"x" * 1000, last=False)
        + frame(CONTINUED, b"x" * 1000, last=False) * (LIMIT // 1000 + 1),
        TOO_LARGE,
    ),
    "HTTP": (b"GET / HTTP/1.1\r\n\r\n", PROTOCOL),
    "half a code in a goodbye": (frame(CLOSE, b"\0"), PROTOCOL),
    "a code that nobody may send": (frame(CLOSE, struct.pack(">H", 1005)), PROTOCOL),
    "a goodbye that is no UTF-8": (frame(CLOSE, struct.pack(">H", 1000) + b"\xff"), NO_TEXT),
}
ENOUGH = frame(TEXT, b'{"type":"unsubscribe","id":"enough","data":{"prompt_id":"x"}}')


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("sockets")
    with serving(folder, settings={"max_document_bytes": str(LIMIT)}) as server:
        process = psutil.Process(server.process.pid)
        before, files = process.memory_info().rss, process.num_fds()
        yield server
        assert_calm(server)
        assert process.memory_info().rss < before + ROOM
        until(lambda: len(process.net_connections()) == 1)  # that on which it listens
        assert process.num_fds() <= files + READERS


def told(connection: socket.socket) -> list[dict[str, Any]]:
    """What a client is told before the answer to a last command, after which it goes."""
    connection.sendall(ENOUGH)
    return heard(connection, b'"id":"enough"')


def heard(connection: socket.socket, mark: bytes) -> list[dict[str, Any]]:
    """What a client is told, up to what has the mark. Answers may overtake each other."""
    data = b""
    while mark not in data:
        part = connection.recv(1 << 16)
        assert part, ("the server closed the websocket", list(frames(data))[-1:])
        data += part
    return messages(data)


def assert_answers_are_fit(found: list[dict[str, Any]]) -> None:
    for each in found:
        if each["type"] == "refused":
            error = each["data"]["error"]
            assert error["type"] != "internal_error", found
            assert error["message"], found


@pytest.mark.parametrize("case", WRONG)
def test_a_frame_against_the_protocol_closes_the_socket_with_the_reason(
    server: ServerProcess, case: str
) -> None:
    data, code = WRONG[case]
    with upgraded(server) as connection:
        with suppress(OSError):  # it may close before it was sent all of that
            connection.sendall(data)
        found = list(frames(received(connection)))

    assert found[-1] == (CLOSE, struct.pack(">H", code))


def test_a_message_may_come_in_parts_with_pings_between(server: ServerProcess) -> None:
    with upgraded(server) as connection:
        connection.sendall(frame(TEXT, b'{"type":"cancel","id":1,', last=False))
        connection.sendall(frame(PING, b"there?"))
        connection.sendall(frame(CONTINUED, b'"data":{"prompt_id":"\xc3', last=False))
        connection.sendall(frame(CONTINUED, b"", last=False))
        connection.sendall(frame(CONTINUED, b'\xa9"}}'))
        found = heard(connection, b'"id":1')

    (reply,) = [each for each in found if each.get("id") == 1]
    assert reply["data"] == {"cancelled": False}


def test_binary_messages_are_ignored(server: ServerProcess) -> None:
    with upgraded(server) as connection:
        connection.sendall(frame(BINARY, bytes(1000)) * 100)
        found = told(connection)

    assert [each["type"] for each in found] == ["status", "reply"]


@BOUNDED
@given(data=st.binary(max_size=100))
def test_any_bytes_on_a_websocket_are_survived(server: ServerProcess, data: bytes) -> None:
    with upgraded(server) as connection:
        connection.sendall(data)
    assert server.get("/healthz") == {"status": "ok"}


@BOUNDED
@given(said=st.lists(values, min_size=1, max_size=5))
def test_any_json_is_ignored_or_refused(server: ServerProcess, said: list[Any]) -> None:
    with upgraded(server) as connection:
        for each in said:
            connection.sendall(frame(TEXT, as_json(each)))
        assert_answers_are_fit(told(connection))


@BOUNDED
@given(said=st.lists(texts, min_size=1, max_size=5))
def test_any_text_is_ignored(server: ServerProcess, said: list[str]) -> None:
    with upgraded(server) as connection:
        for each in said:
            connection.sendall(frame(TEXT, each.encode(errors="replace")))
        assert_answers_are_fit(told(connection))


@BOUNDED
@given(said=st.lists(commands(), min_size=1, max_size=5))
def test_commands_that_are_nearly_right_are_answered(
    server: ServerProcess, said: list[Any]
) -> None:
    with upgraded(server) as connection:
        for each in said:
            connection.sendall(frame(TEXT, as_json(each)))
        assert_answers_are_fit(told(connection))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@settings(BOUNDED, max_examples=3000, derandomize=False)
@given(said=st.lists(commands() | values, min_size=1, max_size=8))
def test_many_commands_that_are_nearly_right_are_answered(
    server: ServerProcess, said: list[Any]
) -> None:
    with upgraded(server) as connection:
        for each in said:
            connection.sendall(frame(TEXT, as_json(each)))
        assert_answers_are_fit(told(connection))


@pytest.mark.parametrize(
    "flood",
    [
        frame(PING, b"p" * 100),
        frame(TEXT, b"{}"),
        frame(TEXT, b'{"type":"validate","id":1,"data":{"prompt":{}}}'),
        frame(TEXT, b'{"type":"feature_flags"}'),
        frame(TEXT, b'{"type":"subscribe","data":{"prompt_id":"x"}}'),
    ],
    ids=["pings", "nothing", "commands", "flags", "subscriptions"],
)
def test_a_flood_that_is_never_answered_to_holds_up_nobody(
    server: ServerProcess, flood: bytes
) -> None:
    """The client reads nothing: the server stops reading as well, or closes the socket."""
    with upgraded(server) as connection:
        connection.settimeout(1)
        with suppress(OSError):
            for _ in range(200):
                connection.sendall(flood * 200)

        assert server.get("/healthz") == {"status": "ok"}
    until(lambda: metric(server, "nodegraph_websockets") == 0)


def test_parts_without_end_and_without_content_are_borne(server: ServerProcess) -> None:
    with upgraded(server) as connection:
        connection.sendall(frame(TEXT, b"", last=False))
        connection.sendall(frame(CONTINUED, b"", last=False) * 200_000)

        assert server.get("/healthz") == {"status": "ok"}


@pytest.mark.parametrize("way", ["half", "reset", "goodbye and silence"])
def test_sockets_that_end_in_any_way_are_let_go(server: ServerProcess, way: str) -> None:
    with ExitStack() as stack:
        found = [stack.enter_context(upgraded(server, f"gone-{i}")) for i in range(50)]
        assert metric(server, "nodegraph_websockets") == 50
        for connection in found:
            if way == "half":
                connection.shutdown(socket.SHUT_WR)
            elif way == "reset":
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                connection.close()
            else:
                connection.sendall(frame(CLOSE, struct.pack(">H", 1000)))

        until(lambda: metric(server, "nodegraph_websockets") == 0)


def test_a_client_that_is_gone_without_a_word_is_noticed(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """It does not answer pings; nor does this one, as it reads and says nothing."""
    hasty = f"import nodegraph.server.routes.socket as module\nmodule.HEARTBEAT = 0.2\n{SMALL}"
    with (
        serving(tmp_path_factory.mktemp("silent"), program=hasty) as server,
        upgraded(server) as connection,
    ):
        assert any(kind == PING for kind, _ in frames(received(connection)))

        until(lambda: metric(server, "nodegraph_websockets") == 0)
