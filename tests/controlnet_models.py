"""Small random ControlNets and UNets of both families, made by diffusers, and files of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from diffusers_models import made
from safetensors.torch import save_file
from torch import Tensor

from nodes.models import keys_controlnet, keys_unet
from nodes.models.checkpoint import inspect
from nodes.models.clip_config import Family

SHAPE: dict[Family, dict[str, Any]] = {
    "sd1": {
        "block_out_channels": (32, 64, 64),
        "layers_per_block": 2,
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        "cross_attention_dim": 48,
        "attention_head_dim": 8,
    },
    "sd2": {
        "block_out_channels": (64, 128),
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "cross_attention_dim": 80,
        "attention_head_dim": (1, 2),
        "use_linear_projection": True,
    },
}
UP: dict[Family, dict[str, Any]] = {
    "sd1": {"up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D")},
    "sd2": {"up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D")},
}
HINTS = (16, 32, 48, 64)


def control_model(family: Family, **options: Any) -> ControlNetModel:
    """Every weight is random, those of the zero convolutions as well."""
    widths = {"conditioning_embedding_out_channels": HINTS}
    return made(ControlNetModel(**{**SHAPE[family], **widths, **options}))


def unet_model(family: Family, **options: Any) -> UNet2DConditionModel:
    return made(UNet2DConditionModel(**{**SHAPE[family], **UP[family], **options}))


def save_diffusers(model: ControlNetModel, path: Path, dtype: torch.dtype = torch.float32) -> Path:
    save_file({name: t.to(dtype).contiguous() for name, t in model.state_dict().items()}, path)
    return path


def original_state(model: ControlNetModel) -> dict[str, Tensor]:
    """The same tensors under the original's names, without prefix."""
    config = keys_controlnet.config_from_diffusers(model.config)
    stored = model.state_dict()
    table = keys_controlnet.to_diffusers(config)
    assert set(table.values()) == set(stored)
    return {ours: stored[theirs].clone() for ours, theirs in table.items()}


def save_original(
    model: ControlNetModel, path: Path, prefix: str = "control_model.", dtype: Any = torch.float32
) -> Path:
    state = original_state(model)
    save_file({prefix + name: tensor.to(dtype) for name, tensor in state.items()}, path)
    return path


def save_unet(model: UNet2DConditionModel, path: Path) -> Path:
    """A UNet alone, in the original layout."""
    config = keys_unet.config_from_diffusers(model.config)
    stored = model.state_dict()
    table = keys_unet.to_diffusers(config)
    tensors = {
        f"model.diffusion_model.{ours}": stored[theirs].clone() for ours, theirs in table.items()
    }
    save_file(tensors, path)
    assert inspect(path).unet == config
    return path
