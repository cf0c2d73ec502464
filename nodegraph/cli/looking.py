"""Where a file was looked for: what a user needs to know who put it somewhere else."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from nodegraph.engine import Engine
from nodegraph.errors import Fault
from nodegraph.folders import Folders
from nodegraph.node import FileOf


def looked_in(fault: Fault, engine: Engine) -> Iterable[str]:
    """`looked in FOLDER` for each folder, if the fault is about a file that is not there."""
    kind = engine.registry.nodes.get(fault.class_type or "")
    port = None if kind is None else kind.by_name.get(fault.input or "")
    if fault.type != "value_not_in_list" or port is None or not isinstance(port.widget, FileOf):
        return
    for folder in _folders(engine.folders, port.widget.kind):
        there = "" if folder.is_dir() else " (there is no such folder)"
        yield f"looked in {folder.absolute()}{there}"


def _folders(folders: Folders, kind: str) -> tuple[Path, ...]:
    if kind in ("input", "output", "temp", "latents"):
        return (folders.folder(kind),)
    return folders.roots(kind)
