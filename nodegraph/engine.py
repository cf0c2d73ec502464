"""Everything put together: from settings and modules to something that runs graphs.

    with Engine(nodes.modules()) as engine:
        graph = engine.load("graph.json", {"5.seed": 7}, targets=["6"])
        result = engine.run(graph, emit=print).require()
        images = result["6"][0]

The command line and the server are built on it; so are programs that use nodegraph as a library.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType, ModuleType, TracebackType
from typing import Any, cast

from .cache import Cache, DiskCache
from .caller import Bookkeeper
from .changes import Changed, NoSuchNode, change, find_node
from .context import CancelToken, Precision
from .documents import Document, Source, load_document
from .errors import Fault, NodeGraphError, PluginError, SettingsError
from .events import Event
from .executor import Executor
from .folders import Folders
from .graph import Checked, Graph, check
from .hashes import FileHashes
from .memory import LeaseError, ModelManager
from .memory.devices import device_named
from .plan import Plan, make_plan
from .plugins import Choice, load_plugins
from .registry import Registry
from .settings import Settings
from .tasks import RunResult

NOTHING: Mapping[str, Any] = MappingProxyType({})

log = logging.getLogger(__name__)


def _ignore(_: Event) -> None:
    return None


class Engine:
    """Runs graphs of the nodes in `modules` and the plugins that the settings name.

    folders: where files are, if not where the settings say.

    `plugins` says what became of each plugin; `plugin_errors` are those that could not be loaded,
    and the others are there. Safe to use from several threads. Raises DeclarationError if a module
    of `modules` declares something wrong, SettingsError if the device is not there.
    """

    def __init__(
        self,
        modules: Iterable[ModuleType],
        settings: Settings | None = None,
        *,
        folders: Folders | None = None,
    ) -> None:
        self.settings = settings or Settings()
        device = _device(self.settings.device)
        self.folders = folders or Folders.of(self.settings)
        self.registry = Registry(self.folders)
        self.registry.register(*modules)
        self.plugins = load_plugins(self.settings.plugins, self.registry, _choice(self.settings))
        self.hashes = FileHashes(self.settings.cache / "hashes.json")
        self.cache = _cache(self.settings)
        self.models = _models(self.settings)
        self._in_flight: list[CancelToken] = []
        self._flights = threading.Condition()
        self._closed = False
        self.executor = Executor(
            self.registry,
            cache=self.cache,
            models=self.models,
            hashes=self.hashes,
            device=device,
            precision=cast(Precision, self.settings.precision),
            io_workers=self.settings.io_workers,
        )

    @property
    def plugin_errors(self) -> tuple[PluginError, ...]:
        """Why plugins could not be loaded."""
        return tuple(plugin.error for plugin in self.plugins if plugin.error is not None)

    def read(self, source: Source) -> Document:
        """The document in a file or given as data, converted if it is an editor's.

        source: a document, or a file with one: API format, editor format, or a picture that
                carries its graph.
        Raises DocumentError where there is no graph document at all.
        """
        return load_document(source, self.registry, max_bytes=self.settings.max_document_bytes)

    def check_document(
        self,
        document: Document,
        values: Mapping[str, Any] = NOTHING,
        *,
        targets: Sequence[str] | None = None,
    ) -> Checked:
        """All that is wrong with a document and what is asked of it, and the part that can run.

        values:  inputs to change, by "node.input", see `changes`. A fault of such an input has
                 the name it was given by in its extra, as set_as.
        targets: ids, titles or types of the wanted nodes; by default all output nodes.
        """
        changed = change(document.document, values, self.registry)
        wanted, lost = _targets(changed.document, targets)
        checked = check(
            changed.document,
            self.registry,
            targets=wanted,
            strict=self.settings.strict,
            max_nodes=self.settings.max_nodes,
        )
        asked = (*changed.faults, *lost)
        return _complete(checked, changed, asked, document.warnings, self.settings.strict)

    def load(
        self,
        source: Source,
        values: Mapping[str, Any] = NOTHING,
        *,
        targets: Sequence[str] | None = None,
    ) -> Graph:
        """A graph with nothing wrong; `warnings` lists what is merely doubtful.

        Arguments as for `check_document`. Raises DocumentError, or InvalidGraph, which lists all.
        """
        return self.check_document(self.read(source), values, targets=targets).require()

    def plan(self, graph: Graph) -> Plan:
        """The steps of a graph, in order, with their keys."""
        return make_plan(graph, self.executor.keys)

    def run(
        self,
        source: Source | Graph,
        values: Mapping[str, Any] = NOTHING,
        *,
        targets: Sequence[str] | None = None,
        emit: Callable[[Event], None] = _ignore,
        cancel: CancelToken | None = None,
        workflow: Mapping[str, Any] | None = None,
        extra: Mapping[str, Any] = NOTHING,
        book: Bookkeeper | None = None,
    ) -> RunResult:
        """Run a graph. `result[id]` is a target's outputs; `result.require()` raises if any failed.

        source:   as for `read`, with `values` and `targets` as for `check_document`; what is merely
                  doubtful is logged. Or a Graph, for which both are settled already.
        emit:     called with every event as it happens, one at a time, from any thread.
        cancel:   its `cancel()` stops the run at the next step; the result has what finished.
        workflow: the editor's form, which saved pictures carry; by default the source's own,
                  unless `values` change what it says.
        extra:    what nodes see as Context.extra; {"allow_ckpt": True} lets loaders read pickles.
        book:     see `Executor.run`.

        Raises as `load` does, and NodeGraphError if the engine is closed.
        """
        if isinstance(source, Graph):
            if values or targets is not None:
                raise NodeGraphError("a Graph has its values and targets: give them to load()")
            graph = source
        else:
            document = self.read(source)
            graph = self.check_document(document, values, targets=targets).require()
            if workflow is None and not values:
                workflow = document.workflow
            for fault in graph.warnings:
                log.warning("%s", fault)
        token = cancel or CancelToken()
        with self._flight(token):
            return self.executor.run(
                self.plan(graph), emit=emit, cancel=token, workflow=workflow, extra=extra, book=book
            )

    def files(self, result: RunResult) -> list[Path]:
        """The files that the output nodes of a run wrote, in the nodes' order."""
        return [
            file.under(self.folders.folder(file.type))
            for shown in result.shown.values()
            for file in shown.files
        ]

    def close(self, *, cancel: bool = False) -> None:
        """Wait for runs in flight (or cancel them), write what is to be written, end the threads.

        May be called again. Raises NodeGraphError if `emit` calls it: its run would never end.
        """
        if getattr(self.executor.callbacks, "active", False):
            raise NodeGraphError("emit cannot close the engine that calls it: cancel the run")
        with self._flights:
            self._closed = True
            for token in self._in_flight if cancel else ():
                token.cancel()
            self._flights.wait_for(lambda: not self._in_flight)
        with ExitStack() as stack:
            stack.callback(self.models.free)
            stack.callback(self.cache.close)
            stack.callback(self.executor.close)

    @contextmanager
    def _flight(self, token: CancelToken) -> Iterator[None]:
        with self._flights:
            if self._closed:
                raise NodeGraphError("this engine is closed; open another")
            self._in_flight.append(token)
        try:
            yield
        except BaseException:
            token.cancel()  # after a Ctrl-C nodes may still be at work
            raise
        finally:
            with self._flights:
                self._in_flight.remove(token)
                self._flights.notify_all()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(cancel=error is not None)


def _targets(
    document: Mapping[str, Any], targets: Sequence[str] | None
) -> tuple[list[str] | None, list[Fault]]:
    """The ids of the wanted nodes, and a fault for each name that fits none.

    If none of them fits, None: the faults of the whole graph are listed beside theirs.
    """
    if targets is None:
        return None, []
    wanted: list[str] = []
    faults: list[Fault] = []
    for name in dict.fromkeys(targets):
        try:
            wanted.append(find_node(document, name))
        except NoSuchNode as error:
            message = "Target does not exist"
            extra = {"target": name}
            faults.append(Fault("missing_target", message, str(error), extra=extra))
    return wanted if wanted or not faults else None, faults


def _complete(
    checked: Checked,
    changed: Changed,
    asked: Sequence[Fault],
    converting: Sequence[str],
    strict: bool,
) -> Checked:
    """The check of a changed document, with what else is wrong or doubtful about it."""

    def placed(fault: Fault) -> Fault:
        name = changed.places.get((fault.node or "", fault.input or ""))
        return fault if name is None else replace(fault, extra={**fault.extra, "set_as": name})

    message = "The editor's file does not say"
    doubts = tuple(Fault("conversion", message, text) for text in converting)
    faults = (*asked, *map(placed, checked.faults), *(doubts if strict else ()))
    warnings = (*(() if strict else doubts), *map(placed, checked.warnings))
    graph = checked.graph
    if graph is not None:
        graph = None if asked else replace(graph, warnings=warnings)
    return Checked(graph, faults, warnings, checked.dependants)


def _choice(settings: Settings) -> Choice:
    return Choice(settings.disabled_plugins, settings.enabled_plugins, settings.plugin_permissions)


def _cache(settings: Settings) -> Cache:
    disk = None
    if settings.disk_cache_bytes > 0:
        disk = DiskCache(
            settings.cache / "results", settings.disk_cache_bytes, on_warning=log.warning
        )
    return Cache(memory_bytes=settings.memory_cache_bytes, disk=disk)


def _models(settings: Settings) -> ModelManager:
    budgets = {} if settings.device_budget is None else {"cuda": settings.device_budget}
    return ModelManager(budgets=budgets, host_budget=settings.host_budget)


def _device(name: str) -> str:
    """The device a setting means; "auto" is a CUDA device where there is one, else the CPU."""
    try:
        return device_named("cuda" if name == "auto" else name).name
    except LeaseError as error:
        if name == "auto":
            return "cpu"
        raise SettingsError(str(error)) from error
