"""Nodes for tests of the server: pictures without torch, and nodes that are hard to serve."""

import io
import os
import signal
import time
from pathlib import Path
from typing import Annotated

from nodegraph import (
    Builder,
    Context,
    Expansion,
    FileOf,
    Number,
    SavedFile,
    Seed,
    Sent,
    Shown,
    node,
)

GATES = "gates"  # folder, below the working folder, in which a file opens a gate


@node("Wait", category="server", cached=False)
def wait(gate: str, value: int = 1, *, context: Context) -> int:
    """Wait until the gate is opened; notices a cancel."""
    while not Path(GATES, gate).exists():
        context.progress(0, 1)
        time.sleep(0.005)
    return value


@node("Steps", category="server")
def steps(value: int = 0, count: int = 5, seconds: float = 0.0, *, context: Context) -> int:
    """Some steps, each with progress and a preview."""
    from PIL import Image

    for step in range(count):
        context.progress(step + 1, count)
        context.preview(Image.new("RGB", (8, 8), (step * 40 % 255, value % 255, 0)))
        time.sleep(seconds)
    return value


@node("Learn", category="server", cached=False)
def learn(steps: int = 3, *, context: Context) -> int:
    """Measures something at each step, and names a picture at the end."""
    for step in range(1, steps + 1):
        context.progress(step, steps)
        context.measure(step, steps, {"loss": 1 / step})
    context.measure(steps, steps, {}, SavedFile("sheet.png", "training/a", "output"))
    return steps


@node("Write", category="server", lane="io")
def write(
    value: int | str,
    prefix: str = "written",
    copies: Annotated[int, Number(min=1, max=9)] = 1,
    *,
    context: Context,
) -> Shown:
    """Write pictures, and into a log, outside of what the server knows, that it ran."""
    from PIL import Image

    names = context.need_folders().reserve("output", prefix, ".png", count=copies)
    saved = []
    for name in names:
        file = io.BytesIO()
        Image.new("RGB", (4, 4), (len(str(value)) * 20 % 255, 0, 0)).save(file, "PNG")
        name.write(file.getvalue())
        saved.append(SavedFile(name.name, name.subfolder, "output"))
    with Path("ran.log").open("a") as log:
        log.write(f"{context.node} {value}\n")
    return Shown(tuple(saved))


@node("WriteAndWait", category="server", lane="io")
def write_and_wait(gate: str, copies: int = 2, *, context: Context) -> Shown:
    """Write pictures, and wait after the first until the gate is opened."""
    from PIL import Image

    names = context.need_folders().reserve("output", "careful", ".png", count=copies)
    for index, name in enumerate(names):
        file = io.BytesIO()
        Image.new("RGB", (4, 4), (index, 0, 0)).save(file, "PNG")
        name.write(file.getvalue())
        while not Path(GATES, gate).exists():
            context.progress(index, copies)
            time.sleep(0.005)
    return Shown(tuple(SavedFile(name.name, name.subfolder, "output") for name in names))


@node("SendPicture", category="server", output=True, cached=False)
def send_picture(value: int = 0, *, context: Context) -> None:
    """A result that goes over the websocket alone."""
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (4, 4), (value % 255, 0, 0)).save(file, "PNG")
    context.preview(Sent(file.getvalue()))


@node("Hang", category="server", cached=False)
def hang(seconds: float = 600.0) -> int:
    """Does nothing, and cannot be stopped."""
    time.sleep(seconds)
    return 1


@node("OutOfMemory", category="server")
def out_of_memory(value: int = 1) -> int:
    """There is never enough."""
    raise MemoryError("no room for 1 PiB")


@node("Exit", category="server")
def exit_(value: int = 1) -> int:
    """Raises what is no Exception."""
    raise SystemExit(3)


@node("Die", category="server", cached=False)
def die(value: int = 1) -> int:
    """Takes the whole server with it, as a fault in a library does."""
    os.kill(os.getpid(), signal.SIGKILL)
    return value


@node("Leak", category="server")
def leak(name: str = "secret.txt") -> str:
    """Fails with a path of this computer in its message."""
    return Path(name).absolute().read_text()


@node("Dice", category="server")
def dice(seed: Annotated[int, Seed()] = 0, sides: int = 6) -> int:
    """A number that looks as if it were drawn by lot."""
    return seed * 7919 % sides


def _even(value: int) -> str | None:
    return f"{value} is odd" if value % 2 else None


@node("Picky", category="server", check=_even)
def picky(value: int = 0) -> int:
    """Takes no odd numbers."""
    return value


@node("SendLarge", category="server", output=True, cached=False)
def send_large(megabytes: int = 1, pictures: int = 1, *, context: Context) -> None:
    """Results that go over the websocket alone, each of this size."""
    for index in range(pictures):
        context.preview(Sent(bytes([index]) * (megabytes << 20)))


@node("Twice", category="server")
def twice(value: int) -> int | Expansion:
    """Two nodes in its place, the second of which shows what the first adds."""
    graph = Builder()
    total = graph.add("Add", left=value, right=value)
    graph.add("Show", value=total)
    return graph.result(total)


@node("ShowLarge", category="server", cached=False)
def show_large(width: int, height: int, gate: str, *, context: Context) -> int:
    """Shows one large picture, and waits for the gate."""
    from PIL import Image

    context.preview(Image.new("RGB", (width, height), (200, 100, 0)))
    return wait(gate, 1, context=context)


@node("Look", category="server")
def look(name: Annotated[str, FileOf("input")], *, context: Context) -> Shown:
    """What is in an input file."""
    path = context.need_folders().resolve("input", name)
    return Shown(values={"text": [path.read_bytes().decode("latin-1")]})
