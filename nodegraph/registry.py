"""Modules in, node types and extension points out: what a graph may name.

A module offers, at its top level: functions marked with `@node`, PortType constants, Extension
constants (entries for a named extension point such as "samplers") and Alias constants (further
names for node types). What the core registers this way, a plugin can too.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any

from .errors import DeclarationError
from .node import REQUIRED, ChoiceOf, FileOf, NodeMark, NodeType, Port, declare
from .types import ANYTHING, PRIMITIVES, Codec, PortType

if TYPE_CHECKING:
    from .folders import Folders

RESERVED = frozenset({*PRIMITIVES.values(), "COMBO", ANYTHING, ""})
LONGEST_NAME = 100  # of a name that a nearest one is looked for: the search is slow for long ones


@dataclass(frozen=True)
class Extension:
    """Entries for an extension point: samplers, schedules, condition encoders, key maps ..."""

    point: str
    entries: Mapping[str, Any]


@dataclass(frozen=True)
class Alias:
    """Further names for node types: `{new name: (existing name, display name)}`."""

    names: Mapping[str, tuple[str, str]]


@dataclass
class _Tables:
    nodes: dict[str, NodeType] = field(default_factory=dict)
    port_types: dict[str, PortType] = field(default_factory=dict)
    annotations: dict[Any, str] = field(default_factory=dict)
    extensions: dict[str, dict[str, Any]] = field(default_factory=dict)

    def copy(self) -> _Tables:
        extensions = {point: dict(entries) for point, entries in self.extensions.items()}
        return _Tables(dict(self.nodes), dict(self.port_types), dict(self.annotations), extensions)


class Registry:
    """The catalogue of node types, port types and extension points.

    folders: where the files are that FileOf ports choose from.
    """

    def __init__(self, folders: Folders | None = None) -> None:
        self.folders = folders
        self._tables = _Tables()

    def register(self, *modules: ModuleType) -> None:
        """Add everything the modules offer, or, if anything is wrong, nothing.

        Raises DeclarationError, naming the module and what is wrong.
        """
        tables = self._tables.copy()
        for module in modules:
            for value in vars(module).values():
                _add_types(tables, value)
        for module in modules:
            for value in vars(module).values():
                _add_node(tables, module, value)
        for module in modules:
            for value in vars(module).values():
                _add_aliases(tables, module, value)
        for kind in tables.nodes.values():
            _check_choices(tables, kind)
        self._tables = tables

    @property
    def nodes(self) -> Mapping[str, NodeType]:
        return MappingProxyType(self._tables.nodes)

    @property
    def port_types(self) -> Mapping[str, PortType]:
        return MappingProxyType(self._tables.port_types)

    @property
    def extensions(self) -> Mapping[str, Mapping[str, Any]]:
        return MappingProxyType(self._tables.extensions)

    def nearest(self, name: str) -> str | None:
        """The registered node type whose name is closest to `name`."""
        if len(name) > LONGEST_NAME:
            return None
        names = {known.lower(): known for known in self._tables.nodes}
        close = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.6)
        return names[close[0]] if close else None

    def codec(self, wire_name: str) -> Codec | None:
        """How values of a port type go to disk; None if they do not."""
        port_type = self._tables.port_types.get(wire_name)
        return port_type.codec if port_type else None

    def options(self, port: Port) -> tuple[str, ...] | None:
        """The choices of a port, or None if it is not a choice."""
        match port.widget:
            case tuple():
                return port.widget
            case ChoiceOf(point):
                return tuple(self._tables.extensions.get(point, {}))
            case FileOf(kind, extra):
                listed = self.folders.list(kind) if self.folders else ()
                return (*listed, *extra)
            case _:
                return None


def _add_types(tables: _Tables, value: Any) -> None:
    if isinstance(value, PortType):
        _add_port_type(tables, value)
    elif isinstance(value, Extension):
        entries = tables.extensions.setdefault(value.point, {})
        for name, entry in value.entries.items():
            if entries.get(name, entry) is not entry:
                raise DeclarationError(f"{value.point} already has an entry named {name}")
            entries[name] = entry


def _add_port_type(tables: _Tables, added: PortType) -> None:
    name = added.name
    if name in RESERVED or set(name) & {",", "*"}:
        raise DeclarationError(f"a port type cannot be named {name!r}: choose another name")
    if tables.port_types.get(name, added) != added:
        raise DeclarationError(f"two port types are named {name}")
    try:
        taken = PRIMITIVES.get(added.python) or tables.annotations.get(added.python, name)
    except TypeError:
        raise DeclarationError(f"port type {name}: {added.python!r} is no annotation") from None
    if taken != name:
        raise DeclarationError(f"port types {taken} and {name} have one annotation")
    tables.port_types[name] = added
    tables.annotations[added.python] = name


def _add_node(tables: _Tables, module: ModuleType, value: Any) -> None:
    # Statically: a module may hold objects that answer to any attribute.
    mark = inspect.getattr_static(value, "__node__", None)
    if not isinstance(mark, NodeMark) or value.__module__ != module.__name__:
        return
    kind = declare(value, mark, tables.annotations)
    _claim(tables, kind.name, kind)


def _add_aliases(tables: _Tables, module: ModuleType, value: Any) -> None:
    if not isinstance(value, Alias):
        return
    for name, (existing, display_name) in value.names.items():
        if existing not in tables.nodes:
            raise DeclarationError(
                f"{module.__name__}: {name} is an alias of {existing}, which is no node type"
            )
        _claim(tables, name, tables.nodes[existing].renamed(name, display_name))


def _claim(tables: _Tables, name: str, kind: NodeType) -> None:
    taken = tables.nodes.get(name)
    if taken is not None and taken.function is not kind.function:
        raise DeclarationError(
            f"two nodes are named {name}: {taken.identity} and {kind.identity}; rename one"
        )
    tables.nodes[name] = kind


def _check_choices(tables: _Tables, kind: NodeType) -> None:
    """Defaults that are names at an extension point have to be registered there."""
    for port in kind.inputs:
        if not isinstance(port.widget, ChoiceOf) or port.default in (REQUIRED, None):
            continue
        entries = tables.extensions.get(port.widget.point)
        for name in port.default if port.is_list else [port.default]:
            if entries is not None and name not in entries:
                listed = ", ".join(entries) or "nothing"
                raise DeclarationError(
                    f"node {kind.name}: parameter {port.name}: the default {name!r} is not among "
                    f"the {port.widget.point}: {listed}"
                )
