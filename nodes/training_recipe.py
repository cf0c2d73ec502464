"""How something is trained, as a node: the same recipe serves every kind of training."""

from __future__ import annotations

from typing import Annotated, Literal

from nodegraph import NodeGraphError, Number, PortType, Seed, Tip, node, structural
from nodes.training.recipe import Recipe

RECIPE = PortType("TRAINING_RECIPE", Recipe, color="#a1887f", codec=structural(Recipe))

Count = Annotated[int, Number(min=1, max=10_000_000)]


@node("TrainingRecipe", category="training")
def training_recipe(
    steps: Count = 1000,
    batch: Annotated[int, Number(min=1, max=65536), Tip("examples seen at once")] = 16,
    rate: Annotated[float, Number(min=0.0, max=1.0, step=1e-6, round=False)] = 3e-4,
    warmup: Annotated[int, Number(min=0, max=1_000_000), Tip("steps up to the rate")] = 100,
    optimizer: Literal["adamw", "adam", "radam", "nadam", "adafactor", "sgd", "rmsprop"] = "adamw",
    seed: Annotated[int, Seed()] = 0,
    *,
    accumulate: Annotated[int, Number(min=1, max=1024), Tip("batches in a step")] = 1,
    final: Annotated[
        float, Number(min=0.0, max=1.0, step=0.01), Tip("share of the rate left at the end")
    ] = 0.0,
    decay: Annotated[float, Number(min=0.0, max=10.0, step=0.001, round=False)] = 0.01,
    clip: Annotated[
        float, Number(min=0.0, max=1000.0, step=0.1), Tip("longest gradient; 0: any")
    ] = 1.0,
    ema: Annotated[
        float,
        Number(min=0.0, max=0.999999, step=0.0001, round=False),
        Tip("decay of the average that becomes the result; 0: none"),
    ] = 0.999,
    arithmetic: Literal["fp32", "bf16", "fp16"] = "fp32",
    recompute: Annotated[bool, Tip("gradient checkpointing: less memory, a third slower")] = False,
    compiled: Annotated[bool, Tip("torch.compile: pays on a GPU, in long runs")] = False,
    save_every: Count = 500,
    show_every: Annotated[
        int, Number(min=0, max=10_000_000), Tip("steps between sample grids; 0: none")
    ] = 500,
) -> Recipe:
    """Steps, batches, rate and everything else of a training run but network and data."""
    values = dict(locals())
    try:
        return Recipe(**values)
    except ValueError as fault:
        raise NodeGraphError(str(fault)) from fault
