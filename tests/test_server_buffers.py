"""What waits for a client: for one that is slow, and for one that is away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from server_process import WAIT

from nodegraph.jobs import Job, Message, Request
from nodegraph.server import away as away_module
from nodegraph.server import socket as socket_module
from nodegraph.server.away import Away
from nodegraph.server.socket import Socket
from nodegraph.server.sockets import Hub


@dataclass
class Wire:
    """Stands for the websocket of aiohttp; sends when it is let."""

    sent: list[Any] = field(default_factory=list)
    closed: list[tuple[int, bytes]] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)

    async def send_str(self, text: str) -> None:
        await self.open.wait()
        self.sent.append(text)

    async def send_bytes(self, data: bytes) -> None:
        await self.send_str(data)  # type: ignore[arg-type]

    async def close(self, *, code: int, message: bytes) -> None:
        await self.open.wait()
        self.closed.append((code, message))


def buffered(test: Callable[[Socket, Wire], Awaitable[None]]) -> list[str]:
    """Run a test of a socket; whether its connection was ended."""
    aborted: list[str] = []

    async def work() -> None:
        wire = Wire()
        socket = Socket("me", wire, lambda: aborted.append("aborted"))  # type: ignore[arg-type]
        emptying = asyncio.create_task(socket.empty())
        await asyncio.sleep(0)
        await test(socket, wire)
        socket.close()
        wire.open.set()
        await asyncio.wait_for(emptying, WAIT)

    asyncio.run(work())
    return aborted


async def drained(wire: Wire, count: int) -> list[Any]:
    wire.open.set()
    while len(wire.sent) < count:
        await asyncio.sleep(0)
    return wire.sent


def test_what_waits_is_sent_in_order() -> None:
    async def test(socket: Socket, wire: Wire) -> None:
        for n in range(20):
            socket.send(str(n), key="the same")

        assert await drained(wire, 20) == [str(n) for n in range(20)]

    buffered(test)


def test_for_who_is_behind_the_newest_of_a_kind_waits_alone() -> None:
    async def test(socket: Socket, wire: Wire) -> None:
        for n in range(socket_module.BEHIND + 1):
            socket.send(f"event {n}")
        for n in range(100):
            socket.send(f"progress {n}", key="progress")
            socket.send(f"preview {n}".encode(), key="preview", droppable=True)
        socket.send("end")

        told = await drained(wire, socket_module.BEHIND + 4)
        assert told[-3:] == ["progress 99", b"preview 99", "end"]
        assert len(told) == socket_module.BEHIND + 4

    buffered(test)


def test_previews_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_module, "MAX_BYTES", 1000)

    async def test(socket: Socket, wire: Wire) -> None:
        socket.send(b"p" * 600, key="one", droppable=True)
        socket.send(b"q" * 300, key="two", droppable=True)
        socket.send("x" * 400)
        socket.send("y" * 500)

        assert not socket.closed
        assert await drained(wire, 2) == ["x" * 400, "y" * 500]

    assert buffered(test) == []


def test_then_the_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_module, "MAX_BYTES", 1000)

    async def test(socket: Socket, wire: Wire) -> None:
        for _ in range(3):
            socket.send("x" * 400)
        assert socket.closed
        socket.send("more")
        wire.open.set()
        while not wire.closed:
            await asyncio.sleep(0)

        [(code, reason)] = wire.closed
        assert code == 1013
        assert b"connect again" in reason
        assert wire.sent == []

    assert buffered(test) == ["aborted"]


def test_too_many_small_ones_close_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_module, "MAX_FRAMES", 100)

    async def test(socket: Socket, wire: Wire) -> None:
        for n in range(102):
            socket.send(f"{n}")
        assert socket.closed

    buffered(test)


def test_who_does_not_even_read_why_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_module, "MAX_BYTES", 10)
    monkeypatch.setattr(socket_module, "PATIENCE", 0.01)
    aborted: list[str] = []

    async def work() -> None:
        socket = Socket("me", Wire(), lambda: aborted.append("aborted"))  # type: ignore[arg-type]
        socket.send("x" * 100)
        while not aborted:
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(work(), WAIT))


def test_a_result_may_be_larger_than_the_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_module, "MAX_BYTES", 1000)
    monkeypatch.setattr(socket_module, "MAX_RESULTS", 10_000)

    async def test(socket: Socket, wire: Wire) -> None:
        socket.send(b"r" * 9_000, result=True)
        socket.send("an event", key="status")
        socket.send(b"s" * 50_000, result=True)
        assert not socket.closed

        assert [len(each) for each in await drained(wire, 3)] == [9_000, 8, 50_000]
        wire.open.clear()
        for size in (9_000, 9_000, 1):
            assert not socket.closed
            socket.send(b"r" * size, result=True)
        assert socket.closed

    buffered(test)


def test_results_that_can_wait_are_put_in_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_module, "ROOM", 100)
    monkeypatch.setattr(socket_module, "MAX_RESULTS", 1)

    async def test(socket: Socket, wire: Wire) -> None:
        putting = [asyncio.create_task(socket.send_all(bytes([n]) * 200)) for n in range(5)]
        for _ in range(20):
            await asyncio.sleep(0)
        assert sum(task.done() for task in putting) == 1

        told = await drained(wire, 5)
        assert [each[0] for each in told] == [0, 1, 2, 3, 4]
        await asyncio.wait_for(asyncio.gather(*putting), WAIT)

    buffered(test)


def test_nobody_waits_for_room_in_a_socket_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_module, "ROOM", 100)

    async def test(socket: Socket, wire: Wire) -> None:
        await socket.send_all(bytes(200))
        waiting = asyncio.create_task(socket.send_all(bytes(200)))
        await asyncio.sleep(0)
        socket.close()

        await asyncio.wait_for(waiting, WAIT)
        assert wire.sent == []

    buffered(test)


# -- what is kept for those who are away -----------------------------------------------------------


def message(n: int) -> Message:
    return Message("executed", {"prompt_id": "job", "node": str(n)}, n)


def test_what_is_kept_is_given_once_and_in_order() -> None:
    away = Away()
    kept = [message(1), b"picture", message(2)]
    for each in kept:
        away.keep("me", each)

    assert away.take("other") is None
    assert away.take("me") == kept
    assert away.take("me") is None


def test_of_equal_keys_the_newest_is_kept_in_the_newests_place() -> None:
    away = Away()
    for each, key in ((message(1), "progress"), (message(2), None), (message(3), "progress")):
        away.keep("me", each, key)

    assert away.take("me") == [message(2), message(3)]


def test_only_so_many_are_kept_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(away_module, "MAX_KEPT", 3)
    monkeypatch.setattr(away_module, "MAX_CLIENTS", 2)
    now = [0.0]
    away = Away(lambda: now[0])
    for client in ("one", "two", "three"):
        for n in range(5):
            away.keep(client, message(n))

    assert away.take("one") is None
    assert away.take("two") == [message(2), message(3), message(4)]
    now[0] += away_module.KEPT_SECONDS + 1
    assert away.take("three") is None


def test_the_oldest_pictures_are_let_go_and_messages_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(away_module, "MAX_BYTES", 250)
    away = Away()
    for client in ("one", "two"):
        for n in range(2):
            away.keep(client, message(n))
            away.keep(client, bytes([n]) * 100)

    assert away.take("one") == [message(0), message(1)]
    two = away.take("two")
    assert two == [message(0), b"\0" * 100, message(1), b"\1" * 100]
    away.keep("one", bytes(250))
    assert away.take("one") == [bytes(250)]


# -- whose messages --------------------------------------------------------------------------------


def test_who_followed_a_job_is_forgotten_when_it_ends_or_the_socket_leaves() -> None:
    hub = Hub(lambda: 0)
    jobs = [Job(name, Request({}, ())) for name in ("ends", "ignored", "left")]
    follower = Socket("me", Wire(), lambda: None)  # type: ignore[arg-type]
    hub.join(follower)
    for job in jobs:
        hub.listen(follower, job.id)
        assert hub.listeners(job) == [follower]

    hub.ended("ends")
    assert hub.listeners(jobs[0]) == []
    hub.ignore(follower, "ignored")
    assert hub.listeners(jobs[1]) == []
    assert follower.jobs == {"left"}
    hub.leave(follower)
    assert hub.listeners(jobs[2]) == hub.everybody() == []
    hub.ended("left")


def test_an_owner_that_follows_its_own_job_is_told_once() -> None:
    hub = Hub(lambda: 0)
    job = Job("mine", Request({}, (), client="me"))
    owner, other = (Socket(name, Wire(), lambda: None) for name in ("me", "other"))  # type: ignore[arg-type]
    for socket in (owner, other):
        hub.join(socket)
        hub.listen(socket, job.id)

    assert hub.listeners(job) == [owner, other]
