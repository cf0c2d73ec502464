"""Jobs at work: whatever one does, it ends, it alone, and with a reason."""

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from executor_support import entry
from job_house import SECONDS, House, Open, failing, gate, hang, note, run, until

from nodegraph.events import (
    Event,
    Executed,
    NodeFailed,
    NodeFinished,
    NodeStarted,
    Progress,
    RunCancelled,
    Warned,
)
from nodegraph.jobs import Job, Journal, Message, Request, Runner, Status, work
from nodegraph.jobs import running as running_module
from nodegraph.jobs.running import Running


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "house")


async def fine(open: Open, id: str = "fine") -> None:
    """The queue goes on: another job runs to its end."""
    await open.submit(note(id), id)
    assert (await open.ended(id)).status is Status.SUCCESS
    assert open.queue.running == {}


def error_of(job: Job) -> dict[str, Any]:
    assert job.status is Status.ERROR
    assert job.result.error is not None
    return dict(job.result.error)


def last(open: Open, id: str) -> Message:
    """The message that says how a job ended; nothing but the last one comes after it."""
    message, closing = open.heard.of(id)[-2:]
    assert (closing.type, closing.data["node"]) == ("executing", None)
    return message


# -- deadlines -------------------------------------------------------------------------------------


def test_a_deadline_ends_a_job_that_still_waits(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            await open.queue.pause(True)
            await open.submit(note("a"), "a", request={"deadline": time.time() + 0.05})
            await open.submit(note("b"), "b", request={"deadline": time.time() - 60})
            for id in "ab":
                error = error_of(await open.ended(id))
                assert error["exception_type"] == "DeadlineExceeded"
                assert "before its turn" in error["exception_message"]
                assert last(open, id).type == "execution_error"
            assert open.queue.pending == []
            await open.queue.pause(False)
            await fine(open)
        assert house.ran == ["fine"]

    run(scenario())


def test_a_deadline_ends_a_job_that_runs(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            await open.submit(gate(), "a", request={"deadline": time.time() + 1.0})
            error = error_of(await open.ended("a"))
            await fine(open)

        assert error["exception_type"] == "DeadlineExceeded"
        assert (error["node_id"], error["node_type"]) == ("1", "Gate")
        assert "did not end before its deadline" in error["exception_message"]

    run(scenario())


def test_a_deadline_that_is_kept_is_no_news(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            await open.submit(note("a"), "a", request={"deadline": time.time() + SECONDS})
            assert (await open.ended("a")).status is Status.SUCCESS
            assert await open.queue.cancel("a") is False

    run(scenario())


# -- nodes that hang -------------------------------------------------------------------------------


def test_a_node_that_hangs_past_its_limit_ends_its_job_and_no_other(house: House) -> None:
    house.options = {"node_timeout": 1.0, "stop_grace": 0.05}

    async def scenario() -> None:
        async with house.open() as open:
            await open.submit(hang(), "a")
            error = error_of(await open.ended("a"))
            await fine(open)
            messages = open.heard.of("a")
            open.open("hang")
            await until(lambda: house.back == ["hang"])
            await fine(open, "again")

            assert error["exception_type"] == "NodeTimeout"
            assert (error["node_id"], error["node_type"]) == ("1", "Hang")
            assert "node 1 (Hang) gave no sign of life for 1 s" in error["exception_message"]
            assert last(open, "a").data == error
            assert open.heard.of("a") == messages  # nothing after the end

    run(scenario())


def test_a_hung_node_that_stops_when_it_is_told_to_is_named_all_the_same(house: House) -> None:
    house.options = {"node_timeout": 1.0, "stop_grace": SECONDS}

    async def scenario() -> None:
        async with house.open() as open:
            await open.submit(hang(), "a")
            await until(lambda: open.queue.running["a"].cause == "hung")
            open.open("hang")
            assert error_of(await open.ended("a"))["exception_type"] == "NodeTimeout"
            await fine(open)

    run(scenario())


def test_a_node_is_not_hung_while_the_node_in_its_place_works(house: House) -> None:
    house.options = {"node_timeout": 1.0, "stop_grace": 0.05}

    async def scenario() -> None:
        async with house.open() as open:
            outer = entry("Outer", kind="Hang", name="deep")
            await open.submit({"1": outer, "2": entry("Show", value=["1", 0])}, "a")
            error = error_of(await open.ended("a"))

        assert error["node_type"] == "Hang"
        assert error["node_id"] != "1"

    run(scenario())


def who(node: str, parent: str | None = None) -> dict[str, Any]:
    return {"node": node, "class_type": "Kind", "parent": parent}


class Clock:
    """Seconds, as a test sets them."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(running_module, "time", clock)
    return clock


def test_signs_of_life_are_whatever_a_node_says(clock: Clock) -> None:
    running = Running(Job("a", None))  # type: ignore[arg-type]
    assert running.silent(clock.now) == (0.0, None)
    running.sign(NodeStarted(**who("1"), lane="compute"))
    clock.now += 5
    running.sign(NodeStarted(**who("2"), lane="io"))
    assert running.silent(clock.now) == (5.0, ("1", "Kind"))
    running.sign(Progress(**who("1"), value=1, total=2))
    clock.now += 2
    running.sign(Warned(**who("1"), message="slow"))
    assert running.silent(clock.now) == (2.0, ("2", "Kind"))
    running.sign(NodeFinished(**who("2"), seconds=1.0, bytes_out=0))
    running.sign(NodeFailed(**who("1"), error=ValueError("no")))
    assert running.silent(clock.now + 99) == (0.0, None)


def test_a_node_whose_place_others_have_taken_is_not_watched_while_they_wait_for_a_lane(
    clock: Clock,
) -> None:
    running = Running(Job("a", None))  # type: ignore[arg-type]
    running.sign(NodeStarted(**who("1"), lane="compute"))
    running.sign(NodeStarted(**who("1.0.1", "1"), lane="compute"))
    running.sign(NodeFinished(**who("1.0.1", "1"), seconds=1.0, bytes_out=0))
    assert running.silent(clock.now + 99) == (0.0, None)


def test_a_cached_output_is_not_taken_for_a_node_that_hangs(house: House, clock: Clock) -> None:
    document = {"1": entry("Show", value=7)}

    async def scenario() -> None:
        async with house.open() as open:
            open.engine.run(document)
            running = Running(Job("a", None))  # type: ignore[arg-type]
            events: list[Event] = []

            def hear(event: Event) -> None:
                events.append(event)
                running.sign(event)

            open.engine.run(document, emit=hear)
            assert [e.cached for e in events if isinstance(e, Executed)] == [True]
            assert running.silent(clock.now + 99) == (0.0, None)

    run(scenario())


def test_a_limit_can_be_none(house: House) -> None:
    house.options = {"node_timeout": None}

    async def scenario() -> None:
        async with house.open() as open:
            await open.submit(hang(), "a")
            await open.begun("hang")
            await asyncio.sleep(0.1)
            open.open("hang")
            assert (await open.ended("a")).status is Status.SUCCESS

    run(scenario())


def test_who_cancels_again_and_again_does_not_put_off_the_end(house: House) -> None:
    house.options = {"stop_grace": 0.3}

    async def scenario() -> None:
        async with house.open() as open:
            await open.submit(hang(), "a")
            await open.begun("hang")
            while not open.heard.ended:
                await open.queue.cancel("a")
                await asyncio.sleep(0.02)
                assert "hang" not in house.back
            assert (await open.ended("a")).status is Status.CANCELLED
            await fine(open)

    run(scenario())


class Stuck(Runner):
    """One job comes to no node at all, and does not end: as where a file never comes."""

    gate = threading.Event()
    begun = threading.Event()

    def run(self, engine: Any, running: Running, emit: Callable[[Event], None]) -> Any:
        if running.job.id == "stuck":
            self.begun.set()
            self.gate.wait(SECONDS)
            emit(NodeStarted(**who("1"), lane="compute"))
        return super().run(engine, running, emit)


def test_a_job_that_is_stuck_before_any_node_is_left_behind(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.options = {"stop_grace": 0.05}
    monkeypatch.setattr(work, "LEFT", 0.05)
    Stuck.gate.clear()
    seen: list[Event] = []

    async def scenario() -> None:
        async with house.open(runner=lambda journal: Stuck(journal, observe=seen.append)) as open:
            await open.submit(note("stuck"), "stuck")
            await until(Stuck.begun.is_set)
            await open.queue.cancel("stuck")
            assert (await open.ended("stuck")).status is Status.CANCELLED
            count = len(open.heard.of("stuck"))
            await fine(open)
            Stuck.gate.set()
            names = [each.name for each in threading.enumerate()]
            await until(lambda: "nodegraph-job" not in [e.name for e in threading.enumerate()])
            assert "nodegraph-job" in names
            await fine(open, "again")
            assert len(open.heard.of("stuck")) == count
            assert "stuck" not in house.ran
            assert not [event for event in seen if isinstance(event, RunCancelled)]

    run(scenario())


# -- what nodes raise ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ValueError", "MemoryError", "SystemExit", "KeyboardInterrupt"])
def test_whatever_a_node_raises_ends_its_job_alone(house: House, kind: str) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            await open.submit(failing(kind), "a")
            error = error_of(await open.ended("a"))
            await fine(open)

        assert error["exception_type"] == kind
        assert (error["node_id"], error["node_type"]) == ("1", "Raise")
        assert error["exception_message"].startswith("node 1 (Raise) failed: ")
        assert error["skipped"] == {"2": "1"}
        assert error["traceback"] == []
        assert house.ran.count(kind) == (2 if kind == "MemoryError" else 1)

    run(scenario())


def test_of_several_failures_all_are_told(house: House) -> None:
    document = {
        "1": entry("Raise", text="one"),
        "2": entry("Show", value=["1", 0]),
        "3": entry("Raise", text="two"),
        "4": entry("Show", value=["3", 0]),
        "5": entry("Show", value=5),
    }

    async def scenario() -> None:
        async with house.open() as open:
            await open.queue.submit(Request(document, ("2", "4", "5")), id="a")
            job = await open.ended("a")
            error = error_of(job)

        failed = {error["node_id"], *error["others"]}
        assert failed == {"1", "3"}
        assert error["skipped"] == {"2": "1", "4": "3"}
        assert dict(job.result.outputs) == {"5": {"text": ["5"]}}
        assert job.result.meta["5"]["display_node"] == "5"

    run(scenario())


def test_a_graph_that_no_longer_fits_the_nodes_fails_with_what_is_wrong(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            await open.submit({"1": entry("Gone")}, "a")
            error = error_of(await open.ended("a"))
            await fine(open)

        assert error["exception_type"] == "InvalidGraph"
        assert "Gone" in error["exception_message"]

    run(scenario())


def test_paths_of_this_computer_are_taken_out_of_errors_unless_it_is_debugged(house: House) -> None:
    def runner(debug: bool) -> Callable[[Journal], Runner]:
        return lambda journal: Runner(
            journal, redact=lambda text: text.replace("/home/me", "~"), debug=debug
        )

    async def scenario(debug: bool) -> dict[str, Any]:
        async with house.open(runner=runner(debug)) as open:
            await open.submit(failing("ValueError", f"/home/me/x {debug}"), f"{debug}")
            return error_of(await open.ended(f"{debug}"))

    plain, debugged = run(scenario(False)), run(scenario(True))

    assert "~/x" in plain["exception_message"]
    assert plain["traceback"] == []
    assert "/home/me/x" in debugged["exception_message"]
    assert any("job_house.py" in line for line in debugged["traceback"])


# -- when more goes wrong than that ----------------------------------------------------------------


class Unspeakable(Exception):
    """Not even its text can be had."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class Broken(Runner):
    """Fails in the way that the job's id names."""

    def run(self, engine: Any, running: Running, emit: Callable[[Event], None]) -> Any:
        match running.job.id:
            case "raises":
                raise ValueError("a defect")
            case "exits":
                raise SystemExit(3)
            case "unspeakable":
                return Unspeakable()
        return super().run(engine, running, emit)


@pytest.mark.parametrize(
    ("id", "kind"),
    [("raises", "ValueError"), ("exits", "SystemExit"), ("unspeakable", "ResultLost")],
)
def test_a_defect_in_running_ends_the_job_and_no_worker(house: House, id: str, kind: str) -> None:
    async def scenario() -> None:
        async with house.open(runner=Broken) as open:
            await open.submit(note(id), id)
            error = error_of(await open.ended(id))
            assert error["exception_type"] == kind
            assert await open.stored(id) == await open.ended(id)
            await fine(open)

    run(scenario())


def test_a_result_that_cannot_be_written_down_is_said_to_be_lost(house: House) -> None:
    """A value that contains itself is no JSON."""

    async def scenario() -> None:
        async with house.open() as open:
            await open.submit({"1": entry("Odd")}, "a")
            error = error_of(await open.ended("a"))
            await fine(open)

            assert error["exception_type"] == "ResultLost"
            assert last(open, "a").data == error
            stored = await open.stored("a")
            assert stored is not None
            assert (stored.status, dict(stored.result.outputs)) == (Status.ERROR, {})

    run(scenario())


@pytest.mark.parametrize("ear", ["changed", "message", "sent", "ended"])
def test_ears_that_fail_do_no_harm(house: House, ear: str) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("deaf")

    async def scenario() -> None:
        async with house.open(ears={ear: fail}) as open:
            await open.submit({"1": entry("Send")}, "a")
            await open.submit(note("b"), "b")

            async def over(id: str) -> bool:
                job = await open.stored(id)
                return job is not None and job.status is Status.SUCCESS

            while not (await over("a") and await over("b")):
                await asyncio.sleep(0.01)
            await until(lambda: open.queue.running == {})
            if ear != "message":
                assert last(open, "a").type == "execution_success"

    run(scenario())


def test_who_only_watches_does_no_harm(house: House) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("blind")

    def runner(journal: Journal) -> Runner:
        return Runner(journal, preview=fail, observe=fail)

    async def scenario() -> None:
        async with house.open(runner=runner) as open:
            await open.submit({"1": entry("Send")}, "a")
            assert (await open.ended("a")).status is Status.SUCCESS
            assert open.heard.all.count("progress") == 3

    run(scenario())


def test_no_thread_is_left_over(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            for index in range(10):
                await fine(open, f"{index}")
            names = [thread.name for thread in threading.enumerate()]
            assert names.count("nodegraph-job") <= 1

    run(scenario())
