"""The websocket: which messages come in which order, to whom, and what clients may say."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from server_listener import (
    Listener,
    Message,
    busy,
    faultless,
    fresh,
    listening,
    node,
    open_gate,
    running_ids,
    saving,
    shape_of,
    types,
    waiting,
)
from server_process import ServerProcess, serving, until

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


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(tmp_path_factory.mktemp("socket"), settings={"stop_grace": "1"}) as server:
        yield server
        faultless(server)


@pytest.fixture
def me(server: ServerProcess) -> Iterator[Listener]:
    with listening(server, f"client-{fresh()}") as listener:
        yield listener


def run(server: ServerProcess, me: Listener, graph: Any, **more: Any) -> list[Message]:
    """Run a graph; its messages, which are well-formed."""
    messages = me.ended(server.submit(graph, client_id=me.client, **more))
    assert_well_formed(messages)
    return messages


def assert_well_formed(messages: list[Message]) -> None:
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


# -- the order -------------------------------------------------------------------------------------


def test_messages_come_in_the_ecosystems_order(server: ServerProcess, me: Listener) -> None:
    graph = {
        "1": node("Add", left=fresh()),
        "2": node("Steps", value=["1", 0], count=2),
        "3": node("Show", value=["2", 0]),
    }

    messages = run(server, me, graph)

    assert types(messages) == [
        "execution_start",
        "execution_cached",
        *("progress_state", "executing 1", "progress_state"),
        *("progress_state", "executing 2"),
        *("progress_state", "progress 2") * 2,
        "progress_state",
        *("progress_state", "executing 3", "executed 3", "progress_state"),
        "execution_success",
        "executing",
    ]
    assert messages[1]["data"]["nodes"] == []
    assert [m["data"]["value"] for m in messages if m["type"] == "progress"] == [1, 2]


def test_the_state_of_the_nodes_is_told_as_it_changes(server: ServerProcess, me: Listener) -> None:
    graph = {"1": node("Steps", value=fresh(), count=3), "2": node("Show", value=["1", 0])}

    messages = run(server, me, graph)

    told = [m["data"]["nodes"] for m in messages if m["type"] == "progress_state"]
    assert [(s["1"]["state"], s["1"]["value"], s["1"]["max"]) for s in told] == [
        ("running", 0, 1),
        ("running", 1, 3),
        ("running", 2, 3),
        *(("running", 3, 3), ("finished", 3, 3)),
        *(("finished", 3, 3), ("finished", 3, 3)),
    ]
    assert [s["2"]["state"] for s in told if "2" in s] == ["running", "finished"]


def test_of_a_cached_job_the_outputs_are_told_again(server: ServerProcess, me: Listener) -> None:
    graph = {
        "1": node("Add", left=fresh()),
        "2": node("Show", value=["1", 0]),
        "3": node("Show", value=["1", 0]),
    }
    first = run(server, me, graph)

    again = run(server, me, graph)

    assert types(again) == [
        "execution_start",
        "execution_cached",
        "executed 2",
        "executed 3",
        "execution_success",
        "executing",
    ]
    assert again[1]["data"]["nodes"] == ["1", "2", "3"]
    outputs = {m["data"]["node"]: m["data"]["output"] for m in first if m["type"] == "executed"}
    assert [m["data"]["output"] for m in again[2:4]] == [outputs["2"], outputs["3"]]


def test_only_what_is_new_is_executed(server: ServerProcess, me: Listener) -> None:
    graph = {"1": node("Add", left=fresh()), "2": node("Show", value=["1", 0])}
    run(server, me, graph)

    messages = run(server, me, {**graph, "3": node("Save", value=["1", 0])})

    assert messages[1]["data"]["nodes"] == ["1", "2"]
    assert [each for each in types(messages) if each.startswith("exec")] == [
        "execution_start",
        "execution_cached",
        "executed 2",
        "executing 3",
        "executed 3",
        "execution_success",
        "executing",
    ]


def test_a_failure_is_told_when_the_other_branches_have_ended(
    server: ServerProcess, me: Listener
) -> None:
    graph = {
        "1": node("Fail", value=fresh()),
        "2": node("Show", value=["1", 0]),
        "3": node("Show", value=fresh()),
    }

    messages = run(server, me, graph)

    assert [each for each in types(messages) if each != "progress_state"] == [
        "execution_start",
        "execution_cached",
        "executing 1",
        "executing 3",
        "executed 3",
        "execution_error 1",
        "executing",
    ]
    states = [m["data"]["nodes"] for m in messages if m["type"] == "progress_state"]
    assert states[-1]["1"]["state"] == "error"
    assert states[-1]["3"]["state"] == "finished"
    assert "2" not in states[-1]
    error = messages[-2]["data"]
    assert error["node_type"] == "Fail"
    assert error["executed"] == ["3"]
    assert error["exception_type"] == "ValueError"
    value = graph["1"]["inputs"]["value"]
    assert f"ValueError: {value} is too much\ntry\n  less" in error["exception_message"]
    assert error["traceback"] == []
    assert error["current_inputs"] == {}
    assert error["skipped"] == {"2": "1"}


@pytest.mark.parametrize(("kind", "type"), [("OutOfMemory", "MemoryError"), ("Exit", "SystemExit")])
def test_whatever_a_node_raises_is_told(
    server: ServerProcess, me: Listener, kind: str, type: str
) -> None:
    messages = run(server, me, {"1": node(kind), "2": node("Show", value=["1", 0])})

    assert messages[-2]["type"] == "execution_error"
    assert messages[-2]["data"]["exception_type"] == type
    assert messages[-2]["data"]["node_id"] == "1"


def test_an_interrupted_job_says_where_it_was(server: ServerProcess, me: Listener) -> None:
    graph = {"1": node("Add", left=fresh()), "2": node("Slow", steps=["1", 0])}
    graph["3"] = node("Show", value=["2", 0])
    id = server.submit(graph, client_id=me.client)
    me.until(lambda m: m["type"] == "progress" and m["data"]["prompt_id"] == id)

    server.post("/interrupt", {"prompt_id": id})

    messages = me.ended(id)
    assert_well_formed(messages)
    steps = [each for each in types(messages) if not each.startswith("progress")]
    assert steps == [
        "execution_start",
        "execution_cached",
        "executing 1",
        "executing 2",
        "execution_interrupted 2",
        "executing",
    ]
    assert messages[-2]["data"]["node_type"] == "Slow"
    assert messages[-2]["data"]["executed"] == ["1"]


def test_a_job_that_is_deleted_before_its_turn_ends_for_who_waits_for_it(
    server: ServerProcess, me: Listener
) -> None:
    with busy(server):
        id = server.submit(saving(), client_id=me.client)
        server.post("/queue", {"delete": [id]})
        messages = me.ended(id)

    assert_well_formed(messages)
    assert types(messages) == ["execution_interrupted", "executing"]
    assert messages[0]["data"]["node_id"] is None
    assert messages[0]["data"]["executed"] == []


def test_nodes_of_an_expansion_are_shown_as_the_node_they_stand_for(
    server: ServerProcess, me: Listener
) -> None:
    value = fresh()
    graph = {"1": node("Twice", value=value), "2": node("Show", value=["1", 0])}

    messages = run(server, me, graph)

    executing = [m["data"] for m in messages if m["type"] == "executing"][:-1]
    shown = [(data["node"], data["display_node"]) for data in executing]
    assert [place for _, place in shown] == ["1", "1", "1", "2"]
    assert shown[0] == ("1", "1")
    inner = [id for id, _ in shown[1:3]]
    assert all(id.startswith("1.") for id in inner)
    executed = {m["data"]["node"]: m["data"] for m in messages if m["type"] == "executed"}
    assert executed[inner[1]]["display_node"] == "1"
    assert executed[inner[1]]["output"] == {"text": [str(2 * value)]}
    assert executed["2"]["output"] == {"text": [str(2 * value)]}
    last = [m["data"]["nodes"] for m in messages if m["type"] == "progress_state"][-1]
    assert {state["state"] for state in last.values()} == {"finished"}
    assert last[inner[0]]["parent_node_id"] == "1"
    assert last[inner[0]]["display_node_id"] == "1"
    assert last["1"]["parent_node_id"] is None


def test_when_the_end_is_told_the_job_is_in_the_history_and_out_of_the_queue(
    server: ServerProcess, me: Listener
) -> None:
    for graph in (saving(), {"1": node("Fail", value=1), "2": node("Show", value=["1", 0])}):
        id = server.submit(graph, client_id=me.client)
        me.until(lambda m, id=id: m["type"] in LAST and m["data"]["prompt_id"] == id)

        assert id in server.get(f"/history/{id}")
        assert id not in running_ids(server)


LAST = ("execution_success", "execution_error", "execution_interrupted")


# -- the length of the queue -----------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/ws", "/api/ws"])
def test_the_first_message_is_the_length_of_the_queue_and_the_clients_id(
    server: ServerProcess, path: str
) -> None:
    with busy(server), listening(server, "it-is-me", path=path) as me:
        assert me.received[0] == {
            "type": "status",
            "data": {"status": {"exec_info": {"queue_remaining": 1}}, "sid": "it-is-me"},
        }


def test_who_has_no_id_is_given_one(server: ServerProcess) -> None:
    with listening(server, None) as one, listening(server, None) as other:
        ids = {each.messages[0]["data"]["sid"] for each in (one, other)}
        assert len(ids) == 2
        assert all(len(id) == 32 and int(id, 16) for id in ids)
        mine = one.messages[0]["data"]["sid"]

        job = server.submit(saving(), client_id=mine)

        one.ended(job)
        other.settle()
        assert other.about(job) == []


def test_everybody_hears_how_long_the_queue_is(server: ServerProcess, me: Listener) -> None:
    with listening(server, "stranger") as stranger:
        id = server.submit(saving(), client_id=me.client)
        me.ended(id)
        for each in (me, stranger):
            each.wait(lambda each=each: lengths(each)[1:] and lengths(each)[-1] == 0)
            told = [m for m in each.messages[1:] if m["type"] == "status"]
            assert all(set(m["data"]) == {"status"} for m in told)
        with busy(server):
            server.submit(saving())
            stranger.wait(lambda: lengths(stranger)[-1] == 2)
        stranger.wait(lambda: lengths(stranger)[-1] == 0)


def lengths(listener: Listener) -> list[int]:
    return [
        m["data"]["status"]["exec_info"]["queue_remaining"]
        for m in listener.messages
        if m["type"] == "status"
    ]


# -- whose messages --------------------------------------------------------------------------------


def test_nobody_hears_of_the_jobs_of_others(server: ServerProcess, me: Listener) -> None:
    with listening(server, "stranger") as stranger:
        mine = server.submit(saving(), client_id=me.client)
        nobodys = server.submit(saving())
        failing = {"1": node("Fail", value=1), "2": node("Show", value=["1", 0])}
        broken = server.submit(failing, client_id=me.client)
        slow = {"1": node("Slow"), "2": node("Show", value=["1", 0])}
        stopped = server.submit(slow, client_id=me.client)
        me.until(lambda m: m["type"] == "progress" and m["data"]["prompt_id"] == stopped)
        server.post("/interrupt")
        for id in (mine, broken, stopped):
            me.ended(id)
        server.ended(nobodys)
        me.settle()
        stranger.settle()

        assert {m["type"] for m in stranger.messages} == {"status", "reply"}
        assert me.about(nobodys) == []


def test_two_sockets_of_one_client_both_hear(server: ServerProcess, me: Listener) -> None:
    with listening(server, me.client) as second:
        id = server.submit(saving(), client_id=me.client)

        assert me.ended(id) == second.ended(id)
    # It has left; the first one must not notice.
    again = server.submit(saving(), client_id=me.client)
    assert types(me.ended(again))[-1] == "executing"


def test_the_first_socket_may_leave_before_the_second(server: ServerProcess) -> None:
    with listening(server, "double") as first, listening(server, "double") as second:
        first.leave()
        until(lambda: sockets(server) == 1)

        id = server.submit(saving(), client_id="double")

        assert types(second.ended(id))[0] == "execution_start"
        with listening(server, "double") as third:
            again = server.submit(saving(), client_id="double")
            assert second.ended(again) == third.ended(again)


def test_a_second_socket_hears_what_is_running(server: ServerProcess, me: Listener) -> None:
    gate = f"second-{fresh()}"
    id = server.submit(waiting(gate), client_id=me.client)
    me.until(lambda m: m["type"] == "executing" and m["data"]["prompt_id"] == id)

    with listening(server, me.client) as second:
        second.until(
            lambda m: (
                m
                == {
                    "type": "executing",
                    "data": {"node": "1", "display_node": "1", "prompt_id": id},
                }
            )
        )
        open_gate(server, gate)
        assert "executing 2" in types(second.ended(id))


def sockets(server: ServerProcess) -> int:
    lines = server.request("GET", "/metrics").body.decode().splitlines()
    [line] = [line for line in lines if line.startswith("nodegraph_websockets ")]
    return int(float(line.split()[1]))


# -- what clients say ------------------------------------------------------------------------------

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
    run(server, me, saving())


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
    run(server, me, saving())


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
        run(server, other, saving())


def test_a_plain_request_to_the_websocket_is_told_so(server: ServerProcess) -> None:
    for path in ("/ws", "/api/ws"):
        answer = server.request("GET", path)

        assert shape_of(answer, 426)["error"]["type"] == "no_websocket"
        assert answer.headers["Upgrade"] == "websocket"


def test_an_id_that_is_far_too_long_is_refused(server: ServerProcess) -> None:
    answer = server.request("GET", f"/ws?clientId={'x' * 201}", headers={"Upgrade": "websocket"})

    shape_of(answer, 400)
