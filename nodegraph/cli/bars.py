"""A run as it goes: a bar for the whole and one for each node at work, or a line a node.

Bars where standard error is a terminal; elsewhere (a log) a line when a node ends.
"""

from __future__ import annotations

from collections.abc import Collection

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from nodegraph.events import (
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
from nodegraph.events import Progress as Progressed

from .complain import headline, printable
from .report import format_bytes

BAR = 30  # columns


class Watcher:
    """Shows events. title: of the bar for the whole. lines: a line a node where there are no bars.

    quiet: warnings alone.
    """

    def __init__(
        self, console: Console, *, title: str = "nodes", lines: bool = True, quiet: bool = False
    ) -> None:
        self.console = console
        self.title = title
        self._show = console.is_terminal and not quiet
        self._lines = lines and not self._show and not quiet
        self._bars = Progress(
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
            BarColumn(bar_width=BAR),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            _Remaining(compact=True),
            console=console,
            transient=True,
            disable=not self._show,
        )
        self._whole: TaskID | None = None
        self._open: set[str] = set()  # nodes of the plan that have not ended
        self._nodes: dict[str, TaskID] = {}

    def __enter__(self) -> Watcher:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def __call__(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._open = set(event.nodes)
                self._whole = self._bars.add_task(self.title, total=len(event.nodes), whole=True)
            case NodesCached():
                self._ended(event.nodes)
            case NodeStarted():
                self._nodes[event.node] = self._bars.add_task(_label(event), total=None)
            case Progressed() if event.node in self._nodes:
                self._advance(event)
            case NodeFinished() | NodeFailed():
                self._end(event)
                if self._lines:
                    how = "failed after" if isinstance(event, NodeFailed) else ""
                    self._say(f"{_label(event)}: {how} {event.seconds:.2f} s".replace("  ", " "))
            case NodeSkipped():
                self._end(event)
            case Warned():
                self._warn(f"node {_label(event)}: {event.message}")
            case Retried():
                freed = format_bytes(event.freed)
                self._warn(
                    f"node {_label(event)}: out of memory ({event.reason}); {freed} were freed, "
                    "and it runs again"
                )
            case _:
                pass

    def _advance(self, event: Progressed) -> None:
        text = f"{_label(event)}: {printable(event.text)}" if event.text else _label(event)
        bar = self._nodes[event.node]
        self._bars.update(bar, completed=event.value, total=event.total, description=text)

    def _end(self, event: NodeEvent) -> None:
        bar = self._nodes.pop(event.node, None)
        if bar is not None:
            self._bars.remove_task(bar)
        self._ended((event.node,))

    def _ended(self, nodes: Collection[str]) -> None:
        count = len(self._open.intersection(nodes))
        self._open.difference_update(nodes)
        if self._whole is not None:
            self._bars.advance(self._whole, count)

    def _warn(self, text: str) -> None:
        self.console.print(headline("warning", text, "warning"), soft_wrap=True)

    def _say(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


class _Remaining(TimeRemainingColumn):
    """The time that is left; of the whole nobody knows, since no node is like another."""

    def render(self, task: Task) -> Text:
        return Text() if task.fields.get("whole") else super().render(task)


def _label(event: NodeEvent) -> str:
    return printable(f"{event.node} {event.class_type}")
