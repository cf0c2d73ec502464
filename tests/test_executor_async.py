"""Async nodes: coroutines, on one event loop."""

import asyncio
import threading
from typing import Any

from executor_support import entry, rig_of

from nodegraph.context import Context
from nodegraph.events import NodeStarted, Progress, Retried
from nodegraph.node import node
from nodegraph.values import Many


@node("Number", category="t")
def number(value: int = 1) -> int:
    return value


@node("Add", category="t")
async def add(a: int, b: int = 1, *, context: Context) -> int:
    context.progress(1, 1)
    await asyncio.sleep(0)
    return a + b


def test_a_coroutine_is_a_node_like_others() -> None:
    document = {
        "1": entry("Number", value=4),
        "2": entry("Add", a=["1", 0]),
        "3": entry("Add", a=["2", 0]),
    }
    with rig_of(number, add) as rig:
        result = rig.run(document, targets=["3"]).require()

    assert result["3"] == (6,)
    assert [event.lane for event in rig.of(NodeStarted)] == ["compute", "async", "async"]
    assert len(rig.of(Progress)) == 2


def test_coroutines_wait_for_each_other() -> None:
    met: list[int] = []

    @node("Meet", category="t")
    async def meet(who: int) -> int:
        met.append(who)
        for _ in range(10_000):
            if len(met) == 5:
                break
            await asyncio.sleep(0.001)
        return len(met)

    document = {str(i): entry("Meet", who=i) for i in range(5)}
    with rig_of(meet) as rig:
        result = rig.run(document, targets=list(document)).require()

    assert [result[id] for id in document] == [(5,)] * 5


def test_a_coroutine_is_called_once_for_each_item_of_a_list() -> None:
    @node("Range", category="t")
    def numbers() -> list[int]:
        return [1, 2, 3]

    with rig_of(add, numbers) as rig:
        result = rig.run({"1": entry("Range"), "2": entry("Add", a=["1", 0])}, targets=["2"])

    assert result.require()["2"] == (Many((2, 3, 4)),)


def test_a_coroutine_that_fails_says_so() -> None:
    @node("Fail", category="t")
    async def fail() -> int:
        await asyncio.sleep(0)
        raise ValueError("no")

    with rig_of(fail) as rig:
        result = rig.run({"1": entry("Fail")}, targets=["1"])

    assert str(result.errors["1"]) == "node 1 (Fail) failed: ValueError: no"


def test_a_coroutine_that_runs_out_of_memory_is_tried_once_more() -> None:
    attempts: list[int] = []

    @node("Big", category="t")
    async def big() -> int:
        attempts.append(1)
        if len(attempts) == 1:
            raise MemoryError("too big")
        return 1

    with rig_of(big) as rig:
        result = rig.run({"1": entry("Big")}, targets=["1"]).require()

    assert result["1"] == (1,)
    assert [event.reason for event in rig.of(Retried)] == ["too big"]


def test_tasks_that_a_node_leaves_behind_end_with_the_executor() -> None:
    left: list[str] = []
    running = threading.Event()

    @node("Leave", category="t")
    async def leave() -> int:
        async def forever() -> None:
            try:
                running.set()
                await asyncio.sleep(3600)
            finally:
                left.append("ended")

        task = asyncio.ensure_future(forever())
        await asyncio.sleep(0.01)
        keep.append(task)
        return 1

    keep: list[Any] = []
    with rig_of(leave) as rig:
        rig.run({"1": entry("Leave")}, targets=["1"]).require()
        assert running.is_set()
        assert left == []

    assert left == ["ended"]
