"""What a plugin says of itself in its plugin.yaml, which is read without running it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

MANIFEST = "plugin.yaml"
WEB = "web"  # the folder of what a plugin adds to the page
# What a plugin may do beyond computing with its inputs and the folders it is given.
CAPABILITIES: Mapping[str, str] = MappingProxyType(
    {
        "network": "uses the network",
        "files": "reads or writes files outside the folders it is given",
        "subprocesses": "starts other programs",
    }
)


@dataclass(frozen=True)
class Listed:
    """A node as the manifest lists it. Empty texts were not given."""

    title: str = ""
    category: str = ""
    help: str = ""


@dataclass(frozen=True)
class Manifest:
    """One plugin.yaml.

    folder:    where the plugin is. package: the installed package it is; "" for a plain folder.
    modules:   names of the files to import, without .py.
    requires:  Python packages it needs. nodegraph: versions of nodegraph it works with.
    nodes:     the nodes it registers, by name; None where it does not say.
    touches:   what it declares to do, of CAPABILITIES.
    aliases:   further names of nodes: {new name: (existing name, title)}.
    web:       names of the scripts in its folder `web` that the page imports.
    enabled:   whether it is loaded unless somebody says otherwise.
    """

    name: str
    folder: Path
    modules: tuple[str, ...] = ()
    version: str = ""
    description: str = ""
    requires: tuple[Requirement, ...] = ()
    nodegraph: SpecifierSet = field(default_factory=SpecifierSet)
    nodes: Mapping[str, Listed] | None = None
    touches: tuple[str, ...] = ()
    aliases: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    web: tuple[str, ...] = ()
    enabled: bool = True
    package: str = ""
