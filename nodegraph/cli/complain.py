"""Errors as a good compiler prints them: what, where in the file, and what to do.

    error[value_not_in_list]: scheduler: 'karas' is not among ...; did you mean 'karras'?
      --> graph.json:24:20: node 5 (KSampler), input scheduler
       |
    24 |       "scheduler": "karas",
       |                    ^^^^^^^

What the command line says is named instead, and so is a picture or an editor's file:

      --> --set 5.scheduler=karas: node 5 (KSampler), input scheduler

And the exit codes, by kind of failure.
"""

from __future__ import annotations

import json
import traceback
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum

from rich.text import Text

from nodegraph.errors import (
    Cancelled,
    DeclarationError,
    DocumentError,
    Fault,
    FileMissing,
    InvalidGraph,
    NodeGraphError,
    PluginError,
    SettingsError,
)

from .pointing import Positions, Span, snippet

COLOURS = {"error": "bold red", "warning": "bold yellow"}


class Exit(IntEnum):
    """Exit codes, by kind of failure."""

    OK = 0
    INTERNAL = 1  # a defect of nodegraph
    USAGE = 2  # wrong options
    GRAPH = 3  # the document is no graph, or has faults
    NODE = 4  # a node failed; the others ran
    SETTINGS = 5  # a setting or plugin is wrong, a file or package is missing
    DIFFERENT = 6  # --verify: the pixels are not the same
    CANCELLED = 130  # Ctrl-C


def exit_code(error: BaseException) -> Exit:
    """The exit code for an error."""
    match error:
        case Cancelled():
            return Exit.CANCELLED
        case InvalidGraph() | DocumentError():
            return Exit.GRAPH
        case SettingsError() | PluginError() | FileMissing() | MissingPackage():
            return Exit.SETTINGS
        case DeclarationError():  # of a core node: a plugin's is a PluginError
            return Exit.INTERNAL
        case NodeGraphError():  # RunFailed among them
            return Exit.NODE
        case _:
            return Exit.INTERNAL


class MissingPackage(NodeGraphError):
    """A Python package that nodegraph needs is not installed."""


def _nothing(_: Fault) -> Iterable[str]:
    return ()


@dataclass(frozen=True)
class Complaints:
    """Turns faults into text.

    name:  of the document. text: the file's, if it is JSON in API format.
    notes: what else is to be said about a fault. A fault with an `option` in its extra is that
    option's, not the file's.
    """

    name: str
    text: str = ""
    notes: Callable[[Fault], Iterable[str]] = _nothing

    def all(self, faults: Iterable[Fault], level: str = "error") -> Iterable[Text]:
        """A text for each fault, an empty line at its end."""
        positions = Positions(self.text)
        for fault in faults:
            yield self.one(fault, positions, level)

    def one(self, fault: Fault, positions: Positions, level: str = "error") -> Text:
        """One fault, as some lines."""
        place, shown = self._place(fault, positions)
        where = ": ".join(part for part in (place, _where(fault)) if part)
        lines = [f"  --> {where}", *shown] if where else []
        lines += [f"   = {note}" for note in self.notes(fault)]
        body = "\n".join(["", *lines, ""])
        return headline(f"{level}[{fault.type}]", fault.details, level).append(printable(body))

    def _place(self, fault: Fault, positions: Positions) -> tuple[str, list[str]]:
        if "option" in fault.extra:
            return str(fault.extra["option"]), []
        key = "class_type" if fault.type == "missing_node_type" else ""
        span = None if fault.node is None else positions.find(fault.node, fault.input, key=key)
        if span is None:
            return self.name, []
        line, column, shown = snippet(self.text, span)
        return f"{self.name}:{line}:{column}", shown


def headline(label: str, message: str, level: str = "error") -> Text:
    """`error: message`, the label in the level's colour."""
    text = Text().append(printable(label), COLOURS[level])
    return text.append(f": {printable(message)}")


def describe(error: BaseException) -> Text:
    """An error that is no list of faults: its message, and the notes that came with it."""
    text = headline("error", str(error))
    broken = error.__cause__
    if isinstance(broken, json.JSONDecodeError):
        _, _, shown = snippet(broken.doc, Span(broken.pos, broken.pos + 1))
        text.append("\n" + "\n".join(shown))
    for note in notes_of(error):
        text.append(f"\n   = {printable(note)}")
    return text


def notes_of(error: BaseException | None) -> list[str]:
    """Notes added to an error and to what caused it."""
    found: list[str] = []
    while error is not None:
        found += getattr(error, "__notes__", ())
        error = error.__cause__
    return [" ".join(note.split()) for note in found]


def traceback_of(error: BaseException) -> str:
    """The traceback, causes included."""
    return "".join(traceback.format_exception(error)).rstrip()


def printable(text: str) -> str:
    """The text without characters that would steer the terminal: a graph may be a stranger's."""
    return "".join(
        f"\\x{ord(c):02x}" if unicodedata.category(c) == "Cc" and c not in "\n\t" else c
        for c in text
    )


def _where(fault: Fault) -> str:
    if fault.node is None:
        return ""
    kind = f" ({fault.class_type})" if fault.class_type else ""
    return f"node {fault.node}{kind}" + (f", input {fault.input}" if fault.input else "")
