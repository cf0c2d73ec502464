"""Small random models of both families, and the checkpoints they are saved in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nodes.models.checkpoint_metadata import Declared
from nodes.models.clip import CLIPText
from nodes.models.clip_config import CLIPConfig, Family
from nodes.models.save import save_original
from nodes.models.unet import UNet
from nodes.models.unet_config import UNetConfig
from nodes.models.vae import VAE, VAEConfig

UNETS = {
    "sd1": UNetConfig(4, 4, 32, (1, 2), (1, 1), (1, 1), 1, context_dim=64, num_heads=8),
    "sd2": UNetConfig(
        4,
        4,
        64,
        (1, 1),
        (1, 1),
        (1, 1),
        1,
        context_dim=128,
        head_channels=64,
        use_linear_projection=True,
    ),
}
TEXTS = {
    "sd1": CLIPConfig(vocab=100, width=64, layers=2, heads=1, mlp=128),
    "sd2": CLIPConfig(
        vocab=100,
        width=128,
        layers=3,
        heads=2,
        mlp=128,
        activation="gelu",
        pad_token=0,
        default_skip=-2,
    ),
}
VAES = VAEConfig(channels=32, channel_mult=(1, 2), num_res_blocks=1)
# As deep as the published networks, but narrow: it has the tensor that tells eps from v.
DEEP = UNetConfig(
    4,
    4,
    64,
    (1, 1, 1, 1),
    (2, 2, 2, 2),
    (1, 1, 1, 0),
    1,
    context_dim=128,
    head_channels=64,
    use_linear_projection=True,
)


@dataclass(frozen=True)
class Models:
    """The three parts of one small checkpoint."""

    unet: UNet
    text: CLIPText
    vae: VAE

    def save(self, path: Path, declared: Declared, **options: Any) -> Path:
        save_original(path, declared, unet=self.unet, text=self.text, vae=self.vae, **options)
        return path


def tiny(family: Family) -> Models:
    """Random weights, the same ones every time; none is zero, so that each one counts."""
    torch.manual_seed(7)
    models = Models(UNet(UNETS[family]), CLIPText(TEXTS[family]), VAE(VAES))
    for module in (models.unet, models.text, models.vae):
        scrambled(module)
    return models


def scrambled(module: nn.Module) -> nn.Module:
    """`module` with small random numbers in every parameter, closed to training."""
    for parameter in module.requires_grad_(False).parameters():
        parameter.copy_(torch.randn(parameter.shape) * 0.05 + 0.01)
    return module.eval()


def equal_states(a: nn.Module, b: nn.Module) -> bool:
    """Whether two modules have the same parameters, bit by bit."""
    mine, theirs = a.state_dict(), b.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[n], theirs[n]) for n in mine)


def outputs(unet: Any, width: int) -> Tensor:
    """What a UNet answers to fixed latents, times and tokens."""
    torch.manual_seed(5)
    x, context = torch.randn(2, 4, 8, 8), torch.randn(2, 7, width)
    return unet(x, torch.tensor([3, 700]), context)
