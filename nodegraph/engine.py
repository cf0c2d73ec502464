"""Everything put together: from settings and modules to something that runs graphs.

    with Engine(nodes.modules()) as engine:
        graph = engine.load("graph.json", {"3.seed": 7})
        result = engine.run(graph, emit=print).require()
        image = result["8"][0]

The command line and the server are built on it; so are programs that use nodegraph as a library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, ModuleType, TracebackType
from typing import Any

from .cache import Cache, DiskCache
from .context import CancelToken
from .documents import Document, Source, find_node, load_document, with_values
from .errors import PluginError
from .events import Event
from .executor import Executor
from .folders import Folders
from .graph import Checked, Graph, check
from .hashes import FileHashes
from .memory import ModelManager
from .plan import Plan, make_plan
from .plugins import load_all
from .registry import Registry
from .settings import Settings
from .tasks import RunResult

NOTHING: Mapping[str, Any] = MappingProxyType({})


def _ignore(_: Event) -> None:
    return None


class Engine:
    """Runs graphs of the nodes in `modules` and the plugins that the settings name.

    `plugin_errors` are the plugins that could not be loaded; the others are there.
    Raises DeclarationError if a module of `modules` declares something wrong.
    """

    def __init__(self, modules: Iterable[ModuleType], settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.folders = Folders.of(self.settings)
        self.registry = Registry(self.folders)
        self.registry.register(*modules)
        self.plugin_errors: tuple[PluginError, ...] = tuple(
            load_all(self.settings.plugins, self.registry, self.settings.disabled_plugins)
        )
        self.hashes = FileHashes(self.settings.cache / "hashes.json")
        self.cache = _cache(self.settings)
        self.models = _models(self.settings)
        self.executor = Executor(
            self.registry,
            cache=self.cache,
            models=self.models,
            hashes=self.hashes,
            device=_device(self.settings.device),
            precision=self.settings.precision,
            io_workers=self.settings.io_workers,
        )

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
        """All that is wrong with a document, and the part of it that can run.

        values: inputs to change, by "node.input". targets: ids, titles or types of the wanted
        nodes; by default all output nodes.
        """
        changed = with_values(document.document, values)
        wanted = None if targets is None else [find_node(changed, name) for name in targets]
        return check(
            changed,
            self.registry,
            targets=wanted,
            strict=self.settings.strict,
            max_nodes=self.settings.max_nodes,
        )

    def load(
        self,
        source: Source,
        values: Mapping[str, Any] = NOTHING,
        *,
        targets: Sequence[str] | None = None,
    ) -> Graph:
        """A graph with nothing wrong. Raises DocumentError or InvalidGraph, which lists all."""
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
    ) -> RunResult:
        """Run a graph. `result[id]` is a target's outputs; `result.require()` raises if any failed.

        emit: called with every event as it happens, from any thread.
        """
        if isinstance(source, Graph):
            graph = source
        else:
            graph = self.load(source, values, targets=targets)
        return self.executor.run(
            self.plan(graph), emit=emit, cancel=cancel, workflow=workflow, extra=extra
        )

    def close(self) -> None:
        """Finish what is being written, end the threads, let the models go."""
        self.executor.close()
        self.cache.close()
        self.models.free()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _cache(settings: Settings) -> Cache:
    disk = None
    if settings.disk_cache_bytes > 0:
        disk = DiskCache(Path(settings.cache) / "results", settings.disk_cache_bytes)
    return Cache(memory_bytes=settings.memory_cache_bytes, disk=disk)


def _models(settings: Settings) -> ModelManager:
    budgets = {} if settings.device_budget is None else {"cuda": settings.device_budget}
    return ModelManager(budgets=budgets, host_budget=settings.host_budget)


def _device(name: str) -> str:
    """ "auto" is the first CUDA device where there is one, else the CPU."""
    if name == "cuda":
        return "cuda:0"
    if name != "auto":
        return name
    import torch  # only here: the engine starts without it

    return "cuda:0" if torch.cuda.is_available() else "cpu"
