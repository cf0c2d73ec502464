"""What is heard of jobs, live and later on."""

import time
from pathlib import Path

import pytest
from executor_support import entry
from job_house import House, Open, gate, note, run, until

from nodegraph.jobs import Job, Message, Status, register, store


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "house")


WHOLE = [
    "execution_start",
    "execution_cached",
    "executing",
    "executing",
    "executed",
    "execution_success",
    "executing",
]


def kept(messages: list[Message] | None) -> list[str]:
    assert messages is not None
    return [message.type for message in messages]


def test_a_job_is_told_from_its_begin_to_its_end_and_nothing_after(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            await open.submit(note("a"), "a")
            job = await open.ended("a")
            messages = open.heard.of("a")

        assert [message.type for message in messages if not message.passing] == WHOLE
        assert messages[-1].data == {"node": None, "prompt_id": "a"}
        assert [message.n for message in messages] == sorted({message.n for message in messages})
        assert job.result.outputs == {"2": {"text": ["1"]}}
        assert job.result.meta == {
            "2": {
                "node_id": "2",
                "display_node": "2",
                "parent_node": None,
                "real_node_id": "2",
            }
        }

    run(scenario())


def test_a_job_has_ended_on_disk_before_anybody_hears_of_it(house: House) -> None:
    seen: list[tuple[str, bool]] = []
    opened: list[Open] = []

    def look(job: Job, message: Message) -> None:
        [open] = opened
        if message.type == "execution_success":
            stored = open.journal.read(lambda c: store.get(c, job.id))
            status = "nowhere" if stored is None else stored.status.value
            seen.append((status, job.id in open.queue.running))

    async def scenario() -> None:
        async with house.open(ears={"message": look}) as open:
            opened.append(open)
            await open.submit(note("a"), "a")
            await open.ended("a")

        assert seen == [("success", False)]

    run(scenario())


def test_messages_can_be_had_again_from_a_number_on_wherever_the_job_is(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(register, "REMEMBERED", 1)

    async def scenario() -> None:
        async with house.open() as open:
            for id in ("old", "recent"):
                await open.submit(note(id), id)
                await open.ended(id)
            await open.submit(gate(), "runs")
            await open.begun("gate")
            await until(lambda: len(open.queue.running["runs"].log) == 3)
            await open.submit(note("waits"), "waits")

            old, recent = await open.queue.messages("old"), await open.queue.messages("recent")
            assert old == [m for m in open.heard.of("old") if not m.passing]
            assert recent == [m for m in open.heard.of("recent") if not m.passing]
            assert open.queue._register.messages("old") is None  # it comes from the journal
            assert kept(await open.queue.messages("runs")) == WHOLE[:3]
            assert await open.queue.messages("waits") == []
            assert await open.queue.messages("nobody") is None
            for id in ("old", "recent"):
                everything = await open.queue.messages(id)
                assert everything is not None
                for index, message in enumerate(everything):
                    assert await open.queue.messages(id, message.n) == everything[index + 1 :]
            open.open("gate")
        async with house.open() as open:
            assert await open.queue.messages("old") == old
            assert kept(await open.queue.messages("recent")) == WHOLE

    run(scenario())


def test_pictures_that_are_results_come_in_their_place_among_the_messages(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            await open.submit({"1": entry("Send", count=3)}, "a")
            assert (await open.ended("a")).status is Status.SUCCESS
            told = [what for what in open.heard.all if what in ("progress",) or "sent" in what]

        assert told == ["progress", "sent 0", "progress", "sent 1", "progress", "sent 2"]

    run(scenario())


def test_events_of_jobs_at_once_stay_in_order(house: House) -> None:
    house.options["jobs"] = 4

    async def scenario() -> None:
        async with house.open() as open:
            ids = [f"{index}" for index in range(12)]
            for id in ids:
                await open.submit({"1": entry("Send", count=40)}, id)
            for id in ids:
                await open.ended(id)
            for id in ids:
                messages = open.heard.of(id)
                numbers = [message.n for message in messages]
                assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
                steps = [m.data["value"] for m in messages if m.type == "progress"]
                assert steps == list(range(40))
                assert kept(messages)[-2:] == ["execution_success", "executing"]

    run(scenario())


def test_the_queue_says_when_it_has_changed(house: House) -> None:
    async def scenario() -> None:
        async with house.open() as open:
            await changes(open, open.queue.pause(True))
            await changes(open, open.submit(note("a"), "a"))
            await changes(open, open.submit(note("b"), "b"))
            await changes(open, open.queue.move("b", None))
            await changes(open, open.queue.cancel("a"))
            await changes(open, open.queue.pause(False))
            await changes(open, open.ended("b"))

    async def changes(open: Open, work: object) -> None:
        before = open.heard.changes
        await work  # type: ignore[misc]
        await until(lambda: open.heard.changes > before)

    run(scenario())


def test_the_end_of_a_job_is_told_after_all_that_was_still_on_its_way(house: House) -> None:
    told: list[str] = []

    def slow(_job: Job, message: Message) -> None:
        time.sleep(0.002)
        told.append(message.type)

    async def scenario() -> None:
        async with house.open(ears={"message": slow}) as open:
            await open.submit({"1": entry("Send", count=60)}, "a")
            await open.ended("a")
            await until(lambda: told[-2:] == ["execution_success", "executing"])

        assert told.count("progress") == 60

    run(scenario())
