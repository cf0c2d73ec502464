"""The training loop: gradient, clip, step, average; saving, showing, stopping."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from nodes.training.chance import Chance
from nodes.training.ema import Ema
from nodes.training.optimizer import make_optimizer, restore, state_of
from nodes.training.order import Order
from nodes.training.rate import warmed_cosine
from nodes.training.recipe import Recipe
from nodes.training.recompute import blocks_of, recompute
from nodes.training.state import RunFolder, State

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Diverged(Exception):
    """The loss or its gradient is no number any more. The last saved state is good."""


class Lesson(Protocol):
    """What is learned from what.

    modules: what is trained, by name; parameters without requires_grad stay as they are.
    order:   which examples come when.
    """

    @property
    def modules(self) -> Mapping[str, nn.Module]: ...

    @property
    def order(self) -> Order: ...

    def loss(
        self, examples: tuple[int, ...], chance: Chance
    ) -> tuple[Tensor, Mapping[str, float | Tensor]]:
        """The loss of a batch, to be descended, and figures to be shown beside it.

        Figures are better left on the device: each that is read there halts the step.
        """
        ...


@dataclass(frozen=True)
class Step:
    """What happened in one step: `loss` is the mean over its batches, `norm` the gradient's."""

    step: int
    loss: float
    rate: float
    norm: float
    per_second: float
    figures: Mapping[str, float] = field(default_factory=dict)

    def line(self) -> dict[str, Any]:
        """For the history, without the time it took: equal runs write equal lines."""
        return {
            "step": self.step,
            "loss": self.loss,
            "rate": self.rate,
            "norm": self.norm,
            **self.figures,
        }


@dataclass(frozen=True)
class Watch:
    """Who looks on. Each may raise, which stops the run after its state is saved.

    on_step: after each step. on_show: every `show_every` steps and at the end, with the averaged
    weights in place.
    """

    on_step: Callable[[Step, Recipe], None] = lambda _step, _recipe: None
    on_show: Callable[[int], None] = lambda _step: None


class Trainer:
    """One run on its way: the lesson's modules, trained in place."""

    def __init__(
        self, lesson: Lesson, recipe: Recipe, folder: RunFolder, device: str = "cpu"
    ) -> None:
        self.lesson, self.recipe, self.folder = lesson, recipe, folder
        self.device = torch.device(device)
        self.named = {
            f"{part}.{name}": parameter
            for part, module in lesson.modules.items()
            for name, parameter in module.named_parameters()
            if parameter.requires_grad
        }
        if not self.named:
            raise ValueError("there is nothing to train: no parameter requires a gradient")
        self.parameters = list(self.named.values())
        for module in lesson.modules.values():
            # what convolutions are fastest in
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            if recipe.recompute:
                recompute(blocks_of(module))
            if recipe.compiled:
                module.compile()
        self.optimizer = make_optimizer(self.parameters, recipe)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=recipe.arithmetic == "fp16")
        self.ema = Ema(self.parameters, recipe.ema) if recipe.ema else None
        self.step = 0
        self._lines: list[dict[str, Any]] = []
        self._saved = 0

    def run(self, watch: Watch | None = None) -> None:
        """Go on from the folder's last state to the recipe's last step; then the averaged weights
        are in place.

        Raises Diverged, and whatever the watch raises, once the state is saved.
        """
        watch = watch or Watch()
        self.resume()
        with torch.enable_grad():
            while self.step < self.recipe.steps:
                done = self.advance()
                self._tell(watch, done)
                if self._due(self.recipe.save_every):
                    self.save()
        self.save()
        self.take_average()
        watch.on_show(self.step)

    def _tell(self, watch: Watch, done: Step) -> None:
        try:
            watch.on_step(done, self.recipe)
            if self.step < self.recipe.steps and self._due(self.recipe.show_every):
                with self.averaged():
                    watch.on_show(self.step)
        except BaseException:
            self.save()
            raise

    def _due(self, every: int) -> bool:
        return every > 0 and self.step % every == 0

    def advance(self) -> Step:
        """One optimiser step. Raises Diverged."""
        recipe, began = self.recipe, time.monotonic()
        rate = recipe.rate * warmed_cosine(self.step, recipe.steps, recipe.warmup, recipe.final)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        for module in self.lesson.modules.values():
            module.train()
        loss, figures = self._gradient()
        norm = self._clipped()
        self._require_finite(loss, norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.ema is not None:
            self.ema.update(self.parameters, self.step)
        examples = recipe.batch * recipe.accumulate
        done = Step(self.step, loss, rate, norm, examples / (time.monotonic() - began), figures)
        self._lines.append(done.line())
        self.step += 1
        return done

    def _gradient(self) -> tuple[float, dict[str, float]]:
        """The mean loss over the step's batches; its gradient is left in the parameters."""
        parts = self.recipe.accumulate
        losses: list[Tensor] = []
        figures: Mapping[str, float | Tensor] = {}
        chance = Chance(self.recipe.seed)
        for part in range(parts):
            number = self.step * parts + part
            with self._arithmetic():
                loss, figures = self.lesson.loss(
                    self.lesson.order.examples(number), chance.at(number)
                )
            torch.autograd.backward(self.scaler.scale(loss / parts))
            losses.append(loss.detach())
        mean = float(torch.stack(losses).float().mean())
        return mean, {name: float(value) for name, value in figures.items()}

    def _arithmetic(self) -> AbstractContextManager[Any]:
        dtype = DTYPES.get(self.recipe.arithmetic)
        return nullcontext() if dtype is None else torch.autocast(self.device.type, dtype)

    def _clipped(self) -> float:
        """The gradient's norm, after which it is no longer than the recipe's `clip`."""
        self.scaler.unscale_(self.optimizer)
        limit = self.recipe.clip or math.inf
        return float(nn.utils.clip_grad_norm_(self.parameters, limit))

    def _require_finite(self, loss: float, norm: float) -> None:
        # a scaler meets infinite gradients on its way to a scale that fits, and skips those steps
        if math.isfinite(loss) and (math.isfinite(norm) or self.scaler.is_enabled()):
            return
        what = f"the loss is {loss}" if not math.isfinite(loss) else f"its gradient is {norm}"
        raise self._diverged(what)

    def _diverged(self, what: str) -> Diverged:
        kept = f"the state after step {self._saved} is kept" if self._saved else "nothing was saved"
        return Diverged(
            f"the run diverged at step {self.step}: {what}. Try a lower rate than "
            f"{self.recipe.rate:g}, a longer warm-up or a smaller clip; {kept} in "
            f"{self.folder.path}"
        )

    # -- states ------------------------------------------------------------------------------------

    def save(self) -> None:
        """Bring the present state to the disk, unless it is there. Raises Diverged."""
        if self.step == self._saved:
            return
        if not all(bool(p.isfinite().all()) for p in self.parameters):
            raise self._diverged("some of its weights are no numbers")
        self.folder.keep(self.state(), self._lines)
        self._lines, self._saved = [], self.step

    def state(self) -> State:
        moments, numbers = state_of(self.optimizer)
        tensors = {f"weights/{name}": p.detach() for name, p in self.named.items()}
        tensors |= {f"moments/{name}": tensor for name, tensor in moments.items()}
        if self.ema is not None:
            averages = zip(self.named, self.ema.averages, strict=True)
            tensors |= {f"average/{name}": tensor for name, tensor in averages}
        return State(self.step, tensors, {"optimizer": numbers, "scaler": self.scaler.state_dict()})

    @torch.no_grad()
    def resume(self) -> None:
        """Go back to the folder's last state, if it has one. Raises RunError."""
        state = self.folder.newest()
        if state is None:
            return
        weights, averages = state.group("weights"), state.group("average")
        for name, parameter in self.named.items():
            parameter.copy_(weights[name])
        restore(self.optimizer, state.group("moments"), state.numbers["optimizer"])
        self.scaler.load_state_dict(state.numbers["scaler"])
        if self.ema is not None:
            for name, average in zip(self.named, self.ema.averages, strict=True):
                average.copy_(averages[name])
        self.step = self._saved = state.step

    @torch.no_grad()
    def take_average(self) -> None:
        """Put the averaged weights in place, where there are some; modules go to eval mode."""
        for module in self.lesson.modules.values():
            module.eval()
        if self.ema is not None:
            for parameter, average in zip(self.parameters, self.ema.averages, strict=True):
                parameter.copy_(average)

    def averaged(self) -> AbstractContextManager[None]:
        """The averaged weights for the time of a block."""
        return _Averaged(self)


class _Averaged(AbstractContextManager[None]):
    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.kept: list[Tensor] = []

    def __enter__(self) -> None:
        self.kept = [p.detach().clone() for p in self.trainer.parameters]
        self.trainer.take_average()

    @torch.no_grad()
    def __exit__(self, *_: object) -> None:
        for parameter, kept in zip(self.trainer.parameters, self.kept, strict=True):
            parameter.copy_(kept)
