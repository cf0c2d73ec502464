"""The node that trains ControlNets (arXiv:2302.05543)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from nodegraph import OPTIONAL, Context, NodeGraphError, Number, Text, Tip, node
from nodes.control_weights import read_control_net
from nodes.models.controlnet import ControlNet as Network
from nodes.models.save import save_control_net
from nodes.models.unet import UNet
from nodes.training.chance import Chance
from nodes.training.controlled import Guided, new_controlnet, shown
from nodes.training.dataset import Dataset
from nodes.training.diffusion import DiffusionLesson
from nodes.training.framing import Crop
from nodes.training.recipe import Recipe
from nodes.training.simple_loss import SimpleLoss
from nodes.training_parts import (
    DTYPES,
    RESULT,
    Shape,
    Stored,
    framing_of,
    frozen_captions,
    latents_of,
    network_of,
    same_width,
)
from nodes.training_run import run_folder, train
from nodes.training_sheet import HintSheet, Sheet
from nodes.types import Clip, ControlNet, Model, Vae

NAME = "controlnet"
SHOWN = 8  # pictures of a sample sheet

Share = Annotated[float, Number(min=0.0, max=1.0, step=0.01)]


@node("TrainControlNet", category="training", display_name="Train ControlNet")
def train_controlnet(
    model: Model,
    dataset: Dataset,
    recipe: Recipe,
    hint: Annotated[str, Tip("which of the data set's hints it is shown")] = "edges",
    resolution: Annotated[int, Number(min=8, max=4096, step=8)] = 64,
    shape: Shape = "square",
    crop: Crop = "center",
    flip: Annotated[Share, Tip("share of the pictures that is mirrored")] = 0.0,
    drop: Annotated[Share, Tip("share shown without its caption")] = 0.5,
    prompts: Annotated[str, Text(multiline=True), Tip("drawn as it learns, one a line")] = "",
    stored: Annotated[Stored, Tip("what the result is saved as")] = "fp16",
    *,
    vae: Annotated[Vae | None, OPTIONAL, Tip("for a model that works on latents")] = None,
    clip: Annotated[Clip | None, OPTIONAL, Tip("for a model that reads captions")] = None,
    control_net: Annotated[ControlNet | None, OPTIONAL, Tip("to go on from")] = None,
    context: Context,
) -> ControlNet:
    """Teach a ControlNet for a model: to draw what a hint shows. The model stays as it is.

    It starts as a copy of the model's way down that adds nothing.
    """
    path = run_folder(NAME, context).path / RESULT
    name = f"{NAME} for {hint}"
    if path.is_file():
        return read_control_net(path, name, context)
    if hint not in dataset.hints:
        has = ", ".join(dataset.hints) or "none"
        raise NodeGraphError(f"the data set has no hint {hint!r} for every picture; it has {has}")
    framing = framing_of(resolution, shape, crop, flip)
    data = latents_of(dataset, framing, vae or Vae(None, 1, model.channels), context)
    unet = network_of(model.source, UNet, context, learns=False)
    network = _begun(control_net, unet, recipe.seed, context)
    condition = None if clip is None else frozen_captions(dataset, clip, context)
    same_width(model, condition)
    lesson = DiffusionLesson(
        unet=unet,
        data=data,
        order=data.order(recipe.batch, recipe.seed),
        objective=SimpleLoss(model.sampling),
        trained={"control": network},
        condition=condition,
        drop=drop,
        scale=model.scale,
        control=Guided(network, data, hint, context.device),
        device=context.device,
    )
    examples = tuple(range(min(SHOWN, len(dataset))))
    told = tuple(prompts.splitlines()) or tuple(dataset.examples[i].caption for i in examples)
    steered = Steered(unet, network, data.hint(hint, examples[: len(told)], Chance(recipe.seed)))
    sheet = Sheet(model, vae, clip, steered, None, told[: len(examples)], resolution, context)
    train(NAME, lesson, recipe, context, HintSheet(sheet, steered.hints))
    save_control_net(path, network, dtype=DTYPES[stored])
    return read_control_net(path, name, context)


@dataclass(frozen=True, eq=False)
class Steered:
    """A UNet under control of hints (P, 3, H, W): rows i, P + i, 2 P + i ... are shown hint i."""

    unet: UNet
    network: Network
    hints: Tensor

    def __call__(self, x_t: Tensor, t: Tensor, tokens: Tensor | None) -> Tensor:
        features = self.network.encode(shown(self.network, self.hints, x_t).to(x_t))
        features = features.repeat(len(x_t) // len(features), 1, 1, 1)
        output: Tensor = self.unet(x_t, t, tokens, control=self.network(x_t, t, tokens, features))
        return output


def _begun(given: ControlNet | None, unet: UNet, seed: int, context: Context) -> Network:
    """The network that learns: a copy of the one given, or a new one."""
    if given is None:
        return new_controlnet(unet, seed)
    return network_of(given.source, Network, context, learns=True)
