"""Where in a JSON text something stands, to point at it as compilers do.

24 |     "scheduler": "karas",
   |                  ^^^^^^^
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

WIDTH = 100  # characters of a line that are shown
BEFORE = 40  # of them, before what is pointed at


@dataclass(frozen=True)
class Span:
    """Some characters of a text: from `start`, before `end`."""

    start: int
    end: int


@dataclass(frozen=True)
class Member:
    """One member of a JSON object: where its key and its value stand."""

    key: Span
    value: Span


class Positions:
    """The nodes of a graph document and their inputs, found in its text.

    A text that is no such document has none of them.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._nodes: Mapping[str, Member] = {}
        try:
            nodes = _members(text, _skip(text, 0))
            if "prompt" in nodes:  # a request, with the document inside
                nodes = _members(text, nodes["prompt"].value.start) or nodes
            self._nodes = nodes
        except (ValueError, IndexError, RecursionError):
            return

    def find(self, node: str, input: str | None = None, *, key: str = "") -> Span | None:
        """Where an input's value stands, or a member `key` of the node, or the node's id.

        The nearest of them that is there; None if the node is not.
        """
        if node not in self._nodes:
            return None
        member = self._nodes[node]
        inside = _members(self.text, member.value.start)
        if key in inside:
            return inside[key].value
        inputs = inside.get("inputs")
        if input is not None and inputs is not None:
            given = _members(self.text, inputs.value.start)
            return given[input].value if input in given else inputs.key
        return member.key


def snippet(text: str, span: Span) -> tuple[int, int, list[str]]:
    """(line, column, both from 1, and lines to show) for a place in a text."""
    line = text.count("\n", 0, span.start)
    begin = text.rfind("\n", 0, span.start) + 1
    end = text.find("\n", begin)
    whole = text[begin : len(text) if end < 0 else end].rstrip("\r")
    column = span.start - begin
    cut = max(0, column - BEFORE) if len(whole) > WIDTH else 0
    shown = "".join(c if c.isprintable() else " " for c in whole[cut : cut + WIDTH])
    at = column - cut
    marks = max(1, min(span.end - span.start, len(shown) - at))
    number = str(line + 1)
    gutter = " " * len(number)
    lines = [f"{gutter} |", f"{number} | {shown}", f"{gutter} | {' ' * at}{'^' * marks}"]
    return line + 1, column + 1, lines


def _members(text: str, start: int) -> dict[str, Member]:
    """The members of the object that opens at `start`; none if no object does."""
    decoder = json.JSONDecoder()
    found: dict[str, Member] = {}
    if text[start] != "{":
        return found
    at = _skip(text, start + 1)
    while text[at] != "}":
        name, end = decoder.raw_decode(text, at)
        key = Span(at, end)
        at = _skip(text, _skip(text, end) + 1)  # over the colon
        _, end = decoder.raw_decode(text, at)
        found[str(name)] = Member(key, Span(at, end))
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return found


def _skip(text: str, at: int) -> int:
    while text[at] in " \t\r\n":
        at += 1
    return at
