import io
import re
from typing import Any

import pytest
from rich.console import Console

from nodegraph import events
from nodegraph.cli.bars import Watcher


def console(terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=90, highlight=False)


def seen(console: Console) -> str:
    """What was written, without what steers the terminal."""
    file = console.file
    assert isinstance(file, io.StringIO)
    return re.sub(r"\x1b\[\??[0-9;]*[a-zA-Z]", "", file.getvalue())


def of(kind: type[events.NodeEvent], node: str, **more: Any) -> events.NodeEvent:
    return kind(node=node, class_type="KSampler", **more)


def started(node: str) -> events.NodeEvent:
    return of(events.NodeStarted, node, lane="compute")


def finished(node: str) -> events.NodeEvent:
    return of(events.NodeFinished, node, seconds=1.234, bytes_out=0)


def test_on_a_terminal_there_is_a_bar_for_the_whole_and_one_for_each_node_at_work() -> None:
    screen = console(terminal=True)

    with Watcher(screen, title="2 of 3") as watch:
        watch(events.RunStarted(nodes=("1", "2", "3", "4")))
        watch(events.NodesCached(nodes=("1", "2")))
        watch(started("3"))
        watch(of(events.Progress, "3", value=7, total=20, text="tile"))
        watch._bars.refresh()

    last = seen(screen)
    assert re.search(r"2 of 3 +━+.* 2/4 ", last)
    assert re.search(r"3 KSampler: tile ━+.* 7/20 0:00:00", last)


def test_a_node_that_ended_has_no_bar_and_counts() -> None:
    screen = console(terminal=True)

    with Watcher(screen) as watch:
        watch(events.RunStarted(nodes=("1", "2", "3")))
        for node, end in (("1", finished), ("2", None)):
            watch(started(node))
            watch(end(node) if end else of(events.NodeFailed, node, error=ValueError()))
        watch(of(events.NodeSkipped, "3", because="2"))
        (whole,) = watch._bars.tasks

    assert (whole.description, whole.completed, whole.total) == ("nodes", 3, 3)
    assert "\n1 KSampler: 1.23 s" not in seen(screen)


def test_nodes_of_an_expansion_and_nodes_that_run_twice_do_not_overfill_the_bar() -> None:
    with Watcher(console(terminal=True)) as watch:
        watch(events.RunStarted(nodes=("1", "2")))
        watch(started("1"))
        watch(finished("1"))
        watch(started("1"))
        watch(finished("1"))
        watch(events.NodesCached(nodes=("1", "1.0.1")))
        watch(started("1.0.2"))
        watch(finished("1.0.2"))
        (whole,) = watch._bars.tasks

    assert (whole.completed, whole.total) == (1, 2)


def test_in_a_log_there_is_a_line_when_a_node_ends() -> None:
    log = console(terminal=False)

    with Watcher(log) as watch:
        watch(events.RunStarted(nodes=("1", "2")))
        watch(started("1"))
        watch(of(events.Progress, "1", value=1, total=2))
        watch(finished("1"))
        watch(started("2"))
        watch(of(events.NodeFailed, "2", error=ValueError(), seconds=0.5))

    assert seen(log) == "1 KSampler: 1.23 s\n2 KSampler: failed after 0.50 s\n"


def warning_lines(screen: Console, **how: bool) -> str:
    with Watcher(screen, **how) as watch:
        watch(events.RunStarted(nodes=("1",)))
        watch(started("1"))
        watch(of(events.Warned, "1", message="[red]odd[/] " + "x" * 100))
        watch(of(events.Retried, "1", reason="no memory", freed=3 << 29))
        watch(finished("1"))
    return seen(screen)


@pytest.mark.parametrize("how", [{"quiet": True}, {"lines": False}])
def test_warnings_are_told_whole_and_as_they_are_even_if_nothing_else_is(
    how: dict[str, bool],
) -> None:
    assert warning_lines(console(terminal=False), **how) == (
        "warning: node 1 KSampler: [red]odd[/] " + "x" * 100 + "\n"
        "warning: node 1 KSampler: out of memory (no memory); 1.5 GiB were freed, and it runs "
        "again\n"
    )


def test_on_a_terminal_warnings_stand_above_the_bars() -> None:
    assert "warning: node 1 KSampler: [red]odd[/] xxx" in warning_lines(console(terminal=True))


def test_quiet_shows_no_bars_on_a_terminal_either() -> None:
    screen = console(terminal=True)

    with Watcher(screen, quiet=True) as watch:
        watch(events.RunStarted(nodes=("1",)))
        watch(started("1"))
        watch(finished("1"))

    assert seen(screen) == ""


def test_a_name_with_brackets_or_control_characters_is_shown_as_it_is() -> None:
    screen = console(terminal=True)

    with Watcher(screen) as watch:
        watch(events.RunStarted(nodes=("[/]\x07",)))
        watch(events.NodeStarted(node="[/]\x07", class_type="[red]", lane="io"))
        watch._bars.refresh()

    assert r"[/]\x07 [red]" in seen(screen)


def test_progress_of_a_node_that_ended_is_let_pass() -> None:
    with Watcher(console(terminal=True)) as watch:
        watch(events.RunStarted(nodes=("1",)))
        watch(of(events.Progress, "1", value=1, total=2))
        assert len(watch._bars.tasks) == 1
