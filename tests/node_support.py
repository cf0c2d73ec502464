"""What the tests of nodes share: contexts with folders, models whose answer is known.

`Painter` is a network of kind "x0" whose picture is the mean of the tokens it is shown: a run of
any sampler ends at the guided mix of what its prompts are worth, and nowhere else.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nodegraph import CancelToken, Context, ModelManager, SavedFile, Settings
from nodegraph.folders import Folders
from nodes.diffusion.prediction import ModelSampling
from nodes.diffusion.samplers import SAMPLERS
from nodes.diffusion.schedule import NoiseSchedule, scaled_linear
from nodes.diffusion.spacing import SPACINGS
from nodes.types import Condition, Conditioning, Model

Picture = Callable[[Tensor, Tensor], Tensor]  # (what the network sees, its time) -> its answer
numbers = itertools.count()


def settings_in(folder: Path, **changes: Any) -> Settings:
    """Of an engine on the CPU without plugins that reads and writes below one folder."""
    settings = Settings(
        models=(folder / "models",),
        input=folder / "input",
        output=folder / "output",
        temp=folder / "temp",
        cache=folder / "cache",
        plugins=(),
        device="cpu",
        precision="fp32",
        disk_cache_bytes=0,
    )
    return replace(settings, **changes)


@dataclass
class Desk:
    """A context, and what nodes told it."""

    folder: Path
    precision: str = "fp32"
    prompt: dict[str, Any] | None = None
    workflow: dict[str, Any] | None = None
    models: ModelManager = field(default_factory=ModelManager)
    warnings: list[str] = field(default_factory=list)
    progress: list[tuple[int, int]] = field(default_factory=list)
    cancel: CancelToken = field(default_factory=CancelToken)

    @property
    def folders(self) -> Folders:
        base = self.folder
        return Folders((base / "models",), base / "input", base / "output", base / "temp")

    @property
    def context(self) -> Context:
        return Context(
            precision=self.precision,  # type: ignore[arg-type]
            folders=self.folders,
            models=self.models,
            cancel=self.cancel,
            extensions={"samplers": SAMPLERS, "schedules": SPACINGS},
            prompt=self.prompt,
            workflow=self.workflow,
            on_progress=lambda value, total, _: self.progress.append((value, total)),
            on_warning=self.warnings.append,
            on_manifest=lambda: {"node": "9", "seeds": {"3.seed": 7}},
        )

    def place(self, kind: str, name: str) -> Path:
        """Where to put a file so that nodes find it under this name."""
        path = (self.folder / "models" if kind not in ("input", "output") else self.folder) / kind
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        return path / name

    def path(self, file: SavedFile) -> Path:
        return file.under(self.folders.folder(file.type))


class Given:
    """A module as a source of weights."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.key = f"given {next(numbers)}"
        self.nbytes = sum(p.nbytes for p in module.parameters())

    def load(self) -> nn.Module:
        return self.module

    def skeleton(self) -> nn.Module:
        raise AssertionError("a test's model fits into memory")

    def tensor(self, name: str) -> Tensor:
        raise AssertionError(f"a test's model is not streamed, but {name} was asked for")


class Painter(nn.Module):
    """x0 = the mean of the tokens, everywhere; counts its calls and keeps what it was shown."""

    def __init__(self, channels: int = 4, picture: Picture | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.channels = channels
        self.picture = picture
        self.shown: list[Tensor] = []
        self.times: list[list[float]] = []

    def forward(self, x: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        self.shown.append(x)
        self.times.append(t.tolist())
        if self.picture is not None:
            return self.picture(x, t)
        assert context is not None
        value = context.mean(dim=(1, 2)).view(-1, 1, 1, 1)
        return value.expand(len(x), self.channels, *x.shape[2:])


def painted_model(
    painter: nn.Module,
    *,
    kind: str = "x0",
    scale: float = 1.0,
    channels: int = 4,
    inputs: int | None = None,
    factor: int = 8,
    context: int | None = 3,
) -> Model:
    """A handle of a network, with Stable Diffusion's noise levels."""
    return Model(
        source=Given(painter),
        sampling=ModelSampling(NoiseSchedule(scaled_linear()), kind),  # type: ignore[arg-type]
        scale=scale,
        channels=channels,
        inputs=channels if inputs is None else inputs,
        factor=factor,
        context=context,
    )


def worth(value: float, width: int = 3, **options: Any) -> Conditioning:
    """Conditioning of which `Painter` makes a picture of this value."""
    return Conditioning((Condition(torch.full((1, 2, width), value), **options),))
