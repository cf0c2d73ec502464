"""Nodes that patch a model with LoRA. What is computed: docs/lora.md."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from nodegraph import Context, FileOf, Number, Tip, node
from nodes.patching import open_lora, with_lora
from nodes.types import Clip, Model
from nodes.weights import KEY_MAPS

Strength = Annotated[
    float,
    Number(min=-100.0, max=100.0, step=0.01),
    Tip("1 as it was trained, 0 not at all, below 0 the other way"),
]
LoraName = Annotated[str, FileOf("loras")]


class Patched(NamedTuple):
    model: Model
    clip: Clip


@node("LoadLora", category="loaders", display_name="Load LoRA", extensions=(KEY_MAPS,))
def load_lora(
    model: Model,
    clip: Clip,
    lora_name: LoraName,
    strength_model: Strength = 1.0,
    strength_clip: Strength = 1.0,
    *,
    context: Context,
) -> Patched:
    """Change a model and its text encoder by a LoRA; several in a row add up, in any order."""
    if strength_model == 0 and strength_clip == 0:
        return Patched(model, clip)
    strengths = (strength_model, strength_clip)
    patched, encoder = with_lora(open_lora(lora_name, context), model, clip, strengths, context)
    assert encoder is not None  # one was given
    return Patched(patched, encoder)


@node(
    "LoadLoraModelOnly",
    category="loaders",
    display_name="Load LoRA (Model Only)",
    extensions=(KEY_MAPS,),
)
def load_lora_model_only(
    model: Model, lora_name: LoraName, strength_model: Strength = 1.0, *, context: Context
) -> Model:
    """Change a model by a LoRA and leave the text encoder as it is."""
    if strength_model == 0:
        return model
    lora = open_lora(lora_name, context)
    return with_lora(lora, model, None, (strength_model, 0.0), context)[0]
