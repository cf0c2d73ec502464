"""The editor's file, read: JSON in, bodies of nodes and links out.

A body is the top level of the file or the definition of a subgraph. Links are kept by id; a node's
input names the link that feeds it. In a definition, links from the entrance carry what its
instances receive, and links to the exit what they give. Ids become text; what only concerns the
picture on the screen (positions, sizes, colours, groups, reroutes drawn on links) is not read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from nodegraph.errors import DocumentError
from nodegraph.types import ANYTHING

from .parts import ENTRANCE, EXIT, Body, Input, Link, Node, Output, Values, Workflow

MAX_ID = 200  # characters


def is_workflow(data: Any) -> bool:
    """Whether `data` is in the editor's format."""
    return isinstance(data, Mapping) and isinstance(data.get("nodes"), list)


def read_workflow(data: Any, title: str) -> Workflow:
    """A parsed file in the editor's format. Raises DocumentError, saying where; `title` is what
    the message calls the file."""
    if not is_workflow(data):
        raise DocumentError(f'{title} is not in the editor\'s format: it has no list "nodes"')
    extra = data.get("extra")
    groups = extra.get("groupNodes") if isinstance(extra, Mapping) else None
    return Workflow(
        _body(data, title),
        _definitions(data, title),
        groups if isinstance(groups, Mapping) else {},
    )


def _definitions(data: Mapping[str, Any], title: str) -> dict[str, Body]:
    found: dict[str, Body] = {}
    todo: list[tuple[Any, str]] = [(data, title)]
    while todo:
        holder, where = todo.pop()
        section = holder.get("definitions")
        if not isinstance(section, Mapping):
            continue
        where = f"{where}, definitions.subgraphs"
        for index, entry in enumerate(_list(section.get("subgraphs"), where)):
            place = f"{where}[{index}]"
            found.setdefault(
                read_id(_object(entry, place).get("id"), f"{place}.id"), _body(entry, place)
            )
            todo.append((entry, place))
    return found


def _body(data: Mapping[str, Any], where: str) -> Body:
    nodes: dict[str, Node] = {}
    for index, entry in enumerate(_list(data.get("nodes"), f"{where}, nodes")):
        node = read_node(entry, f"{where}, nodes[{index}]")
        if node.id in nodes:
            raise DocumentError(f"{where}, nodes[{index}]: another node has the id {node.id}, too")
        nodes[node.id] = node
    links: dict[str, Link] = {}
    for index, entry in enumerate(_list(data.get("links"), f"{where}, links")):
        if entry is not None:  # what the editor leaves of a removed link
            id, link = _link(entry, f"{where}, links[{index}]")
            if links.setdefault(id, link) != link:
                raise DocumentError(f"{where}, links[{index}]: another link has the id {id}, too")
    return Body(
        nodes,
        links,
        _slot_names(data.get("inputs"), f"{where}, inputs"),
        _slot_names(data.get("outputs"), f"{where}, outputs"),
        name=_text(data.get("name")),
        entrance=_boundary(data.get("inputNode"), ENTRANCE, f"{where}, inputNode"),
        exit=_boundary(data.get("outputNode"), EXIT, f"{where}, outputNode"),
    )


def read_node(entry: Any, where: str, id: str | None = None) -> Node:
    """One node; `id`, if given, replaces the entry's own. Raises DocumentError."""
    data = _object(entry, where)
    type = data.get("type")
    if not isinstance(type, str) or not type:
        _fail(f"{where}.type", "the name of a node type", type)
    mode, properties = data.get("mode"), data.get("properties")
    proxies = properties.get("proxyWidgets") if isinstance(properties, Mapping) else None
    return Node(
        read_id(data.get("id"), f"{where}.id") if id is None else id,
        type,
        mode if isinstance(mode, int) else 0,
        _text(data.get("title")),
        tuple(
            _input(item, f"{where}.inputs[{index}]")
            for index, item in enumerate(_list(data.get("inputs"), f"{where}.inputs"))
        ),
        tuple(
            _output(item, f"{where}.outputs[{index}]")
            for index, item in enumerate(_list(data.get("outputs"), f"{where}.outputs"))
        ),
        _values(data.get("widgets_values"), f"{where}.widgets_values"),
        _promoted(proxies),
    )


def _input(entry: Any, where: str) -> Input:
    data = _object(entry, where)
    name, link, widget = data.get("name"), data.get("link"), data.get("widget")
    if not isinstance(name, str):
        _fail(f"{where}.name", "text", name)
    shown = widget.get("name", name) if isinstance(widget, Mapping) else None
    return Input(
        name,
        _type(data.get("type")),
        None if link is None else read_id(link, f"{where}.link"),
        shown if isinstance(shown, str) else None,
    )


def _output(entry: Any, where: str) -> Output:
    data = _object(entry, where)
    return Output(_text(data.get("name")), _type(data.get("type")))


def _link(entry: Any, where: str) -> tuple[str, Link]:
    if isinstance(entry, list):
        if len(entry) < 5:
            _fail(where, "[id, source, source slot, target, target slot, type]", entry)
        id, source, slot, target, target_slot = entry[:5]
    else:
        data = _object(entry, where)
        keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot")
        id, source, slot, target, target_slot = (data.get(key) for key in keys)
    link = Link(
        read_id(source, f"{where}, its source"),
        read_slot(slot, f"{where}, its source slot"),
        read_id(target, f"{where}, its target"),
        read_slot(target_slot, f"{where}, its target slot"),
    )
    return read_id(id, f"{where}, its id"), link


def _values(value: Any, where: str) -> Values:
    if value is None:
        return []
    if not isinstance(value, (list, Mapping)):
        _fail(where, "a list or an object", value)
    return value


def _promoted(value: Any) -> tuple[tuple[str, str], ...]:
    # Some versions of the editor stored the list as text. What is no pair is of no use to anyone.
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return ()
    if not isinstance(value, list):
        return ()
    pairs = (item[:2] for item in value if isinstance(item, list) and len(item) >= 2)
    return tuple(
        (str(id), name)
        for id, name in pairs
        if isinstance(id, (str, int)) and isinstance(name, str)
    )


def _slot_names(value: Any, where: str) -> tuple[str, ...]:
    entries = enumerate(_list(value, where))
    return tuple(_text(_object(entry, f"{where}[{i}]").get("name")) for i, entry in entries)


def _boundary(value: Any, default: str, where: str) -> str:
    given = value.get("id") if isinstance(value, Mapping) else None
    return default if given is None else read_id(given, f"{where}.id")


def _type(value: Any) -> str:
    if isinstance(value, list):
        return "COMBO"
    return value if isinstance(value, str) and value else ANYTHING


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _is_id(value: Any) -> bool:
    return isinstance(value, (str, int)) and not isinstance(value, bool)


def read_id(value: Any, where: str) -> str:
    """An id as text. Raises DocumentError."""
    if not _is_id(value):
        _fail(where, "a number or text", value)
    try:
        text = str(value)
    except ValueError:  # an integer of thousands of digits
        text = ""
    if not 0 < len(text) <= MAX_ID:
        raise DocumentError(f"{where}: an id has 1 to {MAX_ID} characters")
    return text


def read_slot(value: Any, where: str) -> int:
    """The index of a slot. Raises DocumentError."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 6:
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        _fail(where, "the index of a slot", value)
    return value


def _list(value: Any, where: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        _fail(where, "a list", value)
    return value


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        _fail(where, "an object", value)
    return value


def _fail(where: str, expected: str, value: Any) -> NoReturn:
    names = {dict: "an object", list: "a list", str: "text", bool: "a boolean"}
    if value is None:
        raise DocumentError(f"{where} is missing; give {expected}")
    got = names.get(type(value), "a number")
    raise DocumentError(f"{where}: expected {expected}, not {got}")
