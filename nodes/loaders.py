"""Nodes that load models: they read headers; weights come when a node leases the model."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from nodegraph import Context, FileOf, NodeGraphError, node
from nodes.models.checkpoint_info import CheckpointInfo, inspect
from nodes.models.text import TextEncoder
from nodes.models.tokenizer import CLIPTokenizer
from nodes.types import Clip, Model, Vae
from nodes.weights import PIXEL_SPACE, as_clip, as_model, as_vae

WeightDtype = Literal["default", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2"]


class Checkpoint(NamedTuple):
    model: Model
    clip: Clip
    vae: Vae


@node("LoadCheckpoint", category="loaders", display_name="Load Checkpoint")
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


@node("UNETLoader", category="advanced/loaders", display_name="Load Diffusion Model")
def unet_loader(
    unet_name: Annotated[str, FileOf("unet")], weight_dtype: WeightDtype, *, context: Context
) -> Model:
    """A UNet on its own. fp8: weights are rounded to it when loaded, and computed with as usual."""
    rounding = None if weight_dtype == "default" else weight_dtype.removesuffix("_fast")
    return as_model(_inspect("unet", unet_name, context), context, rounding=rounding)


@node("LoadVAE", category="loaders", display_name="Load VAE")
def load_vae(
    vae_name: Annotated[str, FileOf("vae", extra=(PIXEL_SPACE,))], *, context: Context
) -> Vae:
    """A VAE on its own; "pixel_space" is the identity, for models trained on pixels."""
    if vae_name == PIXEL_SPACE:
        return Vae(None, factor=1, channels=3)
    return as_vae(_inspect("vae", vae_name, context), context)


def _whole(kind: str, name: str, context: Context) -> Checkpoint:
    info = _inspect(kind, name, context)
    missing = {"unet": "UNet", "text": "text encoder", "vae": "VAE"}.keys() - info.parts.keys()
    if missing:
        raise NodeGraphError(
            f"{name} has no {' and no '.join(sorted(missing))}; load its parts with "
            "UNETLoader and VAELoader instead"
        )
    return Checkpoint(as_model(info, context), _clip(info, context), as_vae(info, context))


def _clip(info: CheckpointInfo, context: Context) -> Clip:
    assert info.text is not None
    return as_clip(info, TextEncoder(info.text, CLIPTokenizer()), context)


def _inspect(kind: str, name: str, context: Context) -> CheckpointInfo:
    path = context.need_folders().resolve(kind, name)
    info = inspect(path, ckpt=bool(context.extra.get("allow_ckpt")))
    for note in info.notes:
        context.warn(note)
    return info
