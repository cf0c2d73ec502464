"""Plugins made for tests, in folders and as installed packages."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from types import ModuleType

SHOUT = """
    from nodegraph import node
    from .words import LOUD

    @node("Shout", category="tests")
    def shout(text: str) -> str:
        return text.upper() + LOUD
"""


def plugin(folder: Path, name: str, files: dict[str, str], manifest: str = "") -> Path:
    """A plugin in `folder/name` whose modules are `files`."""
    place = folder / name
    place.mkdir(parents=True)
    for file, text in files.items():
        (place / f"{file}.py").write_text(dedent(text))
    listed = ", ".join(file for file in files if file != "__init__")
    modules = f"modules: [{listed}]\n" if listed else ""
    (place / "plugin.yaml").write_text(f"name: {name}\n{modules}{dedent(manifest)}")
    return place


def shouting(folder: Path, name: str = "loud", manifest: str = "", mark: str = "!") -> Path:
    """A plugin with the node Shout, which says `mark` at the end."""
    return plugin(folder, name, {"nodes": SHOUT, "words": f"LOUD = {mark!r}"}, manifest)


def installed(site: Path, package: str, name: str, value: str, manifest: str) -> Path:
    """A package in a folder of packages, with an entry point, as installing one leaves it.

    package: its path, "loud" or "loud.inner"; value: what the entry point says. Its folder.
    """
    place = site.joinpath(*package.split("."))
    place.mkdir(parents=True)
    for folder in (place, *place.parents):
        if folder == site:
            break
        (folder / "__init__.py").write_text("")
    (place / "nodes.py").write_text(dedent(SHOUT))
    (place / "words.py").write_text("LOUD = '!'")
    (place / "plugin.yaml").write_text(dedent(manifest))
    about = site / f"{package.replace('.', '_')}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[nodegraph.plugins]\n{name} = {value}\n")
    return place


def taken_out(*packages: str) -> dict[str, ModuleType]:
    """Take the modules of plugins, and those of `packages`, out of sys.modules."""
    tops = {"nodegraph_plugins", *packages}
    names = [name for name in sys.modules if name.split(".")[0] in tops]
    return {name: sys.modules.pop(name) for name in names}


@contextmanager
def modules_apart(*packages: str) -> Iterator[None]:
    """Those modules are taken out at first; at the end they are there again, and no newer ones."""
    others = taken_out(*packages)
    try:
        yield
    finally:
        taken_out(*packages)
        sys.modules.update(others)


def imported() -> set[str]:
    return {name for name in sys.modules if name.startswith("nodegraph_plugins.")}
