"""Nodes that do not stop: the run ends without them, and what they do later changes nothing."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from executor_support import Rig, entry, rig_of, wait_for, within

from nodegraph.cache import Cache
from nodegraph.context import CancelToken, Context
from nodegraph.events import Event, NodeFinished, NodeStarted, RunCancelled, RunFinished
from nodegraph.expansion import Builder, Expansion
from nodegraph.node import node
from nodegraph.outputs import Shown
from nodegraph.tasks import RunResult
from nodegraph.types import PortType


@dataclass(frozen=True)
class Bag:
    items: list[int]


BAG = PortType("BAG", Bag)
LANES = ["compute", "io", "swallow", "block"]


@dataclass
class Stage:
    """Where the nodes of a test wait, and what they did."""

    begun: threading.Event = field(default_factory=threading.Event)
    gate: threading.Event = field(default_factory=threading.Event)
    back: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)
    seen: list[Any] = field(default_factory=list)
    then: Callable[[], Any] = lambda: None

    def hang(self, value: Any) -> Any:
        self.threads.append(threading.current_thread())
        self.begun.set()
        wait_for(self.gate)
        self.back.set()
        self.seen.append(value)
        return self.then() or value


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.gate.set()
    for thread in stage.threads:
        thread.join(20)
        assert not thread.is_alive() or "async" not in thread.name


def nodes_of(stage: Stage) -> list[Any]:
    """Each of them hangs until the gate of the stage is opened."""

    @node("Hang-compute", category="t")
    def compute(value: int = 1) -> int:
        result: int = stage.hang(value)
        return result

    @node("Hang-io", category="t", lane="io")
    def io(value: int = 1) -> int:
        result: int = stage.hang(value)
        return result

    @node("Hang-swallow", category="t")
    async def swallow(value: int = 1) -> int:
        stage.begun.set()
        while not stage.gate.is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                stage.seen.append("cancelled")
        stage.back.set()
        return value

    @node("Hang-block", category="t")
    async def block(value: int = 1) -> int:
        result: int = stage.hang(value)
        return result

    @node("Number", category="t")
    def number(value: int = 1) -> int:
        return value

    @node("Add", category="t")
    def add(a: int, b: int = 1) -> int:
        stage.seen.append("add")
        return a + b

    @node("Later", category="t")
    async def later(value: int) -> int:
        await asyncio.sleep(0)
        return value

    @node("Soon", category="t", lane="io")
    def soon(value: int) -> int:
        return value

    return [compute, io, swallow, block, number, add, later, soon]


@dataclass
class Going:
    """A run in a thread of its own."""

    rig: Rig
    document: dict[str, Any]
    targets: list[str]
    token: CancelToken = field(default_factory=CancelToken)
    events: list[Event] = field(default_factory=list)
    results: list[RunResult] = field(default_factory=list)

    def __post_init__(self) -> None:
        plan = self.rig.plan(self.document, self.targets)

        def run() -> None:
            executor = self.rig.executor
            self.results.append(executor.run(plan, emit=self.events.append, cancel=self.token))

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def result(self) -> RunResult:
        self.thread.join(30)
        assert self.results, "the run does not end"
        return self.results[0]

    def abandoned(self, stage: Stage) -> RunResult:
        wait_for(stage.begun)
        self.token.abandon()
        return self.result()


def hanging(lane: str) -> dict[str, Any]:
    return {"1": entry(f"Hang-{lane}"), "2": entry("Add", a=["1", 0])}


HANGING = ["2"]
FINE = {
    "1": entry("Number", value=3),
    "2": entry("Later", value=["1", 0]),
    "3": entry("Soon", value=["2", 0]),
    "4": entry("Add", a=["3", 0]),
}


@pytest.mark.parametrize("lane", LANES)
def test_the_run_ends_without_a_node_that_does_not_stop(stage: Stage, lane: str) -> None:
    with rig_of(*nodes_of(stage)) as rig:
        going = Going(rig, hanging(lane), HANGING)
        result = going.abandoned(stage)

        assert not stage.back.is_set()
        assert (result.cancelled, dict(result.outputs)) == (True, {})
        last = going.events[-1]
        assert isinstance(last, RunCancelled)
        assert last.node == "1"
        assert going.token.cancelled


@pytest.mark.parametrize("lane", LANES)
def test_other_runs_go_on_before_and_after(stage: Stage, lane: str) -> None:
    with rig_of(*nodes_of(stage), io_workers=1) as rig:
        going = Going(rig, hanging(lane), HANGING)
        wait_for(stage.begun)
        # Which waits for the lane that is blocked; an event loop that is blocked holds up all of
        # its coroutines, for as long as it lasts.
        waits = {**FINE, "3": entry("Soon", value=["1", 0])} if lane == "block" else FINE
        other = Going(rig, waits, ["4"])
        going.abandoned(stage)

        assert other.result().require()["4"] == (4,)
        assert rig.run({**FINE, "1": entry("Number", value=5)}, targets=["4"]).require()["4"] == (
            6,
        )
        assert isinstance(other.events[-1], RunFinished)


@pytest.mark.parametrize("lane", LANES)
def test_a_late_return_changes_nothing(stage: Stage, lane: str) -> None:
    with rig_of(*nodes_of(stage)) as rig:
        going = Going(rig, hanging(lane), HANGING)
        result = going.abandoned(stage)
        events, before = list(going.events), (dict(result.shown), dict(result.errors))
        accounts, entries = result.accounts, rig.cache.stats().entries
        stage.gate.set()
        wait_for(stage.back)
        rig.close()  # all that was queued is done
        for thread in stage.threads:
            thread.join(20)

        assert going.events == events
        assert (dict(result.shown), dict(result.errors)) == before
        assert (result.accounts, rig.cache.stats().entries) == (accounts, entries)
        assert "add" not in stage.seen


@pytest.mark.parametrize("lane", ["compute", "io", "block"])
@pytest.mark.parametrize("late", ["raises", "exits", "expands", "cancels"])
def test_however_it_comes_back_nothing_changes(stage: Stage, lane: str, late: str) -> None:
    def raising() -> Any:
        raise ValueError("too late")

    def exiting() -> Any:
        raise SystemExit(3)

    def expanding() -> Any:
        graph = Builder()
        return graph.result(graph.add("Add", a=1))

    def cancelling() -> Any:
        raise asyncio.CancelledError

    ways = {"raises": raising, "exits": exiting, "expands": expanding, "cancels": cancelling}
    stage.then = ways[late]
    with rig_of(*nodes_of(stage)) as rig:
        going = Going(rig, hanging(lane), HANGING)
        result = going.abandoned(stage)
        events = list(going.events)
        stage.gate.set()
        wait_for(stage.back)
        assert rig.run(FINE, targets=["4"]).require()["4"] == (4,)
        rig.close()

        assert (going.events, dict(result.errors)) == (events, {})
        assert stage.seen == [1, "add"]  # the latter in the other run


def test_what_a_node_says_after_the_end_is_not_passed_on(stage: Stage) -> None:
    @node("Talk", category="t")
    def talk(*, context: Context) -> int:
        stage.threads.append(threading.current_thread())
        stage.begun.set()
        while not stage.gate.is_set():
            context.warn("still here")
        for _ in range(100):
            context.warn("and here")
        return 1

    with rig_of(talk) as rig:
        going = Going(rig, {"1": entry("Talk")}, ["1"])
        going.abandoned(stage)
        count = len(going.events)
        stage.gate.set()
        stage.threads[0].join(20)

        assert isinstance(going.events[-1], RunCancelled)
        assert len(going.events) == count


@pytest.mark.parametrize("lane", LANES)
def test_the_executor_can_be_closed_while_the_node_still_hangs(stage: Stage, lane: str) -> None:
    with rig_of(*nodes_of(stage)) as rig:
        Going(rig, hanging(lane), HANGING).abandoned(stage)
        within(rig.executor.close)

        assert not stage.back.is_set()
    stage.gate.set()
    wait_for(stage.back)


def test_several_nodes_of_one_run_are_left_behind_together(stage: Stage) -> None:
    lock, begun = threading.Lock(), []

    @node("Hang", category="t", lane="io")
    def hang(value: int) -> int:
        with lock:
            begun.append(value)
            if len(begun) == 4:
                stage.begun.set()
        result: int = stage.hang(value) if len(begun) == 4 else wait_and(value)
        return result

    @node("AsyncHang", category="t")
    async def async_hang(value: int) -> int:
        return hang(value)

    def wait_and(value: int) -> int:
        stage.threads.append(threading.current_thread())
        wait_for(stage.gate)
        return value

    document = {
        "1": entry("Hang", value=1),
        "2": entry("Hang", value=2),
        "3": entry("Hang", value=3),
        "4": entry("AsyncHang", value=4),
        "5": entry("AsyncHang", value=5),
    }
    with rig_of(hang, async_hang, *nodes_of(stage), io_workers=3) as rig:
        result = Going(rig, document, list(document)).abandoned(stage)

        assert result.cancelled
        assert rig.run(FINE, targets=["4"]).require()["4"] == (4,)


def test_of_a_fan_out_no_further_calls_are_made(stage: Stage) -> None:
    @node("Many", category="t")
    def many() -> list[int]:
        return [1, 2, 3, 4]

    @node("Hang", category="t")
    def hang(value: int) -> int:
        result: int = stage.hang(value) if value == 2 else value
        stage.seen.append(f"call {value}")
        return result

    document = {"1": entry("Many"), "2": entry("Hang", value=["1", 0])}
    with rig_of(many, hang) as rig:
        result = Going(rig, document, ["2"]).abandoned(stage)
        stage.gate.set()
        stage.threads[0].join(20)

        assert result.cancelled
        assert stage.seen == ["call 1", 2, "call 2"]


def test_a_node_of_an_expansion_is_left_behind_with_the_node_it_runs_for(stage: Stage) -> None:
    @node("Outer", category="t")
    def outer(value: int = 1) -> int | Expansion:
        graph = Builder()
        hung = graph.add("Hang-compute", value=value)
        return graph.result(graph.add("Add", a=hung))

    with rig_of(outer, *nodes_of(stage)) as rig:
        going = Going(rig, {"1": entry("Outer"), "2": entry("Add", a=["1", 0])}, HANGING)
        result = going.abandoned(stage)
        events = list(going.events)
        started = [event.node for event in events if isinstance(event, NodeStarted)]
        stage.gate.set()
        stage.threads[0].join(20)

        assert result.cancelled
        assert (started[0], len(started)) == ("1", 2)
        assert not [event for event in events if isinstance(event, NodeFinished)]
        assert going.events == events
        assert "add" not in stage.seen


def test_a_token_that_is_abandoned_beforehand_ends_the_run_at_once(stage: Stage) -> None:
    token = CancelToken()
    token.abandon()
    with rig_of(*nodes_of(stage)) as rig:
        result = rig.run(hanging("compute"), targets=HANGING, cancel=token)

        assert result.cancelled
        assert not stage.begun.is_set()


def test_a_node_that_stops_in_time_is_not_left_behind(stage: Stage) -> None:
    @node("Polite", category="t")
    def polite(*, context: Context) -> int:
        stage.threads.append(threading.current_thread())
        stage.begun.set()
        while True:
            context.progress(1, 2)

    with rig_of(polite, *nodes_of(stage)) as rig:
        result = Going(rig, {"1": entry("Polite")}, ["1"]).abandoned(stage)

        assert result.cancelled
        assert rig.run(FINE, targets=["4"]).require()["4"] == (4,)


def test_an_innocent_node_is_not_blamed_for_what_one_that_was_left_behind_changes(
    stage: Stage,
) -> None:
    read, go_on = threading.Event(), threading.Event()

    @node("Make", category="t")
    def make() -> Bag:
        return Bag([1, 2])

    @node("Spoil", category="t")
    def spoil(bag: Bag) -> int:
        stage.hang(0)
        bag.items.append(3)
        return 0

    @node("Sum", category="t")
    def total(bag: Bag) -> int:
        read.set()
        wait_for(go_on)
        return sum(bag.items)

    made = {"1": entry("Make")}
    with rig_of(BAG, make, spoil, total) as rig:
        Going(rig, {**made, "2": entry("Spoil", bag=["1", 0])}, HANGING).abandoned(stage)
        innocent = Going(rig, {**made, "2": entry("Sum", bag=["1", 0])}, HANGING)
        wait_for(read)
        stage.gate.set()
        stage.threads[0].join(20)
        go_on.set()

        assert innocent.result().require()["2"] == (3,)


def test_a_result_that_was_just_being_stored_does_not_come_late_either(stage: Stage) -> None:
    class SlowCache(Cache):
        def put(self, *args: Any, **kwargs: Any) -> Any:
            stage.hang("put")
            return super().put(*args, **kwargs)

    @node("Show", category="t")
    def show(value: int = 1) -> Shown:
        return Shown(values={"value": [value]})

    with rig_of(show, cache=SlowCache(memory_bytes=1 << 20)) as rig:
        going = Going(rig, {"1": entry("Show")}, ["1"])
        result = going.abandoned(stage)
        events = list(going.events)
        stage.gate.set()
        stage.threads[0].join(20)

        assert (going.events, dict(result.shown), result.accounts) == (events, {}, ())
