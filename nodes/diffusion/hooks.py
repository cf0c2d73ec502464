"""What an entry of conditioning does to the network beyond giving it tokens.

A hook is made for one run. It sees every question about its entry: before it goes to the network,
after it is answered, and it can have a control network add to the UNet's features meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from nodes.diffusion.area import Area
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
    area:    which part of the latent x_t is; None: all of it.
    y:       (B,) class numbers, or (B, E) vectors; None for a network that reads neither.
    """

    x_t: Tensor
    t: int
    sigma: float
    step: int
    steps: int
    context: Tensor | None
    area: Area | None = None
    y: Tensor | None = None


@dataclass(frozen=True, eq=False)
class ControlQuery:
    """What one entry asks a control network.

    network:  hashable; rows that name equal ones, of one or of several runs, share a call.
    hint:     (B, ...), what it is shown beside the rows of the question.
    strength: everything it adds is multiplied by this.
    weights:  the same for each skip connection, first to last, and the middle; None: 1 for all.
    """

    network: ControlNetwork
    hint: Tensor
    strength: float = 1.0
    weights: tuple[float, ...] | None = None


class Hook:
    """Does nothing; a hook overrides what it needs. It must not change what it is given.

    local: it belongs to the place rather than to the prompt: the other sides of guidance, asked
           about an entry's area as well, are asked with it.
    """

    local: ClassVar[bool] = False

    def before(self, asked: Asked) -> Asked:
        """What the network is asked instead: other tokens, another input, of the same batch.

        Control networks are asked the same, wherever their hooks stand among the entry's hooks.
        """
        return asked

    def control(self, asked: Asked) -> ControlQuery | None:
        """What a control network is asked along with this, if anything at this level.

        `asked` is what goes to the network, after every hook's `before`.
        """
        del asked
        return None

    def after(self, denoised: Tensor, asked: Asked) -> Tensor:
        """The entry's x̂_0 (B, C, h, w), before the entries of its side are averaged."""
        del asked
        return denoised
