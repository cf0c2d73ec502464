"""What CLIP sees in a picture as tokens: a learned projection of its vectors.

    τ_θ(y) = LN(W y + b),   W: R^E -> R^{k D}, read as k tokens for each vector of y

One vector is the picture's embedding, several are a layer's hidden states. With k = 4 and the
embedding it is IP-Adapter's projection (Ye et al. 2023, arXiv:2308.06721, §3.2.1), and as there ∅
is a picture whose vectors are zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn, zeros_like

from .encoder import TokenEncoder
from .limits import require_range

Reads = Literal["image_embeds", "last_hidden_state", "penultimate_hidden_states"]


@dataclass(frozen=True, kw_only=True)
class ClipImageConfig:
    """width: D. embedding: E, width of what it reads. reads: which output of the image encoder.
    tokens: k, tokens for each vector that it reads. Raises ArchitectureError."""

    width: int
    embedding: int
    tokens: int = 4
    reads: Reads = "image_embeds"

    def __post_init__(self) -> None:
        for name in ("width", "embedding", "tokens"):
            require_range(name, getattr(self, name))


class ClipImageEncoder(TokenEncoder):
    """(B, N, E) -> (B, N k, D)."""

    def __init__(self, config: ClipImageConfig) -> None:
        super().__init__()
        self.tokens = config.tokens
        self.proj = nn.Linear(config.embedding, config.tokens * config.width)
        self.norm = nn.LayerNorm(config.width)

    def forward(self, y: Tensor) -> Tensor:
        projected = self.proj(y).reshape(len(y), y.shape[1] * self.tokens, -1)  # (B, N k, D)
        return self.norm(projected)

    def null(self, y: Tensor) -> Tensor:
        return self.forward(zeros_like(y))
