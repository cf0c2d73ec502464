"""Options that commands share, and how their values are read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from math import prod
from pathlib import Path
from typing import Any, TypeVar

import click

from nodegraph.changes import Typed

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
        "--enable-plugin", multiple=True, metavar="NAME", help="Load it though it is disabled."
    ),
    click.option("--disable-plugin", multiple=True, metavar="NAME", help="Leave it out."),
    click.option(
        "--permit-plugin",
        multiple=True,
        metavar="NAME.CAPABILITY",
        help="Permit what it declares to do: network, files or subprocesses.",
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
        "values",
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


def read_values(texts: Iterable[str]) -> dict[str, Typed]:
    """`("3.seed=7",)` -> {"3.seed": Typed("7")}. Raises click.UsageError."""
    return dict(_assigned("--set", text, "3.seed=7") for text in texts)


def read_axes(texts: Iterable[str]) -> dict[str, tuple[Any, ...]]:
    """`("3.seed=1,2",)` -> the values of each input: a JSON list's, or what commas separate.

    Raises click.UsageError.
    """
    found: dict[str, tuple[Any, ...]] = {}
    for text in texts:
        name, typed = _assigned("--grid", text, "3.seed=1,2,3")
        if name in found:
            raise wrong(f"--grid {name} is given twice; give all its values at once")
        found[name] = _values(typed.text)
        if not found[name]:
            raise wrong(f"--grid {text}: there are no values; give some, as in 3.seed=1,2,3")
    count = prod(map(len, found.values()))
    if count > MAX_RUNS:
        raise wrong(f"--grid: {count:,} combinations; the limit is {MAX_RUNS:,}")
    return found


def wrong(message: str) -> click.UsageError:
    """An error about how the command was called."""
    return click.UsageError(message, click.get_current_context(silent=True))


def _assigned(option: str, text: str, example: str) -> tuple[str, Typed]:
    name, equals, value = text.partition("=")
    name = name.strip()
    node, dot, input = name.rpartition(".")
    if not (equals and dot and node and input):
        raise wrong(f"{option} {text}: expected NODE.INPUT=VALUE, as in {option} {example}")
    return name, Typed(value)


def _values(text: str) -> tuple[Any, ...]:
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        whole = None
    if isinstance(whole, list):
        return tuple(whole)
    return tuple(Typed(part.strip()) for part in text.split(",")) if text.strip() else ()


def read_targets(texts: Iterable[str]) -> list[str] | None:
    """`("6,7", "9")` -> ["6", "7", "9"]; None where the option was not given at all."""
    given = list(texts)
    names = [name for text in given for part in text.split(",") if (name := part.strip())]
    if given and not names:
        raise wrong("--targets names no node; leave it out to run all that save or show something")
    return names or None
