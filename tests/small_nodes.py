"""Nodes that compute on numbers and texts: an engine's work without torch."""

import time
from typing import Annotated, Literal

from nodegraph import Builder, Context, Expansion, FileOf, Number, SavedFile, Shown, node


@node("Count", category="small")
def count(
    value: Annotated[int, Number(min=0, max=100)] = 1,
    word: str = "",
    ratio: float = 0.5,
    flag: bool = False,
    mode: Literal["up", "down"] = "up",
) -> int:
    """A number."""
    return value


@node("Join", category="small")
def join(words: list[str]) -> str:
    """Words, with spaces between them."""
    return " ".join(words)


@node("Add", category="small")
def add(left: int, right: int = 0) -> int:
    """The sum [of two]."""
    return left + right


@node("Read", category="small")
def read(name: Annotated[str, FileOf("checkpoints")], *, context: Context) -> str:
    """What a file says."""
    return context.need_folders().resolve("checkpoints", name).read_text()


@node("Fail", category="small")
def fail(value: int) -> int:
    """Always fails."""
    error = ValueError(f"{value} is too much")
    error.add_note("try\n  less")
    raise error


@node("Warn", category="small")
def warn(value: int, *, context: Context) -> int:
    """Warns, then goes on."""
    context.warn(f"{value} is doubtful")
    return value


@node("Slow", category="small")
def slow(steps: int = 1000, *, context: Context) -> int:
    """Many short steps, each of which notices a cancel."""
    for step in range(steps):
        context.progress(step + 1, steps)
        time.sleep(0.01)
    return steps


@node("Stubborn", category="small")
def stubborn(seconds: float = 60.0, *, context: Context) -> int:
    """One long step, which nothing interrupts."""
    context.warn("here it comes")
    time.sleep(seconds)
    return 1


@node("Extra", category="small", cached=False)
def extra(*, context: Context) -> str:
    """What the caller passed on, and the editor's form of the graph."""
    return f"{dict(context.extra)} {context.workflow and sorted(context.workflow)}"


@node("Save", category="small")
def save(value: int | str, prefix: str = "saved", *, context: Context) -> Shown:
    """Write a value to a file."""
    (name,) = context.need_folders().reserve("output", prefix, ".txt")
    name.write(str(value).encode())
    return Shown((SavedFile(name.name, name.subfolder, "output"),), "texts")


@node("Show", category="small")
def show(value: int | str) -> Shown:
    """Show a value."""
    return Shown(values={"text": [str(value)]})


@node("SaveTwice", category="small")
def save_twice(value: int, *, context: Context) -> Expansion:
    """Two nodes in its place, which save."""
    graph = Builder()
    graph.add("Save", value=value, prefix="first")
    graph.add("Save", value=value, prefix="second")
    return graph.result()
