"""An autoencoder whose decodes are linear in its latents, cell by cell."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from nodes.models.vae import Posterior

W = torch.tensor([[0.3, 0.1, 0.0, -0.2], [0.0, 0.2, 0.1, 0.1], [-0.1, 0.0, 0.4, 0.05]])
B = torch.tensor([0.05, -0.1, 0.02])


class LinearVAE(nn.Module):
    """Decodes every cell to W z + b. A latent is a cell's mean colour and its redness squared."""

    def __init__(self, factor: int = 8, channels: int = 4) -> None:
        super().__init__()
        self.weight = nn.Parameter(W[:, :channels].clone(), requires_grad=False)
        self.factor = factor
        self.channels = channels
        self.fits = 0

    def encode(self, pixels: Tensor) -> Posterior:
        self.fits += 1
        colour = avg_pool2d(pixels, self.factor)
        z = torch.cat([colour, colour[:, :1] ** 2], dim=1)[:, : self.channels]
        return Posterior(z, torch.zeros_like(z))

    def decode(self, z: Tensor) -> Tensor:
        cells = torch.einsum("rc,bchw->brhw", self.weight, z) + B.view(3, 1, 1).to(z)
        return interpolate(cells, scale_factor=self.factor, mode="nearest")
