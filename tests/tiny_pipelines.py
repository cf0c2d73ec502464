"""Tiny models in Stable Diffusion's shapes, of random weights, made by diffusers and transformers.

What the project reads of them is compared with what those libraries compute. (tests/tiny_models.py
holds our own modules of random weights.)
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from nodes.models.checkpoint import inspect, load
from nodes.models.checkpoint_metadata import Declared
from nodes.models.save import save_original

Family = Literal["sd1", "sd2"]
WIDTH = 64  # of the tokens
FACTOR = 2  # pixels per latent cell
BETAS: dict[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
}


@dataclass(frozen=True)
class Tiny:
    """The networks of one pipeline; `prediction` is diffusers' word for what the UNet gives."""

    family: Family
    unet: UNet2DConditionModel
    text: CLIPTextModel
    vae: AutoencoderKL

    @property
    def prediction(self) -> str:
        return "v_prediction" if self.family == "sd2" else "epsilon"


@cache
def tiny(family: Family) -> Tiny:
    """Stable Diffusion 1 predicting eps, or 2 predicting v, in the shapes of their families."""
    second = family == "sd2"
    unet = UNet2DConditionModel(
        block_out_channels=(64, 128),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=(1, 2) if second else 8,  # heads, whatever it is called
        use_linear_projection=second,
    )
    text = CLIPTextModel(
        CLIPTextConfig(
            hidden_size=WIDTH,
            intermediate_size=128,
            num_hidden_layers=23 if second else 2,
            num_attention_heads=1,
            hidden_act="gelu" if second else "quick_gelu",
            eos_token_id=49407,
        )
    )
    vae = AutoencoderKL(
        block_out_channels=(32, 64),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
    )
    for seed, module in enumerate((unet, text, vae)):
        _randomise(module, seed)
    return Tiny(family, unet.eval(), text.eval(), vae.eval())


def save_folder(models: Tiny, folder: Path, **scheduler: Any) -> None:
    """As a pipeline's folder in diffusers' layout; `scheduler` adds to its scheduler's settings."""
    models.unet.save_pretrained(folder / "unet")
    models.text.save_pretrained(folder / "text_encoder")
    models.vae.save_pretrained(folder / "vae")
    settings = {**BETAS, "prediction_type": models.prediction, **scheduler}
    DDIMScheduler(**settings).save_pretrained(folder / "scheduler")
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "x"}))


def save_file(
    folder: Path, path: Path, *, parts: tuple[str, ...] = ("unet", "text", "vae")
) -> None:
    """A folder of `save_folder` as one file in the original layout, or some parts of it."""
    info = inspect(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    modules = {part: load(info, part, dtype=torch.float32) for part in parts}  # type: ignore[call-overload]
    save_original(path, Declared(info.family, info.prediction), **modules)


def _randomise(module: nn.Module, seed: int) -> None:
    """Weights that keep activations near unit size, so that errors would show."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim == 1:
                parameter.copy_(0.1 * noise + (1.0 if name.endswith("weight") else 0.0))
            elif "embedding" in name:
                parameter.copy_(noise)
            else:
                parameter.copy_(noise / math.sqrt(parameter[0].numel()))
