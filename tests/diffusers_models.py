"""Small random checkpoints in diffusers' layout, written by diffusers and transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from tiny_models import scrambled
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from nodes.models.clip_config import Family

UNET: dict[str, Any] = {
    "block_out_channels": (32, 64),
    "layers_per_block": 1,
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    "cross_attention_dim": 64,
    "attention_head_dim": 8,
}
UNET_2 = UNET | {
    "block_out_channels": (64, 128),
    "cross_attention_dim": 128,
    "attention_head_dim": (1, 2),
    "use_linear_projection": True,
}
VAE: dict[str, Any] = {
    "block_out_channels": (32, 64),
    "layers_per_block": 1,
    "down_block_types": ("DownEncoderBlock2D", "DownEncoderBlock2D"),
    "up_block_types": ("UpDecoderBlock2D", "UpDecoderBlock2D"),
    "scaling_factor": 0.25,
}
TEXT: dict[str, Any] = {
    "vocab_size": 100,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 1,
    "intermediate_size": 128,
    "hidden_act": "quick_gelu",
}
TEXT_2 = TEXT | {"hidden_size": 128, "num_attention_heads": 2, "hidden_act": "gelu"}


def unet(family: Family, **changes: Any) -> UNet2DConditionModel:
    return made(UNet2DConditionModel(**{**(UNET if family == "sd1" else UNET_2), **changes}))


def vae(**changes: Any) -> AutoencoderKL:
    return made(AutoencoderKL(**{**VAE, **changes}))


def text(family: Family) -> CLIPTextModel:
    return made(CLIPTextModel(CLIPTextConfig(**(TEXT if family == "sd1" else TEXT_2))))


def made(module: Any) -> Any:
    torch.manual_seed(11)
    assert isinstance(module, nn.Module)
    return scrambled(module)


def folder(path: Path, family: Family, **scheduler: Any) -> Path:
    """A pipeline's folder at `path`, without the tokenizer's merges."""
    unet(family).save_pretrained(path / "unet")
    vae().save_pretrained(path / "vae")
    text(family).save_pretrained(path / "text_encoder")
    DDIMScheduler(**scheduler).save_pretrained(path / "scheduler")
    (path / "tokenizer").mkdir()
    tokens = {"!": 0, "<|startoftext|>": 98, "<|endoftext|>": 99}
    (path / "tokenizer" / "vocab.json").write_text(json.dumps(tokens))
    settings = {"pad_token": "!" if family == "sd2" else {"content": "<|endoftext|>"}}
    (path / "tokenizer" / "tokenizer_config.json").write_text(json.dumps(settings))
    index = {"_class_name": "StableDiffusionPipeline"}
    (path / "model_index.json").write_text(json.dumps(index))
    return path
