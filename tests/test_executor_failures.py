"""Nodes that fail: what it takes with it, what goes on, what is said."""

import asyncio
import gc
import threading
import weakref
from typing import Any, NamedTuple

import pytest
from executor_support import entry, rig_of, wait_for

from nodegraph.errors import Cancelled, InvalidGraph, NodeFailed, NodeGraphError
from nodegraph.events import NodeFailed as NodeFailedEvent
from nodegraph.events import NodesCached, NodeSkipped, NodeStarted, RunFinished
from nodegraph.node import node
from nodegraph.outputs import Shown


class Two(NamedTuple):
    one: int
    two: int


@node("Number", category="t")
def number(value: int = 1) -> int:
    return value


@node("Fail", category="t")
def fail(value: int = 1) -> int:
    raise ValueError(f"cannot do {value}")


@node("Add", category="t")
def add(a: int, b: int = 1) -> int:
    return a + b


@node("Show", category="t")
def show(value: int) -> Shown:
    return Shown(values={"value": [value]})


NODES = (number, fail, add, show)
BRANCHES = {
    "1": entry("Number"),
    "2": entry("Fail", value=["1", 0]),
    "3": entry("Add", a=["2", 0]),
    "4": entry("Show", value=["3", 0]),
    "5": entry("Add", a=["1", 0]),
    "6": entry("Show", value=["5", 0]),
}


def test_a_failed_branch_does_not_stop_the_others() -> None:
    with rig_of(*NODES) as rig:
        result = rig.run(BRANCHES)

    assert result.shown["6"].values == {"value": [2]}
    assert list(result.errors) == ["2"]
    assert result.skipped == {"3": "2", "4": "2"}
    statuses = {account.node: account.status for account in result.accounts}
    assert statuses == {
        "1": "ran",
        "2": "failed",
        "3": "skipped",
        "4": "skipped",
        "5": "ran",
        "6": "ran",
    }
    assert rig.of(RunFinished)[0].failed == ("2", "3", "4")
    assert [(e.node, e.because) for e in rig.of(NodeSkipped)] == [("3", "2"), ("4", "2")]


def test_an_error_says_which_node_failed_and_why() -> None:
    with rig_of(*NODES) as rig:
        result = rig.run(BRANCHES)

    error = result.errors["2"]
    assert isinstance(error, NodeFailed)
    assert str(error) == "node 2 (Fail) failed: ValueError: cannot do 1"
    assert (error.node, error.class_type) == ("2", "Fail")
    assert isinstance(error.__cause__, ValueError)
    event = rig.of(NodeFailedEvent)[0]
    assert (event.node, event.class_type, event.error) == ("2", "Fail", error)


def test_our_own_errors_speak_for_themselves() -> None:
    @node("Missing", category="t")
    def missing() -> int:
        raise NodeGraphError("the model is not there; put it into models/")

    with rig_of(missing) as rig:
        result = rig.run({"1": entry("Missing")}, targets=["1"])

    expected = "node 1 (Missing) failed: the model is not there; put it into models/"
    assert str(result.errors["1"]) == expected


def test_an_error_about_another_node_is_wrapped() -> None:
    @node("Nested", category="t")
    def nested() -> int:
        raise NodeFailed("node 77 failed", node="77", class_type="Inner")

    with rig_of(nested) as rig:
        result = rig.run({"1": entry("Nested")}, targets=["1"])

    assert result.errors["1"].node == "1"
    assert str(result.errors["1"]) == "node 1 (Nested) failed: node 77 failed"


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), Cancelled("by myself")])
def test_nothing_a_node_raises_harms_the_engine(error: BaseException) -> None:
    @node("Raise", category="t")
    def leave() -> int:
        raise error

    with rig_of(leave, *NODES) as rig:
        result = rig.run({"1": entry("Raise"), "2": entry("Number", value=4)}, targets=["1", "2"])
        again = rig.run({"3": entry("Number", value=5)}, targets=["3"])

    assert result.errors["1"].__cause__ is error
    assert result["2"] == (4,)
    assert not result.cancelled
    assert again["3"] == (5,)


@pytest.mark.parametrize("made", [(1,), (1, 2, 3), 5, None])
def test_a_node_that_gives_something_else_than_it_declares_fails(made: Any) -> None:
    @node("Two", category="t")
    def two() -> Two:
        return made  # type: ignore[no-any-return]

    with rig_of(two) as rig:
        result = rig.run({"1": entry("Two")}, targets=["1"])

    assert "node 1 (Two) returned" in str(result.errors["1"])


def test_a_failed_target_frees_the_run_from_what_only_it_needed() -> None:
    started, failed = threading.Event(), threading.Event()

    @node("Slow", category="t", lane="io")
    def slow() -> int:
        started.set()
        wait_for(failed)
        return 1

    @node("Bad", category="t")
    def bad() -> int:
        wait_for(started)
        raise ValueError("no")

    @node("Last", category="t")
    def last(a: int) -> int:
        return a

    @node("Both", category="t")
    def both(a: int, b: int) -> int:
        return a + b

    document = {
        "slow": entry("Slow"),
        "after": entry("Last", a=["slow", 0]),
        "bad": entry("Bad"),
        "both": entry("Both", a=["after", 0], b=["bad", 0]),
    }

    def note(event: Any) -> None:
        if isinstance(event, NodeFailedEvent):
            failed.set()

    with rig_of(slow, last, bad, both) as rig:
        result = rig.run(document, targets=["both"], emit=note)
        names = {event.node for event in rig.of(NodeStarted)}

    assert result.skipped == {"both": "bad"}
    assert "after" not in names
    assert rig.of(NodesCached)[-1].nodes == ("after",)
    assert isinstance(rig.events[-1], RunFinished)


def test_what_a_failed_target_shared_with_another_is_still_run() -> None:
    document = {
        "1": entry("Number", value=3),
        "2": entry("Add", a=["1", 0]),
        "bad": entry("Fail"),
        "both": entry("Add", a=["bad", 0], b=["2", 0]),
        "good": entry("Add", a=["2", 0]),
    }
    with rig_of(*NODES) as rig:
        result = rig.run(document, targets=["both", "good"])

    assert result["good"] == (5,)
    assert result.skipped == {"both": "bad"}


def test_an_error_does_not_keep_the_inputs_of_its_node() -> None:
    class Thing: ...

    seen: list[weakref.ref[Thing]] = []

    @node("Make", category="t", cached=False)
    def make() -> Any:
        thing = Thing()
        seen.append(weakref.ref(thing))
        return thing

    def inner(thing: Any) -> None:
        raise ValueError("no")

    @node("Use", category="t")
    def use(thing: Any) -> int:
        try:
            inner(thing)
        except ValueError as error:
            raise RuntimeError("really no") from error
        return 1

    document = {"1": entry("Make"), "2": entry("Use", thing=["1", 0])}
    with rig_of(make, use) as rig:
        result = rig.run(document, targets=["2"])
    gc.collect()

    assert str(result.errors["2"]) == "node 2 (Use) failed: RuntimeError: really no"
    assert seen[0]() is None


def test_a_needs_hook_that_fails_is_its_node_s_failure() -> None:
    def needs(a: int) -> list[str]:
        raise KeyError("oops")

    @node("Hooked", category="t", needs=needs)
    def hooked(a: int) -> int:
        return a

    with rig_of(hooked) as rig:
        result = rig.run({"1": entry("Hooked", a=1)}, targets=["1"])

    assert str(result.errors["1"]) == "node 1 (Hooked) failed: KeyError: 'oops'"


def test_a_needs_hook_that_asks_for_what_is_no_input_is_told_so() -> None:
    @node("Hooked", category="t", needs=lambda a: ["b"])
    def hooked(a: int) -> int:
        return a

    with rig_of(hooked) as rig:
        result = rig.run({"1": entry("Hooked", a=1)}, targets=["1"])

    assert "asks for the input 'b', which it does not have" in str(result.errors["1"])


def test_a_fingerprint_hook_that_fails_is_its_node_s_failure_and_nobody_else_s() -> None:
    def fingerprint(value: int) -> str:
        raise OSError("the disk is gone")

    @node("Hooked", category="t", fingerprint=fingerprint)
    def hooked(value: int) -> int:
        return value

    document = {"1": entry("Hooked", value=1), "2": entry("Add", a=["1", 0]), "3": entry("Number")}
    with rig_of(hooked, *NODES) as rig:
        result = rig.run(document, targets=["2", "3"])

    assert "OSError: the disk is gone" in str(result.errors["1"])
    assert result.skipped == {"2": "1"}
    assert result["3"] == (1,)


def test_a_coroutine_that_cancels_itself_has_failed() -> None:
    @node("Gone", category="t")
    async def gone() -> int:
        raise asyncio.CancelledError

    with rig_of(gone) as rig:
        result = rig.run({"1": entry("Gone")}, targets=["1"])

    assert not result.cancelled
    assert "CancelledError" in str(result.errors["1"])


def test_an_invalid_graph_error_inside_a_node_is_like_any_other() -> None:
    @node("Inner", category="t")
    def inner() -> int:
        raise InvalidGraph([], {})

    with rig_of(inner) as rig:
        result = rig.run({"1": entry("Inner")}, targets=["1"])

    assert "node 1 (Inner) failed: the graph has 0 faults" in str(result.errors["1"])
