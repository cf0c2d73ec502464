"""What came of a run: a table of what it cost for people, JSON for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from nodegraph.engine import Engine
from nodegraph.errors import NodeGraphError
from nodegraph.tasks import Account, RunResult
from nodegraph.traversal import natural

from .complain import describe, notes_of, printable, traceback_of
from .session import Session

UNITS = (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))


def print_result(session: Session, result: RunResult, engine: Engine) -> None:
    """What everything cost, what failed, and what was written."""
    session.out.print(cost_table(result.accounts))
    for line in _not_on_disk(result.accounts):
        session.out.print(printable(line), markup=False, soft_wrap=True)
    print_errors(session, result)
    print_files(session, result, engine)
    session.out.print(summary(result), markup=False)


def print_files(session: Session, result: RunResult, engine: Engine, *, indent: str = "") -> None:
    """The files of a run, one a line."""
    for path in engine.files(result):
        session.out.print(indent + printable(str(path)), markup=False, soft_wrap=True)


def print_errors(session: Session, result: RunResult) -> None:
    """What failed, and what was skipped because of it."""
    for error in result.errors.values():
        if session.settings.debug:
            session.say(printable(traceback_of(error)))
        session.say(describe(error))
    for because in dict.fromkeys(result.skipped.values()):
        skipped = (node for node, cause in result.skipped.items() if cause == because)
        nodes = sorted(skipped, key=natural)
        session.say(printable(f"   = skipped, because node {because} failed: {', '.join(nodes)}"))


def summary(result: RunResult) -> str:
    """One line: how it ended, how long it took, what ran."""
    words = {"success": "done", "error": "failed", "cancelled": "cancelled"}
    counts = Counter[str](account.status for account in result.accounts)
    return f"{words[status_of(result)]} in {result.seconds:.2f} s: {counted(counts)}"


def counted(counts: Mapping[str, int]) -> str:
    """Numbers of nodes, by what became of them."""
    parts = [f"{counts.get('ran', 0)} ran", f"{counts.get('cached', 0)} from the cache"]
    parts += [
        f"{counts[status]} {status}" for status in ("failed", "skipped") if counts.get(status)
    ]
    return ", ".join(parts)


def cost_table(accounts: Iterable[Account]) -> Table:
    """Time and memory of each node, in the order they ended."""
    listed = list(accounts)
    measured = any(account.peak_bytes is not None for account in listed)
    table = Table(box=None, pad_edge=False)
    for name in ("node", "type", "status"):
        table.add_column(name, overflow="fold")
    for name in ("seconds", "output", *(["peak"] if measured else [])):
        table.add_column(name, justify="right")
    for account in listed:
        ran = account.status in ("ran", "failed")
        cells = [
            account.node,
            account.class_type,
            account.status,
            f"{account.seconds:.3f}" if ran else "",
            format_bytes(account.bytes_out) if account.bytes_out else "",
        ]
        if measured:
            peak = account.peak_bytes
            cells.append("" if peak is None else format_bytes(peak))
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table


def _not_on_disk(accounts: Iterable[Account]) -> list[str]:
    """Which results the next start cannot take from the disk, by the reason."""
    nodes: dict[str, list[str]] = {}
    for account in accounts:
        if account.not_stored:
            nodes.setdefault(account.not_stored, []).append(account.node)
    return [f"not kept on disk: {', '.join(names)} ({why})" for why, names in nodes.items()]


def status_of(result: RunResult) -> str:
    """success, error (a node failed) or cancelled."""
    return "cancelled" if result.cancelled else "error" if result.errors else "success"


def result_json(result: RunResult, engine: Engine) -> dict[str, Any]:
    """The result for programs: status, files, failures, costs."""
    return {
        "status": status_of(result),
        "seconds": round(result.seconds, 6),
        "files": [str(path) for path in engine.files(result)],
        "outputs": {node: shown.as_json() for node, shown in result.shown.items()},
        "failed": {node: _error_json(error) for node, error in result.errors.items()},
        "skipped": dict(result.skipped),
        "nodes": [_account_json(account) for account in result.accounts],
    }


def format_bytes(count: int) -> str:
    """1536 -> "1.5 KiB"."""
    for unit, size in UNITS:
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"


def _account_json(account: Account) -> dict[str, Any]:
    return {
        "node": account.node,
        "class_type": account.class_type,
        "status": account.status,
        "seconds": round(account.seconds, 6),
        "bytes_out": account.bytes_out,
        "peak_bytes": account.peak_bytes,
        "not_stored": account.not_stored,
    }


def _error_json(error: NodeGraphError) -> dict[str, Any]:
    return {
        "type": type(error).__name__,
        "message": str(error),
        "notes": notes_of(error),
        "class_type": getattr(error, "class_type", None),
        "input": getattr(error, "input", None),
    }
