"""The transformer of latent diffusion's τ_θ (Rombach et al. 2022, arXiv:2112.10752, appendix E).

Each layer, with LN for layer norm and MSA for multi-head self-attention over all tokens:

    ζ := ζ + MSA(LN(ζ)),   ζ := ζ + MLP(LN(ζ))

Shapes: B inputs, L tokens, n their width, H heads.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


class SelfAttention(nn.Module):
    """softmax(Q K^T / sqrt(n/H)) V over all tokens; queries, keys and values from one product."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(x).view(*x.shape[:2], 3, self.heads, -1)  # (B, L, 3, H, n/H)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (B, H, L, n/H) each
        return self.out(scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Layer(nn.Module):
    """Self-attention, then an MLP; each normalised before and added after."""

    def __init__(self, width: int, heads: int, mlp: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, mlp), nn.GELU(), nn.Linear(mlp, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))
