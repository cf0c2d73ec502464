"""The server under load, on loopback: start, cached answers, many clients, an idle minute.

start       from the command to the first answer of /healthz, and to the first accepted graph
cached      from POST /prompt to the last event, for a graph whose results are all cached
load        200 websockets, 1,000 jobs, five for each client: every event of every job is counted
idle        share of one core that a server with 200 sockets takes when nothing happens

`python -m benchmarks.server load` runs a part.
"""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from typing import Any

import aiohttp

from .measure import ROOT, table

CLIENTS = 200
JOBS_EACH = 5
STARTS = 7
CACHED = 200
IDLE_SECONDS = 20.0
# Trivial jobs: what is measured is the server, not the nodes.
NODES = """
import sys
from pathlib import Path
from nodegraph.cli import Core, main
from nodegraph import Shown, node

@node("Number", category="benchmark")
def number(value: int = 0) -> int:
    "A number."
    return value

@node("Show", category="benchmark")
def show(value: int) -> Shown:
    "Show it."
    return Shown(values={"value": [value]})

module = sys.modules["__main__"]
main(Core(lambda: (module,), Path(sys.prefix)))
"""


def small(value: int) -> dict[str, Any]:
    return {
        "1": {"class_type": "Number", "inputs": {"value": value}},
        "2": {"class_type": "Show", "inputs": {"value": ["1", 0]}},
    }


@contextmanager
def served(*command: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server in a folder of its own: its address, and the process."""
    with tempfile.TemporaryDirectory() as folder:
        options = [f"--{name}={folder}/{name}" for name in ("state", "cache", "output")]
        process = subprocess.Popen(
            [sys.executable, *command, "serve", "--port=0", *options],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert process.stdout is not None
            match = re.search(r"http://\S+", process.stdout.readline())
            assert match, "the server did not start"
            yield match[0], process
        finally:
            process.kill()
            process.wait()


def main(names: list[str] | None = None) -> None:
    for name in names or ["start", "cached", "load", "idle"]:
        PARTS[name]()


def start() -> None:
    """Seconds to the first answer, and to the first accepted graph."""
    health, accepted = [], []
    for _ in range(STARTS):
        begin = time.perf_counter()
        with served("main.py") as (url, _process):
            _until(f"{url}/healthz", lambda _: True)
            health.append(time.perf_counter() - begin)
            _until(f"{url}/object_info/KSampler", lambda answer: "KSampler" in answer)
            accepted.append(time.perf_counter() - begin)
    rows = [
        ["/healthz answers", f"{statistics.median(health):.2f}", f"{max(health):.2f}"],
        ["nodes are registered", f"{statistics.median(accepted):.2f}", f"{max(accepted):.2f}"],
    ]
    table("Server start, seconds from the command", ["until", "median", "most"], rows)


def cached() -> None:
    """Milliseconds from the request to the last event."""
    text_to_image = json.loads((ROOT / "workflows" / "text_to_image.json").read_text())
    rows = []
    with served("main.py") as (url, _process):
        times = asyncio.run(_resubmit(url, text_to_image))
        rows.append(["text to image, 7 nodes", *_quantiles(times)])
    with served("-c", NODES) as (url, _process):
        times = asyncio.run(_resubmit(url, small(1)))
        rows.append(["two nodes", *_quantiles(times)])
    table(
        f"A cached graph submitted again {CACHED} times, ms from the request to the last event",
        ["graph", "median", "95 %", "most"],
        rows,
    )


async def _resubmit(url: str, graph: dict[str, Any]) -> list[float]:
    times = []
    async with aiohttp.ClientSession(url) as session, session.ws_connect("/ws?clientId=a") as ws:
        for _ in range(CACHED + 1):
            begin = time.perf_counter()
            body = {"prompt": graph, "client_id": "a"}
            async with session.post("/prompt", json=body) as answer:
                assert answer.status == 200, await answer.text()
            async for message in ws:
                data = message.json()
                if data["type"] == "executing" and data["data"]["node"] is None:
                    break
            times.append((time.perf_counter() - begin) * 1000)
    return times[1:]  # the first one computes


def load() -> None:
    """Jobs a second, and whether every client heard of all that happened to its jobs."""
    with served("-c", NODES) as (url, _process):
        seconds, submitting, counts, lost = asyncio.run(_load(url))
    jobs = CLIENTS * JOBS_EACH
    rows = [
        ["jobs", jobs],
        ["sockets", CLIENTS],
        ["seconds until all were accepted", f"{submitting:.2f}"],
        ["seconds until the last event", f"{seconds:.2f}"],
        ["jobs a second", f"{jobs / seconds:.0f}"],
        ["events received, without status", sum(counts.values()) - counts["status"]],
        ["jobs with an event missing or out of order", lost],
    ]
    table("Load", ["", ""], rows)


async def _load(url: str) -> tuple[float, float, Counter[str], int]:
    heard: dict[str, list[str]] = {}
    counts: Counter[str] = Counter()
    async with AsyncExitStack() as stack:
        connector = aiohttp.TCPConnector(limit=CLIENTS + 32)
        session = await stack.enter_async_context(aiohttp.ClientSession(url, connector=connector))
        sockets = [
            await stack.enter_async_context(session.ws_connect(f"/ws?clientId=c{index}"))
            for index in range(CLIENTS)
        ]
        begin = time.perf_counter()
        listening = [asyncio.create_task(_listen(ws, heard, counts)) for ws in sockets]
        gate = asyncio.Semaphore(32)
        await asyncio.gather(*(_submit(session, gate, n) for n in range(CLIENTS * JOBS_EACH)))
        submitting = time.perf_counter() - begin
        await asyncio.wait_for(asyncio.gather(*listening), 300)
        seconds = time.perf_counter() - begin
    lost = sum(not _complete(types) for types in heard.values())
    return seconds, submitting, counts, lost + CLIENTS * JOBS_EACH - len(heard)


async def _submit(session: aiohttp.ClientSession, gate: asyncio.Semaphore, number: int) -> None:
    body = {"prompt": small(number), "client_id": f"c{number % CLIENTS}"}
    async with gate, session.post("/prompt", json=body) as answer:
        assert answer.status == 200, await answer.text()


async def _listen(
    ws: aiohttp.ClientWebSocketResponse, heard: dict[str, list[str]], counts: Counter[str]
) -> None:
    ended = 0
    async for message in ws:
        data = json.loads(message.data)
        counts[data["type"]] += 1
        id = data["data"].get("prompt_id")
        if id is None:
            continue
        last = data["type"] == "executing" and data["data"]["node"] is None
        heard.setdefault(id, []).append("end" if last else data["type"])
        ended += last
        if ended == JOBS_EACH:
            return


def _complete(types: list[str]) -> bool:
    """Whether a job's events are all there, in order; of progress only the newest must be."""
    kept = [type for type in types if not type.startswith("progress")]
    steps = ["execution_start", "execution_cached", "executing", "executing", "executed"]
    return kept == [*steps, "execution_success", "end"]


def idle() -> None:
    """CPU time of an idle server."""
    import psutil

    with served("-c", NODES) as (url, process):
        share = asyncio.run(_idle(url, psutil.Process(process.pid)))
    rows = [[f"{CLIENTS} sockets, nothing to do", f"{share * 100:.2f} %"]]
    table(f"Idle, share of one core over {IDLE_SECONDS:.0f} s", ["", "CPU"], rows)


async def _idle(url: str, process: Any) -> float:
    async with AsyncExitStack() as stack:
        connector = aiohttp.TCPConnector(limit=CLIENTS)
        session = await stack.enter_async_context(aiohttp.ClientSession(url, connector=connector))
        for index in range(CLIENTS):
            await stack.enter_async_context(session.ws_connect(f"/ws?clientId=c{index}"))
        await asyncio.sleep(2)
        before = process.cpu_times()
        await asyncio.sleep(IDLE_SECONDS)
        after = process.cpu_times()
    used = after.user + after.system - before.user - before.system
    return max(0.0, float(used / IDLE_SECONDS))


def _quantiles(times: list[float]) -> list[str]:
    ordered = sorted(times)
    return [f"{ordered[int(len(ordered) * share)]:.1f}" for share in (0.5, 0.95, 0.999)]


def _until(url: str, good: Callable[[str], bool]) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with suppress(OSError), urllib.request.urlopen(url, timeout=30) as answer:
            if good(answer.read().decode()):
                return
        time.sleep(0.005)
    raise TimeoutError(url)


PARTS = {"start": start, "cached": cached, "load": load, "idle": idle}

if __name__ == "__main__":
    main(sys.argv[1:])
