"""What is told of a job: which messages, in which order, with what in them."""

import json
from itertools import pairwise
from typing import Any

import pytest
from executor_support import entry, rig_of

from nodegraph.context import Context
from nodegraph.errors import NodeFailed as NodeFailedError
from nodegraph.events import (
    Event,
    Executed,
    NodeFailed,
    NodeFinished,
    NodesCached,
    NodeSkipped,
    NodeStarted,
    Preview,
    Progress,
    Retried,
    RunCancelled,
    RunFinished,
    RunStarted,
    Warned,
)
from nodegraph.expansion import Builder, Expansion
from nodegraph.jobs.messages import SHOWN_NODES, Failure, Message, Story, failure_of
from nodegraph.node import node
from nodegraph.outputs import SavedFile, Shown

AT = 1700000000.9876  # seconds


def told(story: Story, *events: Event) -> list[Message]:
    return [message for event in events for message in story.tell(event)]


def types(messages: list[Message]) -> list[str]:
    return [message.type for message in messages]


def who(id: str, kind: str = "Kind", parent: str | None = None) -> dict[str, Any]:
    return {"node": id, "class_type": kind, "parent": parent}


def started(id: str, parent: str | None = None) -> NodeStarted:
    return NodeStarted(**who(id, parent=parent), lane="compute")


def finished(id: str, parent: str | None = None) -> NodeFinished:
    return NodeFinished(**who(id, parent=parent), seconds=0.5, bytes_out=8)


def states(message: Message) -> dict[str, str]:
    assert message.type == "progress_state"
    return {id: node["state"] for id, node in message.data["nodes"].items()}


# -- a whole run -----------------------------------------------------------------------------------


@node("Number", category="t")
def number(value: int = 1) -> int:
    return value


@node("Sample", category="t")
def sample(value: int, *, context: Context) -> int:
    for step in range(2):
        context.progress(step + 1, 2)
    return value


@node("Save", category="t")
def save(value: int) -> Shown:
    return Shown(values={"text": [str(value)]})


@node("Twice", category="t")
def twice(value: int) -> int | Expansion:
    graph = Builder()
    return graph.result(graph.add("Sample", value=graph.add("Number", value=value)))


def test_a_run_is_told_in_the_order_that_clients_know() -> None:
    story, messages = Story("job"), list[Message]()
    document = {
        "1": entry("Number", value=3),
        "2": entry("Sample", value=["1", 0]),
        "3": entry("Save", value=["2", 0]),
    }
    with rig_of(number, sample, save) as rig:
        rig.run(document, emit=lambda event: messages.extend(story.tell(event)))
        again, cached = Story("job"), list[Message]()
        rig.run(document, emit=lambda event: cached.extend(again.tell(event)))

    node_of = ["progress_state", "executing"]
    steps = ["progress_state", "progress"] * 2
    assert types(messages) == [
        "execution_start",
        "execution_cached",
        *[*node_of, "progress_state"],
        *[*node_of, *steps, "progress_state"],
        *[*node_of, "executed", "progress_state"],
    ]
    assert types(cached) == ["execution_start", "execution_cached", "executed"]
    assert cached[1].data["nodes"] == ["1", "2", "3"]
    assert cached[2].data["output"] == {"text": ["3"]}
    assert story.executed == ["1", "2", "3"]
    assert story.running == {}


def test_nodes_of_an_expansion_are_shown_as_the_node_they_stand_for() -> None:
    story, messages = Story("job"), list[Message]()
    document = {"1": entry("Twice", value=3), "2": entry("Save", value=["1", 0])}
    with rig_of(number, sample, save, twice) as rig:
        rig.run(document, emit=lambda event: messages.extend(story.tell(event)))

    inner = [m for m in messages if m.type == "executing" and m.data["node"] not in ("1", "2")]
    assert len(inner) == 2
    assert {message.data["display_node"] for message in inner} == {"1"}
    last = [message for message in messages if message.type == "progress_state"][-1].data["nodes"]
    for message in inner:
        state = last[message.data["node"]]
        assert (state["display_node_id"], state["parent_node_id"]) == ("1", "1")
        assert state["real_node_id"] == state["node_id"] == message.data["node"]
    assert (last["1"]["display_node_id"], last["1"]["parent_node_id"]) == ("1", None)


def test_expansions_inside_expansions_are_shown_as_the_outermost_node() -> None:
    story = Story("job")
    messages = told(
        story,
        started("1"),
        started("1.0.2", "1"),
        started("1.0.2.0.3", "1.0.2"),
        Executed(**who("1.0.2.0.3", parent="1.0.2"), shown=Shown()),
    )

    assert messages[-2].data["display_node"] == "1"
    assert messages[-1].data["display_node"] == "1"


# -- what is in the messages -----------------------------------------------------------------------


def test_times_and_progress_are_whole_numbers() -> None:
    story = Story("job")
    step = Progress(**who("1"), value=2.7, total=9.9)  # type: ignore[arg-type]
    messages = told(
        story, RunStarted(nodes=("1",), at=AT), NodesCached(nodes=(), at=AT), started("1"), step
    )
    messages += [story.interrupted("1", AT), story.failed(Failure("E", "no"), AT)]

    stamps = [m.data["timestamp"] for m in messages if "timestamp" in m.data]
    assert stamps == [1700000000987] * 4
    progress = next(message for message in messages if message.type == "progress")
    assert progress.data == {"value": 2, "max": 9, "node": "1", "prompt_id": "job"}
    assert all(type(progress.data[name]) is int for name in ("value", "max"))
    state = next(m for m in messages[::-1] if m.type == "progress_state").data["nodes"]["1"]
    assert (state["value"], state["max"], type(state["value"])) == (2, 9, int)


def test_a_progress_of_nothing_is_one_of_one() -> None:
    assert told(Story("job"), Progress(**who("1"), value=0, total=0))[-1].data["max"] == 1


def test_every_message_names_its_job_and_can_be_sent() -> None:
    story = Story("job")
    error = NodeFailedError("no", node="2", class_type="Kind")
    messages = told(
        story,
        RunStarted(nodes=("1", "2")),
        NodesCached(nodes=("1",)),
        started("2"),
        Progress(**who("2"), value=1, total=2),
        Executed(**who("2"), shown=Shown((SavedFile("a.png", "sub", "output"),))),
        NodeFailed(**who("2"), error=error),
    )
    messages += [story.failed(failure_of(error, str), AT), story.interrupted(None, AT)]

    assert all(message.data["prompt_id"] == "job" for message in messages)
    for message in messages:
        json.dumps(message.data, allow_nan=False)


def test_of_some_events_there_is_nothing_to_tell() -> None:
    events: list[Event] = [
        Warned(**who("1"), message="careful"),
        Retried(**who("1"), reason="memory", freed=1),
        Preview(**who("1"), value=None),
        NodeSkipped(**who("1"), because="2"),
        RunFinished(seconds=1.0),
        RunCancelled(seconds=1.0, node="1"),
    ]

    assert told(Story("job"), *events) == []


def test_the_state_of_progress_says_what_each_node_is_at() -> None:
    story = Story("job")
    first = told(story, started("1"))[0]
    half = told(story, Progress(**who("1"), value=3, total=10))[0]
    done = told(story, finished("1"))[-1]
    next_one = told(story, started("2"))[0]
    failed = told(story, NodeFailed(**who("2"), error=ValueError("no")))[-1]

    assert states(first) == {"1": "running"}
    assert first.data["nodes"]["1"] == {
        "value": 0,
        "max": 1,
        "state": "running",
        "node_id": "1",
        "prompt_id": "job",
        "display_node_id": "1",
        "parent_node_id": None,
        "real_node_id": "1",
    }
    assert (half.data["nodes"]["1"]["value"], half.data["nodes"]["1"]["max"]) == (3, 10)
    assert states(done) == {"1": "finished"}
    assert (done.data["nodes"]["1"]["value"], done.data["nodes"]["1"]["max"]) == (10, 10)
    assert states(next_one) == {"1": "finished", "2": "running"}
    assert states(failed) == {"1": "finished", "2": "error"}


def test_of_a_very_large_graph_each_message_stays_small() -> None:
    story = Story("job")
    messages = []
    for index in range(700):
        messages += told(story, started(f"{index}"), finished(f"{index}"))
    sizes = [len(m.data["nodes"]) for m in messages if m.type == "progress_state"]

    assert max(sizes) <= SHOWN_NODES + 1
    assert list(messages[-1].data["nodes"])[-1] == "699"
    assert len(story.executed) == 700


def test_of_very_many_nodes_at_work_each_message_stays_small() -> None:
    story = Story("job")
    messages = told(story, *(started(f"{index}") for index in range(500)))
    sizes = [len(m.data["nodes"]) for m in messages if m.type == "progress_state"]

    assert max(sizes) == SHOWN_NODES
    assert "499" in messages[-2].data["nodes"]
    assert len(story.running) == 500


def test_a_node_that_runs_again_is_running_again() -> None:
    story = Story("job")
    told(story, started("1"), finished("1"))
    again = told(story, started("1"))

    assert states(again[0]) == {"1": "running"}
    assert list(story.running) == ["1"]


# -- numbers ---------------------------------------------------------------------------------------


def test_numbers_go_up_by_one_and_those_of_the_next_attempt_are_higher() -> None:
    attempts = []
    for attempt in (1, 2, 3):
        story = Story("job", attempt)
        messages = told(story, RunStarted(nodes=()), *(started(f"{n}") for n in range(50)))
        attempts.append([*messages, story.interrupted(None, AT)])

    for messages in attempts:
        assert {after.n - before.n for before, after in pairwise(messages)} == {1}
    assert attempts[0][-1].n < attempts[1][0].n
    assert attempts[1][-1].n < attempts[2][0].n
    assert attempts[2][-1].n < 2**53  # which every client can count to


def test_progress_is_what_a_later_message_makes_worthless() -> None:
    story = Story("job")
    messages = told(
        story, RunStarted(nodes=()), started("1"), Progress(**who("1"), value=1, total=2)
    )

    passing = {message.type: message.passing for message in messages}
    assert passing == {
        "execution_start": False,
        "progress_state": True,
        "executing": False,
        "progress": True,
    }


# -- how it ends -----------------------------------------------------------------------------------


def test_an_interrupted_job_names_the_node_that_ran() -> None:
    story = Story("job")
    told(story, started("1"), finished("1"), started("2"), started("3"))

    named = story.interrupted("3", AT).data
    unnamed = story.interrupted(None, AT).data
    before = Story("job").interrupted(None, AT).data

    assert (named["node_id"], named["node_type"], named["executed"]) == ("3", "Kind", ["1"])
    assert unnamed["node_id"] == "2"
    assert (before["node_id"], before["node_type"], before["executed"]) == (None, None, [])


def test_an_error_names_the_node_and_what_it_raised() -> None:
    story = Story("job")
    told(story, started("1"), finished("1"))
    cause = ValueError("7 is too much")
    cause.add_note("try less")
    error = NodeFailedError("node 2 (Kind) failed: ValueError: 7", node="2", class_type="Kind")
    error.__cause__ = cause

    data = story.failed(failure_of(error, str.upper, ("line 1", "line 2")), AT, skipped={}).data

    assert data == {
        "node_id": "2",
        "node_type": "Kind",
        "executed": ["1"],
        "exception_message": "NODE 2 (KIND) FAILED: VALUEERROR: 7\nTRY LESS",
        "exception_type": "ValueError",
        "traceback": ["line 1", "line 2"],
        "current_inputs": {},
        "current_outputs": [],
        "timestamp": 1700000000987,
        "skipped": {},
        "prompt_id": "job",
    }


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (ValueError("no"), "ValueError", "no"),
        (ValueError(), "ValueError", "ValueError"),
        (KeyboardInterrupt(), "KeyboardInterrupt", "KeyboardInterrupt"),
        (SystemExit(3), "SystemExit", "3"),
        (MemoryError(), "MemoryError", "MemoryError"),
    ],
)
def test_any_error_has_a_type_and_words(error: BaseException, kind: str, said: str) -> None:
    failure = failure_of(error, str)

    assert (failure.type, failure.message) == (kind, said)
    assert (failure.node, failure.class_type, failure.traceback) == (None, None, ())
