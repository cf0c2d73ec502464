"""--verify: make a picture again from what it says about itself, and compare the pixels."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from ..documents import READERS, load_document
from ..engine import Engine
from ..errors import DocumentError
from ..events import Event
from ..settings import Settings


@dataclass(frozen=True)
class Verdict:
    """What came of it.

    differing: values (of `values` in all) that are not the same; largest: by how much at most,
    in steps of 255. changed: what is different about the machine, files or versions.
    """

    picture: Path
    differing: int
    values: int
    largest: int
    changed: tuple[str, ...]

    @property
    def same(self) -> bool:
        return self.differing == 0


def verify(
    picture: Path,
    modules: Iterable[ModuleType],
    settings: Settings,
    emit: Callable[[Event], None],
) -> Verdict:
    """Run the picture's graph with no cache, into a folder that is removed, and compare.

    Raises DocumentError where the picture does not say how it was made; RunFailed, InvalidGraph.
    """
    with tempfile.TemporaryDirectory(prefix="nodegraph-verify-") as folder:
        fresh = replace(settings, output=Path(folder), disk_cache_bytes=0, memory_cache_bytes=0)
        with Engine(modules, fresh) as engine:
            found = load_document(picture, engine.registry)
            node, index = _maker(picture, found.manifest)
            result = engine.run(found.document, targets=[node], emit=emit).require()
            files = result.shown[node].files if node in result.shown else ()
            if index >= len(files):
                raise DocumentError(f"{picture}: node {node} made {len(files)} pictures this time")
            read = engine.registry.extensions[READERS][picture.suffix.lower()].pixels
            made = files[index].under(engine.folders.folder(files[index].type))
            differing, values, largest = _compare(read(picture), read(made))
            again = load_document(made, engine.registry).manifest
    return Verdict(picture, differing, values, largest, tuple(_changes(found.manifest, again)))


def _maker(picture: Path, manifest: Mapping[str, Any]) -> tuple[str, int]:
    node, index = manifest.get("node"), manifest.get("batch_index", 0)
    if not isinstance(node, str) or not isinstance(index, int):
        raise DocumentError(
            f"{picture} has no manifest: it was not saved by nodegraph, so there is no saying "
            "which node made it"
        )
    return node, index


def _compare(before: Any, after: Any) -> tuple[int, int, int]:
    if before.shape != after.shape:
        return before.numel(), before.numel(), 255
    difference = ((before - after).abs() * 255).round()
    return int((difference > 0).sum()), before.numel(), int(difference.max())


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterable[str]:
    for key in ("nodegraph", "python", "torch", "device", "precision", "nodes"):
        if before.get(key) != after.get(key):
            yield f"{key}: was {before.get(key)}, is {after.get(key)}"
    old, new = _files(before), _files(after)
    for place, digest in old.items():
        if new.get(place, digest) != digest:
            yield f"file {place}: its content has changed"


def _files(manifest: Mapping[str, Any]) -> dict[str, str]:
    files = manifest.get("files")
    entries = files if isinstance(files, list) else []
    return {f"{e['node']}.{e['input']} {e['name']}": e["sha256"] for e in entries}
