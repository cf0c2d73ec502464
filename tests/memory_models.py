"""A small model with every way of holding and using weights, and a source that counts."""

from __future__ import annotations

import functools
import hashlib

import torch
from torch import Tensor, nn

from nodegraph.memory.ledger import Ledger


class Block(nn.Module):
    """Attention (uses its child's weight itself), a nested network, a parameter of its own."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.network = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU())
        self.out = nn.Linear(2 * width, width, bias=False)
        self.scale = nn.Parameter(torch.rand(width))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = x + self.attention(x, x, x, attn_mask=mask, need_weights=False)[0] * self.scale
        return x + self.out(self.network(x))


class Toy(nn.Module):
    """Tied embedding and head, positions on the root, buffers of both kinds, convolutions."""

    def __init__(self, width: int = 16, blocks: int = 4) -> None:
        super().__init__()
        self.token = nn.Embedding(11, width)
        self.position = nn.Parameter(torch.rand(6, width))
        self.blocks = nn.ModuleList(Block(width) for _ in range(blocks))
        self.mix = nn.Sequential(nn.Conv1d(6, 6, 3, padding=1), nn.BatchNorm1d(6))
        self.head = nn.Linear(width, 11, bias=False)
        self.head.weight = self.token.weight
        self.projection = nn.Parameter(torch.rand(width, 3))
        mask = torch.full((6, 6), float("-inf")).triu(1)
        self.register_buffer("mask", mask, persistent=False)
        self.register_buffer("shift", torch.rand(width))

    def forward(self, ids: Tensor) -> Tensor:
        x = self.token(ids) + self.position
        for block in self.blocks:
            x = block(x, self.mask)
        return self.head(self.mix(x) + self.shift)

    def summary(self, ids: Tensor) -> Tensor:
        """A second way in, which no hook on `forward` sees."""
        return self.token(ids).mean(1) @ self.projection


IDS = torch.arange(12).reshape(2, 6) % 11


def toy(seed: int = 0) -> Toy:
    generator = torch.Generator().manual_seed(seed)
    model = Toy().eval().requires_grad_(False)
    for tensor in [*model.parameters(), model.shift]:
        tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.3)
    return model


@functools.cache
def values(seed: int) -> dict[str, Tensor]:
    """The toy's weights and buffers by name, not to be changed."""
    model = toy(seed)
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


class ToySource:
    """The toy of one seed. `read` counts the single weights given out that are still alive."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.loads = 0
        self.read = Ledger()
        self._tensors = values(seed)
        self.nbytes = sum(tensor.nbytes for tensor in self._tensors.values())

    @property
    def key(self) -> str:
        return f"toy {self.seed}"

    def load(self) -> nn.Module:
        self.loads += 1
        return toy(self.seed)

    def skeleton(self) -> nn.Module:
        with torch.device("meta"):
            return Toy()

    def tensor(self, name: str) -> Tensor:
        tensor = self._tensors[name].clone()
        self.read.add(tensor.nbytes)
        self.read.watch(tensor.untyped_storage(), tensor.nbytes)
        return tensor


@torch.no_grad()
def answer(model: nn.Module) -> str:
    """A hash of all bits that the toy computes."""
    assert isinstance(model, Toy)
    ids = IDS.to(next(model.parameters()).device)
    results = torch.cat([model(ids).flatten(), model.summary(ids).flatten()])
    return hashlib.sha256(results.cpu().numpy().tobytes()).hexdigest()
