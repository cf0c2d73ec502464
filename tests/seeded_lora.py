"""LoRAs that fit the embedded model: small changes of its attention, by a seed."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from nodes.models.checkpoint import inspect, load
from nodes.models.keys_unet import to_diffusers
from nodes.models.save import Piece, below, write_safetensors
from nodes.training.low_rank import Adapters, as_kohya, attention_of

SMALL = 0.05
RANK = 4


def save_seeded_lora(checkpoint: Path, path: Path, seed: int) -> Path:
    """A LoRA for the checkpoint's UNet and text encoder, in kohya's names."""
    info = inspect(checkpoint)
    unet, text = (load(info, part, dtype=torch.float32) for part in ("unet", "text"))
    unet_paths = {
        ours.removesuffix(".weight"): theirs.removesuffix(".weight")
        for ours, theirs in to_diffusers(unet.config).items()
    }
    names = attention_of(text)
    tensors: dict[str, Tensor] = {
        **_changes(unet, "lora_unet_", unet_paths, seed),
        **_changes(text, "lora_te_", {name: name for name in names}, seed),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    pieces = {name: Piece.of(tensor) for name, tensor in tensors.items()}
    write_safetensors(path, below("", pieces), {})
    return path


def _changes(
    network: torch.nn.Module, prefix: str, paths: dict[str, str], seed: int
) -> dict[str, Tensor]:
    adapters = Adapters(network, attention_of(network), RANK, float(RANK), seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, change in adapters.by_name():
            change.up.normal_(std=SMALL, generator=generator)
    return as_kohya(adapters, prefix, paths)
