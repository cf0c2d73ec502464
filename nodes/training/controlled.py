"""ControlNet while it learns (arXiv:2302.05543, eq. 10): the UNet stays as it is.

    L = E ‖ ε − ε_θ(z_t, t, c_text, c_hint) ‖²

θ of the UNet is frozen; the copy of its way down and the zero convolutions learn. Where all zero
convolutions are 0, their own weights still get gradients, since their inputs are not 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from nodes.diffusion.control_hook import fitted
from nodes.models.control import Control
from nodes.models.controlnet import ControlNet
from nodes.models.unet import UNet
from nodes.training.chance import Chance


class Hinted(Protocol):
    """Data with hints beside: pixels or latents."""

    def hint(self, name: str, examples: Sequence[int], chance: Chance) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class Guided:
    """A ControlNet that is shown a hint of each example, as the lesson's `control`."""

    network: ControlNet
    data: Hinted
    hint: str
    device: str = "cpu"

    def __call__(
        self,
        examples: tuple[int, ...],
        chance: Chance,
        x_t: Tensor,
        t: Tensor,
        tokens: Tensor | None,
    ) -> Control:
        picture = self.data.hint(self.hint, examples, chance)
        features = self.network.encode(shown(self.network, picture, x_t).to(self.device))
        control: Control = self.network(x_t, t, tokens, features)
        return control


def shown(network: ControlNet, picture: Tensor, x_t: Tensor) -> Tensor:
    """(B, 3, H, W) in [0, 1] as the network is shown it: 8 pixels a latent cell, its channels."""
    channels = network.config.hint_channels
    picture = picture[:, :channels] if picture.shape[1] >= channels else picture[:, :1]
    hint = fitted(picture, *x_t.shape[-2:])
    return hint.expand(-1, channels, -1, -1)


def new_controlnet(unet: UNet, seed: int) -> ControlNet:
    """Where training begins: the UNet's way down, zero convolutions, a hint encoder by seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = ControlNet.from_unet(unet)
    return made.requires_grad_(True).train()
