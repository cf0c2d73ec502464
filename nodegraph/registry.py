"""Modules in, node types and extension points out: what a graph may name.

A module offers, at its top level: functions marked with `@node`, PortType constants, Extension
constants (entries for a named extension point such as "samplers") and Alias constants (further
names for node types). What the core registers this way, a plugin can too.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any

from .errors import DeclarationError, NameClash
from .node import REQUIRED, ChoiceOf, FileOf, NodeMark, NodeType, Origin, Port, declare
from .types import ANYTHING, PRIMITIVES, Codec, PortType

if TYPE_CHECKING:
    from .folders import Folders

RESERVED = frozenset({*PRIMITIVES.values(), "COMBO", ANYTHING, ""})
# Names of what is no extension point, in the table of who brought what.
NODES, TYPES = "node types", "port types"
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
    owners: dict[tuple[str, str], Origin] = field(default_factory=dict)
    offered: dict[str, NodeType] = field(default_factory=dict)  # the nodes being registered

    def copy(self) -> _Tables:
        extensions = {point: dict(entries) for point, entries in self.extensions.items()}
        return _Tables(
            dict(self.nodes),
            dict(self.port_types),
            dict(self.annotations),
            extensions,
            dict(self.owners),
        )

    def points_read(self) -> set[str]:
        """The extension points that nodes choose from or look through."""
        chosen = {
            port.widget.point
            for kind in self.nodes.values()
            for port in kind.inputs
            if isinstance(port.widget, ChoiceOf)
        }
        looked_through = {point for kind in self.nodes.values() for point in kind.extensions}
        return chosen | looked_through

    def own(self, kind: str, name: str, origin: Origin | None) -> None:
        """Remember who brought something, the first time."""
        if origin is not None:
            self.owners.setdefault((kind, name), origin)

    def owner(self, kind: str, name: str) -> str:
        return _owner(self.owners.get((kind, name)))


def _accept(_: Mapping[str, NodeType]) -> None:
    return None


class Registry:
    """The catalogue of node types, port types and extension points.

    folders: where the files are that FileOf ports choose from.
    """

    def __init__(self, folders: Folders | None = None) -> None:
        self.folders = folders
        self._tables = _Tables()

    def register(
        self,
        *modules: ModuleType,
        origin: Origin | None = None,
        accept: Callable[[Mapping[str, NodeType]], None] = _accept,
    ) -> tuple[str, ...]:
        """Add everything the modules offer, or, if anything is wrong, nothing.

        origin: the plugin whose modules they are. accept: called with the nodes they offer before
        anything is added; it may raise. Gives what is doubtful. Raises DeclarationError, naming
        the module and what is wrong.
        """
        tables = self._tables.copy()
        known = tables.points_read() | tables.extensions.keys()
        for module in modules:
            for value in vars(module).values():
                _add_types(tables, value, origin)
        for module in modules:
            for value in vars(module).values():
                _add_node(tables, module, value, origin)
        for module in modules:
            for value in vars(module).values():
                _add_aliases(tables, module, value, origin)
        for kind in tables.nodes.values():
            _check_choices(tables, kind)
        accept(tables.offered)
        doubts = () if origin is None else tuple(_misspelt(tables, known))
        self._tables = tables
        return doubts

    @property
    def nodes(self) -> Mapping[str, NodeType]:
        return MappingProxyType(self._tables.nodes)

    @property
    def port_types(self) -> Mapping[str, PortType]:
        return MappingProxyType(self._tables.port_types)

    @property
    def extensions(self) -> Mapping[str, Mapping[str, Any]]:
        return MappingProxyType(self._tables.extensions)

    def origins(self, point: str, name: str | None = None) -> tuple[Origin, ...]:
        """The plugins that added to an extension point, or the one that added `name` to it."""
        owners = self._tables.owners
        if name is not None:
            origin = owners.get((point, name))
            return () if origin is None else (origin,)
        return tuple(dict.fromkeys(owner for (kind, _), owner in owners.items() if kind == point))

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


def _owner(origin: Origin | None) -> str:
    return " of the core" if origin is None else f" of {origin}"


def _misspelt(tables: _Tables, known: set[str]) -> Iterator[str]:
    """Extension points that are new and named almost as ones that were known before."""
    for point in sorted(tables.extensions.keys() - known - tables.points_read()):
        close = difflib.get_close_matches(point[:LONGEST_NAME], known, n=1, cutoff=0.8)
        if close:
            yield f"nothing reads the extension point {point!r}; did you mean {close[0]!r}?"


def _add_types(tables: _Tables, value: Any, origin: Origin | None) -> None:
    if isinstance(value, PortType):
        _add_port_type(tables, value, origin)
    elif isinstance(value, Extension):
        entries = tables.extensions.setdefault(value.point, {})
        for name, entry in value.entries.items():
            if entries.get(name, entry) is not entry:
                raise NameClash(
                    f"{value.point} already has an entry named {name}: one"
                    f"{tables.owner(value.point, name)}, and one{_owner(origin)}; rename one"
                )
            if name not in entries:
                tables.own(value.point, name, origin)
            entries[name] = entry


def _add_port_type(tables: _Tables, added: PortType, origin: Origin | None) -> None:
    name = added.name
    if name in RESERVED or set(name) & {",", "*"}:
        raise DeclarationError(f"a port type cannot be named {name!r}: choose another name")
    if tables.port_types.get(name, added) != added:
        raise NameClash(
            f"two port types are named {name}: one{tables.owner(TYPES, name)}, and one"
            f"{_owner(origin)}; rename one"
        )
    try:
        taken = PRIMITIVES.get(added.python) or tables.annotations.get(added.python, name)
    except TypeError:
        raise DeclarationError(f"port type {name}: {added.python!r} is no annotation") from None
    if taken != name:
        raise DeclarationError(f"port types {taken} and {name} have one annotation")
    if name not in tables.port_types:
        tables.own(TYPES, name, origin)
    tables.port_types[name] = added
    tables.annotations[added.python] = name


def _add_node(tables: _Tables, module: ModuleType, value: Any, origin: Origin | None) -> None:
    # Statically: a module may hold objects that answer to any attribute.
    mark = inspect.getattr_static(value, "__node__", None)
    if not isinstance(mark, NodeMark) or value.__module__ != module.__name__:
        return
    kind = replace(declare(value, mark, tables.annotations), origin=origin)
    _claim(tables, kind.name, kind, origin)


def _add_aliases(tables: _Tables, module: ModuleType, value: Any, origin: Origin | None) -> None:
    if not isinstance(value, Alias):
        return
    for name, (existing, display_name) in value.names.items():
        if existing not in tables.nodes:
            raise DeclarationError(
                f"{module.__name__}: {name} is an alias of {existing}, which is no node type"
            )
        _claim(tables, name, tables.nodes[existing].renamed(name, display_name), origin)


def _claim(tables: _Tables, name: str, kind: NodeType, origin: Origin | None) -> None:
    taken = tables.nodes.get(name)
    if taken is not None and taken.function is not kind.function:
        raise NameClash(
            f"two nodes are named {name}: {taken.identity}{tables.owner(NODES, name)}, and "
            f"{kind.identity}{_owner(origin)}; rename one"
        )
    if taken is None:
        tables.own(NODES, name, origin)
    tables.nodes[name] = kind
    tables.offered[name] = kind


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
