"""Ports: what a node's inputs and outputs are called, what they take, and how they are edited.

The classes with which a signature says more than a type does: a widget (`Number`, `Seed`, `Text`,
`ChoiceOf`, `FileOf`), a tooltip (`Tip`) and the marks LAZY, OPTIONAL and SOCKET.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

MAX_SEED = 2**64 - 1


class _Required:
    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED: Any = _Required()


@dataclass(frozen=True)
class Number:
    """The range a numeric input accepts (inclusive), and how its widget moves and rounds.

    round: to multiples of this; None leaves it to the canvas, False asks it not to round at all.
    """

    min: float | None = None
    max: float | None = None
    step: float | None = None
    round: float | Literal[False] | None = None


@dataclass(frozen=True)
class Seed:
    """An INT from 0 to 2^64 - 1 that the canvas may change after every run."""

    min: int = 0
    max: int = MAX_SEED


@dataclass(frozen=True)
class FilesIn:
    """Files that a text names: of which kind, and what finds their names in the text.

    Their content is part of the step's key; one that is not there is no fault of the graph.
    """

    kind: str
    names: Callable[[str], Sequence[str]]


@dataclass(frozen=True)
class Text:
    """How a STRING is edited, and the files it may name."""

    multiline: bool = False
    dynamic_prompts: bool = False
    placeholder: str = ""
    files: FilesIn | None = None


@dataclass(frozen=True)
class ChoiceOf:
    """One of the names registered at an extension point."""

    point: str


@dataclass(frozen=True)
class FileOf:
    """The name of a file in one of the folders; its content is part of the step's key.

    extra:  names that mean something other than a file ("pixel_space").
    upload: the canvas offers to upload one.
    beside: names of files that are read along with it where they are in its folder ("config.json");
            their content counts as well.
    """

    kind: str
    extra: tuple[str, ...] = ()
    upload: bool = False
    beside: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tip:
    """The port's tooltip."""

    text: str


@dataclass(frozen=True)
class Mark:
    """A property of a port: see LAZY, OPTIONAL, SOCKET."""

    name: str


LAZY = Mark("lazy")  # computed only if the node's `needs` hook asks for it
OPTIONAL = Mark("optional")  # has a default and stands among the optional ports
SOCKET = Mark("socket")  # takes a link only, though a literal could be typed in

Widget = Number | Seed | Text | ChoiceOf | FileOf | tuple[str, ...]


@dataclass(frozen=True)
class Port:
    """An input or output. `type` is the wire name; a tuple as `widget` is a static choice."""

    name: str
    type: str
    default: Any = REQUIRED
    widget: Widget | None = None
    tooltip: str = ""
    optional: bool = False
    lazy: bool = False
    socket: bool = False
    is_list: bool = False

    @property
    def names_files(self) -> bool:
        """Whether its value says which files the node reads."""
        widget = self.widget
        return isinstance(widget, FileOf) or (isinstance(widget, Text) and widget.files is not None)

    @property
    def required(self) -> bool:
        """Whether a document has to give a value."""
        return self.default is REQUIRED
