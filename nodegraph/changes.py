"""Changes to a document's inputs, by name: {"3.seed": 7, "Prompt.text": "cat face"}.

name   NODE.INPUT, where NODE is a node's id, its title, or its type if only one node has it
value  what the input gets: a JSON value (a list is a value, never a link), or what somebody
       typed, which is read as the input's type asks for
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import Fault, NodeGraphError
from .node import NodeType, Port
from .registry import Registry

TEXT = frozenset({"STRING", "COMBO"})
SHOWN_NODES = 12


@dataclass(frozen=True)
class Typed:
    """A value as somebody typed it: `7` is a number for a seed, and text for a prompt."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Changed:
    """A document with inputs changed.

    places: for each changed (node, input), the name it was given by.
    faults: names that fit nothing in the document.
    """

    document: Mapping[str, Any]
    places: Mapping[tuple[str, str], str]
    faults: tuple[Fault, ...]


class NoSuchNode(NodeGraphError):
    """A name fits no node, or several."""


def change(document: Mapping[str, Any], values: Mapping[str, Any], registry: Registry) -> Changed:
    """The document with `values` in place; it is itself left as it is."""
    changed = dict(document)
    places: dict[tuple[str, str], str] = {}
    faults: list[Fault] = []
    for name, value in values.items():
        node, _, input = name.rpartition(".")
        try:
            if not node or not input:
                raise NoSuchNode(f"{name!r} does not name an input; write NODE.INPUT, as in 3.seed")
            id = find_node(document, node)
        except NoSuchNode as error:
            extra = {"set_as": name}
            faults.append(Fault("missing_node", "Node does not exist", str(error), extra=extra))
            continue
        places[id, input] = name
        kind = registry.nodes.get(_class_type(document[id]) or "")
        if kind is not None and input not in kind.by_name:
            faults.append(_unknown_input(id, kind, input, name))
            continue
        port = None if kind is None else kind.by_name[input]
        changed[id] = _with_input(changed[id], input, _literal(value, port))
    return Changed(changed, places, tuple(faults))


def find_node(document: Mapping[str, Any], name: str) -> str:
    """The id of the node with this id, title or type. Raises NoSuchNode, with the nearest name."""
    if name in document:
        return name
    for called in (_title, _class_type):
        found = [id for id, entry in document.items() if called(entry) == name]
        if len(found) == 1:
            return found[0]
        if found:
            raise NoSuchNode(f"{name!r} may be any of nodes {', '.join(found)}; write the id")
    raise NoSuchNode(f"the graph has no node {name!r}; {_nearest_node(document, name)}")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` was probably meant to be, whatever its case."""
    by_lower = {each.lower(): each for each in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[close[0]] if close else None


def _nearest_node(document: Mapping[str, Any], name: str) -> str:
    called: tuple[Callable[[Any], str | None], ...] = (_title, _class_type)
    names = [each for entry in document.values() for by in called if (each := by(entry))]
    close = nearest(name, [*document, *names])
    if close is not None:
        return f"did you mean {close!r}?"
    ids = list(document)
    listed = [f"{id} ({_title(document[id]) or _class_type(document[id])})" for id in ids]
    more = f" and {len(ids) - SHOWN_NODES} more" if len(ids) > SHOWN_NODES else ""
    return f"it has {', '.join(listed[:SHOWN_NODES])}{more}"


def _unknown_input(id: str, kind: NodeType, input: str, name: str) -> Fault:
    close = nearest(input, kind.by_name)
    hint = f"did you mean {close!r}?" if close else f"it has {', '.join(kind.by_name) or 'none'}"
    details = f"{kind.name} has no input named {input!r}; {hint}"
    extra = {"set_as": name}
    return Fault("unknown_input", "Unknown input", details, id, input, kind.name, extra)


def _literal(value: Any, port: Port | None) -> Any:
    if isinstance(value, Typed):
        value = _read(value.text, port)
    return {"__value__": value} if isinstance(value, (list, tuple)) else value


def _read(text: str, port: Port | None) -> Any:
    """What was typed, as `port` takes it: texts as they stand, all else as JSON if it is JSON."""
    is_text = port is not None and TEXT.issuperset(port.type.split(","))
    if is_text and port is not None and not port.is_list:
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text if is_text and not isinstance(value, list) else value


def _with_input(entry: Any, input: str, value: Any) -> Any:
    inputs = entry.get("inputs", {}) if isinstance(entry, Mapping) else None
    if not isinstance(inputs, Mapping):
        return entry  # which is a fault of its own
    return {**entry, "inputs": {**inputs, input: value}}


def _title(entry: Any) -> str | None:
    meta = entry.get("_meta") if isinstance(entry, Mapping) else None
    title = meta.get("title") if isinstance(meta, Mapping) else None
    return title if isinstance(title, str) else None


def _class_type(entry: Any) -> str | None:
    name = entry.get("class_type") if isinstance(entry, Mapping) else None
    return name if isinstance(name, str) else None
