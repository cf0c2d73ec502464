"""Inputs that somebody changed in place: who did it, and a new value for everybody else.

A task's inputs are compared with their fingerprints when it ends. If one was changed, all values
that are not what they were are dropped and made again. The task that was the only one at work, in
the only run, did it. If there were others, any of them may have (runs share what is cached): the
task runs once more on copies of its inputs that nobody else has, and if it changes those, it is
known. So an innocent one is never named, and what it made out of a spoilt value is never used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import BadValue, InputChanged
from .events import Warned
from .tasks import Task

if TYPE_CHECKING:
    from .run import Run

MAX_ATTEMPTS = 20  # to read inputs that others keep changing


class Blame:
    """Watches over the inputs of one run's tasks."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._known: set[str] = set()  # node types that changed an input

    def ready(self, task: Task) -> bool:
        """Give a task that has to be watched copies of its inputs. False if these are spoilt."""
        if task.node.type.identity in self._known:
            task.careful = True
        if not task.careful:
            return True
        own = {id(value): value.copied() for value in task.taken.values()}
        task.taken = {name: own[id(value)] for name, value in task.taken.items()}
        changed = task.changed()
        if changed:
            self._run_again(task, changed)
        return not changed

    def spoilt(self, task: Task) -> bool:
        """Whether inputs were changed while a task ran; it has failed then, or runs again."""
        changed = task.changed()
        if not changed:
            return False
        if task.grown is None and (task.careful or self._alone(task)):
            self._name(task, changed)
        else:
            self._run_again(task, changed)
        return True

    def _alone(self, task: Task) -> bool:
        """Whether nobody else can have changed what a task was given."""
        owner = self.run.owner
        return owner.activity.alone(task.ticket) and owner.runs.alone(self.run.ticket)

    def _name(self, task: Task, changed: list[str]) -> None:
        kind = task.node.type
        message = (
            f"node {task.id} ({kind.name}) changed its input {' and '.join(changed)} in place; a "
            f"node must make a new value (clone() it first). The changed value was dropped, and "
            f"is made again where it is needed"
        )
        error = InputChanged(message, node=task.id, class_type=kind.name, input=changed[0])
        with self.run.lock:
            self._known.add(kind.identity)
            if self.run.leave(task):
                self.run.fail(task, error)
            self.drop_changed()
            self.run.settle()

    def _run_again(self, task: Task, changed: list[str]) -> None:
        task.attempts += 1
        task.careful = True
        what = f"its input {' and '.join(changed)} was changed by somebody; it runs again on a copy"
        self.run.emit(Warned(**task.who(), message=what))
        with self.run.lock:
            at_work = self.run.leave(task)
            self.drop_changed()
            if not at_work:
                return
            if task.attempts < MAX_ATTEMPTS:
                self.run.schedule.again(task)
            else:
                self.run.fail(task, _unsteady(task, changed[0]))
            self.run.settle()

    def drop_changed(self) -> None:
        """Let go of every value that is not what it was, here and in the cache. Under the lock."""
        schedule = self.run.schedule
        lost = [
            task
            for task in schedule.tasks.values()
            if task.value is not None and not task.value.intact()
        ]
        for task in lost:
            if task.step.key is not None:
                self.run.owner.cache.drop(task.step.key)
        schedule.lose(lost)


def _unsteady(task: Task, name: str) -> BadValue:
    kind, source = task.node.type.name, task.held[name].id
    message = (
        f"node {task.id} ({kind}) cannot read its input {name}: the value that node {source} made "
        f"keeps changing"
    )
    return BadValue(message, node=task.id, class_type=kind, input=name)
