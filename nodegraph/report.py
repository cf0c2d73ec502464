"""What a run reports about its nodes, collected while it goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import ExecutionError
from .outputs import Shown
from .tasks import Account, RunResult, Task


class Report:
    """One account for each node, the last one said; errors, and what output nodes show."""

    def __init__(self) -> None:
        self.errors: dict[str, ExecutionError] = {}
        self.cancelled_in: str | None = None  # the node that was running
        self._accounts: dict[str, Account] = {}
        self._shown: dict[str, Shown] = {}

    def ran(self, task: Task, size: int, peak: int | None, not_stored: str) -> None:
        kind = task.node.type.name
        self._note(Account(task.id, kind, "ran", task.seconds, size, peak, not_stored))
        self._show(task)

    def recalled(self, task: Task) -> bool:
        """A task has its value without running. False if that is no news: it had it before."""
        self._show(task)
        if task.id in self._accounts:
            return False
        self._note(Account(task.id, task.node.type.name, "cached"))
        return True

    def failed(self, task: Task, error: ExecutionError) -> None:
        self.errors[task.id] = error
        self._note(Account(task.id, task.node.type.name, "failed", task.seconds))

    def cancelled(self, task: Task) -> None:
        self.cancelled_in = self.cancelled_in or task.id

    def skipped(self, task: Task) -> None:
        self._note(Account(task.id, task.node.type.name, "skipped"))

    def result(
        self,
        outputs: Mapping[str, tuple[Any, ...]],
        because: Mapping[str, str],
        seconds: float,
        cancelled: bool,
    ) -> RunResult:
        return RunResult(
            outputs,
            self._shown,
            self.errors,
            because,
            tuple(self._accounts.values()),
            seconds,
            cancelled,
        )

    def _note(self, account: Account) -> None:
        self._accounts.pop(account.node, None)  # accounts stand in the order in which nodes ended
        self._accounts[account.node] = account

    def _show(self, task: Task) -> None:
        if task.parent is None and task.value is not None and task.value.shown is not None:
            self._shown[task.id] = task.value.shown
