"""Calls node functions: with the context they ask for, without gradients, and if memory runs out,
once more."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .calls import Calls, arguments_of
from .computing import compute_alone
from .context import CancelToken, Context
from .events import Event, Measured, Preview, Progress, Retried, Warned
from .saving import Book
from .tasks import Task

if TYPE_CHECKING:
    from .executor import Executor

Emit = Callable[[Event], None]
Describe = Callable[[Task], Mapping[str, Any]]
Bookkeeper = Callable[[str, int], Book]


class Caller:
    """Calls the functions of one run's nodes.

    describe: the manifest of a task. book: of names, for each call of a node.
    facts: what all contexts of the run have in common.
    """

    def __init__(
        self,
        owner: Executor,
        *,
        emit: Emit,
        cancel: CancelToken,
        describe: Describe,
        book: Bookkeeper | None = None,
        **facts: Any,
    ) -> None:
        self.owner = owner
        self.book = book
        self.emit = emit
        self.cancel = cancel
        self.describe = describe
        self.facts = {
            **facts,
            "cancel": cancel,
            "device": owner.device,
            "precision": owner.precision,
            "hashes": owner.hashes,
            "models": owner.models,
            "extensions": owner.registry.extensions,
        }

    def call(self, task: Task, calls: Calls) -> tuple[list[Any], int | None]:
        """The results of all calls, and the peak of the device's memory if it is known."""
        with self._measured() as measure:
            results = [self._call(task, *each) for each in enumerate(calls.arguments)]
        return results, getattr(measure, "peak_bytes", None)

    async def call_async(self, task: Task, calls: Calls) -> list[Any]:
        """The results of all calls of a coroutine."""
        return [await self._call_async(task, *each) for each in enumerate(calls.arguments)]

    def _call(self, task: Task, number: int, inputs: Mapping[str, Any]) -> Any:
        function = self._prepare(task)
        try:
            return function(**self._arguments(task, number, inputs))
        except Exception as error:
            retried = self._after_lack_of_memory(task, error)
            if retried is None:
                raise
        # Outside the handler, so that the failed attempt's tensors are no longer referenced.
        self.emit(retried)
        self._prepare(task)
        return function(**self._arguments(task, number, inputs))

    async def _call_async(self, task: Task, number: int, inputs: Mapping[str, Any]) -> Any:
        function = self._prepare(task)
        try:
            return await function(**self._arguments(task, number, inputs))
        except Exception as error:
            retried = self._after_lack_of_memory(task, error)
            if retried is None:
                raise
        self.emit(retried)
        self._prepare(task)
        return await function(**self._arguments(task, number, inputs))

    def _prepare(self, task: Task) -> Callable[..., Any]:
        self.cancel.check()
        # For the whole thread, which is ours: coroutines interleave, so that a context manager
        # would leak from one into another.
        torch = sys.modules.get("torch")
        if torch is not None and torch.is_grad_enabled():
            torch.set_grad_enabled(False)
        if task.node.type.lane == "io":
            compute_alone()  # what decodes and saves must not slow down what samples
        return task.node.type.function

    def _arguments(self, task: Task, number: int, inputs: Mapping[str, Any]) -> dict[str, Any]:
        arguments = arguments_of(task.node, inputs)
        name = task.node.type.context_name
        if name is not None:
            arguments[name] = self._context(task, number)
        return arguments

    def _context(self, task: Task, number: int) -> Context:
        who, emit = task.who(), self.emit
        folders = self.owner.registry.folders
        if folders is not None and self.book is not None:
            folders = replace(folders, book=self.book(task.id, number))
        return Context(
            node=task.id,
            key=_key(task, number),
            links={name: link.from_inside() for name, link in task.node.links()},
            on_progress=lambda v, n, text: emit(Progress(**who, value=v, total=n, text=text)),
            on_preview=lambda value: emit(Preview(**who, value=value)),
            on_measure=lambda step, total, figures, sample: emit(
                Measured(**who, step=step, total=total, figures=figures, sample=sample)
            ),
            on_warning=lambda message: emit(Warned(**who, message=message)),
            on_manifest=lambda: self.describe(task),
            folders=folders,
            **self.facts,
        )

    def _measured(self) -> AbstractContextManager[Any]:
        models = self.owner.models
        if models is None or self.owner.device == "cpu":
            return nullcontext()
        return models.measure(self.owner.device)

    def _after_lack_of_memory(self, task: Task, error: Exception) -> Retried | None:
        """Frees what can be freed if memory ran out; None if the error means something else."""
        models, cache, device = self.owner.models, self.owner.cache, self.owner.device
        freed = models.recover(error) if models is not None else _recovered(error)
        if freed is None:
            return None
        reason = str(error).partition("\n")[0] or type(error).__name__
        error.__traceback__ = None
        freed += cache.free(device=device)
        if isinstance(error, MemoryError) and device != "cpu":
            freed += cache.free(device="cpu")
        return Retried(**task.who(), reason=reason, freed=freed)


def _key(task: Task, number: int) -> str | None:
    """Of one call: of a step that is called for each item of a list, they all differ."""
    key = task.step.key
    return key if key is None or number == 0 else f"{key}.{number}"


def _recovered(error: Exception) -> int | None:
    """What a model manager would free, had the run one: only what the failed call held."""
    if not isinstance(error, MemoryError):
        return None
    traceback.clear_frames(error.__traceback__)
    return 0
