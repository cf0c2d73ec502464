"""--verify: make a picture again from what it says about itself, and compare the pixels."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from nodegraph.documents import READERS, Document
from nodegraph.engine import Engine
from nodegraph.errors import DocumentError
from nodegraph.events import Event, Executed
from nodegraph.folders import Folders
from nodegraph.outputs import SavedFile, Shown
from nodegraph.settings import Settings

from .bars import Watcher
from .complain import Exit, printable
from .opening import cancelled_by_ctrl_c, opened
from .request import Request
from .runs import runnable, start
from .session import Session

FACTS = ("nodegraph", "python", "torch", "device", "precision")  # of a manifest, one value each
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
STEPS = 255  # of a colour


@dataclass(frozen=True)
class Verdict:
    """What came of it.

    differing: values (of `values` in all) that are not the same; largest: by how much at most, in
    steps of 255. changed: what is different about the machine, files or versions.
    """

    picture: Path
    differing: int
    values: int
    largest: int
    changed: tuple[str, ...]

    @property
    def same(self) -> bool:
        return self.differing == 0

    def __str__(self) -> str:
        if self.same:
            return f"{self.picture}: the same pixels ({self.values:,} values)"
        return (
            f"{self.picture}: {self.differing:,} of {self.values:,} values differ, "
            f"by at most {self.largest} of {STEPS}"
        )


@dataclass(frozen=True)
class Aside(Folders):
    """Folders that are read as ever, and written to somewhere else."""

    aside: Path = field(default_factory=Path)

    def written_to(self, kind: Literal["output", "temp"]) -> Path:
        return self.aside / kind

    def written(self, file: SavedFile) -> Path:
        """Where a file that was saved meanwhile is."""
        return file.under(self.aside / file.type)


def run_verify(session: Session, request: Request) -> Exit:
    """Make a picture again, with nothing from the cache, and compare the pixels.

    It is made in the precision it was made in, unless the command line names one.
    """
    with opened(session) as engine:
        document = engine.read(request.graph)
        maker = Maker.of(document)
        request = replace(request, targets=[maker.root])
        checked = request.check(engine, document)
        if runnable(session, request, document, checked, engine) is None:
            return Exit.GRAPH
        before = _pixels(request.graph, engine)
    verdict = _made_again(session, request, document, maker, before)
    _tell(session, verdict)
    return Exit.OK if verdict.same else Exit.DIFFERENT


@dataclass(frozen=True)
class Maker:
    """Who saved a picture: the node, its place in the batch, and the document's node it is of.

    `root` is the node itself, or the one that it took the place of.
    """

    node: str
    index: int
    root: str

    @classmethod
    def of(cls, document: Document) -> Maker:
        """As the picture says. Raises DocumentError."""
        node, index = document.manifest.get("node"), document.manifest.get("batch_index", 0)
        if not isinstance(node, str) or not isinstance(index, int) or index < 0:
            raise DocumentError(
                f"{document.source} cannot be verified: it does not say which node made it. Only "
                "pictures that nodegraph saved, and no other program saved anew, have a manifest"
            )
        parts = node.split(".")
        starts = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
        root = next((start for start in starts if start in document.document), None)
        if root is None:
            raise DocumentError(
                f"{document.source} cannot be verified: it says that node {node!r} made it, but "
                "its graph has no such node"
            )
        return cls(node, index, root)


def _made_again(
    session: Session, request: Request, document: Document, maker: Maker, before: Any
) -> Verdict:
    found: dict[str, Shown] = {}

    def watching(event: Event) -> None:
        if isinstance(event, Executed):
            found[event.node] = event.shown
        watch(event)

    with tempfile.TemporaryDirectory(prefix="nodegraph-verify-") as folder:
        folders = _aside(Folders.of(session.settings), Path(folder))
        settings = _uncached(session, document)
        with (
            Engine(session.modules(), settings, folders=folders) as engine,
            Watcher(session.err, quiet=request.quiet) as watch,
            cancelled_by_ctrl_c(session) as token,
        ):
            graph = request.check(engine, document).require()
            start(engine, graph, request, document, watching, token).require()
            files = found[maker.node].files if maker.node in found else ()
            if maker.index >= len(files):
                raise DocumentError(
                    f"{request.graph}: it is picture {maker.index + 1} of node {maker.node}, which "
                    f"made {len(files)} this time"
                )
            made = folders.written(files[maker.index])
            now = engine.read(made).manifest
            changed = tuple(_changes(document.manifest, now))
            return _compare(request.graph, before, _pixels(made, engine), changed)


def _uncached(session: Session, document: Document) -> Settings:
    made_in = document.manifest.get("precision")
    settings = replace(session.settings, disk_cache_bytes=0, memory_cache_bytes=0)
    if session.options.get("precision") is None and made_in in PRECISIONS:
        return replace(settings, precision=str(made_in))
    return settings


def _aside(folders: Folders, aside: Path) -> Aside:
    values = {each.name: getattr(folders, each.name) for each in fields(Folders)}
    return Aside(**values, aside=aside)


def _pixels(path: Path, engine: Engine) -> Any:
    reader = engine.registry.extensions[READERS][path.suffix.lower()]
    try:
        return reader.pixels(path)
    except Exception as error:  # a reader may come from a plugin, and raise anything
        raise DocumentError(f"{path} cannot be read: {error}") from error


def _compare(picture: Path, before: Any, after: Any, changed: tuple[str, ...]) -> Verdict:
    if before.shape != after.shape:
        sizes = [f"{shape[2]} x {shape[1]}" for shape in (before.shape, after.shape)]
        size = f"size: was {sizes[0]}, is {sizes[1]}"
        return Verdict(picture, before.numel(), before.numel(), STEPS, (size, *changed))
    difference = ((before - after).abs() * STEPS).round()
    differing, largest = int((difference > 0).sum()), int(difference.max())
    return Verdict(picture, differing, before.numel(), largest, changed)


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """What is not as it was when the picture was made. `before` may be a stranger's."""
    for name in FACTS:
        if before.get(name) != after.get(name):
            yield f"{name}: was {before.get(name)}, is {after.get(name)}"
    old, new = _versions(before), _versions(after)
    for node, version in old.items():
        if node in new and new[node] != version:
            yield f"node type {node}: was version {version}, is {new[node]}"
    had, has = _plugins(before), _plugins(after)
    for name in [name for name in had if name in has and had[name] != has[name]]:
        yield f"plugin {name}: its code has changed"
    was, now = _files(before), _files(after)
    for place, digest in was.items():
        if place in now and now[place] != digest:
            yield f"file {place}: its content has changed"


def _versions(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    versions = manifest.get("nodes")
    return versions if isinstance(versions, Mapping) else {}


def _plugins(manifest: Mapping[str, Any]) -> dict[str, Any]:
    listed = manifest.get("plugins")
    found = listed if isinstance(listed, Mapping) else {}
    return {name: e.get("code") for name, e in found.items() if isinstance(e, Mapping)}


def _files(manifest: Mapping[str, Any]) -> dict[str, Any]:
    listed = manifest.get("files")
    entries = [e for e in listed if isinstance(e, Mapping)] if isinstance(listed, list) else []
    return {f"{e.get('node')}.{e.get('input')} {e.get('name')}": e.get("sha256") for e in entries}


def _tell(session: Session, verdict: Verdict) -> None:
    if session.json:
        session.answer(
            {
                "status": "same" if verdict.same else "different",
                "picture": str(verdict.picture),
                "differing": verdict.differing,
                "values": verdict.values,
                "largest": verdict.largest,
                "changed": list(verdict.changed),
            }
        )
        return
    lines = [str(verdict), *(f"   = {change}" for change in verdict.changed)]
    session.out.print(printable("\n".join(lines)), markup=False, soft_wrap=True)
