"""Nodes that load models: they read headers; weights come when a node leases the model."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from nodegraph import OPTIONAL, Context, Extension, FileOf, Tip, node
from nodes.models.checkpoint_info import CheckpointInfo, inspect
from nodes.types import Clip, Model, Vae
from nodes.weights import (
    KEY_MAPS,
    PIXEL_CHANNELS,
    PIXEL_SPACE,
    AbsentPart,
    arithmetic,
    as_clip,
    as_model,
    as_vae,
)

# What keys add to the policy's name: "auto" is not the same on every machine.
PRECISION = Extension("precision", {"arithmetic": arithmetic})
LAYOUTS = Extension(KEY_MAPS, {})
MAPPED = (KEY_MAPS,)  # their results depend on all key maps there are
WeightDtype = Literal["default", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2"]


class Checkpoint(NamedTuple):
    model: Model
    clip: Clip
    vae: Vae


@node("LoadCheckpoint", category="loaders", display_name="Load Checkpoint", extensions=MAPPED)
def load_checkpoint(
    ckpt_name: Annotated[str, FileOf("checkpoints")], *, context: Context
) -> Checkpoint:
    """The UNet, text encoder and VAE of one file."""
    return _whole("checkpoints", ckpt_name, context)


@node("DiffusersLoader", category="advanced/loaders/deprecated", display_name="Load Diffusers")
def diffusers_loader(
    model_path: Annotated[str, FileOf("diffusers")], *, context: Context
) -> Checkpoint:
    """The UNet, text encoder and VAE of a diffusers folder."""
    return _whole("diffusers", model_path, context)


@node(
    "UNETLoader",
    category="advanced/loaders",
    display_name="Load Diffusion Model",
    extensions=MAPPED,
)
def unet_loader(
    unet_name: Annotated[str, FileOf("unet")], weight_dtype: WeightDtype, *, context: Context
) -> Model:
    """A UNet on its own. fp8: weights are rounded to it when loaded, and computed with as usual."""
    rounding = None if weight_dtype == "default" else weight_dtype.removesuffix("_fast")
    return as_model(_inspect("unet", unet_name, context), context, rounding=rounding)


@node("CLIPLoader", category="advanced/loaders", display_name="Load CLIP", extensions=MAPPED)
def clip_loader(
    clip_name: Annotated[str, FileOf("text_encoders")],
    type: Literal["stable_diffusion"],
    device: Annotated[
        Literal["default", "cpu"], OPTIONAL, Tip("cpu leaves a GPU's memory to the UNet")
    ] = "default",
    *,
    context: Context,
) -> Clip:
    """A text encoder on its own: that of Stable Diffusion 1 or 2, told apart by its shapes."""
    del type  # of one choice
    where = None if device == "default" else device
    return as_clip(_inspect("text_encoders", clip_name, context), context, device=where)


@node("LoadVAE", category="loaders", display_name="Load VAE", extensions=MAPPED)
def load_vae(
    vae_name: Annotated[str, FileOf("vae", extra=(PIXEL_SPACE,))], *, context: Context
) -> Vae:
    """A VAE on its own; "pixel_space" is the identity, for models trained on pixels."""
    if vae_name == PIXEL_SPACE:
        return Vae(None, factor=1, channels=PIXEL_CHANNELS)
    return as_vae(_inspect("vae", vae_name, context), context)


def _whole(kind: str, name: str, context: Context) -> Checkpoint:
    """All three parts; of a text encoder or VAE that is missing, what says so when it is used."""
    info = _inspect(kind, name, context)
    no_text = AbsentPart(f"{name} holds no text encoder: take one from CLIPLoader instead")
    no_vae = AbsentPart(f"{name} holds no VAE: take one from LoadVAE instead")
    return Checkpoint(
        as_model(info, context),
        as_clip(info, context) if "text" in info.parts else Clip(no_text, None),
        as_vae(info, context) if "vae" in info.parts else Vae(no_vae, info.factor),
    )


def _inspect(kind: str, name: str, context: Context) -> CheckpointInfo:
    path = context.need_folders().resolve(kind, name)
    maps = context.extensions.get(KEY_MAPS, {})
    info = inspect(path, ckpt=bool(context.extra.get("allow_ckpt")), maps=maps)
    for note in info.notes:
        context.warn(note)
    return info
