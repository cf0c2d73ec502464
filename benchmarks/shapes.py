"""The full shape of Stable Diffusion 1.5, with random weights, for us and for diffusers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from nodes.models.blank import blank
from nodes.models.keys_unet import to_diffusers
from nodes.models.unet import UNet
from nodes.models.unet_config import UNetConfig

SD15 = UNetConfig(
    in_channels=4,
    out_channels=4,
    model_channels=320,
    channel_mult=(1, 2, 4, 4),
    num_res_blocks=(2, 2, 2, 2),
    transformer_depth=(1, 1, 1, 0),
    middle_depth=1,
    context_dim=768,
    num_heads=8,
)
DIFFUSERS_SD15: dict[str, Any] = {
    "sample_size": 64,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
    "block_out_channels": (320, 640, 1280, 1280),
}


def random_unet(seed: int = 0) -> UNet:
    """Our UNet, float32, with small random weights."""
    with blank():
        module = UNet(SD15)
    return fill(module.to_empty(device="cpu"), seed).eval().requires_grad_(False)


def fill(module: Any, seed: int) -> Any:
    """Weights such that activations stay of order one."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.5 / parameter[0].numel() ** 0.5, generator=generator)
            else:
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)
    return module


def as_diffusers(ours: UNet) -> nn.Module:
    """diffusers' UNet that shares our weights, tensor by tensor."""
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        peer = UNet2DConditionModel(**DIFFUSERS_SD15)
    weights = ours.state_dict()
    names = to_diffusers(ours.config)
    shapes = {name: tensor.shape for name, tensor in peer.state_dict().items()}
    state = {peer: weights[own].reshape(shapes[peer]) for own, peer in names.items()}
    peer.load_state_dict(state, assign=True)
    module: nn.Module = peer.eval().requires_grad_(False)
    return module


def inputs(batch: int = 2, side: int = 64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """x (B, 4, h, w), t (B,), tokens (B, 77, 768)."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(batch, 4, side, side, generator=generator)
    tokens = torch.randn(batch, 77, 768, generator=generator)
    return x, torch.full((batch,), 500.0), tokens


def file_size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return path.stat().st_size if path.is_file() else sum(map(file_size, path.iterdir()))
