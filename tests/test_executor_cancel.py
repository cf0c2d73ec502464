"""Cancelling: between nodes, inside a sampling loop, at every event; and what is left behind."""

import asyncio
import threading
from typing import Any

import pytest
from executor_support import entry, rig_of, wait_for
from hypothesis import given, settings
from hypothesis import strategies as st

from nodegraph.context import CancelToken, Context
from nodegraph.errors import Cancelled
from nodegraph.events import (
    Event,
    NodeFailed,
    NodeFinished,
    NodeStarted,
    Progress,
    RunCancelled,
    RunFinished,
)
from nodegraph.node import node
from nodegraph.outputs import Shown


@node("Number", category="t")
def number(value: int = 1) -> int:
    return value


@node("Add", category="t")
def add(a: int, b: int = 1) -> int:
    return a + b


@node("Sample", category="t")
def sample(value: int, steps: int = 3, *, context: Context) -> int:
    for step in range(steps):
        context.progress(step + 1, steps)
    return value


@node("Save", category="t", lane="io")
def save(value: int) -> Shown:
    return Shown(values={"value": [value]})


@node("Later", category="t")
async def later(value: int) -> int:
    await asyncio.sleep(0)
    return value


NODES = (number, add, sample, save, later)
DOCUMENT = {
    "1": entry("Number", value=3),
    "2": entry("Sample", value=["1", 0]),
    "3": entry("Later", value=["2", 0]),
    "4": entry("Save", value=["3", 0]),
    "5": entry("Add", a=["2", 0], b=10),
    "6": entry("Save", value=["5", 0]),
}


class AtEvent:
    """Cancels a token at the k-th event."""

    def __init__(self, k: int) -> None:
        self.token = CancelToken()
        self._left = k

    def __call__(self, event: Event) -> None:
        if self._left == 0:
            self.token.cancel()
        self._left -= 1


def test_a_cancel_at_any_event_ends_the_run_and_the_next_one_is_right() -> None:
    with rig_of(*NODES) as rig:
        rig.run(DOCUMENT).require()
        count = len(rig.events)
        assert count > 15
        for k in range(count):
            rig.cache.free(device="cpu")
            at = AtEvent(k)
            result = rig.run(DOCUMENT, emit=at, cancel=at.token)

            assert isinstance(rig.events[-1], RunCancelled if result.cancelled else RunFinished)
            assert result.errors == {}
            for id, expected in (("4", [3]), ("6", [13])):
                if id in result.outputs or not result.cancelled:
                    assert result.shown[id].values == {"value": expected}

            again = rig.run(DOCUMENT).require()
            assert again.shown["4"].values == {"value": [3]}
            assert again.shown["6"].values == {"value": [13]}


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_a_cancel_anywhere_in_a_random_graph_harms_nothing(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 10))
    document: dict[str, Any] = {"0": entry("Number", value=1)}
    expected = {"0": 1}
    for i in range(1, count):
        a, b = (str(data.draw(st.integers(0, i - 1))) for _ in range(2))
        document[str(i)] = entry("Add", a=[a, 0], b=[b, 0])
        expected[str(i)] = expected[a] + expected[b]
    targets = list(document)

    with rig_of(*NODES) as rig:
        rig.run(document, targets=targets)
        at = AtEvent(data.draw(st.integers(0, len(rig.events) - 1)))
        rig.cache.free(device="cpu")
        cut = rig.run(document, targets=targets, emit=at, cancel=at.token)
        whole = rig.run(document, targets=targets).require()

    assert all(value == (expected[id],) for id, value in cut.outputs.items())
    assert {id: value[0] for id, value in whole.outputs.items()} == expected


def test_a_run_that_is_cancelled_before_it_begins_runs_nothing() -> None:
    token = CancelToken()
    token.cancel()
    with rig_of(*NODES) as rig:
        result = rig.run(DOCUMENT, cancel=token)

    assert result.cancelled
    assert rig.of(NodeStarted) == []
    with pytest.raises(Cancelled):
        result.require()


def test_a_sampling_loop_stops_within_one_step() -> None:
    token = CancelToken()

    def cancel(event: Event) -> None:
        if isinstance(event, Progress) and event.value == 4:
            token.cancel()

    with rig_of(*NODES) as rig:
        result = rig.run(
            {"1": entry("Sample", value=1, steps=1000), "2": entry("Save", value=["1", 0])},
            emit=cancel,
            cancel=token,
        )

    assert result.cancelled
    assert [event.value for event in rig.of(Progress)] == [1, 2, 3, 4]
    assert rig.of(RunCancelled)[0].node == "1"
    assert rig.of(NodeFailed) == []


def test_between_nodes_no_node_is_named() -> None:
    token = CancelToken()

    def cancel(event: Event) -> None:
        if isinstance(event, NodeFinished):
            token.cancel()

    with rig_of(*NODES) as rig:
        result = rig.run(DOCUMENT, emit=cancel, cancel=token)

    assert result.cancelled
    assert rig.of(RunCancelled)[0].node is None
    assert [event.node for event in rig.of(NodeStarted)] == ["1"]


def test_a_node_that_waits_in_a_coroutine_is_cancelled() -> None:
    waiting = threading.Event()
    ended: list[str] = []

    @node("Wait", category="t")
    async def wait() -> int:
        waiting.set()
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.3)  # cleaning up takes a while, and is not interrupted again
            ended.append("cleaned up")
        return 1

    token = CancelToken()

    def cancel() -> None:
        wait_for(waiting)
        token.cancel()

    thread = threading.Thread(target=cancel, daemon=True)
    with rig_of(wait) as rig:
        thread.start()
        result = rig.run({"1": entry("Wait")}, targets=["1"], cancel=token)

    assert result.cancelled
    assert ended == ["cleaned up"]


def test_what_was_done_before_the_cancel_is_not_done_again() -> None:
    ran: list[int] = []

    @node("Noted", category="t")
    def noted(value: int) -> int:
        ran.append(value)
        return value

    token = CancelToken()

    def cancel(event: Event) -> None:
        if isinstance(event, NodeStarted) and event.node == "3":
            token.cancel()

    document = {
        "1": entry("Noted", value=1),
        "2": entry("Add", a=["1", 0]),
        "3": entry("Noted", value=["2", 0]),
    }
    with rig_of(noted, *NODES) as rig:
        cut = rig.run(document, targets=["3"], emit=cancel, cancel=token)
        rig.run(document, targets=["3"]).require()

    assert cut.cancelled
    assert ran == [1, 2]


def test_a_cancel_after_the_last_node_changes_nothing() -> None:
    token = CancelToken()

    def cancel(event: Event) -> None:
        if isinstance(event, RunFinished):
            token.cancel()

    with rig_of(*NODES) as rig:
        result = rig.run(DOCUMENT, emit=cancel, cancel=token)

    assert not result.cancelled
    result.require()


def test_cancelling_one_run_leaves_another_alone() -> None:
    token = CancelToken()
    first_started, other_done = threading.Event(), threading.Event()

    @node("Hold", category="t", lane="io")
    def hold(*, context: Context) -> int:
        first_started.set()
        wait_for(other_done)
        context.cancel.check()
        return 1

    with rig_of(hold, *NODES) as rig:
        plan = rig.plan({"1": entry("Hold")}, ["1"])
        results: list[Any] = []
        thread = threading.Thread(
            target=lambda: results.append(rig.executor.run(plan, cancel=token)), daemon=True
        )
        thread.start()
        wait_for(first_started)
        token.cancel()
        result = rig.run(DOCUMENT)
        other_done.set()
        thread.join(30)

    assert result.shown["6"].values == {"value": [13]}
    assert results[0].cancelled


def test_the_token_tells_whether_it_was_cancelled() -> None:
    token = CancelToken()
    token.check()
    assert not token.cancelled

    token.cancel()

    assert token.cancelled
    with pytest.raises(Cancelled, match="the run was cancelled"):
        token.check()
