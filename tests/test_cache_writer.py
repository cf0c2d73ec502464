"""The writer's thread: order, bounds, replacing, cancelling, closing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from nodegraph.cache.writer import Job, Writer


def job(key: str, nbytes: int = 1) -> Job:
    return Job(key, (), (), seconds=1.0, fingerprint=0, nbytes=nbytes)


class Slow:
    """A `write` that waits for leave, and notes what it wrote."""

    def __init__(self) -> None:
        self.leave = threading.Event()
        self.began = threading.Event()
        self.done: list[Job] = []

    def __call__(self, job: Job) -> None:
        self.began.set()
        assert self.leave.wait(10)
        self.done.append(job)


@pytest.fixture
def slow() -> Iterator[Slow]:
    slow = Slow()
    yield slow
    slow.leave.set()


def test_jobs_are_written_in_order() -> None:
    done: list[str] = []
    writer = Writer(lambda job: done.append(job.key), limit_bytes=100)

    for key in "abc":
        assert writer.offer(job(key), urgent=False)
    writer.flush()

    assert done == ["a", "b", "c"]
    assert writer.waiting == (0, 0)
    writer.close()


def test_what_does_not_fit_is_refused_and_the_caller_does_not_wait(slow: Slow) -> None:
    writer = Writer(slow, limit_bytes=100)
    offer: Any = lambda key, size, urgent=False: writer.offer(job(key, size), urgent=urgent)  # noqa: E731

    assert offer("a single one may be larger", 150)
    assert not offer("b", 1)
    assert offer("urgent", 1, urgent=True)
    assert writer.waiting == (2, 151)
    slow.leave.set()
    writer.flush()

    assert offer("b", 1)
    writer.close()
    assert [job.key for job in slow.done] == ["a single one may be larger", "urgent", "b"]


def test_a_waiting_job_is_replaced_by_one_of_the_same_key(slow: Slow) -> None:
    writer = Writer(slow, limit_bytes=100)
    first, old, new = job("first", 10), job("key", 20), job("key", 30)
    for each in (first, old, new):
        writer.offer(each, urgent=False)

    assert writer.waiting == (2, 40)
    assert writer.find("key") is new
    slow.leave.set()
    writer.close()

    assert slow.done == [first, new]
    assert old.cancelled.is_set()
    assert not new.cancelled.is_set()


def test_a_job_replaced_while_it_is_written_does_not_remove_the_new_one(slow: Slow) -> None:
    writer = Writer(slow, limit_bytes=100)
    old, new = job("key", 20), job("key", 30)
    writer.offer(old, urgent=False)
    assert slow.began.wait(10)

    writer.offer(new, urgent=False)
    slow.leave.set()
    writer.close()

    assert slow.done == [old, new]
    assert old.cancelled.is_set()
    assert writer.waiting == (0, 0)


def test_a_cancelled_job_is_not_written_and_flush_waits_for_the_one_that_is(slow: Slow) -> None:
    writer = Writer(slow, limit_bytes=100)
    running, waiting = job("running"), job("waiting")
    writer.offer(running, urgent=False)
    writer.offer(waiting, urgent=False)
    assert slow.began.wait(10)

    writer.cancel("waiting")
    writer.cancel("running")
    writer.cancel("unknown")
    threading.Timer(0.05, slow.leave.set).start()
    writer.flush()

    assert slow.done == [running]
    assert running.cancelled.is_set()
    assert writer.find("running") is None
    writer.close()


def test_closing_writes_what_waits_and_refuses_the_rest(slow: Slow) -> None:
    writer = Writer(slow, limit_bytes=100)
    writer.offer(job("a"), urgent=False)
    writer.offer(job("b"), urgent=False)
    slow.leave.set()

    writer.close()
    writer.close()

    assert [job.key for job in slow.done] == ["a", "b"]
    assert not writer.offer(job("c"), urgent=True)


def test_a_writer_that_never_worked_has_no_thread() -> None:
    before = threading.active_count()

    writer = Writer(lambda job: None, limit_bytes=1)
    writer.flush()
    writer.close()

    assert threading.active_count() == before
