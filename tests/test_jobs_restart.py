"""Ends and beginnings of servers: no job is lost, none is run twice to the outside."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from crashes import visible
from executor_support import entry
from job_house import SECONDS, House, Open, Refusals, gate, hang, note, run, until

from nodegraph.engine import Engine
from nodegraph.jobs import Job, JournalError, Message, Status, queue, register


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "house")


async def statuses(open: Open, *ids: str) -> list[Status | None]:
    jobs = [await open.stored(id) for id in ids]
    return [None if job is None else job.status for job in jobs]


# -- after a crash ---------------------------------------------------------------------------------


def test_after_a_crash_what_ran_runs_again_first_and_the_rest_in_order(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            await open.submit(note("over"), "over")
            await open.ended("over")
            await open.submit(gate(), "runs", number=50.0)
            await open.begun("gate")
            for id, number in (("c", 3.0), ("a", 1.0), ("b", 2.0)):
                await open.submit(note(id), id, number=number)
            crashed = open.crash("crashed")
            told = open.heard.of("runs")
        crashed.gates["gate"].set()
        async with crashed.open() as open:
            assert (await open.ended("c")).status is Status.SUCCESS
            again = await open.ended("runs")
            assert crashed.ran == ["gate", "a", "b", "c"]
            assert (again.status, again.attempts, again.crashes) == (Status.SUCCESS, 2, 1)
            assert min(m.n for m in open.heard.of("runs")) > max(message.n for message in told)
            assert await statuses(open, "over") == [Status.SUCCESS]

    run(scenario())


def test_a_job_that_ran_before_a_crash_only_waits_until_its_turn_comes_again(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            await open.submit(gate(), "a")
            await open.begun("gate")
            await open.queue.pause(True)
            crashed = open.crash("crashed")
        async with crashed.open() as open:
            [waits] = open.queue.pending
            assert (waits.status, waits.started, waits.attempts) == (Status.PENDING, None, 1)
            assert await open.queue.cancel("a")
            ended = await open.ended("a")
            assert (ended.status, ended.started) == (Status.CANCELLED, None)
            assert await open.stored("a") == ended

    run(scenario())


SAVES = {
    "1": entry("Save", text="precious"),
    "2": entry("Gate", name="late"),
    "3": entry("Show", value=["2", 0]),
}


async def saved_and_crashed(house: House) -> House:
    from nodegraph.jobs import Request

    async with house.open() as open:
        await open.queue.submit(Request(SAVES, ("1", "3")), id="a")
        await open.begun("saved saved_00001_.txt")
        await open.begun("late")
        return open.crash("crashed")


def test_after_a_crash_a_file_that_was_saved_is_not_saved_a_second_time(house: House) -> None:
    async def scenario() -> None:
        crashed = await saved_and_crashed(house)
        crashed.gates["late"].set()
        async with crashed.open() as open:
            job = await open.ended("a")
            assert job.status is Status.SUCCESS
            [shown] = job.result.outputs["1"]["texts"]
            assert shown["filename"] == "saved_00001_.txt"
        assert visible(crashed.folder / "output") == {"saved_00001_.txt": b"precious"}

    run(scenario())


def test_a_file_that_somebody_changed_after_the_crash_is_left_alone(house: House) -> None:
    async def scenario() -> None:
        crashed = await saved_and_crashed(house)
        (crashed.folder / "output/saved_00001_.txt").write_bytes(b"theirs")
        crashed.gates["late"].set()
        async with crashed.open() as open:
            job = await open.ended("a")
            [shown] = job.result.outputs["1"]["texts"]
            assert shown["filename"] == "saved_00002_.txt"
        assert visible(crashed.folder / "output") == {
            "saved_00001_.txt": b"theirs",
            "saved_00002_.txt": b"precious",
        }

    run(scenario())


def test_calls_that_are_made_again_for_lack_of_memory_save_no_second_copies(house: House) -> None:
    document = {"1": entry("Numbers", count=2), "2": entry("SaveEach", number=["1", 0])}

    async def scenario() -> None:
        async with house.open() as open:
            await open.submit(document, "a")
            job = await open.ended("a")
            assert job.status is Status.SUCCESS
            files = [each["filename"] for each in job.result.outputs["2"]["texts"]]

        assert files == [f"each_0000{number}_.txt" for number in range(1, 5)]
        assert house.ran.count("saved each_00001_.txt") == 2
        assert list(visible(house.folder / "output").values()) == [b"0.0", b"0.1", b"1.0", b"1.1"]

    run(scenario())


def test_a_job_that_takes_the_server_with_it_is_given_up_and_the_others_run(house: House) -> None:
    async def scenario() -> None:
        now, told = house, list[Message]()
        for crash in range(3):
            async with now.open() as open:
                if crash == 0:
                    await open.submit(gate(), "bad")
                    await open.submit(note("good"), "good")
                await open.begun("gate")
                await until(lambda open=open: open.heard.of("bad"))  # type: ignore[misc]
                told += open.heard.of("bad")
                crashed = open.crash(f"crash {crash}")
            now = crashed
        async with now.open() as open:
            bad, good = await open.ended("bad"), await open.ended("good")
            assert bad.result.error is not None
            assert bad.result.error["exception_type"] == "ServerEnded"
            assert "the server ended 3 times" in bad.result.error["exception_message"]
            assert (bad.status, bad.attempts) == (Status.ERROR, 3)
            assert good.status is Status.SUCCESS
            assert now.ran == ["good"]
            assert await statuses(open, "bad") == [Status.ERROR]
            assert open.heard.of("bad")[0].n > max(message.n for message in told)

    run(scenario())


def test_a_deadline_holds_across_restarts(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            await open.queue.pause(True)
            await open.submit(note("a"), "a", request={"deadline": time.time() + 0.1})
            crashed = open.crash("crashed")
        await asyncio.sleep(0.1)
        async with crashed.open() as open:
            job = await open.ended("a")
            assert job.result.error is not None
            assert job.result.error["exception_type"] == "DeadlineExceeded"

    run(scenario())


# -- ending in order -------------------------------------------------------------------------------


def test_a_job_may_finish_before_the_end_and_no_other_is_begun(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            await open.submit(gate(), "runs")
            await open.submit(note("waits"), "waits")
            await open.begun("gate")
            closing = asyncio.create_task(open.queue.close(SECONDS))
            await asyncio.sleep(0.05)
            open.open("gate")
            await closing
            assert await statuses(open, "runs", "waits") == [Status.SUCCESS, Status.PENDING]
            assert house.ran == ["gate"]
        async with house.open() as open:
            assert (await open.ended("waits")).status is Status.SUCCESS

    run(scenario())


@pytest.mark.parametrize("kind", ["stops", "does not stop"])
def test_a_job_that_does_not_finish_in_time_is_taken_up_at_the_next_start(
    house: House, kind: str
) -> None:
    house.options["stop_grace"] = 0.05

    async def scenario() -> None:
        async with house.open() as open:
            document, name = (gate(), "gate") if kind == "stops" else (hang(), "hang")
            await open.submit(document, "a")
            await open.begun(name)
            begin = time.monotonic()
            await open.queue.close(0.1)
            assert time.monotonic() - begin < 15
            assert house.back == []
            assert [job.id for job in open.heard.ended] == []
            assert open.queue.running == {}
        async with house.open() as open:
            job = await open.ended("a")
            assert (job.status, job.attempts, job.crashes) == (Status.SUCCESS, 2, 0)

    run(scenario())


def test_ending_in_order_many_times_is_no_reason_to_give_a_job_up(house: House) -> None:
    house.stay_shut = True

    async def scenario() -> None:
        for turn in range(5):
            async with house.open() as open:
                if turn == 0:
                    await open.submit(gate(), "a")
                await until(lambda turn=turn: house.ran == ["gate"] * (turn + 1))  # type: ignore[misc]
                await open.queue.close(0)
        house.gates["gate"].set()
        async with house.open() as open:
            job = await open.ended("a")
            assert (job.status, job.attempts, job.crashes) == (Status.SUCCESS, 6, 0)

    run(scenario())


def test_a_job_that_was_cancelled_stays_so_even_if_the_server_ends_before_it_stops(
    house: House,
) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            await open.submit(hang(), "a")
            await open.begun("hang")
            await open.queue.cancel("a")
            await open.queue.close(0)
            assert (await open.ended("a")).status is Status.CANCELLED
            assert await statuses(open, "a") == [Status.CANCELLED]
        async with house.open() as open:
            assert open.queue.remaining == 0

    run(scenario())


def test_an_end_that_could_not_be_written_is_tried_once_more_at_the_close(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            refusals = Refusals(open.journal)
            refusals.on, refusals.spared = True, 2  # the submission and the begin
            await open.submit(note("a"), "a")
            await open.ended("a")
            assert await statuses(open, "a") == [Status.RUNNING]
            refusals.on = False
            await open.queue.close(0)
            assert await statuses(open, "a") == [Status.SUCCESS]

    run(scenario())


# -- without an engine -----------------------------------------------------------------------------


def engine_that(does: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[Engine]]:
    return does  # type: ignore[return-value]


def test_without_an_engine_jobs_wait_for_the_next_start(house: House) -> None:
    failing = asyncio.Event()

    async def fail() -> Any:
        await failing.wait()
        raise ImportError("no torch")

    async def scenario() -> None:
        async with house.open(engine=engine_that(fail)) as open:
            for id in "abc":
                await open.submit(note(id), id)
            failing.set()
            await asyncio.sleep(0.05)
            assert [job.id for job in open.queue.pending] == ["a", "b", "c"]
            await asyncio.wait_for(open.queue.close(SECONDS), 10)
            assert open.heard.ended == []
        async with house.open() as open:
            await open.ended("c")
            assert house.ran == ["a", "b", "c"]

    run(scenario())


def test_while_the_engine_is_loaded_jobs_wait_and_can_be_cancelled(house: House) -> None:
    loaded = asyncio.Event()

    async def scenario() -> None:
        async with house.open() as helper:
            engine = helper.engine

            async def load() -> Any:
                await loaded.wait()
                return engine

            other = House(house.folder.parent / "other")
            async with other.open(engine=engine_that(load)) as open:
                await open.submit(note("a"), "a")
                await open.submit(note("b"), "b")
                assert open.queue.running == {}
                assert await open.queue.cancel("a")
                assert (await open.ended("a")).status is Status.CANCELLED
                loaded.set()
                assert (await open.ended("b")).status is Status.SUCCESS

    run(scenario())


def test_a_server_that_ends_while_the_engine_is_loaded_does_not_wait_for_it(house: House) -> None:
    async def never() -> Any:
        await asyncio.Event().wait()

    async def scenario() -> None:
        async with house.open(engine=engine_that(never)) as open:
            await open.submit(note("a"), "a")
            await asyncio.wait_for(open.queue.close(SECONDS), 10)
            assert await statuses(open, "a") == [Status.PENDING]
        async with house.open() as open:
            assert (await open.ended("a")).attempts == 1

    run(scenario())


# -- a journal that refuses ------------------------------------------------------------------------


def test_a_job_that_cannot_be_written_down_is_not_accepted(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            refusals = Refusals(open.journal)
            refusals.on = True
            with pytest.raises(JournalError, match="disk full"):
                await open.submit(note("a"), "a")
            assert open.queue.remaining == 0
            refusals.on = False
            await open.submit(note("a"), "a")
            assert (await open.ended("a")).status is Status.SUCCESS

    run(scenario())


def test_a_job_whose_end_cannot_be_written_has_ended_and_is_written_down_later(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(register, "AGAIN", 0.05)

    async def scenario() -> None:
        async with house.open() as open:
            refusals = Refusals(open.journal)
            refusals.on, refusals.spared = True, 2
            await open.submit(note("a"), "a")
            job = await open.ended("a")
            assert (job.status, open.queue.running) == (Status.SUCCESS, {})
            assert await open.queue.find("a") == job
            assert await statuses(open, "a") == [Status.RUNNING]
            await until(lambda: refusals.refused > 2)
            refusals.on = False

            async def written() -> bool:
                return await open.stored("a") == job

            while not await written():
                await asyncio.sleep(0.01)
            await open.submit(note("b"), "b")
            assert (await open.ended("b")).status is Status.SUCCESS

    run(scenario())


def test_a_job_that_cannot_be_begun_waits_until_the_journal_works_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "AGAIN", 0.02)

    async def scenario() -> None:
        async with house.open() as open:
            refusals = Refusals(open.journal)
            refusals.on, refusals.spared = True, 1  # the submission
            await open.submit(note("a"), "a")
            await until(lambda: refusals.refused > 2)
            assert open.heard.ended == []
            assert open.queue.remaining == 1
            assert house.ran == []
            refusals.on = False
            job = await open.ended("a")
            assert (job.status, job.attempts) == (Status.SUCCESS, 1)

    run(scenario())


def test_a_job_that_cannot_be_begun_can_be_cancelled(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "AGAIN", 0.02)

    async def scenario() -> None:
        async with house.open() as open:
            refusals = Refusals(open.journal)
            refusals.on, refusals.spared, refusals.held = True, 1, []
            await open.submit(note("a"), "a")
            await until(lambda: refusals.refused > 0)
            assert await open.queue.cancel("a")
            refusals.answer()
            assert (await open.ended("a")).status is Status.CANCELLED
            refusals.on = False
            await open.submit(note("b"), "b")
            await open.ended("b")
            assert house.ran == ["b"]

    run(scenario())


def test_a_server_that_ends_while_the_journal_refuses_does_not_hang(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            refusals = Refusals(open.journal)
            refusals.on, refusals.spared = True, 1
            await open.submit(note("a"), "a")
            await until(lambda: refusals.refused > 0)
            await asyncio.wait_for(open.queue.close(0), 10)
            refusals.on = False
        async with house.open() as open:
            assert (await open.ended("a")).status is Status.SUCCESS

    run(scenario())


def test_what_cannot_be_paused_or_moved_stays_as_it_is(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            await open.queue.pause(True)
            for id in "ab":
                await open.submit(note(id), id)
            refusals = Refusals(open.journal)
            refusals.on = True
            for change in (open.queue.pause(False), open.queue.move("b", None)):
                with pytest.raises(JournalError):
                    await change
            assert open.queue.paused
            assert [job.id for job in open.queue.pending] == ["a", "b"]
            refusals.on = False

    run(scenario())


def test_jobs_compare_by_what_they_are() -> None:
    """The tests above compare jobs from the journal with those that were told."""
    assert Job("a", None) == Job("a", None)  # type: ignore[arg-type]
    assert Job("a", None) != Job("a", None, number=1.0)  # type: ignore[arg-type]
