"""Events that a client has missed: connecting late, connecting again, numbers, subscriptions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from server_listener import (
    Graph,
    Listener,
    Message,
    busy,
    faultless,
    fresh,
    is_last,
    listening,
    node,
    open_gate,
    saving,
    types,
    waiting,
)
from server_process import ServerProcess, serving, until

PASSING = ("progress", "progress_state")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(tmp_path_factory.mktemp("replay")) as server:
        yield server
        faultless(server)


def lasting(messages: Sequence[Message]) -> list[Message]:
    """Without progress, of which the newest alone is worth keeping."""
    return [each for each in messages if each["type"] not in PASSING]


def plain(messages: Sequence[Message]) -> list[Message]:
    """Without their numbers."""
    return [{"type": each["type"], "data": each["data"]} for each in messages]


def numbers(messages: Sequence[Message]) -> list[int]:
    return [each["n"] for each in messages]


def events(server: ServerProcess, id: str, since: int = 0) -> list[Message]:
    """The events that the journal has."""
    found: list[Message] = server.get(f"/jobs/{id}/events?since={since}")["events"]
    return found


def two_gates(gate: str) -> Graph:
    """Runs, waits, runs, waits, runs."""
    return {
        "1": node("Add", left=fresh()),
        "2": node("Wait", gate=f"{gate}-1", value=["1", 0]),
        "3": node("Show", value=["2", 0]),
        "4": node("Wait", gate=f"{gate}-2", value=["2", 0]),
        "5": node("Show", value=["4", 0]),
    }


WHOLE = [
    "execution_start",
    "execution_cached",
    *("executing 1", "executing 2"),
    *("executing 3", "executed 3", "executing 4", "executing 5", "executed 5"),
    "execution_success",
    "executing",
]


# -- connecting late -------------------------------------------------------------------------------


def test_who_connects_when_all_is_over_hears_all_of_it(server: ServerProcess) -> None:
    client = f"late-{fresh()}"
    ids = [server.submit(saving(), client_id=client) for _ in range(3)]
    for id in ids:
        server.ended(id)

    with listening(server, client) as me:
        for id in ids:
            messages = me.ended(id)
            assert types(lasting(messages)) == [
                "execution_start",
                "execution_cached",
                "executing 1",
                "executing 2",
                "executed 2",
                "execution_success",
                "executing",
            ]
        about = [m["data"].get("prompt_id", "queue") for m in lasting(me.messages)]
        assert about[:21] == [id for id in ids for _ in range(7)]
        assert about[21] == "queue", "an empty queue is told last: some look no further"


def test_what_was_missed_is_told_once(server: ServerProcess) -> None:
    client = f"once-{fresh()}"
    id = server.submit(saving(), client_id=client)
    server.ended(id)
    with listening(server, client) as first:
        first.ended(id)

    with listening(server, client) as second:
        second.settle()
        assert second.about(id) == []


def test_who_connects_in_the_middle_hears_the_beginning_and_the_rest(
    server: ServerProcess,
) -> None:
    client, gate = f"middle-{fresh()}", f"gate-{fresh()}"
    id = server.submit(two_gates(gate), client_id=client)
    until(lambda: any(e["data"].get("node") == "2" for e in events(server, id)))

    with listening(server, client) as me:
        me.until(lambda m: m["data"].get("node") == "2")
        open_gate(server, f"{gate}-1")
        open_gate(server, f"{gate}-2")

        assert types(lasting(me.ended(id))) == types(plain(events(server, id)))


def test_who_loses_its_connection_misses_nothing_and_hears_nothing_twice(
    server: ServerProcess,
) -> None:
    client, gate = f"again-{fresh()}", f"gate-{fresh()}"
    with listening(server, client) as first:
        id = server.submit(two_gates(gate), client_id=client)
        first.until(lambda m: m["data"].get("node") == "2")
    open_gate(server, f"{gate}-1")
    until(lambda: any(e["data"].get("node") == "4" for e in events(server, id)))
    with listening(server, client) as second:
        second.until(lambda m: m["data"].get("node") == "4")
        open_gate(server, f"{gate}-2")
        second.ended(id)

    both = lasting([*first.about(id), *second.about(id)])
    assert both == plain(events(server, id))
    assert types(lasting(second.about(id)))[0] != "execution_start"


def test_of_missed_progress_the_newest_is_told(server: ServerProcess) -> None:
    client = f"progress-{fresh()}"
    graph = {"1": node("Steps", value=fresh(), count=200), "2": node("Show", value=["1", 0])}
    id = server.submit(graph, client_id=client)
    server.ended(id)

    with listening(server, client) as me:
        messages = me.ended(id)

    [progress] = [m["data"] for m in messages if m["type"] == "progress"]
    assert (progress["value"], progress["max"]) == (200, 200)
    [state] = [m["data"]["nodes"] for m in messages if m["type"] == "progress_state"]
    assert {each["state"] for each in state.values()} == {"finished"}


# -- numbers ---------------------------------------------------------------------------------------


def test_numbers_are_for_those_who_ask_for_them(server: ServerProcess) -> None:
    client = f"numbers-{fresh()}"
    with listening(server, client, numbered_events=True) as me, listening(server, client) as other:
        id = server.submit(saving(), client_id=client)

        mine, others = me.ended(id), other.ended(id)

    assert numbers(mine) == sorted(set(numbers(mine)))
    assert all(type(n) is int and 0 < n < 2**53 for n in numbers(mine))
    assert plain(mine) == others
    assert all("n" not in each for each in others)


def test_the_journal_has_the_same_events_and_numbers(server: ServerProcess) -> None:
    client = f"same-{fresh()}"
    with listening(server, client, numbered_events=True) as me:
        id = server.submit(saving(), client_id=client)
        told = lasting(me.ended(id))

    assert events(server, id) == told
    middle = told[3]["n"]
    assert events(server, id, middle) == told[4:]
    assert events(server, id, told[-1]["n"]) == []


def test_events_of_no_job_and_since_no_number_are_refused(server: ServerProcess) -> None:
    assert server.request("GET", "/jobs/nobody/events").status == 404
    id = server.submit(saving())
    server.ended(id)
    for since in ("x", "-1", "1.5", "1e3", "9" * 30):
        assert server.request("GET", f"/jobs/{id}/events?since={since}").status == 400


# -- subscriptions ---------------------------------------------------------------------------------


@pytest.fixture
def other(server: ServerProcess) -> Iterator[Listener]:
    with listening(server, f"other-{fresh()}", numbered_events=True) as listener:
        yield listener


def test_a_job_that_has_ended_is_told_from_its_beginning_or_from_a_number(
    server: ServerProcess, other: Listener
) -> None:
    id = server.submit(saving())
    server.ended(id)

    reply = other.command("subscribe", prompt_id=id)

    assert (reply["type"], reply["data"]) == ("reply", {"prompt_id": id, "status": "success"})
    told = other.about(id)[:-1]
    assert told == events(server, id)
    other.received.clear()
    other.command("subscribe", prompt_id=id, since=told[2]["n"])
    assert other.about(id)[:-1] == told[3:]


def test_another_client_can_follow_a_job(server: ServerProcess, other: Listener) -> None:
    gate = f"follow-{fresh()}"
    owner = f"owner-{fresh()}"
    id = server.submit(two_gates(gate), client_id=owner)
    until(lambda: any(e["data"].get("node") == "2" for e in events(server, id)))

    assert other.command("subscribe", prompt_id=id)["data"]["status"] == "running"
    open_gate(server, f"{gate}-1")
    open_gate(server, f"{gate}-2")
    other.until(lambda m: is_last(m, id))

    told = [m for m in other.about(id) if "n" in m]
    assert numbers(told) == sorted(set(numbers(told))), "in order, and none of them twice"
    assert lasting(told) == events(server, id)
    with listening(server, owner) as me:
        assert lasting(me.ended(id)) == plain(events(server, id))


def test_a_job_that_waits_can_be_followed(server: ServerProcess, other: Listener) -> None:
    with busy(server):
        id = server.submit(saving())
        assert other.command("subscribe", prompt_id=id)["data"]["status"] == "pending"

    assert lasting(other.ended(id))[-1]["data"]["node"] is None
    assert [m for m in lasting(other.about(id)) if "n" in m] == events(server, id)


def test_who_follows_its_own_job_hears_each_event_once(server: ServerProcess) -> None:
    client, gate = f"own-{fresh()}", f"gate-{fresh()}"
    with listening(server, client, numbered_events=True) as me:
        id = server.submit(two_gates(gate), client_id=client)
        seen = me.until(lambda m: m["data"].get("node") == "2")["n"]
        me.command("subscribe", prompt_id=id, since=seen)
        open_gate(server, f"{gate}-1")
        open_gate(server, f"{gate}-2")

        told = [m for m in me.ended(id) if "n" in m]

    assert numbers(told) == sorted(set(numbers(told)))
    assert lasting(told) == events(server, id)


def test_who_unsubscribes_hears_no_more(server: ServerProcess, other: Listener) -> None:
    gate = f"enough-{fresh()}"
    id = server.submit(two_gates(gate))
    until(lambda: any(e["data"].get("node") == "2" for e in events(server, id)))
    other.command("subscribe", prompt_id=id)

    other.command("unsubscribe", prompt_id=id)
    open_gate(server, f"{gate}-1")
    open_gate(server, f"{gate}-2")
    server.ended(id)
    other.settle()

    heard = types(lasting([m for m in other.about(id) if "n" in m]))
    assert heard[-1] == "executing 2"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ({"prompt_id": "nobody"}, "not_found"),
        ({}, "bad_request"),
        ({"prompt_id": ""}, "bad_request"),
        ({"prompt_id": 5}, "bad_request"),
        ({"prompt_id": "x", "since": "3"}, "bad_request"),
        ({"prompt_id": "x", "since": 1.5}, "bad_request"),
        ({"prompt_id": "x", "since": True}, "bad_request"),
    ],
)
def test_a_subscription_that_cannot_be_is_refused(
    server: ServerProcess, other: Listener, data: dict[str, Any], kind: str
) -> None:
    refusal = other.command("subscribe", **data)

    assert refusal["type"] == "refused"
    assert refusal["data"]["error"]["type"] == kind


def test_a_connection_that_was_lost_is_taken_up_at_a_number(server: ServerProcess) -> None:
    client, gate = f"number-{fresh()}", f"gate-{fresh()}"
    with listening(server, client, numbered_events=True) as first:
        id = server.submit(two_gates(gate), client_id=client)
        first.until(lambda m: m["data"].get("node") == "2")
    seen = lasting(first.about(id))
    open_gate(server, f"{gate}-1")
    open_gate(server, f"{gate}-2")
    server.ended(id)

    with listening(server, client, numbered_events=True) as second:
        second.command("subscribe", prompt_id=id, since=seen[-1]["n"])
        rest = [m for m in lasting(second.about(id)) if "n" in m]

    assert [*seen, *rest] == events(server, id)


def since_subscribed(me: Listener, id: str) -> list[Message]:
    """What was replayed, and all after it; its beginning may have been heard before."""
    told = [m for m in lasting(me.about(id)) if "n" in m]
    first = min(numbers(told))
    return told[max(at for at, m in enumerate(told) if m["n"] == first) :]


# -- after a restart -------------------------------------------------------------------------------


def test_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    gate = "restart"
    graph = two_gates(gate)
    with serving(tmp_path) as server, listening(server, "me", numbered_events=True) as me:
        ended = server.submit(saving(), client_id="me")
        before = lasting(me.ended(ended))
        id = server.submit(graph, client_id="me")
        seen = me.until(lambda m: m["data"].get("node") == "2" and m["data"]["prompt_id"] == id)[
            "n"
        ]
        server.kill()

    with serving(tmp_path) as server, listening(server, "me", numbered_events=True) as me:
        me.command("subscribe", prompt_id=ended, since=before[2]["n"])
        assert [m for m in me.about(ended) if "n" in m] == before[3:]
        me.command("subscribe", prompt_id=id, since=seen)
        open_gate(server, f"{gate}-1")
        open_gate(server, f"{gate}-2")
        me.ended(id)

        told = since_subscribed(me, id)
        assert numbers(told) == sorted(set(numbers(told)))
        assert numbers(told)[0] > seen
        assert told == events(server, id, seen)
        assert types(told)[0] == "execution_start"
        assert types(told)[-2:] == ["execution_success", "executing"]
        assert {"executed 3", "executed 5"} <= set(types(told))


def test_a_client_that_comes_back_after_a_restart_hears_of_its_job(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        server.post("/queue/pause")
        id = server.submit(waiting("late"), client_id="me")
        server.kill()

    with serving(tmp_path) as server:
        server.post("/queue/resume")
        open_gate(server, "late")
        server.ended(id)
        with listening(server, "me") as me:
            assert types(lasting(me.ended(id)))[-2:] == ["execution_success", "executing"]


def test_figures_of_a_node_that_learns_come_in_order_and_can_be_had_again(
    server: ServerProcess,
) -> None:
    graph = {"1": node("Learn", steps=3), "2": node("Show", value=["1", 0])}
    id = server.submit(graph)
    server.ended(id)

    told = [each["data"] for each in events(server, id) if each["type"] == "figures"]

    assert [(each["step"], each["total"], each["node"]) for each in told] == [
        (1, 3, "1"), (2, 3, "1"), (3, 3, "1"), (3, 3, "1"),
    ]  # fmt: skip
    assert [each["figures"] for each in told] == [{"loss": 1}, {"loss": 0.5}, {"loss": 1 / 3}, {}]
    assert told[-1]["sample"] == {
        "filename": "sheet.png", "subfolder": "training/a", "type": "output",
    }  # fmt: skip
    since = next(each["n"] for each in events(server, id) if each["type"] == "figures")
    assert len([each for each in events(server, id, since) if each["type"] == "figures"]) == 3


def test_of_a_long_run_no_more_is_kept_than_can_be_drawn(server: ServerProcess) -> None:
    id = server.submit({"1": node("Learn", steps=20_000), "2": node("Show", value=["1", 0])})
    server.ended(id)

    told = [each for each in events(server, id) if each["type"] == "figures"]

    assert 900 < len(told) < 1100
