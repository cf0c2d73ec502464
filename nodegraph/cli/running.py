"""One run on the terminal: bars while it goes, a table of what it cost, or JSON for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.progress import TimeElapsedColumn as Elapsed
from rich.table import Table

from ..errors import NodeGraphError
from ..events import (
    Event,
    NodeEvent,
    NodeFailed,
    NodeFinished,
    NodesCached,
    NodeSkipped,
    NodeStarted,
    Retried,
    RunStarted,
    Warned,
)
from ..events import Progress as Progressed
from ..folders import Folders
from ..outputs import Shown
from ..tasks import Account, RunResult

GIB, MIB, KIB = 2**30, 2**20, 2**10


class Watcher:
    """Turns events into bars: one for the whole run, one for each node that is at work.

    On something that is no terminal (a log) it prints a line when a node ends instead.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._bars = Progress(
            TextColumn("{task.description}", justify="left"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            Elapsed(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._whole: TaskID | None = None
        self._nodes: dict[str, TaskID] = {}

    def __enter__(self) -> Watcher:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def __call__(self, event: Event) -> None:
        match event:
            case RunStarted(nodes=nodes):
                self._whole = self._bars.add_task("nodes", total=len(nodes))
            case NodesCached(nodes=nodes):
                self._advance(len(nodes))
            case NodeStarted():
                self._nodes[event.node] = self._bars.add_task(_label(event), total=None)
            case Progressed():
                self._bars.update(
                    self._nodes[event.node], completed=event.value, total=event.total
                )
            case NodeFinished():
                self._end(event)
                if not self.console.is_terminal:
                    self._say(f"{_label(event)}: {event.seconds:.2f} s")
            case NodeFailed() | NodeSkipped():
                self._end(event)
            case Warned():
                self._say(f"[yellow]warning:[/] {_label(event)}: ", event.message)
            case Retried():
                freed = format_bytes(event.freed)
                self._say(
                    f"[yellow]warning:[/] {_label(event)}: ",
                    f"ran out of memory ({event.reason}); {freed} were freed and it runs again",
                )
            case _:
                pass

    def _say(self, marked: str, text: str = "") -> None:
        self.console.print(marked, end="")
        self.console.print(text, markup=False, highlight=False)

    def _end(self, event: NodeEvent) -> None:
        bar = self._nodes.pop(event.node, None)
        if bar is not None:
            self._bars.remove_task(bar)
        if event.parent is None:
            self._advance(1)

    def _advance(self, count: int) -> None:
        if self._whole is not None:
            self._bars.advance(self._whole, count)


def print_result(console: Console, result: RunResult, folders: Folders) -> None:
    """What failed, what was written, and what everything cost."""
    console.print(cost_table(result.accounts))
    for error in result.errors.values():
        console.print("[bold red]error:[/] ", end="")
        console.print(str(error), markup=False, highlight=False)
    for node, because in result.skipped.items():
        console.print(f"node {node} was skipped: it needs node {because}")
    for path in written(result.shown, folders):
        console.print(str(path), markup=False, highlight=False, soft_wrap=True)
    ran = sum(account.status == "ran" for account in result.accounts)
    state = "cancelled" if result.cancelled else "failed" if result.errors else "done"
    cached = sum(account.status == "cached" for account in result.accounts)
    console.print(f"{state} in {result.seconds:.2f} s: {ran} nodes ran, {cached} from the cache")


def cost_table(accounts: Iterable[Account]) -> Table:
    """Time and memory of each node, in the order they ended."""
    table = Table(box=None, pad_edge=False)
    for name in ("node", "type", "", "seconds", "output", "peak"):
        table.add_column(name, justify="left" if name in ("node", "type", "") else "right")
    for account in accounts:
        ran = account.status in ("ran", "failed")
        table.add_row(
            account.node,
            account.class_type,
            account.status,
            f"{account.seconds:.3f}" if ran else "",
            format_bytes(account.bytes_out) if account.bytes_out else "",
            "" if account.peak_bytes is None else format_bytes(account.peak_bytes),
        )
    return table


def written(shown: Mapping[str, Shown], folders: Folders) -> list[Path]:
    """The files that output nodes wrote."""
    return [
        file.under(folders.folder(file.type)) for each in shown.values() for file in each.files
    ]


def as_json(result: RunResult, folders: Folders) -> dict[str, Any]:
    """The result for programs: status, files, errors, costs."""
    status = "cancelled" if result.cancelled else "error" if result.errors else "success"
    return {
        "status": status,
        "seconds": round(result.seconds, 6),
        "outputs": {node: shown.as_json() for node, shown in result.shown.items()},
        "files": [str(path) for path in written(result.shown, folders)],
        "errors": {node: error_json(error) for node, error in result.errors.items()},
        "skipped": dict(result.skipped),
        "nodes": [
            {
                "node": account.node,
                "class_type": account.class_type,
                "status": account.status,
                "seconds": round(account.seconds, 6),
                "bytes_out": account.bytes_out,
                "peak_bytes": account.peak_bytes,
                "not_stored": account.not_stored,
            }
            for account in result.accounts
        ],
    }


def error_json(error: NodeGraphError) -> dict[str, Any]:
    """One error: its kind, message and place."""
    return {
        "type": type(error).__name__,
        "message": str(error),
        "class_type": getattr(error, "class_type", None),
        "input": getattr(error, "input", None),
    }


def format_bytes(count: int) -> str:
    """1536 -> "1.5 KiB"."""
    for unit, size in (("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"


def _label(event: NodeEvent) -> str:
    return f"{event.node} {event.class_type}"
