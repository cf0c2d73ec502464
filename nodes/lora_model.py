"""Nodes for a LoRA that a graph made: to apply it, to save it, to see how it learned."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from nodegraph import (
    OPTIONAL,
    Context,
    NodeGraphError,
    Number,
    PortType,
    Shown,
    Tip,
    node,
    structural,
)
from nodes.image import save_image
from nodes.models.save import Piece, below
from nodes.patching import Lora, with_lora
from nodes.training.curve import curve_picture
from nodes.types import Image, Model
from nodes.writing import save_weights

STEPS = "ss_steps"  # of a file's metadata: how many it was trained for
NAMED_STEPS = re.compile(r"_(\d+)_steps_")  # in the names that SaveLoRANode gives


@dataclass(frozen=True)
class LossMap:
    """How the loss of a run went, step by step. rates: the learning rate."""

    steps: tuple[int, ...]
    losses: tuple[float, ...]
    rates: tuple[float, ...]
    title: str = ""

    @classmethod
    def of(cls, history: Iterable[Mapping[str, Any]], title: str = "") -> LossMap:
        lines = [(line["step"], line["loss"], line["rate"]) for line in history]
        steps, losses, rates = zip(*lines, strict=True) if lines else ((), (), ())
        return cls(steps, losses, rates, title)

    @property
    def history(self) -> list[dict[str, Any]]:
        lines = zip(self.steps, self.losses, self.rates, strict=True)
        return [{"step": step, "loss": loss, "rate": rate} for step, loss, rate in lines]


LORA_MODEL = PortType("LORA_MODEL", Lora, color="#f48fb1")
LOSS_MAP = PortType("LOSS_MAP", LossMap, color="#90a4ae", codec=structural(LossMap))


def steps_of(lora: Lora) -> int:
    """How many steps a LoRA was trained for, as its file or its name says; 0 if neither does."""
    said = lora.file.file.metadata.get(STEPS, "")
    if said.isdecimal():
        return int(said)
    match = NAMED_STEPS.search(lora.name)
    return int(match[1]) if match else 0


@node("LoraModelLoader", category="loaders", display_name="Load LoRA Model")
def lora_model_loader(
    model: Model,
    lora: Lora,
    strength_model: Annotated[
        float,
        Number(min=-100.0, max=100.0, step=0.01),
        Tip("1 as it was trained, 0 not at all, below 0 the other way"),
    ] = 1.0,
    *,
    context: Context,
) -> Model:
    """Change a model by a LoRA that was just trained."""
    if strength_model == 0:
        return model
    return with_lora(lora, model, None, (strength_model, 0.0), context)[0]


@node("SaveLoRANode", category="loaders", display_name="Save LoRA Weights", output=True)
def save_lora(
    lora: Lora,
    prefix: str = "loras/ComfyUI_trained_lora",
    steps: Annotated[int | None, OPTIONAL, Tip("goes into the name")] = None,
    *,
    context: Context,
) -> Shown:
    """Write a trained LoRA into the output folder, for LoadLora of this and other programs."""
    name = prefix if steps is None else f"{prefix}_{steps}_steps"
    file = lora.file.file
    with file.reader() as read:
        pieces = {
            key: Piece(info.shape, info.dtype, partial(read, key))
            for key, info in file.tensors.items()
        }
        return save_weights(list(below("", pieces)), file.metadata, name, context)


@node("LossGraphNode", category="training", display_name="Plot Loss Graph", output=True)
def loss_graph(loss: LossMap, filename_prefix: str = "loss_graph", *, context: Context) -> Shown:
    """Draw how the loss of a training run went, and write the picture to the output folder."""
    try:
        picture = curve_picture(loss.history, loss.title)
    except ImportError as fault:
        raise NodeGraphError("no loss curve can be drawn: pip install matplotlib") from fault
    return save_image(Image(picture), filename_prefix, context=context)
