"""What a network is told about each example while it learns, and when it is told nothing.

For classifier-free guidance a share of the examples is shown without its condition
(arXiv:2207.12598, algorithm 1), so that one network learns both ε(x, c) and ε(x).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from nodes.models.encoders import TokenEncoder
from nodes.training.chance import Chance


class Conditioner(Protocol):
    """Gives tokens for cross-attention. modules: what is trained along with the network."""

    @property
    def modules(self) -> Mapping[str, nn.Module]: ...

    def tokens(self, examples: tuple[int, ...], chance: Chance, dropped: Tensor) -> Tensor:
        """(B, L, D); rows where `dropped` (B,) is true get what stands for no condition."""
        ...


@dataclass(frozen=True, eq=False)
class Fixed:
    """Tokens computed beforehand.

    take: row numbers -> (B, L, D). rows: each example's row. empty: the row for no condition.
    """

    take: Callable[[list[int]], Tensor]
    rows: Sequence[int]
    empty: int
    device: str = "cpu"
    modules: Mapping[str, nn.Module] = field(default_factory=dict)

    def tokens(self, examples: tuple[int, ...], chance: Chance, dropped: Tensor) -> Tensor:
        del chance
        pairs = zip(examples, dropped.tolist(), strict=True)
        chosen = [self.empty if drops else self.rows[example] for example, drops in pairs]
        return self.take(chosen).to(self.device).float()


@dataclass(frozen=True, eq=False)
class Encoded:
    """Tokens of an encoder that learns as well.

    inputs: what it reads for each example, (M, ...), e.g. the ids of a caption; row
    `rows[example]`. empty: what it reads for no condition. encode: (encoder, inputs) -> (B, L, D).
    """

    name: str
    encoder: nn.Module
    inputs: Tensor
    rows: Sequence[int]
    empty: Tensor
    encode: Callable[[nn.Module, Tensor], Tensor]
    device: str = "cpu"

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {self.name: self.encoder}

    def tokens(self, examples: tuple[int, ...], chance: Chance, dropped: Tensor) -> Tensor:
        del chance
        inputs = self.inputs[[self.rows[i] for i in examples]].to(self.device)
        missing = dropped.to(inputs.device).view(-1, *[1] * (inputs.ndim - 1))
        return self.encode(self.encoder, torch.where(missing, self.empty.to(inputs), inputs))


@dataclass(frozen=True, eq=False)
class Sensed:
    """Tokens τ_θ(y) of a condition encoder that learns as well (arXiv:2112.10752, §3.3).

    read: (examples, chance) -> y, what the encoder reads. A dropped example's tokens are τ_θ(∅).
    """

    name: str
    encoder: TokenEncoder
    read: Callable[[Sequence[int], Chance], Tensor]
    device: str = "cpu"

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {self.name: self.encoder}

    def tokens(self, examples: tuple[int, ...], chance: Chance, dropped: Tensor) -> Tensor:
        y = self.read(examples, chance).to(self.device)
        missing = dropped.to(y.device).view(-1, 1, 1)
        return torch.where(missing, self.encoder.null(y), self.encoder(y))


@dataclass(frozen=True, eq=False)
class Joined:
    """The tokens of several, one after the other along L; all are dropped together."""

    parts: tuple[Conditioner, ...]

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {name: module for part in self.parts for name, module in part.modules.items()}

    def tokens(self, examples: tuple[int, ...], chance: Chance, dropped: Tensor) -> Tensor:
        return torch.cat([part.tokens(examples, chance, dropped) for part in self.parts], dim=1)


def dropped(count: int, share: float, chance: Chance) -> Tensor:
    """(count,) of booleans: which examples are shown without their condition."""
    return torch.rand(count, generator=chance.generator("drop"), device=chance.device) < share
