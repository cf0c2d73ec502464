"""The websocket: which messages come in which order, and to whom."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from server_listener import (
    Listener,
    Message,
    assert_well_formed,
    busy,
    faultless,
    fresh,
    listening,
    node,
    open_gate,
    running_ids,
    saving,
    sockets,
    types,
    waiting,
)
from server_process import ServerProcess, serving, until


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
