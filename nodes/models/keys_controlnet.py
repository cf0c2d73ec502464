"""A ControlNet's tensor names: the original <-> diffusers' ControlNetModel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .controlnet import HINT_WIDTHS, ControlNet, ControlNetConfig
from .controlnet_shapes import HINT, HINT_DIFFUSERS
from .diffusers_options import require_options
from .errors import ArchitectureError
from .keys_unet import config_from_diffusers as unet_from_diffusers
from .keys_unet import module_names as unet_names
from .renaming import rename
from .shapes import shapes_of
from .unet_config import skips_of

# The way up, which diffusers' file does not describe, mirrors the way down.
UP = {"CrossAttnDownBlock2D": "CrossAttnUpBlock2D", "DownBlock2D": "UpBlock2D"}
FIXED: dict[str, tuple[Any, ...]] = {"controlnet_conditioning_channel_order": ("rgb",)}


def to_diffusers(config: ControlNetConfig) -> dict[str, str]:
    """Every tensor's original name (without prefix) -> its name in ControlNetModel.

    Raises ArchitectureError where diffusers' class has no such network.
    """
    if config.unet.context_dim is None or not config.unet.middle_depth:
        raise ArchitectureError(
            "ControlNetModel always has a context, and attention in the middle: no such network "
            "has diffusers names"
        )
    modules = module_names(config)
    return {name: rename(name, modules) for name in shapes_of(lambda: ControlNet(config))}


def module_names(config: ControlNetConfig) -> dict[str, str]:
    """Original module path -> diffusers module path, for every module that holds tensors."""
    last = 2 * len(HINT_WIDTHS) - 1  # the hint encoder's convolutions, with activations between
    hint = {f"{HINT}.{2 * i}": f"{HINT_DIFFUSERS}.blocks.{i - 1}" for i in range(1, last)}
    hint[f"{HINT}.0"] = f"{HINT_DIFFUSERS}.conv_in"
    hint[f"{HINT}.{2 * last}"] = f"{HINT_DIFFUSERS}.conv_out"
    zeros = {
        f"zero_convs.{i}.0": f"controlnet_down_blocks.{i}"
        for i in range(len(skips_of(config.unet)))
    }
    middle = {"middle_block_out.0": "controlnet_mid_block"}
    return {**unet_names(config.unet), **hint, **zeros, **middle}


def config_from_diffusers(config: Mapping[str, Any]) -> ControlNetConfig:
    """The architecture a ControlNetModel's config.json describes.

    Raises ArchitectureError naming the option this package has no equivalent for.
    """
    require_options(config, FIXED, "ControlNetModel")
    down = config.get("down_block_types") or ()
    up = tuple(UP.get(kind, kind) for kind in reversed(down))
    given = {**config, "out_channels": config.get("in_channels", 4)}
    unet = unet_from_diffusers({**given, "up_block_types": up} if up else given)
    widths = config.get("conditioning_embedding_out_channels") or HINT_WIDTHS
    channels, pooled = config.get("conditioning_channels", 3), config.get("global_pool_conditions")
    return ControlNetConfig(unet, channels, tuple(widths), bool(pooled))
