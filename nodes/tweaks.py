"""Ways to use a network differently without touching its weights, as data on a model's handle."""

from __future__ import annotations

from dataclasses import dataclass

from nodes.models.freeu import FreeU


@dataclass(frozen=True)
class Tweaks:
    """What the model nodes ask for; nothing by default.

    rescale:   share of the rescaled guidance (RescaleCFG), in [0, 1].
    perturbed: scale of perturbed-attention guidance.
    gate:      strength of differential diffusion; None: masks are as they are.
    freeu:     one after the other.
    """

    rescale: float = 0.0
    perturbed: float = 0.0
    gate: float | None = None
    freeu: tuple[FreeU, ...] = ()


AT_REST = Tweaks()
