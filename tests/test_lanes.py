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
