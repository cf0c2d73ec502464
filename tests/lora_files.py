"""LoRA files of seeded random numbers for the tiny pipelines, in every format, and their effect.

The effect is worked out on diffusers' and transformers' own modules, by their own names: W gains
strength * alpha / rank * up @ down. (diffusers' load_lora_weights needs peft, which computes this.)
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import save_file
from tiny_pipelines import Tiny
from torch import Tensor, nn

Format = Literal["kohya", "original", "diffusers", "peft", "processor", "comfyui"]
RANK, ALPHA = 3, 1.5


@dataclass(frozen=True)
class Change:
    """up (out, r, ...), down (r, in, ...) for one module of diffusers' or transformers'."""

    up: Tensor
    down: Tensor
    alpha: float = ALPHA

    @property
    def delta(self) -> Tensor:
        return self.alpha / len(self.down) * (self.up.flatten(1) @ self.down.flatten(1))


Changes = dict[str, Change]


def changes(module: nn.Module, seed: int = 0, only: Callable[[str], bool] | None = None) -> Changes:
    """One for every linear layer and convolution."""
    generator = torch.Generator().manual_seed(seed)
    found: Changes = {}
    for name, layer in module.named_modules():
        if not isinstance(layer, (nn.Linear, nn.Conv2d)) or (only and not only(name)):
            continue
        out, *rest = layer.weight.shape
        size = 0.5 / layer.weight[0].numel() ** 0.5
        up = torch.randn(out, RANK, *(1,) * (len(rest) - 1), generator=generator)
        down = torch.randn(RANK, *rest, generator=generator) * size
        found[name] = Change(up, down)
    return found


def changed(module: nn.Module, *applied: tuple[Changes, float]) -> nn.Module:
    """A copy with the changes, each at its strength."""
    made = copy.deepcopy(module)
    with torch.no_grad():
        for several, strength in applied:
            for name, change in several.items():
                weight = made.get_submodule(name).weight
                assert isinstance(weight, Tensor)
                weight += strength * change.delta.reshape(weight.shape)
    return made.eval()


def tensors(part: str, changes: Changes, format: Format) -> dict[str, Tensor]:
    """A file's tensors; `part` is unet or text."""
    found: dict[str, Tensor] = {}
    for name, change in changes.items():
        if part == "text" and not name.startswith("text_model."):
            name = f"text_model.{name}"  # transformers 5 leaves it out
        up, down = {
            "kohya": (".lora_up.weight", ".lora_down.weight"),
            "original": (".lora_up.weight", ".lora_down.weight"),
            "comfyui": (".lora_up.weight", ".lora_down.weight"),
            "diffusers": (".lora_linear_layer.up.weight", ".lora_linear_layer.down.weight"),
            "peft": (".lora_B.weight", ".lora_A.weight"),
            "processor": ("_lora.up.weight", "_lora.down.weight"),
        }[format]
        module = spelled(part, name, format)
        found[module + up] = change.up.contiguous()
        found[module + down] = change.down.contiguous()
        if format != "processor":
            found[f"{module}.alpha"] = torch.tensor(change.alpha)
    return found


def spelled(part: str, name: str, format: Format) -> str:
    match format:
        case "kohya" | "original":
            return ("lora_unet_" if part == "unet" else "lora_te_") + name.replace(".", "_")
        case "comfyui":
            home = "diffusion_model." if part == "unet" else "text_encoders.clip_l.transformer."
            return home + name
        case "processor":
            owner, _, leaf = name.removesuffix(".0").rpartition(".")
            return f"{owner}.processor.{leaf}"
    return ("unet." if part == "unet" else "text_encoder.") + name


def write(path: Path, *parts: dict[str, Tensor], **metadata: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: v for part in parts for k, v in part.items()}, path, metadata or None)
    return path


def whole(path: Path, models: Tiny, seed: int, format: Format = "kohya") -> tuple[Changes, Changes]:
    """Write a LoRA for the UNet and the text encoder; returns what it changes in each."""
    unet, text = changes(models.unet, seed), changes(models.text, seed + 1)
    write(path, tensors("unet", unet, format), tensors("text", text, format))
    return unet, text
