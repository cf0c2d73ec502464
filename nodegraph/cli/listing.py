"""The node types on the terminal."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from ..catalogue import node_info, object_info
from ..errors import NodeGraphError
from ..node import REQUIRED, NodeType, Number, Port, Seed
from ..registry import Registry

SHOWN_OPTIONS = 12


def list_nodes(registry: Registry, console: Console, as_json: bool) -> None:
    """All node types, by category."""
    if as_json:
        click.echo(json.dumps(object_info(registry), indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for name in ("category", "node", "what it does"):
        table.add_column(name)
    for kind in sorted(registry.nodes.values(), key=lambda kind: (kind.category, kind.name)):
        table.add_row(kind.category, kind.name, kind.description.partition("\n")[0])
    console.print(table)


def show_node(registry: Registry, name: str, console: Console, as_json: bool) -> None:
    """One node type in full. Raises NodeGraphError for a name nobody registered."""
    kind = registry.nodes.get(name)
    if kind is None:
        near = registry.nearest(name)
        hint = f"; did you mean {near}?" if near else ""
        raise NodeGraphError(f"no node type is named {name!r}{hint}")
    if as_json:
        click.echo(json.dumps({name: node_info(registry, kind)}, indent=2))
        return
    console.print(f"[bold]{kind.name}[/] ({kind.category}), version {kind.version}, {kind.module}")
    console.print(kind.description, markup=False)
    _ports(console, "inputs", kind, registry)
    _ports(console, "outputs", kind, registry)


def _ports(console: Console, title: str, kind: NodeType, registry: Registry) -> None:
    ports: tuple[Port, ...] = getattr(kind, title)
    if not ports:
        return
    table = Table(box=None, pad_edge=False)
    for name in (title, "type", "default", "takes", ""):
        table.add_column(name)
    for port in ports:
        type = f"list of {port.type}" if port.is_list else port.type
        table.add_row(port.name, type, _default(port), _takes(port, registry), port.tooltip)
    console.print(table)


def _default(port: Port) -> str:
    if port.default is REQUIRED or port.default is None:
        return "optional" if port.optional else ""
    return json.dumps(port.default)


def _takes(port: Port, registry: Registry) -> str:
    options = registry.options(port)
    if options is not None:
        shown = ", ".join(options[:SHOWN_OPTIONS])
        more = len(options) - SHOWN_OPTIONS
        return f"{shown} ... and {more} more" if more > 0 else shown
    if isinstance(port.widget, (Number, Seed)):
        return f"{_bound(port.widget.min)} to {_bound(port.widget.max)}"
    return ""


def _bound(value: Any) -> str:
    return "any" if value is None else str(value)
