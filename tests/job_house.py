"""A queue with a real engine and nodes whose course a test decides; it can be left as by a kill."""

import asyncio
import shutil
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from executor_support import entry, module_of

from nodegraph import Builder, Context, Expansion, SavedFile, Sent, Shown, node
from nodegraph.engine import Engine
from nodegraph.jobs import (
    Ears,
    Job,
    JobQueue,
    Journal,
    JournalError,
    Message,
    Request,
    Runner,
    store,
)
from nodegraph.settings import Settings

T = TypeVar("T")
REFUSED = JournalError("the journal cannot be written: disk full")
SECONDS = 30.0  # nothing here takes so long unless it hangs

Document = dict[str, dict[str, Any]]


class Gates(dict[str, threading.Event]):
    """Each is made when it is first asked for."""

    all_open = False

    def __missing__(self, name: str) -> threading.Event:
        gate = self.setdefault(name, threading.Event())
        if self.all_open:
            gate.set()
        return gate

    def open_all(self) -> None:
        """Open all of them, and those to come."""
        self.all_open = True
        for gate in list(self.values()):
            gate.set()


@dataclass
class House:
    """Where queues live, one after the other.

    gates: what nodes wait for. ran: what they did. back: hanging nodes that have returned.
    stay_shut: the gates are not opened when a queue is closed.
    """

    folder: Path
    options: dict[str, Any] = field(default_factory=dict)
    gates: "Gates" = field(default_factory=lambda: Gates())
    stay_shut: bool = False
    ran: list[str] = field(default_factory=list)
    back: list[str] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        base = self.folder
        folders = {name: base / name for name in ("state", "input", "output", "temp", "cache")}
        return Settings(device="cpu", models=(base / "models",), **{**folders, **self.options})

    def copied(self, name: str) -> "House":
        """Another house with the same files."""
        base = self.folder.parent / name
        left_out = shutil.ignore_patterns("lock.sqlite*", "*-shm")
        shutil.copytree(self.folder, base, ignore=left_out)
        return House(base, dict(self.options))

    @asynccontextmanager
    async def open(
        self,
        *,
        runner: Callable[[Journal], Runner] = Runner,
        engine: Callable[[], Awaitable[Engine]] | None = None,
        ears: dict[str, Callable[..., None]] | None = None,
    ) -> AsyncIterator["Open"]:
        """A queue that works until the end of the block."""
        journal = Journal(self.settings.state)
        real = Engine([module_of(*self.nodes())], self.settings)
        heard = Heard()

        async def loaded() -> Engine:
            return real

        all_ears = Ears(**{**heard.ears(), **(ears or {})})
        queue = JobQueue(journal, runner(journal), engine or loaded, self.settings, all_ears)
        await queue.start()
        try:
            yield Open(self, journal, queue, real, heard)
        finally:
            if not self.stay_shut:
                self.gates.open_all()
            await asyncio.wait_for(queue.close(SECONDS), SECONDS + 20)
            journal.close()
            await asyncio.to_thread(real.close, cancel=True)

    def nodes(self) -> list[Any]:
        @node("Gate", category="t", cached=False)
        def gate(name: str = "gate", *, context: Context) -> int:
            """Waits for a gate; notices a cancel, and gives signs of life."""
            self.ran.append(name)
            while not self.gates[name].is_set():
                context.progress(1, 2)
                time.sleep(0.005)
            return 1

        @node("Hang", category="t", cached=False)
        def hang(name: str = "hang") -> int:
            """Waits for a gate, and notices nothing."""
            self.ran.append(name)
            assert self.gates[name].wait(SECONDS)
            self.back.append(name)
            return 1

        @node("Show", category="t")
        def show(value: int | str = 1) -> Shown:
            return Shown(values={"text": [str(value)]})

        @node("Note", category="t", cached=False)
        def note(name: str = "note") -> int:
            self.ran.append(name)
            return 1

        @node("Raise", category="t")
        def raise_(kind: str = "ValueError", text: str = "no") -> int:
            self.ran.append(kind)
            raise ERRORS[kind](text)

        @node("Odd", category="t")
        def odd() -> Shown:
            circle: list[Any] = []
            circle.append(circle)
            return Shown(values={"circle": circle})

        @node("Save", category="t", cached=False)
        def save(text: str = "text", *, context: Context) -> Shown:
            assert context.folders is not None
            [name] = context.folders.reserve("output", "saved", ".txt")
            name.write(text.encode())
            self.ran.append(f"saved {name.name}")
            return Shown((SavedFile(name.name, name.subfolder, "output"),), "texts")

        @node("SaveEach", category="t", cached=False)
        def save_each(number: int, *, context: Context) -> Shown:
            """Saves, and then runs out of memory the first time."""
            assert context.folders is not None
            names = context.folders.reserve("output", "each", ".txt", 2)
            for index, name in enumerate(names):
                name.write(b"%d.%d" % (number, index))
                self.ran.append(f"saved {name.name}")
            if f"no room for {number}" not in self.ran:
                self.ran.append(f"no room for {number}")
                raise MemoryError(f"no room for {number}")
            return Shown(tuple(SavedFile(n.name, n.subfolder, "output") for n in names), "texts")

        @node("Numbers", category="t")
        def numbers(count: int = 2) -> list[int]:
            return list(range(count))

        @node("Outer", category="t", cached=False)
        def outer(kind: str = "Gate", name: str = "inner") -> int | Expansion:
            graph = Builder()
            return graph.result(graph.add(kind, name=name))

        @node("Send", category="t", output=True, cached=False)
        def send(count: int = 3, *, context: Context) -> None:
            for index in range(count):
                context.progress(index, count)
                context.preview(Sent(b"%d" % index))
                context.preview(object())

        return [gate, hang, show, note, raise_, odd, save, save_each, numbers, outer, send]


ERRORS: dict[str, type[BaseException]] = {
    "ValueError": ValueError,
    "MemoryError": MemoryError,
    "SystemExit": SystemExit,
    "KeyboardInterrupt": KeyboardInterrupt,
}


@dataclass
class Heard:
    """What the ears of a queue were told, in order."""

    messages: list[tuple[str, Message]] = field(default_factory=list)
    all: list[str] = field(default_factory=list)  # types of messages, and what was sent
    ended: list[Job] = field(default_factory=list)
    changes: int = 0

    def ears(self) -> dict[str, Callable[..., None]]:
        return {
            "changed": self._changed,
            "message": self._message,
            "sent": lambda job, picture: self.all.append(f"sent {picture.data.decode()}"),
            "ended": self.ended.append,
        }

    def of(self, id: str) -> list[Message]:
        return [message for job, message in self.messages if job == id]

    def _changed(self) -> None:
        self.changes += 1

    def _message(self, job: Job, message: Message) -> None:
        self.messages.append((job.id, message))
        self.all.append(message.type)


@dataclass
class Open:
    """A queue at work, and what is around it."""

    house: House
    journal: Journal
    queue: JobQueue
    engine: Engine
    heard: Heard

    async def submit(self, document: Document, id: str, **options: Any) -> Job:
        request = options.pop("request", {})
        wanted = sorted(document)[-1:]
        return await self.queue.submit(
            Request(document, tuple(wanted), **request), id=id, **options
        )

    async def ended(self, id: str) -> Job:
        """A job, once it is over."""
        await until(lambda: any(job.id == id for job in self.heard.ended))
        return next(job for job in self.heard.ended if job.id == id)

    async def begun(self, name: str) -> None:
        """Once a node has begun."""
        await until(lambda: name in self.house.ran)

    async def stored(self, id: str) -> Job | None:
        """A job as the journal has it."""
        return await asyncio.to_thread(self.journal.read, lambda c: store.get(c, id))

    def crash(self, name: str) -> House:
        """What another server finds, if this one is gone at this moment, between two writes."""
        return self.journal.write(lambda _: self.house.copied(name)).result(SECONDS)

    def open(self, name: str) -> None:
        self.house.gates[name].set()


class Refusals:
    """A disk that refuses what the journal would write, while `on`, after `spared` more writes.

    held: answers that are still to come, if it is a list; `answer` gives them.
    """

    def __init__(self, journal: Journal) -> None:
        self.on = False
        self.spared = 0
        self.refused = 0
        self.held: list[Future[Any]] | None = None
        self._write = journal.write
        journal.write = self._refuse_or_write  # type: ignore[method-assign]

    def _refuse_or_write(self, work: Any) -> Future[Any]:
        if not self.on or self.spared:
            self.spared -= self.on
            return self._write(work)
        self.refused += 1
        future: Future[Any] = Future()
        if self.held is None:
            future.set_exception(REFUSED)
        else:
            self.held.append(future)
        return future

    def answer(self) -> None:
        held, self.held = self.held or [], None
        for future in held:
            future.set_exception(REFUSED)


async def until(condition: Callable[[], Any], seconds: float = SECONDS) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        await asyncio.sleep(0.005)


def run(work: Coroutine[Any, Any, T]) -> T:
    """What a scenario gives; fails if it hangs."""
    return asyncio.run(asyncio.wait_for(work, 2 * SECONDS))


def gate(name: str = "gate") -> Document:
    return {"1": entry("Gate", name=name), "2": entry("Show", value=["1", 0])}


def hang(name: str = "hang") -> Document:
    return {"1": entry("Hang", name=name), "2": entry("Show", value=["1", 0])}


def note(name: str) -> Document:
    return {"1": entry("Note", name=name), "2": entry("Show", value=["1", 0])}


def failing(kind: str, text: str = "no") -> Document:
    return {"1": entry("Raise", kind=kind, text=text), "2": entry("Show", value=["1", 0])}
