"""A training run as a node sees it: its directory, what it reports, what it leaves behind.

The directory is `training/<what>-<content key>` in the output folder: running the graph again goes
on where the run stopped or, when it is finished, takes what it became.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nodegraph import Context, NodeGraphError, SavedFile
from nodes.imaging.pixels import quantise
from nodes.models.atomic import replacing
from nodes.training.curve import loss_curve
from nodes.training.dataset import DatasetError
from nodes.training.loop import Diverged, Lesson, Step, Trainer, Watch
from nodes.training.recipe import Recipe
from nodes.training.state import RunError, RunFolder
from nodes.types import Image

FOLDER = "training"
CURVE, REPORT, SAMPLES = "loss.png", "report.json", "samples"
POINTS = 1000  # of an earlier run's curve
KEY_LENGTH = 16  # characters of the content key that name the directory
Draw = Callable[[], Tensor]  # pictures (B, 3, H, W) in [−1, 1] of the weights as they are


@dataclass(frozen=True, eq=False)
class Trained:
    """A finished run: its directory and history."""

    folder: RunFolder
    history: tuple[dict[str, Any], ...]

    def file(self, name: str) -> Path:
        return self.folder.path / name


def train(
    what: str, lesson: Lesson, recipe: Recipe, context: Context, draw: Draw | None = None
) -> Trained:
    """Run a lesson to its end, going on from an earlier, stopped run of the same work.

    Reports each step, shows what is drawn, and leaves a loss curve and a report. Raises Cancelled
    once the state is saved; NodeGraphError for a run that diverged, a damaged directory, or
    data that cannot be used.
    """
    folder = run_folder(what, context)
    context.need_models().free(context.device)
    watch = Watch(_teller(context), _shower(draw, recipe, folder, context))
    try:
        if folder.record() is not None:
            _tell_before(folder, context, recipe.steps)
        trainer = Trainer(lesson, recipe, folder, context.device)
        trainer.run(watch)
    except (Diverged, RunError, DatasetError) as fault:
        raise NodeGraphError(str(fault)) from fault
    history = folder.history()
    _leave(what, recipe, folder, history, context)
    return Trained(folder, tuple(history))


def run_folder(what: str, context: Context) -> RunFolder:
    """The directory of this node's work; of a finished run, what it had measured is told again.

    Raises NodeGraphError where its work has no key.
    """
    if context.key is None:
        raise NodeGraphError(
            "this run has no name to go on under: one of the nodes before it is never cached, so "
            "its work is never the same twice"
        )
    output = context.need_folders().output
    folder = RunFolder(output / FOLDER / f"{what}-{context.key[:KEY_LENGTH]}", context.key)
    if (folder.path / REPORT).is_file():
        _tell_before(folder, context)
    return folder


def _teller(context: Context) -> Callable[[Step, Recipe], None]:
    def tell(done: Step, recipe: Recipe) -> None:
        text = f"loss {done.loss:.4f}, rate {done.rate:.1e}, {done.per_second:.1f} examples/s"
        context.progress(done.step + 1, recipe.steps, text)
        figures = _figures(done.line()) | {"examples/s": done.per_second}
        context.measure(done.step + 1, recipe.steps, figures)

    return tell


def _tell_before(folder: RunFolder, context: Context, total: int | None = None) -> None:
    """What was measured and drawn before a run stopped, or ended: then it has no more steps."""
    history = folder.history()
    total = total or (history[-1]["step"] + 1 if history else 1)
    for line in (*history[: -1 : len(history) // POINTS + 1], *history[-1:]):
        context.measure(line["step"] + 1, total, _figures(line))
    for path in sorted((folder.path / SAMPLES).glob("step-*.png")):
        step = path.stem.removeprefix("step-")
        if step.isdecimal():
            context.measure(int(step), total, {}, _sample(path, context))


def _figures(line: Mapping[str, Any]) -> dict[str, float]:
    numbers = {name: value for name, value in line.items() if isinstance(value, (int, float))}
    return {name: value for name, value in numbers.items() if name != "step"}


def _shower(
    draw: Draw | None, recipe: Recipe, folder: RunFolder, context: Context
) -> Callable[[int], None]:
    def show(step: int) -> None:
        if draw is None:
            return
        with torch.no_grad():
            sheet = (draw().clamp(-1, 1) + 1) / 2
        image = Image(sheet.permute(0, 2, 3, 1).float().cpu())
        context.preview(image)
        path = folder.path / SAMPLES / f"step-{step:06d}.png"
        _write_picture(path, image)
        context.measure(step, recipe.steps, {}, _sample(path, context))

    return show


def _sample(path: Path, context: Context) -> SavedFile:
    output = context.need_folders().output
    return SavedFile(path.name, path.parent.relative_to(output).as_posix(), "output")


def _write_picture(path: Path, image: Tensor) -> None:
    from PIL import Image as Pictures

    with replacing(path) as file:
        Pictures.fromarray(quantise(image[0]).numpy()).save(file, format="png")


def _leave(
    what: str,
    recipe: Recipe,
    folder: RunFolder,
    history: list[dict[str, Any]],
    context: Context,
) -> None:
    """The curve and the report of a finished run, unless they are there."""
    if (folder.path / REPORT).is_file():
        return
    try:
        curve = loss_curve(history, what)
    except ImportError:
        context.warn("no loss curve was drawn: pip install matplotlib")
    else:
        with replacing(folder.path / CURVE) as file:
            file.write(curve)
    said = {
        "what": what,
        "recipe": asdict(recipe),
        "examples": recipe.steps * recipe.batch * recipe.accumulate,
        "first_loss": history[0]["loss"] if history else None,
        "last_loss": history[-1]["loss"] if history else None,
        "made_with": dict(context.manifest()),
    }
    with replacing(folder.path / REPORT) as file:
        file.write(json.dumps(said, indent=1, default=str).encode())
