"""Options that commands share, and how their values are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

import click

MAX_RUNS = 10_000
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
NEW_FOLDER = click.Path(file_okay=False, path_type=Path)

F = TypeVar("F", bound=Callable[..., Any])

SETTINGS = (
    click.option(
        "--models",
        type=FOLDER,
        multiple=True,
        metavar="DIR",
        help="Models folder, laid out as ComfyUI's; may be repeated, the first wins.",
    ),
    click.option("--input", type=FOLDER, metavar="DIR", help="Folder of input pictures."),
    click.option(
        "--output", "--out", type=NEW_FOLDER, metavar="DIR", help="Folder results are written to."
    ),
    click.option(
        "--cache", type=NEW_FOLDER, metavar="DIR", help="Folder of cached results and hashes."
    ),
    click.option(
        "--plugins", type=FOLDER, multiple=True, metavar="DIR", help="Plugins folder; repeatable."
    ),
    click.option(
        "--precision",
        type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
        help="What models compute in.",
    ),
    click.option("--device", metavar="NAME", help="auto, cpu, cuda or cuda:N."),
    click.option("--strict", is_flag=True, default=None, help="Treat warnings as faults."),
    click.option("--debug", is_flag=True, default=None, help="Show tracebacks."),
    click.option(
        "--config", type=Path, metavar="FILE", help="Settings file; by default nodegraph.yaml."
    ),
)
GRAPH = (
    click.argument("graph", type=Path),
    click.option(
        "--set",
        "assignments",
        multiple=True,
        metavar="NODE.INPUT=VALUE",
        help="Change an input. NODE is an id, a title, or a type that only one node has.",
    ),
    click.option(
        "--targets",
        multiple=True,
        metavar="NODE[,NODE]",
        help="Only these nodes and what they need; by default all that save or show something.",
    ),
)


def with_options(*groups: Iterable[Callable[[F], F]]) -> Callable[[F], F]:
    """A decorator that gives a command the options of `groups`, in their order."""

    def decorate(command: F) -> F:
        for option in reversed([option for group in groups for option in group]):
            command = option(command)
        return command

    return decorate


@dataclass(frozen=True)
class Assignment:
    """One input, by "node.input", and the texts typed for it; `option` is how it was written."""

    name: str
    texts: tuple[str, ...]
    option: str


@dataclass(frozen=True)
class Cell:
    """One combination of a grid: what was typed for each of its inputs, by "node.input"."""

    values: dict[str, Any]

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self.values.items())
