"""Lanes: threads that take turns, and an event loop."""

import asyncio
import threading

from executor_support import wait_for, within

from nodegraph.activity import Activity
from nodegraph.lanes import AsyncLane, Lane


def test_a_lane_of_one_thread_takes_turns_in_order() -> None:
    seen: list[tuple[int, str]] = []
    lane = Lane("device")
    for i in range(50):
        lane.submit(lambda i=i: seen.append((i, threading.current_thread().name)))  # type: ignore[misc]
    within(lane.close)

    assert [i for i, _ in seen] == list(range(50))
    assert {name for _, name in seen} == {"nodegraph-device-0"}


def test_a_lane_of_several_threads_does_several_things_at_once() -> None:
    meeting = threading.Barrier(3)
    lane = Lane("io", 3)
    for _ in range(3):
        lane.submit(lambda: meeting.wait(20) and None)
    within(lane.close)

    assert not meeting.broken


def test_a_lane_knows_its_threads() -> None:
    found: list[threading.Thread] = []
    lane = Lane("io", 2)
    lane.submit(lambda: found.append(threading.current_thread()))
    within(lane.close)

    assert lane.owns(found[0])
    assert not lane.owns(threading.current_thread())


def test_the_event_loop_starts_when_it_is_first_used_and_ends_when_closed() -> None:
    lane = AsyncLane()
    within(lane.close)
    done = threading.Event()
    found: list[threading.Thread] = []

    async def work() -> None:
        await asyncio.sleep(0)
        found.append(threading.current_thread())
        done.set()

    lane.submit(work())
    wait_for(done)

    assert lane.owns(found[0])
    within(lane.close)
    assert not found[0].is_alive()


def test_what_is_left_on_the_event_loop_is_cancelled() -> None:
    lane = AsyncLane()
    started = threading.Event()
    ended: list[str] = []

    async def forever() -> None:
        started.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    future = lane.submit(forever())
    wait_for(started)
    within(lane.close)

    assert ended == ["cancelled"]
    assert future.cancelled()


def test_who_was_alone_is_known() -> None:
    activity = Activity()
    assert activity.idle

    first = activity.begin()
    assert activity.alone(first)
    second = activity.begin()
    assert not activity.alone(first)
    assert not activity.alone(second)
    activity.end()
    assert not activity.alone(first), "another one was there in between"
    activity.end()

    third = activity.begin()
    assert activity.alone(third)
    assert not activity.idle
    activity.end()
    assert activity.idle


def names_of_threads(prefix: str) -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith(prefix)]


def test_a_thread_that_does_not_come_back_is_replaced() -> None:
    lane, gate, begun = Lane("stuck"), threading.Event(), threading.Event()
    seen: list[threading.Thread] = []

    def stuck() -> None:
        seen.append(threading.current_thread())
        begun.set()
        wait_for(gate)

    lane.submit(stuck)
    wait_for(begun)
    lane.replace(seen[0])
    lane.replace(seen[0])  # once more is the same
    done = threading.Event()
    lane.submit(lambda: seen.append(threading.current_thread()))
    lane.submit(done.set)
    wait_for(done)

    assert seen[1] is not seen[0]
    assert lane.owns(seen[0])
    assert lane.owns(seen[1])
    assert len(names_of_threads("nodegraph-stuck")) == 2
    within(lane.close)  # which does not wait for the one that is stuck
    gate.set()
    seen[0].join(20)
    assert not seen[0].is_alive()
    assert not seen[1].is_alive()


def test_a_replaced_thread_that_is_back_takes_no_more_turns() -> None:
    lane, gate, begun = Lane("late"), threading.Event(), threading.Event()
    late: list[threading.Thread] = []

    def stuck() -> None:
        late.append(threading.current_thread())
        begun.set()
        wait_for(gate)

    lane.submit(stuck)
    wait_for(begun)
    lane.replace(late[0])
    gate.set()
    late[0].join(20)
    assert not late[0].is_alive()
    assert not lane.owns(late[0])
    seen: list[threading.Thread] = []
    for _ in range(20):
        lane.submit(lambda: seen.append(threading.current_thread()))
    within(lane.close)

    assert len(seen) == 20
    assert late[0] not in seen


def test_one_of_several_threads_is_replaced() -> None:
    lane, gate, begun = Lane("several", 2), threading.Event(), threading.Event()
    stuck: list[threading.Thread] = []

    def work() -> None:
        stuck.append(threading.current_thread())
        begun.set()
        wait_for(gate)

    lane.submit(work)
    wait_for(begun)
    lane.replace(stuck[0])
    meeting = threading.Barrier(2)
    for _ in range(2):
        lane.submit(lambda: meeting.wait(20) and None)
    within(lane.close)
    gate.set()
    stuck[0].join(20)

    assert not meeting.broken
    assert names_of_threads("nodegraph-several") == []


def test_somebody_else_s_thread_is_not_replaced() -> None:
    lane = Lane("own")
    lane.replace(threading.current_thread())

    assert len(names_of_threads("nodegraph-own")) == 1
    assert not lane.owns(threading.current_thread())
    within(lane.close)


def test_an_event_loop_that_is_blocked_is_replaced_and_ends_when_it_is_free() -> None:
    lane, gate, begun = AsyncLane(), threading.Event(), threading.Event()
    found: list[threading.Thread] = []

    async def block() -> None:
        found.append(threading.current_thread())
        begun.set()
        wait_for(gate)

    async def work() -> None:
        found.append(threading.current_thread())

    lane.submit(block())
    wait_for(begun)
    lane.replace()
    within(lambda: lane.submit(work()).result(20))

    assert found[0] is not found[1]
    assert all(lane.owns(thread) for thread in found)
    within(lane.close)
    assert found[0].is_alive()
    gate.set()
    found[0].join(20)
    assert not found[0].is_alive()


def test_what_is_on_a_replaced_event_loop_goes_on_there() -> None:
    lane, begun = AsyncLane(), threading.Event()
    found: list[threading.Thread] = []
    gates: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def work() -> str:
        found.append(threading.current_thread())
        gates.append((asyncio.get_running_loop(), asyncio.Event()))
        begun.set()
        await gates[0][1].wait()
        await asyncio.create_task(asyncio.sleep(0))
        return "done"

    future = lane.submit(work())  # type: ignore[arg-type]
    wait_for(begun)
    lane.replace()
    assert found[0].is_alive()
    loop, gate = gates[0]
    loop.call_soon_threadsafe(gate.set)

    assert within(lambda: future.result(20)) == "done"  # type: ignore[func-returns-value]
    found[0].join(20)
    assert not found[0].is_alive()
    within(lane.close)


def test_an_event_loop_that_nobody_used_is_not_replaced() -> None:
    lane = AsyncLane()
    lane.replace()
    before = names_of_threads("nodegraph-async")
    within(lane.close)

    assert names_of_threads("nodegraph-async") == before
