"""Layers the UNet and the autoencoder share.

B batch, C channels, h x w the grid, L = h w tokens, H attention heads.
"""

from __future__ import annotations

from typing import TypeVar

from torch import Tensor, nn
from torch.nn.functional import linear

M = TypeVar("M", bound=nn.Module)


class Pointwise(nn.Conv2d):
    """A 1 x 1 convolution given tokens (B, L, C): stored as one, run as a matrix product."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        return linear(tokens, self.weight.flatten(1), self.bias)


def to_tokens(x: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, h w, C); a view where x is channels-last."""
    return x.flatten(2).transpose(1, 2)


def to_grid(tokens: Tensor, like: Tensor) -> Tensor:
    """(B, h w, C) -> (B, C, h, w), h and w those of `like`; always a view, channels-last."""
    return tokens.transpose(1, 2).view(tokens.shape[0], tokens.shape[2], *like.shape[2:])


def zeroed(module: M) -> M:
    """`module` with its parameters at zero: at the start of training its branch adds nothing."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module
