"""The node that trains diffusion models, on pixels or on latents (arXiv:2006.11239, 2112.10752)."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, NamedTuple

from nodegraph import OPTIONAL, Context, Number, Text, Tip, node
from nodes.models.unet import UNet
from nodes.training.dataset import Dataset
from nodes.training.diffusion import DiffusionLesson
from nodes.training.framing import Crop
from nodes.training.labels import Labels
from nodes.training.latents import Latents
from nodes.training.pixels import Pixels
from nodes.training.recipe import Recipe
from nodes.training.simple_loss import SimpleLoss
from nodes.training_classes import Drawn, drawn, labels_of
from nodes.training_conditions import (
    ENCODER,
    Specimens,
    Tellers,
    Told,
    save_trained,
    trained_encoder,
)
from nodes.training_parts import (
    RESULT,
    Checkpoint,
    Shape,
    Stored,
    framing_of,
    latents_of,
    network_of,
)
from nodes.training_run import Draw, run_folder, train
from nodes.training_sheet import HintSheet, Sheet
from nodes.types import Clip, ConditionEncoder, Model, Vae

NAME = "diffusion"

Share = Annotated[float, Number(min=0.0, max=1.0, step=0.01)]
Resolution = Annotated[int, Number(min=8, max=4096, step=8), Tip("side of the pictures, pixels")]


class TrainedModel(NamedTuple):
    model: Model
    clip: Clip
    encoder: ConditionEncoder


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
    reads: Annotated[
        str, Tip("what the encoder is shown: label, image or a hint; empty: as its kind says")
    ] = "",
    *,
    vae: Annotated[Vae | None, OPTIONAL, Tip("for a model that works on latents")] = None,
    clip: Annotated[Clip | None, OPTIONAL, Tip("for a model that reads captions")] = None,
    encoder: Annotated[
        ConditionEncoder | None, OPTIONAL, Tip("learns along: class, picture or map as tokens")
    ] = None,
    context: Context,
) -> TrainedModel:
    """Teach a diffusion model a data set: the noise in a picture, told from its caption.

    On pixels without a vae, on latents with one; with captions, or what a condition encoder makes
    of labels, pictures or hints, or both, where the model reads tokens; with the data set's labels
    where the model has classes. All is dropped together.
    """
    if vae is not None:  # a file with a UNet alone does not say how large its latent cells are
        model = replace(model, factor=vae.factor)
    folder = run_folder(NAME, context).path
    result = Checkpoint(folder / RESULT, model, clip, context)
    if result.path.is_file():
        return TrainedModel(*result.read(), trained_encoder(folder / ENCODER, encoder, context))
    framing = framing_of(resolution, shape, crop, flip)
    data = latents_of(dataset, framing, vae or Vae(None, 1, model.channels), context)
    unet = network_of(model.source, UNet, context, learns=True)
    tellers = Tellers(clip, encoder, reads, text_learns=train_text, encoder_learns=True)
    told = tellers.told(model, dataset, data, context)
    labels = labels_of(model, dataset, drop, context)
    lesson = DiffusionLesson(
        unet=unet,
        data=data,
        order=data.order(recipe.batch, recipe.seed),
        objective=SimpleLoss(model.sampling, min_snr or None),
        trained={"unet": unet},
        condition=told.condition,
        drop=drop,
        scale=model.scale,
        device=context.device,
        labels=labels,
    )
    asked = tuple(prompts.splitlines())
    shown = drawn(model, asked)
    sheet = Sheet(model, vae, clip, unet, told.text, asked, resolution, context, drawn=shown)
    train(NAME, lesson, recipe, context, _drawing(sheet, told, data, labels, recipe.seed))
    if encoder is not None and told.sensed is not None:
        save_trained(folder / ENCODER, encoder, told.sensed, stored)
    result.write(unet, told.text, stored)
    return TrainedModel(*result.read(), trained_encoder(folder / ENCODER, encoder, context))


def _drawing(
    sheet: Sheet, told: Told, data: Latents | Pixels, labels: Labels | None, seed: int
) -> Draw:
    """The sheet of prompts; where an encoder learns along, of the first examples."""
    if told.sensed is None:
        return sheet
    specimens = Specimens.of(told.sensed, data, seed)
    prompts = specimens.prompts(sheet.prompts)
    sheet = replace(sheet, prompts=prompts, sensed=specimens.tokens)
    if sheet.model.classes is not None and labels is not None:
        numbers = [labels.numbers[i] for i in specimens.examples]
        sheet = replace(sheet, drawn=Drawn.of(sheet.model.classes, numbers))
    hints = specimens.hints
    return sheet if hints is None else HintSheet(sheet, hints)
