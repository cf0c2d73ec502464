"""What clients say over a websocket that is no command, and who is no websocket at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from server_listener import Listener, faultless, fresh, listening, saving, shape_of
from server_process import ServerProcess, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(tmp_path_factory.mktemp("nonsense")) as server:
        yield server
        faultless(server)


@pytest.fixture
def me(server: ServerProcess) -> Iterator[Listener]:
    with listening(server, f"client-{fresh()}") as listener:
        yield listener


NONSENSE: dict[str, str | bytes] = {
    "nothing": "",
    "no JSON": "{",
    "a list": "[]",
    "null": "null",
    "a number": "1e999",
    "a text": '"hello"',
    "an empty object": "{}",
    "a type that is none": '{"type": 5}',
    "a type in a list": '{"type": ["submit"]}',
    "an unknown type": '{"type": "nonsense", "data": {}}',
    "deep": "[" * 5000 + "]" * 5000,
    "digits": '{"type": ' + "9" * 5000 + "}",
    "zeros": "\0\0\0",
    "bytes": b"\x00\x01\x02\xff",
    "no bytes": b"",
}


@pytest.mark.parametrize("case", NONSENSE)
def test_what_is_no_message_is_ignored(server: ServerProcess, me: Listener, case: str) -> None:
    me.say(NONSENSE[case])

    assert me.announce()["data"]["supports_preview_metadata"] is True
    assert [m["type"] for m in me.messages if m["type"] != "status"] == ["feature_flags"]
    me.ended(server.submit(saving(), client_id=me.client))


@pytest.mark.parametrize("case", [c for c in NONSENSE if isinstance(NONSENSE[c], str)])
def test_who_uses_commands_is_told_what_is_wrong(
    server: ServerProcess, me: Listener, case: str
) -> None:
    me.settle()
    me.say(NONSENSE[case])

    refusal = me.until(lambda m: m["type"] == "refused")
    assert refusal["id"] is None
    assert set(refusal["data"]) == {"error", "node_errors"}
    assert refusal["data"]["error"]["message"]


def test_an_unknown_command_that_wants_an_answer_gets_one(me: Listener) -> None:
    refusal = me.command("nonsense")

    assert refusal["type"] == "refused"
    assert refusal["data"]["error"]["type"] == "no_command"
    assert "submit" in refusal["data"]["error"]["details"]


@pytest.mark.parametrize(
    "flags", [None, [], 5, "yes", {"supports_preview_metadata": "yes"}, {"other": {"a": 1}}]
)
def test_flags_of_any_shape_are_answered(server: ServerProcess, me: Listener, flags: Any) -> None:
    me.say({"type": "feature_flags", "data": flags})

    answer = me.until(lambda m: m["type"] == "feature_flags")
    assert answer["data"] == server.get("/features")
    me.ended(server.submit(saving(), client_id=me.client))


def test_a_message_that_is_too_large_closes_its_socket_alone(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("large")
    with (
        serving(folder, settings={"max_document_bytes": "100K"}) as server,
        listening(server, "large") as me,
        listening(server, "other") as other,
    ):
        me.say("x" * 120_000)

        me.wait(lambda: me.closed)
        assert me.closed is not None
        assert me.closed[0] == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
        other.ended(server.submit(saving(), client_id=other.client))


def test_a_plain_request_to_the_websocket_is_told_so(server: ServerProcess) -> None:
    for path in ("/ws", "/api/ws"):
        answer = server.request("GET", path)

        assert shape_of(answer, 426)["error"]["type"] == "no_websocket"
        assert answer.headers["Upgrade"] == "websocket"


def test_an_id_that_is_far_too_long_is_refused(server: ServerProcess) -> None:
    answer = server.request("GET", f"/ws?clientId={'x' * 201}", headers={"Upgrade": "websocket"})

    shape_of(answer, 400)
