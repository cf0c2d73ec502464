"""The ecosystem's node that trains LoRA on latents at hand."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import torch
from torch import Tensor

from nodegraph import Context, FileOf, NodeGraphError, Number, Seed, Tip, node
from nodes.fitting import fit, tokens_of, y_of
from nodes.lora_model import LossMap, steps_of
from nodes.lora_training import NAME, Plan, Result, adapted, described
from nodes.patching import Lora, open_lora
from nodes.training.changes import Algorithm
from nodes.training.conditioning import Fixed
from nodes.training.diffusion import DiffusionLesson
from nodes.training.given import Rows, told
from nodes.training.labels import Labels
from nodes.training.order import Order
from nodes.training.recipe import Recipe
from nodes.training.simple_loss import Distance, SimpleLoss
from nodes.training_run import train
from nodes.types import Conditioning, Latent, Model
from nodes.weights import KEY_MAPS

NONE = "[None]"
HOST = torch.device("cpu")
DISTANCES: dict[str, Distance] = {
    "MSE": "mse",
    "L1": "l1",
    "Huber": "huber",
    "SmoothL1": "smooth_l1",
}
DECAY = {"AdamW": 0.01}  # torch's default; the others have none


class LoraOfLatents(NamedTuple):
    model_with_lora: Model
    lora: Lora
    loss: LossMap
    steps: int


@node(
    "TrainLoraNode",
    category="training",
    display_name="Train LoRA (Latents)",
    extensions=(KEY_MAPS,),
)
def train_lora_node(
    model: Model,
    latents: Latent,
    positive: Annotated[Conditioning, Tip("an entry for each latent, or one for all")],
    batch_size: Annotated[int, Number(min=1, max=10000, step=1)] = 1,
    grad_accumulation_steps: Annotated[int, Number(min=1, max=1024, step=1)] = 1,
    steps: Annotated[int, Number(min=1, max=100000)] = 16,
    learning_rate: Annotated[float, Number(min=1e-7, max=1.0, step=1e-6, round=False)] = 0.0005,
    rank: Annotated[int, Number(min=1, max=128)] = 8,
    optimizer: Literal["AdamW", "Adam", "SGD", "RMSprop"] = "AdamW",
    loss_function: Literal["MSE", "L1", "Huber", "SmoothL1"] = "MSE",
    seed: Annotated[int, Seed()] = 0,
    training_dtype: Annotated[
        Literal["bf16", "fp32"], Tip("of the arithmetic; what learns stays fp32")
    ] = "bf16",
    lora_dtype: Annotated[Literal["bf16", "fp32"], Tip("what the result is kept as")] = "bf16",
    algorithm: Algorithm = "LoRA",
    gradient_checkpointing: Annotated[bool, Tip("less memory, a third slower")] = True,
    existing_lora: Annotated[str, FileOf("loras", extra=(NONE,)), Tip("to go on from")] = NONE,
    *,
    context: Context,
) -> LoraOfLatents:
    """Teach a model some latents by small changes of every linear layer and convolution.

    The rate stays the same from the first step to the last; alpha is 1, and OFT has no limit.
    """
    earlier = None if existing_lora == NONE else open_lora(existing_lora, context)
    alpha = 0.0 if algorithm == "OFT" else 1.0
    plan = Plan(algorithm, rank, alpha, "all", lora_dtype, seed, earlier)
    plan.require(model)
    recipe = Recipe(
        steps=steps,
        batch=batch_size,
        accumulate=grad_accumulation_steps,
        rate=learning_rate,
        warmup=0,
        final=1.0,
        optimizer=optimizer.lower(),
        decay=DECAY.get(optimizer, 0.0),
        betas=(0.0 if optimizer == "SGD" else 0.9, 0.999),
        clip=0.0,
        arithmetic=training_dtype,
        recompute=gradient_checkpointing,
        seed=seed,
    )
    result = Result(context)
    if not result.path.is_file():
        data = Rows(_samples(latents, model).to(context.device))
        learning = adapted(plan, model, None, context)
        lesson = DiffusionLesson(
            unet=learning.unet,
            data=data,
            order=Order.over(len(data.rows), batch_size, seed),
            objective=SimpleLoss(model.sampling, distance=DISTANCES[loss_function]),
            trained={"unet": learning.unet},
            condition=_told(positive, model, len(data.rows), context),
            drop=0.0,
            scale=model.scale,
            device=context.device,
            labels=_labels(positive, model, len(data.rows), context),
        )
        train(NAME, lesson, recipe, context)
        result.write(learning, plan, described(plan, recipe, model, len(data.rows)))
    lora, patched, _, loss = result.read(model, None)
    return LoraOfLatents(patched, lora, loss, steps_of(lora))


def _samples(latents: Latent, model: Model) -> Tensor:
    """(N, C, h, w). Raises NodeGraphError for latents there is nothing to learn from."""
    if latents.pixels is not None:
        raise NodeGraphError("the latent is empty: encode pictures with VAEEncode to learn them")
    return fit(latents, model).samples


def _told(positive: Conditioning, model: Model, count: int, context: Context) -> Fixed | None:
    """The tokens of each latent; None for a model that reads none. Raises NodeGraphError."""
    for entry in positive.entries:
        if entry.attached or entry.area is not None or entry.mask is not None:
            raise NodeGraphError(
                "the conditioning has a ControlNet, an area or a mask, which training knows "
                "nothing of: connect the prompts alone"
            )
    found = [tokens_of(entry, model, HOST) for entry in positive.entries]
    rows = [row[None] for tokens in found if tokens is not None for row in tokens]
    if not rows:
        return None
    try:
        return told(rows, count, context.device)
    except ValueError as fault:
        raise NodeGraphError(f"positive: {fault} for all") from fault


def _labels(positive: Conditioning, model: Model, count: int, context: Context) -> Labels | None:
    """The class of each latent; None for a model without classes. Raises NodeGraphError."""
    if model.classes is None:
        return None
    found = [y_of(entry, model, HOST) for entry in positive.entries]
    numbers = [number for y in found if y is not None for number in y.tolist()]
    if len(numbers) not in (1, count):
        raise NodeGraphError(
            f"positive: {len(numbers)} classes for {count} latents: expected as many, or one for "
            "all"
        )
    return Labels(numbers if len(numbers) == count else numbers * count, None, context.device)
