"""What an entry of conditioning does to the network beyond giving it tokens.

A hook is made for one run. It sees every question about its entry: before it goes to the network,
after it is answered, and it can have a control network add to the UNet's features meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from nodes.models.control import Control

# (x_t (N, K, h, w), times (N,), tokens (N, L, D) or None, hints (N, ...)) -> what is added to the
# UNet's features for these rows, in the same order.
ControlNetwork = Callable[[Tensor, Tensor, Tensor | None, Tensor], Control]


@dataclass(frozen=True, eq=False)
class Asked:
    """What one entry asks the network at one level.

    x_t:     (B, K, h, w): x / √(σ² + 1), C channels, then the extra ones of `concat`.
    t:       the network's time. sigma: the level.
    step:    which step of the walk this belongs to, from 0, of `steps`.
    context: (B, L, D) tokens; None for a network without them.
    """

    x_t: Tensor
    t: int
    sigma: float
    step: int
    steps: int
    context: Tensor | None


@dataclass(frozen=True, eq=False)
class ControlQuery:
    """What one entry asks a control network.

    network:  rows that name the same object, of one or of several runs, share a call.
    hint:     (B, ...), what it is shown beside the rows of the question.
    strength: everything it adds is multiplied by this.
    weights:  the same for each skip connection, first to last, and the middle; None: 1 for all.
    """

    network: ControlNetwork
    hint: Tensor
    strength: float = 1.0
    weights: tuple[float, ...] | None = None


class Hook:
    """Does nothing; a hook overrides what it needs. It must not change what it is given."""

    def before(self, asked: Asked) -> Asked:
        """What the network is asked instead: other tokens, another input, of the same batch."""
        return asked

    def control(self, asked: Asked) -> ControlQuery | None:
        """What a control network is asked along with this, if anything at this level."""
        del asked
        return None

    def after(self, denoised: Tensor, asked: Asked) -> Tensor:
        """The entry's x̂_0 (B, C, h, w), before the entries of its side are averaged."""
        del asked
        return denoised
