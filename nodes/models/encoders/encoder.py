"""τ_θ: from an input y of any modality to tokens ζ = τ_θ(y) that a UNet's cross-attention reads.

Rombach et al. 2022 (arXiv:2112.10752), §3.3: Q = W_Q φ(z_t), K = W_K ζ, V = W_V ζ. B inputs, L
tokens each, D their width, which is the UNet's `context_dim`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from torch import Tensor, nn


class EncoderConfig(Protocol):
    """What every kind's configuration has: a frozen dataclass of plain data that checks itself."""

    @property
    def width(self) -> int:
        """D, of the tokens."""


class TokenEncoder(nn.Module, ABC):
    """A network that gives tokens for inputs, and tokens for the absence of an input."""

    @abstractmethod
    def forward(self, y: Tensor) -> Tensor:
        """τ_θ(y), (B, L, D). The shape of y is the kind's own; its first dimension is B."""

    @abstractmethod
    def null(self, y: Tensor) -> Tensor:
        """τ_θ(∅), (B, L, D): what guidance pulls away from, and what training shows in place of a
        share of the inputs (arXiv:2207.12598). Of y only the shape counts: as many tokens as it
        would give."""
