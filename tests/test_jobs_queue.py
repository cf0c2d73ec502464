"""The queue: who is next, who is taken in, who is taken out."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from job_house import Document, House, Open, gate, hang, note, run, until

from nodegraph.jobs import Closing, OtherJob, QueueFull, Request, Status


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "house")


async def waiting(open: Open, *ids: str, **numbers: Any) -> None:
    """Jobs that wait, since the queue is paused; each notes its id when it runs."""
    await open.queue.pause(True)
    for id in ids:
        await open.submit(note(id), id, **numbers)


async def order(open: Open) -> list[str]:
    """In which order the waiting jobs run, when they may."""
    ids = [job.id for job in open.queue.pending]
    await open.queue.pause(False)
    for id in ids:
        assert (await open.ended(id)).status is Status.SUCCESS
    return open.house.ran


# -- order -----------------------------------------------------------------------------------------


def test_jobs_run_in_the_order_in_which_they_were_submitted(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            await waiting(open, "a", "b", "c", "d")
            assert [job.id for job in open.queue.pending] == ["a", "b", "c", "d"]
            assert await order(open) == ["a", "b", "c", "d"]

    run(scenario())


def test_a_lower_number_runs_earlier_and_of_equal_ones_the_older(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            await waiting(open)
            for id, number in (("a", 5.0), ("b", -1.0), ("c", 5.0), ("d", 2.5), ("e", 5.0)):
                await open.submit(note(id), id, number=number)
            assert await order(open) == ["b", "d", "a", "c", "e"]

    run(scenario())


def test_a_job_for_the_front_runs_first_of_all_and_a_later_one_before_it(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            await waiting(open, "a", "b")
            await open.submit(note("low"), "low", number=-7.0)
            await open.submit(note("first"), "first", front=True)
            await open.submit(note("firster"), "firster", front=True, number=3.0)
            await open.submit(note("last"), "last")
            assert await order(open) == ["firster", "first", "low", "a", "b", "last"]

    run(scenario())


def test_as_many_jobs_run_at_once_as_the_settings_say(house: House) -> None:
    """One at a time on the compute lane, but each with a thread, and all of them begun."""
    house.options["jobs"] = 3

    async def scenario() -> None:
        async with house.open() as open:
            for id in "abcd":
                await open.submit(gate(), id)
            await until(lambda: len(open.queue.running) == 3)
            await open.begun("gate")
            assert sorted(open.queue.running) == ["a", "b", "c"]
            assert [job.id for job in open.queue.pending] == ["d"]
            assert open.queue.remaining == 4
            open.open("gate")
            for id in "abcd":
                assert (await open.ended(id)).status is Status.SUCCESS
            assert open.queue.remaining == 0

    run(scenario())


# -- pausing and moving ----------------------------------------------------------------------------


def test_a_paused_queue_ends_what_runs_and_begins_nothing(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            await open.submit(gate(), "runs")
            await open.begun("gate")
            await waiting(open, "waits")
            open.open("gate")
            await open.ended("runs")
            await asyncio.sleep(0.05)
            assert [job.id for job in open.queue.pending] == ["waits"]
            assert "waits" not in house.ran
            assert await order(open) == ["gate", "waits"]

    run(scenario())


def test_a_pause_outlasts_a_restart(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            await waiting(open, "a")
        async with house.open() as open:
            assert open.queue.paused
            assert [job.id for job in open.queue.pending] == ["a"]
            await open.queue.pause(False)
            await open.ended("a")
        async with house.open() as open:
            assert not open.queue.paused

    run(scenario())


def test_a_waiting_job_can_be_moved(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            await waiting(open, "a", "b", "c", "d")
            moved = await open.queue.move("d", None)
            await open.queue.move("a", 99.0)
            assert moved is not None
            assert moved.number < 0
            assert [job.id for job in open.queue.pending] == ["d", "b", "c", "a"]
        async with house.open() as open:
            assert [job.id for job in open.queue.pending] == ["d", "b", "c", "a"]
            assert await order(open) == ["d", "b", "c", "a"]

    run(scenario())


def test_what_does_not_wait_cannot_be_moved(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            await open.submit(gate(), "runs")
            await open.begun("gate")
            assert await open.queue.move("runs", None) is None
            assert await open.queue.move("nobody", 3.0) is None
            open.open("gate")
            ended = await open.ended("runs")
            assert await open.queue.move("runs", None) is None
            assert await open.stored("runs") == ended

    run(scenario())


# -- cancelling ------------------------------------------------------------------------------------


def test_a_waiting_job_that_is_cancelled_never_runs(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            await waiting(open, "a", "b")
            changes = open.heard.changes
            assert await open.queue.cancel("a")
            job = await open.ended("a")

            assert (job.status, job.started, job.attempts) == (Status.CANCELLED, None, 0)
            assert [m.type for m in open.heard.of("a")] == ["execution_interrupted", "executing"]
            assert open.heard.of("a")[0].data["node_id"] is None
            assert open.heard.changes > changes
            assert await open.stored("a") == job
            assert not await open.queue.cancel("a")
            assert await order(open) == ["b"]

    run(scenario())


def test_a_running_job_that_is_cancelled_ends_and_the_next_one_runs(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            await open.submit(gate(), "runs")
            await open.submit(note("next"), "next")
            await open.begun("gate")
            assert await open.queue.cancel("runs")
            job = await open.ended("runs")

            assert job.status is Status.CANCELLED
            last = open.heard.of("runs")[-2]
            assert (last.type, last.data["node_id"]) == ("execution_interrupted", "1")
            assert last.data["node_type"] == "Gate"
            assert (await open.ended("next")).status is Status.SUCCESS

    run(scenario())


def test_nobody_can_be_cancelled_who_is_not_there(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            await open.submit(note("a"), "a")
            await open.ended("a")
            assert not await open.queue.cancel("a")
            assert not await open.queue.cancel("nobody")
            assert not open.queue.interrupt("nobody")
            assert not open.queue.interrupt()

    run(scenario())


def test_clearing_cancels_all_that_wait_and_nothing_that_runs(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            await open.submit(gate(), "runs")
            await open.begun("gate")
            await waiting(open, *(f"w{index}" for index in range(20)))
            await open.queue.clear()

            assert open.queue.pending == []
            assert list(open.queue.running) == ["runs"]
            ended = {job.id: job.status for job in open.heard.ended}
            assert ended == {f"w{index}": Status.CANCELLED for index in range(20)}
            open.open("gate")
            assert (await open.ended("runs")).status is Status.SUCCESS
        async with house.open() as open:
            assert open.queue.pending == []

    run(scenario())


def test_an_interrupt_stops_one_that_runs_or_all(house: House) -> None:
    house.options["jobs"] = 3

    async def scenario() -> None:
        async with house.open() as open:
            for id in "abc":
                await open.submit(gate(), id)
            await until(lambda: len(open.queue.running) == 3)
            assert open.queue.interrupt("b")
            assert (await open.ended("b")).status is Status.CANCELLED
            assert sorted(open.queue.running) == ["a", "c"]
            assert open.queue.interrupt()
            for id in "ac":
                assert (await open.ended(id)).status is Status.CANCELLED

    run(scenario())


# -- taking in -------------------------------------------------------------------------------------


def test_a_job_is_in_the_journal_before_it_is_accepted(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            await open.queue.pause(True)
            job = await open.submit(note("a"), "a", retry_of="z")
            assert await open.stored("a") == job
            assert (job.status, job.retry_of, job.seq) == (Status.PENDING, "z", 1)

    run(scenario())


def test_a_full_queue_takes_no_more_until_some_have_run(house: House) -> None:
    house.options["max_queue"] = 2

    async def scenario() -> None:
        async with house.open() as open:
            await open.submit(gate(), "runs")
            await open.begun("gate")
            await open.submit(note("a"), "a")
            await open.submit(note("b"), "b")
            with pytest.raises(QueueFull, match="max_queue"):
                await open.submit(note("c"), "c")
            same = await open.submit(note("a"), "a")  # which is in it already
            assert same.id == "a"
            assert await open.stored("c") is None
            open.open("gate")
            await open.ended("b")
            assert (await open.submit(note("c"), "c")).id == "c"
            await open.ended("c")

    run(scenario())


def test_many_at_once_do_not_overfill_the_queue(house: House) -> None:
    house.options["max_queue"] = 5

    async def scenario() -> None:
        async with house.open() as open:
            await open.queue.pause(True)
            jobs = [open.submit(note(f"{index}"), f"{index}") for index in range(20)]
            results = await asyncio.gather(*jobs, return_exceptions=True)
            assert sum(isinstance(result, QueueFull) for result in results) == 15
            assert len(open.queue.pending) == 5

    run(scenario())


def test_the_same_id_is_the_same_job_whatever_has_become_of_it(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            await open.queue.pause(True)
            first = await open.submit(note("a"), "a")
            assert await open.submit(note("a"), "a", front=True, number=7.0) == first
            assert len(open.queue.pending) == 1
            await open.queue.pause(False)
            ended = await open.ended("a")
            assert await open.submit(note("a"), "a") == ended
        async with house.open() as open:
            assert await open.submit(note("a"), "a") == ended
            assert open.queue.remaining == 0
        assert house.ran == ["a"]

    run(scenario())


def test_the_same_id_for_something_else_is_refused(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            await open.queue.pause(True)
            await open.submit(note("a"), "a")
            with pytest.raises(OtherJob, match="another graph"):
                await open.submit(note("b"), "a")
            other_targets = Request(note("a"), ("1",))
            with pytest.raises(OtherJob, match="'a'"):
                await open.queue.submit(other_targets, id="a")
            assert len(open.queue.pending) == 1

    run(scenario())


def test_the_same_id_from_many_sides_at_once_is_one_job(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            jobs = await asyncio.gather(*(open.submit(note("a"), "a") for _ in range(30)))
            assert {job.seq for job in jobs} == {1}
            await open.ended("a")
            others = [open.submit(note(f"{index}"), "b") for index in range(10)]
            results = await asyncio.gather(*others, return_exceptions=True)
            assert sum(isinstance(result, OtherJob) for result in results) == 9
            await open.ended("b")
        assert len(house.ran) == 2

    run(scenario())


def test_a_job_whose_submitter_goes_away_runs_all_the_same(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            for turns in range(6):
                task = asyncio.create_task(open.submit(note(f"{turns}"), f"{turns}"))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                if turns > 1:
                    await open.ended(f"{turns}")
            known = [await open.stored(f"{turns}") for turns in range(6)]
            assert all(job is None or job.status is not Status.PENDING for job in known)

    run(scenario())


def test_a_queue_that_is_closed_takes_no_more(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            await open.queue.close(0)
            with pytest.raises(Closing, match="submit again"):
                await open.submit(note("a"), "a")
            assert await open.stored("a") is None

    run(scenario())


# -- finding and forgetting ------------------------------------------------------------------------


def test_a_job_is_found_wherever_it_is(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            await open.submit(note("a"), "over")
            await open.ended("over")
            await open.submit(gate(), "runs")
            await open.begun("gate")
            await open.submit(hang(), "waits")
            found = [await open.queue.find(id) for id in ("over", "runs", "waits", "nobody")]
            open.open("gate")
            open.open("hang")

        states = [None if job is None else job.status for job in found]
        assert states == [Status.SUCCESS, Status.RUNNING, Status.PENDING, None]

    run(scenario())


def test_what_is_forgotten_is_nowhere_any_more(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            for id in "abc":
                await open.submit(note(id), id)
                await open.ended(id)
            await open.queue.forget(["a", "nobody"])
            assert [await open.queue.find(id) is None for id in "abc"] == [True, False, False]
            assert await open.queue.messages("a") is None
            assert await open.queue.messages("b")
            await open.queue.forget(None)
            assert [await open.queue.messages(id) for id in "abc"] == [None] * 3

    run(scenario())


def test_history_is_kept_within_the_settings(house: House) -> None:
    house.options["history_jobs"] = 3

    async def scenario() -> None:
        async with house.open() as open:
            for index in range(8):
                await open.submit(note(f"{index}"), f"{index}")
            await open.ended("7")
        async with house.open() as open:
            kept = [index for index in range(8) if await open.stored(f"{index}") is not None]
            assert kept == [5, 6, 7]

    run(scenario())


def test_documents_that_only_python_can_say_are_the_same_again(house: House) -> None:
    """NaN is not equal to itself, and half a character is no text for a database."""
    document: Document = note("a")
    document["1"]["_meta"] = {"title": "\ud800", "number": float("nan"), "big": 10**40}

    async def scenario() -> None:
        async with house.open() as open:
            options = {"client": "me \ud800", "extra": {"x": "\udfff"}}
            await open.submit(document, "a", request=options)
            await open.ended("a")
            again = await open.submit(document, "a", request=options)
            assert again.status is Status.SUCCESS
            assert again.request.client == "me \ud800"

    run(scenario())
