"""Many things at once, in any order, over crashes: every job ends once, and none is lost."""

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest
from job_house import Document, House, Open, failing, gate, hang, note, run, until

from nodegraph.jobs import Job, Query, Status, store

KINDS = ("note", "gate", "hang", "fail")


def document_of(kind: str, id: str) -> Document:
    match kind:
        case "gate":
            return gate(f"gate {id}")
        case "hang":
            return hang(f"hang {id}")
        case "fail":
            return failing("ValueError")
    return note(id)


async def live(open: Open, chance: random.Random, kinds: dict[str, str], steps: int) -> None:
    """Somebody's afternoon with a queue. kinds: of all jobs that were ever accepted."""
    for _ in range(steps):
        ids = sorted(kinds)
        id = chance.choice(ids) if ids else ""
        match chance.randrange(10):
            case 0 | 1 | 2 | 3:
                kind, new = chance.choice(KINDS), f"job {len(kinds)}"
                kinds[new] = kind
                front, number = chance.random() < 0.2, chance.choice([None, -1.0, 5.0])
                await open.submit(document_of(kind, new), new, front=front, number=number)
            case 4:
                await open.queue.cancel(id)
            case 5:
                await open.queue.pause(chance.random() < 0.3)
            case 6:
                await open.queue.move(id, chance.choice([None, 2.0]))
            case 7:
                open.queue.interrupt(id)
            case 8 if id:
                assert (await open.submit(document_of(kinds[id], id), id)).id == id
            case 9:
                open.open(f"{kinds.get(id, '')} {id}")
        if chance.random() < 0.5:
            await asyncio.sleep(chance.random() * 0.01)


async def journal_of(open: Open) -> dict[str, Job]:
    jobs, _ = await asyncio.to_thread(open.journal.read, lambda c: store.find(c, Query()))
    return {job.id: job for job in jobs}


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_every_job_ends_once_and_none_is_lost(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    kinds: dict[str, str] = {}
    ended: Counter[str] = Counter()
    over: dict[str, Status] = {}

    async def scenario() -> None:
        house = House(tmp_path / "house", {"jobs": 2, "stop_grace": 0.02})
        for crash in range(3):
            async with house.open() as open:
                await live(open, chance, kinds, 40)
                crashed = open.crash(f"crash {crash}")
                over.update({job.id: job.status for job in open.heard.ended})
                ended.update(job.id for job in open.heard.ended)
            house = crashed
        async with house.open() as open:
            jobs = await journal_of(open)
            assert set(jobs) == set(kinds)
            for id, status in over.items():
                assert jobs[id].status is status  # what has ended stays as it was
            await live(open, chance, kinds, 40)
            for id, kind in kinds.items():
                open.open(f"{kind} {id}")
            await open.queue.pause(False)
            await until(lambda: open.queue.remaining == 0)
            ended.update(job.id for job in open.heard.ended)
            jobs = await journal_of(open)
        assert all(job.status.ended for job in jobs.values())
        assert set(ended.values()) == {1}  # of some, only the journal heard before the crash

    run(scenario())
