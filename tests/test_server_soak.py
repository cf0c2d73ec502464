"""A server that runs for long: after thousands of jobs it holds no more than after hundreds.

Clients come and go, look at previews, lose their connections, cancel, and send what fails.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import signal
import statistics
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from server_process import SMALL, ServerProcess, serving, until
from server_wire import assert_calm, metric

MIB = 1 << 20
FLAGS = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}
# Tells, when it gets a signal, what it holds.
TELLING = f"""
import asyncio, gc, json, os, signal, threading
from collections import Counter
def tell(*_):
    gc.collect()
    found = gc.get_objects()
    kinds = Counter(type(each).__name__ for each in found)
    told = dict(
        tasks=len(asyncio.all_tasks()), threads=threading.active_count(), objects=len(found),
        kinds=dict(kinds),
    )
    del found
    with open("holds.new", "w") as file:
        json.dump(told, file)
    os.replace("holds.new", "holds.json")
signal.signal(signal.SIGUSR1, tell)
{SMALL}
"""
# What a server remembers on purpose is bounded; here the bounds are reached soon.
SETTINGS = {"history_jobs": "300", "memory_cache_bytes": "64K", "disk_cache_bytes": "0"}
GROWTH = 3 * MIB  # between two windows: a leak of 2 kB a job would be 6 MB; usual are 1 MB
# Threads that asyncio may start at any time; each that reads the journal keeps two files open.
POOL = min(32, (os.cpu_count() or 1) + 4)
FEW_OBJECTS = 200  # of one kind: one more for each job would be 3,000


@dataclass(frozen=True)
class Held:
    """What the server holds. memory: bytes. files: open ones, connections among them."""

    tasks: int
    threads: int
    objects: int
    kinds: dict[str, int] = field(repr=False)
    memory: int = 0
    files: int = 0


def held(server: ServerProcess) -> Held:
    """What the server holds now."""
    file = server.folder / "holds.json"
    file.unlink(missing_ok=True)
    os.kill(server.process.pid, signal.SIGUSR1)
    told = json.loads(until(lambda: file.exists() and file.read_text()))
    process = psutil.Process(server.process.pid)
    return Held(**told, memory=process.memory_info().rss, files=process.num_fds())


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


VALUES = itertools.count()
GRAPHS = {
    "previews": lambda n: {"1": node("Steps", value=n, count=3), "2": show("1")},
    "pictures": lambda n: {"1": node("Write", value=n, prefix=f"soak-{n % 7}")},
    "expansion": lambda n: {"1": node("Twice", value=n), "2": show("1")},
    "failure": lambda n: {"1": node("Fail", value=n), "2": show("1"), "3": node("Save", value=n)},
    "leak": lambda n: {"1": node("Leak", name=f"no-such-{n}"), "2": show("1")},
    "cancelled": lambda n: {"1": node("Wait", gate=f"never-{n}"), "2": show("1")},
    "late": lambda n: {"1": node("Wait", gate=f"never-{n}"), "2": show("1")},
}


def show(of: str) -> dict[str, Any]:
    return node("Show", value=[of, 0])


@dataclass
class Client:
    """Submits jobs in rounds. Each round has its own websocket, which may be lost in between."""

    server: ServerProcess
    name: str
    chance: random.Random
    ended: dict[str, int] = field(default_factory=dict)  # jobs by how they ended

    async def work(self, jobs: int) -> None:
        async with aiohttp.ClientSession(self.server.url) as session:
            while jobs > 0:
                count = min(jobs, self.chance.randint(1, 5))
                await self.round(session, count)
                jobs -= count

    async def round(self, session: aiohttp.ClientSession, count: int) -> None:
        async with session.ws_connect(f"/ws?clientId={self.name}", max_msg_size=0) as ws:
            await ws.send_json(FLAGS)
            listening = asyncio.create_task(self.listen(ws))
            ids = [await self.submit(session, ws) for _ in range(count)]
            if self.chance.random() < 0.2 and ws._response is not None:
                ws._response.close()  # without a goodbye
            for id in ids:
                status = await self.end_of(session, id)
                self.ended[status] = self.ended.get(status, 0) + 1
        listening.cancel()
        with suppress(asyncio.CancelledError, ConnectionError, RuntimeError):
            await listening

    async def listen(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        async for message in ws:
            assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY)

    async def submit(
        self, session: aiohttp.ClientSession, ws: aiohttp.ClientWebSocketResponse
    ) -> str:
        kind, number = self.chance.choice(sorted(GRAPHS)), next(VALUES)
        id = f"{self.name}-{number}"
        data = {"prompt": GRAPHS[kind](number), "prompt_id": id, "client_id": self.name}
        if kind == "late":
            data["deadline"] = 0.02
        if kind == "pictures" and not ws.closed:
            await ws.send_json({"type": "submit", "id": 1, "data": {**data, "images": True}})
        async with session.post("/prompt", json=data) as response:  # the same job once more
            assert response.status == 200, await response.text()
        async with session.post("/prompt", json={"prompt": {"1": node("Nothing")}}) as response:
            assert response.status == 400
        if kind == "cancelled":
            async with session.post(f"/jobs/{id}/cancel") as response:
                assert response.status == 200
        return id

    async def end_of(self, session: aiohttp.ClientSession, id: str) -> str:
        while True:
            async with session.get(f"/jobs/{id}") as response:
                status = (await response.json())["status"]
            if status not in ("pending", "in_progress"):
                return str(status)
            await asyncio.sleep(0.01)


async def run(server: ServerProcess, jobs: int, clients: int, round: int = 0) -> dict[str, int]:
    """Have clients submit so many jobs; how many ended in which way."""
    found = [Client(server, f"c{i}", random.Random(100 * round + i)) for i in range(clients)]
    await asyncio.gather(*(client.work(jobs // clients) for client in found))
    total: dict[str, int] = {}
    for client in found:
        for status, count in client.ended.items():
            total[status] = total.get(status, 0) + count
    return total


@contextmanager
def soaking(folder: Path) -> Iterator[ServerProcess]:
    with serving(folder, program=TELLING, settings=SETTINGS) as server:
        yield server
        assert_calm(server)


def settle(server: ServerProcess) -> Held:
    """What the server holds when nobody wants anything any more."""
    until(lambda: metric(server, "nodegraph_websockets") == 0)
    until(lambda: server.get("/prompt")["exec_info"]["queue_remaining"] == 0)
    process = psutil.Process(server.process.pid)
    until(lambda: len(process.net_connections()) == 1)
    return held(server)


def test_after_hundreds_of_jobs_nothing_is_held_that_was_not_before(tmp_path: Path) -> None:
    with soaking(tmp_path) as server:
        asyncio.run(run(server, 60, 6))
        before = settle(server)
        ended = asyncio.run(run(server, 300, 6, round=1))
        after = settle(server)

        assert sum(ended.values()) == 300
        assert set(ended) == {"completed", "failed", "cancelled"}
        until(lambda: held(server).tasks <= before.tasks)
        assert after.threads <= before.threads + POOL, (before, after)
        assert after.files <= before.files + 2 * POOL, (before, after)


def usual(samples: list[Held], kind: str) -> float:
    """How many objects of a kind there are in most samples."""
    return statistics.median(each.kinds.get(kind, 0) for each in samples)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_memory_is_flat_over_thousands_of_jobs(tmp_path: Path) -> None:
    """The medians of an early and a late window of samples, one each hundred jobs."""
    with soaking(tmp_path) as server:
        samples, total = [], 0
        for round in range(50):
            total += sum(asyncio.run(run(server, 100, 5, round=round)).values())
            samples.append(settle(server))
            print(f"{total} jobs: {samples[-1]}")
        early, late = samples[10:20], samples[40:]

        assert total == 5000
        memory = [statistics.median(each.memory for each in part) for part in (early, late)]
        print(f"memory {memory[0] / MIB:.1f} -> {memory[1] / MIB:.1f} MiB")
        # Of weak references there are some hundred more or fewer, as the caches go.
        kinds = {name for each in samples for name in each.kinds} - {"ReferenceType"}
        grown = {name: usual(late, name) - usual(early, name) for name in kinds}
        print("grown most:", sorted(grown.items(), key=lambda item: item[1])[-5:])
        assert max(grown.values()) < FEW_OBJECTS, grown
        assert memory[1] - memory[0] < GROWTH, samples
        assert late[-1].threads <= early[-1].threads + POOL
        assert late[-1].files <= early[-1].files + 2 * POOL
        assert min(each.tasks for each in late) <= min(each.tasks for each in early)
