"""The node that trains diffusion models, on pixels or on latents (arXiv:2006.11239, 2112.10752)."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from nodegraph import OPTIONAL, Context, Number, Text, Tip, node
from nodes.models.clip import CLIPText
from nodes.models.unet import UNet
from nodes.training.conditioning import Conditioner
from nodes.training.dataset import Dataset
from nodes.training.diffusion import DiffusionLesson
from nodes.training.framing import Crop
from nodes.training.recipe import Recipe
from nodes.training.simple_loss import SimpleLoss
from nodes.training_parts import (
    RESULT,
    Checkpoint,
    Shape,
    Stored,
    framing_of,
    frozen_captions,
    latents_of,
    learned_captions,
    network_of,
    same_width,
)
from nodes.training_run import run_folder, train
from nodes.training_sheet import Sheet
from nodes.types import Clip, Model, Vae

NAME = "diffusion"

Share = Annotated[float, Number(min=0.0, max=1.0, step=0.01)]
Resolution = Annotated[int, Number(min=8, max=4096, step=8), Tip("side of the pictures, pixels")]


class TrainedModel(NamedTuple):
    model: Model
    clip: Clip


@node("TrainDiffusion", category="training", display_name="Train Diffusion Model")
def train_diffusion(
    model: Model,
    dataset: Dataset,
    recipe: Recipe,
    resolution: Resolution = 64,
    shape: Annotated[Shape, Tip("buckets: each picture to the nearest of several aspects")] = (
        "square"
    ),
    crop: Annotated[Crop, Tip("what is kept of what stands out")] = "center",
    flip: Annotated[Share, Tip("share of the pictures that is mirrored")] = 0.0,
    drop: Annotated[Share, Tip("share shown without its caption, for guidance")] = 0.1,
    min_snr: Annotated[
        float, Number(min=0.0, max=100.0, step=0.1), Tip("γ of min-SNR weights; 0: none")
    ] = 0.0,
    train_text: Annotated[bool, Tip("the text encoder learns along")] = False,
    prompts: Annotated[str, Text(multiline=True), Tip("drawn as it learns, one a line")] = "",
    stored: Annotated[Stored, Tip("what the result is saved as")] = "fp16",
    *,
    vae: Annotated[Vae | None, OPTIONAL, Tip("for a model that works on latents")] = None,
    clip: Annotated[Clip | None, OPTIONAL, Tip("for a model that reads captions")] = None,
    context: Context,
) -> TrainedModel:
    """Teach a diffusion model a data set: the noise in a picture, told from its caption.

    On pixels without a vae, on latents with one; with captions where the model reads tokens.
    """
    result = Checkpoint(run_folder(NAME, context).path / RESULT, model, clip, context)
    if result.path.is_file():
        return TrainedModel(*result.read())
    framing = framing_of(resolution, shape, crop, flip)
    data = latents_of(dataset, framing, vae or Vae(None, 1, model.channels), context)
    unet = network_of(model.source, UNet, context, learns=True)
    text: CLIPText | None = None
    condition: Conditioner | None = None
    if clip is not None and train_text:
        text = network_of(clip.source, CLIPText, context, learns=True)
        condition = learned_captions(dataset, clip, text, context)
    elif clip is not None:
        condition = frozen_captions(dataset, clip, context)
    same_width(model, condition)
    lesson = DiffusionLesson(
        unet=unet,
        data=data,
        order=data.order(recipe.batch, recipe.seed),
        objective=SimpleLoss(model.sampling, min_snr or None),
        trained={"unet": unet},
        condition=condition,
        drop=drop,
        scale=model.scale,
        device=context.device,
    )
    sheet = Sheet(model, vae, clip, unet, text, tuple(prompts.splitlines()), resolution, context)
    train(NAME, lesson, recipe, context, sheet)
    result.write(unet, text, stored)
    return TrainedModel(*result.read())
