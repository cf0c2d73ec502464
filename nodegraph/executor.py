"""Runs plans on worker threads, and emits what happens.

    executor = Executor(registry, cache=cache, models=models)
    result = executor.run(plan, emit=print)

The executor owns the lanes (threads) and knows the caches and the model manager it was given; it
has no state of its own between runs, so several runs may be in flight, from several threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any

from .activity import Activity
from .caller import Bookkeeper
from .context import CancelToken, Precision
from .errors import FileMissing
from .events import Event
from .lanes import AsyncLane, Lane
from .outputs import Shown
from .plan import Keys, Plan
from .registry import Registry
from .run import Run
from .tasks import RunResult

if TYPE_CHECKING:
    from .cache import Cache
    from .hashes import FileHashes
    from .memory import ModelManager

NOTHING: Mapping[str, Any] = MappingProxyType({})


def _ignore(_: Event) -> None:
    return None


class Executor:
    """Runs plans.

    cache:      where results are looked up and put.
    models:     lends models to nodes; None for graphs that use none.
    device:     where nodes compute ("cpu", "cuda:0"); `precision` is the policy nodes follow.
    io_workers: threads of the lane for decoding and saving.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        cache: Cache,
        models: ModelManager | None = None,
        hashes: FileHashes | None = None,
        device: str = "cpu",
        precision: Precision = "auto",
        io_workers: int = 2,
    ) -> None:
        self.registry = registry
        self.cache = cache
        self.models = models
        self.hashes = hashes
        self.device = device
        self.precision = precision
        self.activity = Activity()  # of calls
        self.runs = Activity()
        self.async_lane = AsyncLane()
        self._lanes = {"compute": Lane(device), "io": Lane("io", io_workers)}
        self._changed = threading.Condition()
        self._closed = False
        self.callbacks = threading.local()  # `active`: this thread is in a callback of a run

    @property
    def keys(self) -> Keys:
        """What keys of plans for this executor depend on besides the graph."""
        device = self.device.partition(":")[0]
        resolve = self.registry.extensions.get("precision", {}).get("arithmetic")
        arithmetic = "" if resolve is None else resolve(self.precision, self.device)
        return Keys(
            self.precision,
            device,
            self.registry.folders,
            self.hashes,
            arithmetic,
            self.registry.origins,
        )

    def run(
        self,
        plan: Plan,
        *,
        emit: Callable[[Event], None] = _ignore,
        cancel: CancelToken | None = None,
        workflow: Mapping[str, Any] | None = None,
        extra: Mapping[str, Any] = NOTHING,
        book: Bookkeeper | None = None,
    ) -> RunResult:
        """Run a plan to its end. Node failures are in the result, they do not raise.

        emit:     called with one event at a time, from any thread; if it raises, the run is
                  cancelled and `run` raises the same.
        workflow: the editor's form of the graph, for files that carry it.
        extra:    whatever else the caller wants nodes to see in `Context.extra`.
        book:     gives the book of names for a node's call, by its id and number; see saving.Book.
        Raises RuntimeError if the executor is closed, or if a node or `emit` of one of its runs
        calls it: that run would wait for itself.
        """
        self._refuse_own_threads("run a plan")
        token = CancelToken() if cancel is None else cancel
        with self._changed:
            if self._closed:
                raise RuntimeError("the executor is closed")
            ticket = self.runs.begin()
        try:
            facts = {"workflow": workflow, "extra": extra, "book": book}
            options: dict[str, Any] = {"ticket": ticket, **facts}
            return Run(plan, self, emit=emit, cancel=token, **options).execute()
        finally:
            with self._changed:
                self.runs.end()
                self._changed.notify_all()

    def lane(self, name: str) -> Lane:
        return self._lanes[name]

    def files_exist(self, shown: Shown) -> bool:
        """Whether the files an output node wrote are still there, and hold what it wrote."""
        folders = self.registry.folders
        if folders is None:
            return not shown.files
        try:
            return all(
                self._holds(file.under(folders.folder(file.type)), file.sha256)
                for file in shown.files
            )
        except (FileMissing, OSError):  # there is no such folder, or no such file, any more
            return False

    def _holds(self, path: Path, sha256: str) -> bool:
        if not sha256 or self.hashes is None:
            return path.is_file()
        return path.is_file() and self.hashes.sha256(path) == sha256

    def close(self) -> None:
        """End the threads. Runs in flight end first, and none begins any more."""
        self._refuse_own_threads("close the executor")
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.wait_for(lambda: self.runs.idle)
        self.async_lane.close()
        for lane in self._lanes.values():
            lane.close()

    def _refuse_own_threads(self, what: str) -> None:
        current = threading.current_thread()
        lanes: list[Lane | AsyncLane] = [*self._lanes.values(), self.async_lane]
        active = getattr(self.callbacks, "active", False)
        if active or any(lane.owns(current) for lane in lanes):
            raise RuntimeError(f"a node or callback of a run cannot {what}: it would never end")

    def __enter__(self) -> Executor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
