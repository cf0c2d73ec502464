"""Errors as a good compiler prints them: what, where in the file, and what to do.

    error[value_not_in_list]: scheduler: 'karas' is not among ...; did you mean 'karras'?
      --> graph.json:12: node 3 (KSampler), input scheduler
       |  "scheduler": "karas",
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from ..errors import (
    Cancelled,
    DocumentError,
    Fault,
    FileMissing,
    InvalidGraph,
    NodeGraphError,
    PluginError,
    RunFailed,
    SettingsError,
)


class Exit(IntEnum):
    """Exit codes, by kind of failure."""

    OK = 0
    INTERNAL = 1  # a defect of nodegraph
    USAGE = 2  # wrong options
    GRAPH = 3  # the document is no graph, or has faults
    NODE = 4  # a node failed; the others ran
    SETTINGS = 5  # a setting or plugin is wrong, a file is missing
    DIFFERENT = 6  # --verify: the pixels are not the same
    CANCELLED = 130  # Ctrl-C


def exit_code(error: BaseException) -> Exit:
    """The exit code for an error."""
    match error:
        case Cancelled():
            return Exit.CANCELLED
        case InvalidGraph() | DocumentError():
            return Exit.GRAPH
        case SettingsError() | PluginError() | FileMissing():
            return Exit.SETTINGS
        case RunFailed():
            return Exit.NODE
        case NodeGraphError():
            return Exit.NODE
        case _:
            return Exit.INTERNAL


@dataclass(frozen=True)
class Position:
    """A line of a file, from 1, and its text."""

    line: int
    text: str


def describe(fault: Fault, source: Path | None, text: str = "", level: str = "error") -> str:
    """A fault as a few lines. `text` is the file's, where it is JSON."""
    lines = [f"{level}[{fault.type}]: {fault.details}"]
    where = _where(fault)
    position = locate(text, fault.node, fault.input) if fault.node is not None else None
    name = "" if source is None else str(source)
    if position is not None:
        lines.append(f"  --> {name}:{position.line}: {where}")
        lines.append(f"   |  {position.text}")
    elif name or where:
        lines.append(f"  --> {': '.join(part for part in (name, where) if part)}")
    return "\n".join(lines)


def describe_all(
    faults: Iterable[Fault], source: Path | None, text: str = "", level: str = "error"
) -> str:
    """Several faults, with an empty line between them."""
    return "\n\n".join(describe(fault, source, text, level) for fault in faults)


def locate(text: str, node: str, input: str | None) -> Position | None:
    """Where in a JSON document a node's input stands, or the node itself. None if nowhere."""
    try:
        nodes = _members(text, _skip(text, 0))
        if node not in nodes:
            return None
        start = nodes[node]
        if input is not None:
            inputs = _members(text, start).get("inputs")
            found = None if inputs is None else _members(text, inputs).get(input)
            start = start if found is None else found
    except (ValueError, IndexError, RecursionError):
        return None
    line = text.count("\n", 0, start)
    return Position(line + 1, text.splitlines()[line].strip()[:160])


def _members(text: str, start: int) -> Mapping[str, int]:
    """Where the values of an object that opens at `start` begin, by key."""
    decoder = json.JSONDecoder()
    found: dict[str, int] = {}
    if text[start] != "{":
        return found
    at = _skip(text, start + 1)
    while text[at] != "}":
        key, at = decoder.raw_decode(text, at)
        at = _skip(text, _skip(text, at) + 1)  # over the colon
        found[key] = at
        _, at = decoder.raw_decode(text, at)
        at = _skip(text, at)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return found


def _skip(text: str, at: int) -> int:
    while text[at] in " \t\r\n":
        at += 1
    return at


def _where(fault: Fault) -> str:
    if fault.node is None:
        return ""
    kind = f" ({fault.class_type})" if fault.class_type else ""
    return f"node {fault.node}{kind}" + (f", input {fault.input}" if fault.input else "")
