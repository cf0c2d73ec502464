"""Graphs over the websocket alone: submit, validate, cancel, result, pictures as binary frames."""

from __future__ import annotations

import itertools
import json
import socket
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from server_listener import (
    Listener,
    busy,
    faultless,
    fresh,
    listening,
    metadata,
    node,
    open_gate,
    pending_ids,
    running_ids,
    saving,
    types,
    waiting,
)
from server_process import ServerProcess, serving, until

from nodegraph.server import frames


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(tmp_path_factory.mktemp("commands")) as server:
        yield server
        faultless(server)


@pytest.fixture
def me(server: ServerProcess) -> Iterator[Listener]:
    with listening(server, f"client-{fresh()}") as listener:
        yield listener


def writing(value: int | None = None, copies: int = 1, prefix: str = "drawn") -> dict[str, Any]:
    """Two nodes that save pictures."""
    value = fresh() if value is None else value
    return {
        "1": node("Write", value=value, copies=copies, prefix=prefix),
        "2": node("Write", value=f"{value} once more", prefix=f"{prefix}-too"),
        "3": node("Show", value=value),
    }


BAD = {"1": node("Count", value=-1), "2": node("Save", value=["1", 0]), "3": node("Show")}


# -- submit ----------------------------------------------------------------------------------------


def test_a_submitted_graph_runs_and_its_events_come(server: ServerProcess, me: Listener) -> None:
    reply = me.command("submit", prompt=saving())

    assert reply["type"] == "reply"
    assert set(reply["data"]) == {"prompt_id", "number", "node_errors"}
    id = reply["data"]["prompt_id"]
    told = [m for m in me.ended(id) if m["type"] not in ("reply", "progress_state")]
    assert types(told)[0] == "execution_start"
    assert types(told)[-2:] == ["execution_success", "executing"]
    assert server.ended(id)["prompt"][3] == {"client_id": me.client}
    assert me.frames == []
    assert not [m for m in me.messages if m["type"] == "result"]


def test_pictures_come_as_frames_before_the_result(server: ServerProcess, me: Listener) -> None:
    id = me.command("submit", prompt=writing(copies=3), images=True)["data"]["prompt_id"]

    result = me.until(lambda m: m["type"] == "result")

    assert set(result) == {"type", "data"}
    assert result["data"]["prompt_id"] == id
    assert result["data"]["status"] == "success"
    assert result["data"]["error"] is None
    assert result["data"]["images"] == 4
    entry = server.ended(id)
    assert result["data"]["outputs"] == entry["outputs"]
    place = me.received.index(result)
    assert len(me.frames) == 4
    assert all(isinstance(each, bytes) for each in me.received[place - 4 : place])
    for frame, (of, index) in zip(me.frames, [("1", 0), ("1", 1), ("1", 2), ("2", 0)], strict=True):
        kind, about, content = metadata(frame)
        assert kind == frames.RESULT == 100
        file = entry["outputs"][of]["images"][index]
        assert about == {
            "prompt_id": id,
            "node_id": of,
            "index": index,
            "image_type": "image/png",
            **file,
        }
        assert content == (server.folder / "output" / file["filename"]).read_bytes()
        query = f"filename={file['filename']}&type=output&subfolder="
        assert content == server.request("GET", f"/view?{query}").body


def test_the_result_of_a_job_that_fails_has_what_was_made(
    server: ServerProcess, me: Listener
) -> None:
    graph = {**writing(), "8": node("Fail", value=7), "9": node("Show", value=["8", 0])}
    id = me.command("submit", prompt=graph, images=True)["data"]["prompt_id"]

    result = me.until(lambda m: m["type"] == "result")["data"]

    assert result["status"] == "error"
    assert result["error"]["exception_type"] == "ValueError"
    assert result["error"]["prompt_id"] == id
    assert set(result["outputs"]) == {"1", "2", "3"}
    assert result["images"] == len(me.frames) == 2


def test_the_result_of_a_job_that_is_cancelled_comes_too(
    server: ServerProcess, me: Listener
) -> None:
    id = me.command("submit", prompt=waiting("never"), images=True)["data"]["prompt_id"]
    me.until(lambda m: m["type"] == "executing")

    assert me.command("cancel", prompt_id=id)["data"] == {"cancelled": True}

    result = me.until(lambda m: m["type"] == "result")["data"]
    assert (result["status"], result["outputs"], result["images"]) == ("cancelled", {}, 0)


def test_pictures_that_are_gone_are_left_out(server: ServerProcess, me: Listener) -> None:
    id = server.submit(writing(prefix="gone"))
    outputs = server.ended(id)["outputs"]
    (server.folder / "output" / outputs["1"]["images"][0]["filename"]).unlink()

    result = me.command("result", prompt_id=id, images=True)["data"]

    assert result["images"] == 1
    assert [metadata(frame)[1]["node_id"] for frame in me.frames] == ["2"]


@pytest.mark.parametrize("more", [{}, {"partial_execution_targets": ["9"]}, {"number": "x"}])
def test_a_graph_is_refused_as_over_http(
    server: ServerProcess, me: Listener, more: dict[str, Any]
) -> None:
    refusal = me.command("submit", prompt=BAD, images=True, **more)

    answer = server.request("POST", "/prompt", {"prompt": BAD, **more})
    assert answer.status == 400
    assert refusal["type"] == "refused"
    assert refusal["data"] == answer.json


def test_nothing_at_all_is_refused(me: Listener) -> None:
    for data in ({}, {"prompt": None}, {"prompt": 5}, {"prompt": {}, "images": "yes"}):
        refusal = me.command("submit", **data)
        assert refusal["type"] == "refused"
        assert refusal["data"]["error"]["message"]


def test_data_that_is_no_object_is_refused(me: Listener) -> None:
    for id, data in enumerate([[], "graph", 5, True]):
        me.say({"type": "submit", "id": f"bad-{id}", "data": data})
        refusal = me.until(lambda m, id=id: m.get("id") == f"bad-{id}")
        assert refusal["type"] == "refused"


def test_the_owner_is_who_submits(server: ServerProcess, me: Listener) -> None:
    with listening(server, "somebody-else") as other:
        data = {"prompt": saving(), "client_id": "somebody-else"}
        id = me.command("submit", **data, extra_data={"client_id": "somebody-else"})["data"][
            "prompt_id"
        ]
        me.ended(id)
        other.settle()

        assert other.about(id) == []
    assert server.ended(id)["prompt"][3] == {"client_id": me.client}


def test_all_fields_of_a_prompt_are_understood(server: ServerProcess, me: Listener) -> None:
    id = str(uuid.uuid4())
    graph = {**saving(), "3": node("Show", value=fresh())}
    with busy(server):
        first = server.submit(saving())
        reply = me.command(
            "submit",
            prompt=graph,
            prompt_id=id,
            number=-5,
            partial_execution_targets=["3"],
            extra_data={"mine": 1},
            deadline=60,
        )
        assert reply["data"]["prompt_id"] == id
        assert reply["data"]["number"] == -5
        assert pending_ids(server) == [id, first]
    assert set(server.ended(id)["outputs"]) == {"3"}
    assert server.get(f"/jobs/{id}")["workflow"]["extra_data"]["mine"] == 1


def test_the_same_submission_again_is_the_same_job_and_its_result_comes_again(
    server: ServerProcess, me: Listener
) -> None:
    data = {"prompt": writing(), "prompt_id": str(uuid.uuid4()), "images": True}
    for times in (1, 2):
        reply = me.command("submit", **data)
        assert reply["data"]["prompt_id"] == data["prompt_id"]
        me.wait(lambda times=times: len(results(me)) == times)
    me.settle()

    assert len(me.frames) == 4
    assert results(me)[0] == results(me)[1]
    assert sum(is_start(m) for m in me.messages) == 1


def test_two_submissions_of_one_job_while_it_runs_give_one_result(
    server: ServerProcess, me: Listener
) -> None:
    gate = f"both-{fresh()}"
    data = {"prompt": waiting(gate), "prompt_id": str(uuid.uuid4()), "images": True}
    me.command("submit", **data)
    me.command("submit", **data)
    refusal = me.command("submit", **{**data, "prompt": writing()})
    assert refusal["data"]["error"]["type"] == "prompt_id_taken"

    open_gate(server, gate)

    me.until(lambda m: m["type"] == "result")
    me.settle()
    assert len(results(me)) == 1


def results(me: Listener) -> list[Any]:
    return [m for m in me.messages if m["type"] == "result"]


def is_start(message: dict[str, Any]) -> bool:
    return bool(message["type"] == "execution_start")


def test_a_large_graph_is_taken(server: ServerProcess, me: Listener) -> None:
    text = "x" * 3_000_000
    id = me.command("submit", prompt={"1": node("Show", value=text)})["data"]["prompt_id"]

    assert server.ended(id)["outputs"]["1"]["text"] == [text]


def test_what_is_submitted_runs_although_its_client_goes_at_once(server: ServerProcess) -> None:
    ids = [str(uuid.uuid4()) for _ in range(10)]
    for id in ids:
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(HANDSHAKE)
            assert b"101" in connection.recv(4096)
            data = {"prompt": saving(), "prompt_id": id}
            connection.sendall(text_frame(json.dumps({"type": "submit", "data": data})))
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):  # else the system would throw away what was sent
                pass

    for id in ids:
        assert server.ended(id)["status"]["completed"]


HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def text_frame(text: str) -> bytes:
    """A frame as clients send it, masked with zeros."""
    data = text.encode()
    return b"\x81\xfe" + len(data).to_bytes(2, "big") + bytes(4) + data


# -- the other commands ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "graph",
    [BAD, {}, {"1": node("Nonsense")}, saving(3), {**saving(3), "3": node("Show", valeu=3)}],
)
def test_a_graph_is_validated_as_over_http(
    server: ServerProcess, me: Listener, graph: dict[str, Any]
) -> None:
    reply = me.command("validate", prompt=graph)

    assert reply["type"] == "reply"
    assert reply["data"] == server.post("/validate", {"prompt": graph})


def test_a_job_is_cancelled_whether_it_waits_or_runs(server: ServerProcess, me: Listener) -> None:
    with busy(server) as running:
        waits = me.command("submit", prompt=saving())["data"]["prompt_id"]

        assert me.command("cancel", prompt_id=waits)["data"] == {"cancelled": True}
        assert types(me.ended(waits))[-2:] == ["execution_interrupted", "executing"]
        assert pending_ids(server) == []
        assert me.command("cancel", prompt_id=running)["data"] == {"cancelled": True}
        until(lambda: running_ids(server) == [])
    for id in (waits, running, "nobody"):
        assert me.command("cancel", prompt_id=id)["data"] == {"cancelled": False}


def test_the_result_can_be_had_later_and_by_anybody_who_knows_the_job(
    server: ServerProcess, me: Listener
) -> None:
    id = server.submit(writing())
    entry = server.ended(id)

    plain = me.command("result", prompt_id=id)
    assert plain["data"] == {
        "prompt_id": id,
        "status": "success",
        "outputs": entry["outputs"],
        "error": None,
        "images": 0,
    }
    assert me.frames == []
    again = me.command("result", prompt_id=id, images=True)
    assert again["data"] == {**plain["data"], "images": 2}
    assert len(me.frames) == 2
    assert me.received.index(again) > me.received.index(me.frames[-1])


def test_there_is_no_result_before_the_end(server: ServerProcess, me: Listener) -> None:
    with busy(server) as running:
        waits = server.submit(saving())
        for id, status in ((running, "running"), (waits, "pending")):
            error = me.command("result", prompt_id=id)["data"]["error"]
            assert error["type"] == "not_ended"
            assert status in error["details"]
    error = me.command("result", prompt_id="nobody")["data"]["error"]
    assert error["type"] == "not_found"


@pytest.mark.parametrize("command", ["cancel", "result", "subscribe", "unsubscribe"])
@pytest.mark.parametrize("data", [{}, {"prompt_id": None}, {"prompt_id": ""}, {"prompt_id": [1]}])
def test_a_command_about_no_job_is_refused(
    me: Listener, command: str, data: dict[str, Any]
) -> None:
    refusal = me.command(command, **data)

    assert refusal["type"] == "refused"
    assert "prompt_id" in refusal["data"]["error"]["message"]


@pytest.mark.parametrize("id", ["text", 0, -1.5, None, [1, {"a": None}], {"b": "\u00fc"}, True])
def test_an_answer_repeats_the_commands_id(me: Listener, id: Any) -> None:
    me.say({"type": "validate", "id": id, "data": {"prompt": {}}})
    me.say({"type": "cancel", "id": id, "data": {}})

    reply = me.until(lambda m: m["type"] == "reply")
    refusal = me.until(lambda m: m["type"] == "refused")
    assert reply["id"] == refusal["id"] == id


def test_many_commands_at_once_are_all_answered(server: ServerProcess, me: Listener) -> None:
    ids = itertools.count()
    for _ in range(200):
        me.say({"type": "validate", "id": f"v{next(ids)}", "data": {"prompt": BAD}})
        me.say({"type": "nonsense", "id": f"v{next(ids)}"})

    me.wait(lambda: len(me.messages) >= 400 and len(answers(me)) == 400)

    assert {m["id"] for m in answers(me)} == {f"v{n}" for n in range(400)}
    assert sum(m["type"] == "reply" for m in answers(me)) == 200


def answers(me: Listener) -> list[Any]:
    return [m for m in me.messages if m["type"] in ("reply", "refused")]
