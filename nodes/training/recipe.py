"""How a network is trained: everything but the network, the data and what is learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OPTIMIZERS = ("adamw", "adam", "radam", "nadam", "adafactor", "sgd", "rmsprop")
Arithmetic = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class Recipe:
    """One run.

    steps:      optimiser steps. batch: examples of each; `accumulate` of them make a step.
    rate:       peak learning rate, reached after `warmup` steps, then a cosine to `final` x rate.
    decay:      weight decay (not on vectors). betas: of Adam and its kin.
    clip:       the gradient's norm is brought down to this; 0: never.
    ema:        decay of the weights' moving average; 0: none.
    arithmetic: the forward and backward passes'; weights and moments stay float32.
    recompute:  gradient checkpointing: activations are computed twice and not kept.
    compiled:   by torch.compile: pays on a GPU and for long runs.
    save_every: steps between states on disk. show_every: between sample grids; 0: none.
    """

    steps: int = 1000
    batch: int = 16
    accumulate: int = 1
    rate: float = 1e-4
    warmup: int = 100
    final: float = 0.0
    optimizer: str = "adamw"
    decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float = 1.0
    ema: float = 0.0
    arithmetic: Arithmetic = "fp32"
    recompute: bool = False
    compiled: bool = False
    seed: int = 0
    save_every: int = 500
    show_every: int = 0

    def __post_init__(self) -> None:
        counts = {name: getattr(self, name) for name in ("steps", "batch", "accumulate")}
        for name, value in {**counts, "save_every": self.save_every}.items():
            if value < 1:
                raise ValueError(f"{name}: expected at least 1, got {value}")
        for name in ("rate", "warmup", "decay", "clip", "show_every"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: expected at least 0, got {getattr(self, name)}")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(
                f"optimizer {self.optimizer!r}: expected one of {', '.join(OPTIMIZERS)}"
            )
