"""The node that trains LoRA and its kin on a data set (arXiv:2106.09685, 2309.14859)."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from nodegraph import OPTIONAL, Context, NodeGraphError, Number, Text, Tip, node
from nodes.lora_model import LossMap
from nodes.lora_training import NAME, Learning, Plan, Result, adapted, described
from nodes.patching import Lora
from nodes.training.changes import Algorithm
from nodes.training.conditioning import Conditioner
from nodes.training.dataset import Dataset
from nodes.training.diffusion import DiffusionLesson
from nodes.training.framing import Crop
from nodes.training.low_rank import Modules
from nodes.training.recipe import Recipe
from nodes.training.simple_loss import SimpleLoss
from nodes.training_classes import drawn, labels_of
from nodes.training_parts import (
    Shape,
    Stored,
    framing_of,
    frozen_captions,
    latents_of,
    learned_captions,
    same_width,
)
from nodes.training_run import train
from nodes.training_sheet import Sheet
from nodes.types import Clip, Model, Vae
from nodes.weights import AbsentPart

NO_TEXT = "this LoRA was trained without a text encoder"

Share = Annotated[float, Number(min=0.0, max=1.0, step=0.01)]


class TrainedLora(NamedTuple):
    lora: Lora
    model: Model
    loss: LossMap
    clip: Clip


@node("TrainLora", category="training", display_name="Train LoRA")
def train_lora(
    model: Model,
    dataset: Dataset,
    recipe: Recipe,
    rank: Annotated[int, Number(min=1, max=1024), Tip("of OFT: rows turned together")] = 8,
    alpha: Annotated[
        float,
        Number(min=0.0, max=1024.0, step=0.1, round=False),
        Tip("the change is scaled by alpha/rank; OFT's limit, 0 for none"),
    ] = 8.0,
    algorithm: Algorithm = "LoRA",
    modules: Annotated[Modules, Tip("all: every linear layer and convolution")] = "attention",
    resolution: Annotated[
        int, Number(min=8, max=4096, step=8), Tip("side of the pictures, pixels")
    ] = 64,
    shape: Annotated[Shape, Tip("buckets: each picture to the nearest of several aspects")] = (
        "square"
    ),
    crop: Annotated[Crop, Tip("what is kept of what stands out")] = "center",
    flip: Annotated[Share, Tip("share of the pictures that is mirrored")] = 0.0,
    drop: Annotated[Share, Tip("share shown without its caption, for guidance")] = 0.1,
    min_snr: Annotated[
        float, Number(min=0.0, max=100.0, step=0.1), Tip("γ of min-SNR weights; 0: none")
    ] = 0.0,
    train_text: Annotated[bool, Tip("the text encoder gets a LoRA as well")] = False,
    prompts: Annotated[str, Text(multiline=True), Tip("drawn as it learns, one a line")] = "",
    stored: Annotated[Stored, Tip("what the result is saved as")] = "fp16",
    *,
    vae: Annotated[Vae | None, OPTIONAL, Tip("for a model that works on latents")] = None,
    clip: Annotated[Clip | None, OPTIONAL, Tip("for a model that reads captions")] = None,
    lora: Annotated[Lora | None, OPTIONAL, Tip("to go on from")] = None,
    context: Context,
) -> TrainedLora:
    """Teach a model a data set by small changes of its weights, in a file of their own.

    The model stays as it is, and the changes are nothing at first.
    """
    plan = Plan(algorithm, rank, alpha, modules, stored, recipe.seed, lora)
    plan.require(model)
    if train_text and clip is None:
        raise NodeGraphError("train_text: there is no text encoder to train: connect clip")
    framing = framing_of(resolution, shape, crop, flip)
    result = Result(context)
    if not result.path.is_file():
        data = latents_of(dataset, framing, vae or Vae(None, 1, model.channels), context)
        learning = adapted(plan, model, clip if train_text else None, context)
        lesson = DiffusionLesson(
            unet=learning.unet,
            data=data,
            order=data.order(recipe.batch, recipe.seed),
            objective=SimpleLoss(model.sampling, min_snr or None),
            trained={"unet": learning.unet},
            condition=_condition(dataset, model, clip, learning, context),
            drop=drop,
            scale=model.scale,
            device=context.device,
            labels=labels_of(model, dataset, drop, context),
        )
        lines, unet, text = tuple(prompts.splitlines()), learning.unet, learning.text
        shown = drawn(model, lines)
        sheet = Sheet(model, vae, clip, unet, text, lines, resolution, context, drawn=shown)
        train(NAME, lesson, recipe, context, sheet)
        result.write(learning, plan, described(plan, recipe, model, len(dataset)))
    made, patched, encoder, loss = result.read(model, clip)
    return TrainedLora(made, patched, loss, encoder or Clip(AbsentPart(NO_TEXT), None))


def _condition(
    dataset: Dataset, model: Model, clip: Clip | None, learning: Learning, context: Context
) -> Conditioner | None:
    """The captions' tokens, from an encoder that learns along or from a frozen one."""
    condition: Conditioner | None = None
    if clip is not None and learning.text is not None:
        condition = learned_captions(dataset, clip, learning.text, context)
    elif clip is not None:
        condition = frozen_captions(dataset, clip, context)
    same_width(model, condition)
    return condition
