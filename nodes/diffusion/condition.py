"""What a run is asked to show: entries of conditioning, and how several are averaged.

x is a latent batch (B, C, h, w); a run holds a tuple of entries for the positive side and one for
the negative side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nodes.diffusion.area import Area
from nodes.diffusion.hooks import Asked, ControlQuery, Hook
from nodes.diffusion.inpaint import repeat_to, resize_mask

TINY = 1e-37  # an average with no weight anywhere is 0, not a division by 0


@dataclass(frozen=True, eq=False)
class Condition:
    """One entry of conditioning.

    `context`: (1 or B, L, D) tokens for cross-attention, None for a network without it.
    `strength`: its weight among the entries of its side. `start_sigma`, `end_sigma`: it is active
    while end_sigma <= σ <= start_sigma. `mask`: where it counts, (H, W) or (B, H, W), resized to
    the latent, times `mask_strength`. `concat`: (1 or B, K, h, w) channels that an inpainting
    network sees next to x. `hooks`: what else it does to the network, one after the other. `area`:
    the part of x that it is asked about, and counts in; without a mask it fades at its sides. `y`:
    (1 or B,) class numbers, or (1 or B, E) vectors, which the network adds to the time.
    """

    context: Tensor | None = None
    strength: float = 1.0
    start_sigma: float = math.inf
    end_sigma: float = 0.0
    mask: Tensor | None = None
    mask_strength: float = 1.0
    concat: Tensor | None = None
    hooks: tuple[Hook, ...] = ()
    area: Area | None = None
    y: Tensor | None = None

    def __post_init__(self) -> None:
        if self.context is not None and self.context.ndim != 3:
            raise ValueError(f"context: expected (batch, tokens, D), got {self.context.shape}")
        if self.concat is not None and self.concat.ndim != 4:
            raise ValueError(f"concat: expected (batch, K, h, w), got {self.concat.shape}")

    def active(self, sigma: float) -> bool:
        return self.end_sigma <= sigma <= self.start_sigma

    def weight(self, x: Tensor) -> float | Tensor:
        """How much this entry counts: one number, or a map that broadcasts against x."""
        if self.mask is not None:
            mask = resize_mask(self.mask, x.shape).to(x.device)
            return self.whole(self.part(mask) * self.mask_strength * self.strength, x)
        if self.area is not None:
            return self.whole(self.area.faded(x) * self.strength, x)
        return self.strength

    def part(self, x: Tensor) -> Tensor:
        """What this entry sees of x."""
        return x if self.area is None else self.area.of(x)

    def whole(self, part: Tensor, x: Tensor) -> Tensor:
        """`part` at its place in a latent of x's size, among zeros."""
        return part if self.area is None else self.area.placed(part, x)

    def network_input(self, x_t: Tensor) -> Tensor:
        """What is seen of x_t, and beside it the channels of `concat`: (B, C + K, ...)."""
        if self.concat is None:
            return self.part(x_t)
        if self.concat.shape[2:] != x_t.shape[2:]:
            raise ValueError(
                f"concat: expected the size of the latent, {tuple(x_t.shape[2:])}, "
                f"got {tuple(self.concat.shape[2:])}"
            )
        return self.part(torch.cat([x_t, repeat_to(self.concat, len(x_t)).to(x_t)], dim=1))

    def ask(self, x_t: Tensor, t: int, sigma: float, step: int, steps: int) -> Asked:
        """What this entry asks about x_t (B, C, h, w), after its hooks have seen it."""
        seen = self.network_input(x_t)
        asked = Asked(seen, t, sigma, step, steps, self.tokens(x_t), self.area, self._y(x_t))
        for hook in self.hooks:
            asked = hook.before(asked)
        return asked

    def controls(self, asked: Asked) -> tuple[ControlQuery, ...]:
        """What control networks are asked along with it."""
        queries = (hook.control(asked) for hook in self.hooks)
        return tuple(query for query in queries if query is not None)

    def seen_by_hooks(self, denoised: Tensor, asked: Asked) -> Tensor:
        """This entry's x̂_0 after its hooks have seen it."""
        for hook in self.hooks:
            denoised = hook.after(denoised, asked)
        return denoised

    def tokens(self, x_t: Tensor) -> Tensor | None:
        """`context` for each image of the batch, (B, L, D)."""
        return None if self.context is None else repeat_to(self.context, len(x_t)).to(x_t.device)

    def _y(self, x_t: Tensor) -> Tensor | None:
        return None if self.y is None else repeat_to(self.y, len(x_t)).to(x_t.device)


def weighted_mean(values: Sequence[Tensor], weights: Sequence[float | Tensor]) -> Tensor:
    """Σ w_i y_i / Σ w_i; 0 where the weights sum to 0. `values` are of one shape, at least one."""
    if len(values) == 1 and isinstance(weights[0], float) and weights[0] == 1.0:
        return values[0]
    weighted, total = torch.zeros_like(values[0]), TINY + sum(weights)
    for y, w in zip(values, weights, strict=True):
        weighted = weighted + y * w
    return (weighted / total).to(values[0].dtype)
