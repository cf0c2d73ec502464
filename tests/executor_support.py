"""What the executor's tests share: an executor for a few functions, which records its events."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, TypeVar

from nodegraph.cache import Cache
from nodegraph.context import CancelToken
from nodegraph.errors import FileMissing
from nodegraph.events import Event
from nodegraph.executor import Executor
from nodegraph.graph import validate
from nodegraph.plan import Plan, make_plan
from nodegraph.registry import Registry
from nodegraph.tasks import RunResult

T = TypeVar("T")
E = TypeVar("E", bound=Event)
Document = dict[str, dict[str, Any]]
SECONDS = 30.0  # no wait in these tests is longer


def module_of(*items: Any) -> ModuleType:
    """A module that offers these: functions marked with @node, port types, extensions."""
    module = ModuleType("module_of_the_test")
    for index, item in enumerate(items):
        if isinstance(item, FunctionType) and hasattr(item, "__node__"):
            item.__module__ = module.__name__
        setattr(module, f"item_{index}", item)
    return module


def registry_of(*items: Any, folders: Any = None) -> Registry:
    registry = Registry(folders)
    registry.register(module_of(*items))
    return registry


def entry(class_type: str, **inputs: Any) -> dict[str, Any]:
    """One node of a document."""
    return {"class_type": class_type, "inputs": inputs}


def within(work: Callable[[], T], seconds: float = SECONDS) -> T:
    """What `work` returns or raises; fails the test if it takes longer than that."""
    outcome: list[Any] = []

    def call() -> None:
        try:
            outcome.append((work(), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
    assert outcome, f"this hangs: nothing after {seconds} s"
    value, error = outcome[0]
    if error is not None:
        raise error
    return value


def wait_for(event: threading.Event) -> None:
    """Waits in a node or test, but not for ever."""
    assert event.wait(SECONDS), "nobody came"


class Rig:
    """An executor for the nodes given, with an empty cache, and all events of its runs."""

    def __init__(
        self,
        *items: Any,
        cache: Cache | None = None,
        folders: Any = None,
        hashes: Any = None,
        **options: Any,
    ) -> None:
        self.registry = registry_of(*items, folders=folders)
        self.cache = cache or Cache(memory_bytes=1 << 26)
        self.executor = Executor(self.registry, cache=self.cache, hashes=hashes, **options)
        self.events: list[Event] = []

    def plan(self, document: Mapping[str, Any], targets: Sequence[str] | None = None) -> Plan:
        graph = validate(document, self.registry, targets=targets)
        return make_plan(graph, self.executor.keys)

    def run(
        self,
        document: Mapping[str, Any],
        *,
        targets: Sequence[str] | None = None,
        emit: Callable[[Event], None] | None = None,
        cancel: CancelToken | None = None,
        **options: Any,
    ) -> RunResult:
        """Run a document; the events of this run are in `events`."""
        plan = self.plan(document, targets)
        self.events = events = []

        def note(event: Event) -> None:
            events.append(event)
            if emit is not None:
                emit(event)

        return within(lambda: self.executor.run(plan, emit=note, cancel=cancel, **options))

    def of(self, kind: type[E], node: str | None = None) -> list[E]:
        """The events of a kind, of one node or of all."""
        found = [event for event in self.events if isinstance(event, kind)]
        return [e for e in found if node is None or getattr(e, "node", None) == node]

    def close(self) -> None:
        within(self.executor.close)


@contextmanager
def rig_of(*items: Any, **options: Any) -> Iterator[Rig]:
    """A Rig that is closed in the end."""
    rig = Rig(*items, **options)
    try:
        yield rig
    finally:
        rig.close()


class OneFolder:
    """Files of one folder, under any kind, as far as the engine asks for them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def list(self, kind: str) -> tuple[str, ...]:
        return tuple(sorted(path.name for path in self.path.iterdir()))

    def resolve(self, kind: str, name: str) -> Path:
        path = self.path / name.replace("\\", "/")
        if not path.is_file():
            raise FileMissing(f"{name!r} is not among the {kind}")
        return path

    def folder(self, kind: str) -> Path:
        return self.path


class ByContent:
    """Hashes that are the content, so that a test can read them."""

    def sha256(self, path: Path) -> str:
        return path.read_text()
