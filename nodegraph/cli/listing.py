"""The node types on the terminal."""

from __future__ import annotations

import json
from typing import Any

from rich.table import Table
from rich.text import Text

from nodegraph.catalogue import node_info, object_info
from nodegraph.node import REQUIRED, Number, Port, Seed
from nodegraph.registry import Registry

from .options import wrong
from .session import Session

SHOWN_OPTIONS = 12


def list_nodes(registry: Registry, session: Session) -> None:
    """All node types, by category."""
    if session.json:
        session.answer(object_info(registry))
        return
    shown = table("category", "node", "what it does")
    for kind in sorted(registry.nodes.values(), key=lambda kind: (kind.category, kind.name)):
        row(shown, kind.category, kind.name, kind.description.partition("\n")[0])
    session.out.print(shown)


def show_node(registry: Registry, name: str, session: Session) -> None:
    """One node type in full. Raises click.UsageError for a name nobody registered."""
    kind = registry.nodes.get(name)
    if kind is None:
        near = registry.nearest(name)
        hint = f"did you mean {near}?" if near else "`nodes` lists all"
        raise wrong(f"no node type is named {name!r}; {hint}")
    if session.json:
        session.answer({name: node_info(registry, kind)})
        return
    facts = f" ({kind.category}), version {kind.version}, from {kind.module}"
    session.out.print(Text().append(kind.name, "bold").append(facts), soft_wrap=True)
    if kind.description:
        session.out.print(kind.description, markup=False)
    _ports(session, "inputs", kind.inputs, registry)
    _ports(session, "outputs", kind.outputs, registry)


def _ports(session: Session, title: str, ports: tuple[Port, ...], registry: Registry) -> None:
    if not ports:
        return
    columns = ("type", "default", "takes", "") if title == "inputs" else ("type", "")
    shown = table(title, *columns)
    for port in ports:
        type = f"list of {port.type}" if port.is_list else port.type
        facts = (_default(port), _takes(port, registry)) if title == "inputs" else ()
        row(shown, port.name, type, *facts, port.tooltip)
    session.out.print()
    session.out.print(shown)


def table(*columns: str) -> Table:
    """An empty table with these columns."""
    made = Table(box=None, pad_edge=False)
    for name in columns:
        made.add_column(name, overflow="fold")
    return made


def row(shown: Table, *cells: str) -> None:
    """One row more, its texts as they are: brackets would be markup."""
    shown.add_row(*map(Text, cells))


def _default(port: Port) -> str:
    if port.default is REQUIRED or port.default is None:
        return "" if port.required else "optional"
    return json.dumps(port.default, default=str)


def _takes(port: Port, registry: Registry) -> str:
    options = registry.options(port)
    if options is not None:
        shown = ", ".join(options[:SHOWN_OPTIONS])
        more = len(options) - SHOWN_OPTIONS
        return f"{shown} ... and {more} more" if more > 0 else shown
    if isinstance(port.widget, (Number, Seed)):
        return f"{_bound(port.widget.min)} to {_bound(port.widget.max)}"
    return "a link" if port.socket else ""


def _bound(value: Any) -> str:
    return "any" if value is None else str(value)
