"""Nodes that make untrained networks, to be trained: files in the cache, loaded like any other.

A file's name is the content key of what it holds, so equal settings give one file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from nodegraph import Context, NodeGraphError, Number, Seed, Tip, node
from nodes.models.checkpoint_info import CheckpointInfo, inspect
from nodes.models.checkpoint_metadata import BetaSchedule, Declared
from nodes.models.clip_config import HEAD_WIDTH, CLIPConfig
from nodes.models.errors import ArchitectureError
from nodes.models.fresh import fresh_text, fresh_unet, fresh_vae
from nodes.models.save import save_original
from nodes.models.unet_config import UNetConfig
from nodes.models.vae import VAEConfig
from nodes.types import Clip, Model, Vae
from nodes.weights import as_clip, as_model, as_vae

CATEGORY = "training/new"
C = TypeVar("C")
VOCABULARY = 49408  # CLIP's


Count = Annotated[int, Number(min=1, max=4096)]
Levels = Annotated[str, Tip("one number for each level, the finest first")]


@node("NewUNet", category=CATEGORY, display_name="New UNet")
def new_unet(
    channels: Annotated[int, Number(min=32, max=1024, step=32), Tip("of the finest level")] = 64,
    multipliers: Levels = "1,2,2",
    blocks: Levels = "1,1,1",
    depths: Annotated[str, Tip("transformer blocks at each level; 0: no attention")] = "1,1,1",
    heads: Count = 8,
    context_width: Annotated[int, Number(min=0, max=4096), Tip("0: reads no tokens")] = 192,
    latent_channels: Annotated[int, Number(min=1, max=64), Tip("3: works on pixels")] = 4,
    extra_inputs: Annotated[int, Number(min=0, max=64), Tip("5: inpainting, 1: depth")] = 0,
    predicts: Literal["eps", "v", "x0"] = "eps",
    learned_variance: bool = False,
    noise: Literal["scaled_linear", "linear", "cosine"] = "scaled_linear",
    seed: Annotated[int, Seed()] = 0,
    *,
    context: Context,
) -> Model:
    """An untrained UNet of latent diffusion (arXiv:2112.10752), or of DDPM on pixels."""
    config = or_say(
        lambda: UNetConfig(
            in_channels=latent_channels + extra_inputs,
            out_channels=latent_channels * (2 if learned_variance else 1),
            model_channels=channels,
            channel_mult=numbers(multipliers, "multipliers"),
            num_res_blocks=numbers(blocks, "blocks"),
            transformer_depth=numbers(depths, "depths"),
            middle_depth=max(numbers(depths, "depths")[-1:] or (0,)),
            context_dim=context_width or None,
            num_heads=heads,
        )
    )
    linear = BetaSchedule("linear", 1e-4, 0.02)  # DDPM's (arXiv:2006.11239, §4)
    schedule = {"linear": linear, "cosine": BetaSchedule("cosine")}.get(noise, BetaSchedule())
    declared = Declared(prediction=predicts, schedule=schedule)
    info = _made(
        context,
        (config, declared, seed),
        lambda path: save_original(path, declared, unet=fresh_unet(config, seed)),
    )
    return as_model(info, context)


@node("NewAutoencoder", category=CATEGORY)
def new_autoencoder(
    channels: Annotated[int, Number(min=32, max=1024, step=32), Tip("of the finest level")] = 32,
    multipliers: Annotated[str, Tip("each level but the last halves the picture")] = "1,2,2",
    blocks: Count = 1,
    latent_channels: Annotated[int, Number(min=1, max=64)] = 4,
    seed: Annotated[int, Seed()] = 0,
    *,
    context: Context,
) -> Vae:
    """An untrained autoencoder of latent diffusion (KL-regularised)."""
    config = or_say(
        lambda: VAEConfig(
            channels=channels,
            channel_mult=numbers(multipliers, "multipliers"),
            num_res_blocks=blocks,
            z_channels=latent_channels,
            embed_dim=latent_channels,
        )
    )
    info = _made(
        context,
        (config, seed),
        lambda path: save_original(path, Declared(), vae=fresh_vae(config, seed)),
    )
    return as_vae(info, context)


@node("NewTextEncoder", category=CATEGORY)
def new_text_encoder(
    width: Annotated[int, Number(min=64, max=4096, step=64)] = 192,
    layers: Count = 2,
    seed: Annotated[int, Seed()] = 0,
    *,
    context: Context,
) -> Clip:
    """An untrained text transformer of CLIP's kind, with CLIP's tokens."""
    config = or_say(
        lambda: CLIPConfig(
            vocab=VOCABULARY,
            width=width,
            layers=layers,
            heads=width // HEAD_WIDTH,
            mlp=4 * width,
        )
    )
    info = _made(
        context,
        (config, seed),
        lambda path: save_original(path, Declared(family="sd1"), text=fresh_text(config, seed)),
    )
    return as_clip(info, context)


def numbers(text: str, port: str) -> tuple[int, ...]:
    """ "1,2,2" -> (1, 2, 2). Raises NodeGraphError naming the port."""
    try:
        return tuple(int(part) for part in text.replace(" ", "").split(","))
    except ValueError:
        raise NodeGraphError(
            f"{port}: expected whole numbers with commas between, such as 1,2,2, got {text!r}"
        ) from None


def or_say(make: Callable[[], C]) -> C:
    """An architecture, or what is wrong with it as the node's error (NodeGraphError)."""
    try:
        return make()
    except ArchitectureError as fault:
        raise NodeGraphError(str(fault)) from fault


def _made(
    context: Context, what: tuple[object, ...], save: Callable[[Path], None]
) -> CheckpointInfo:
    """The file of an untrained network, written unless it is there."""
    return inspect(untrained(context, what, save))


def untrained(context: Context, what: tuple[object, ...], save: Callable[[Path], None]) -> Path:
    """Where the file of an untrained network is, written unless it is there."""
    folder = context.need_folders().cache
    if folder is None:
        raise NodeGraphError("untrained networks are files in the cache folder: set one")
    key = hashlib.sha256(repr(what).encode()).hexdigest()[:32]
    path = folder / "untrained" / f"{key}.safetensors"
    if not path.is_file():
        save(path)
    return path
