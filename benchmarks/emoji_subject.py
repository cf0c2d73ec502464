"""A checkpoint that was trained on emoji, ready to be judged: its networks and what it is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nodes.models.clip import CLIPText
from nodes.models.controlnet import ControlNet
from nodes.models.unet import UNet
from nodes.models.vae import VAE
from nodes.train_controlnet import Steered
from nodes.training.chance import Chance
from nodes.training.conditioning import Fixed
from nodes.training.diffusion import DiffusionLesson, loss_by_time
from nodes.training.drawing import SamplerOf, draw
from nodes.training.order import Order
from nodes.training.simple_loss import SimpleLoss
from nodes.training.texts import encoding, token_ids
from nodes.types import Clip, Model, Vae

BATCH = 32


def network(source: Any, device: str) -> Any:
    """A network of its own, not to be trained."""
    module: nn.Module = source.load()
    return module.to(device).eval().requires_grad_(False)


@dataclass(frozen=True, eq=False)
class Subject:
    """A model, its text encoder and its autoencoder, in float32.

    size: side of the pictures it draws. seed: of the noise, the same for every figure.
    """

    model: Model
    clip: Clip
    unet: UNet
    text: CLIPText
    vae: VAE
    size: int
    factor: int
    device: str = "cpu"
    seed: int = 0

    @classmethod
    def of(cls, model: Model, clip: Clip, vae: Vae, size: int, device: str) -> Subject:
        unet, text = network(model.source, device), network(clip.source, device)
        autoencoder = network(vae.source, device)
        return cls(model, clip, unet, text, autoencoder, size, vae.factor, device)

    @torch.no_grad()
    def tokens(self, captions: Sequence[str]) -> Tensor:
        """(N, T, D)."""
        encoder = self.clip.encoder
        assert encoder is not None
        ids = torch.tensor([token_ids(encoder, caption) for caption in captions])
        return encoding(self.text, encoder)(ids)

    def drawn(
        self,
        captions: Sequence[str],
        guidance: float,
        steps: int,
        sampler: SamplerOf | None = None,
        control: tuple[ControlNet, Tensor] | None = None,
    ) -> Tensor:
        """(N, 3, H, W) in [0, 1], a picture for each caption, from noise that the seed gives.

        control: a network, and a hint (N, 3, H, W) in [0, 1] for each caption.
        """
        empty = self.tokens([""])

        def part(first: int) -> Tensor:
            tokens = self.tokens(captions[first : first + BATCH])
            return self._part(first, tokens, empty, guidance, steps, sampler, control)

        return torch.cat([part(first) for first in range(0, len(captions), BATCH)])

    def told(self, tokens: Tensor, empty: Tensor, guidance: float, steps: int) -> Tensor:
        """The same for tokens (N, L, D) of what was read, guided away from `empty` (1, L, D)."""
        parts = range(0, len(tokens), BATCH)
        return torch.cat(
            [
                self._part(first, tokens[first : first + BATCH], empty, guidance, steps)
                for first in parts
            ]
        )

    def _part(
        self,
        first: int,
        tokens: Tensor,
        empty: Tensor,
        guidance: float,
        steps: int,
        sampler: SamplerOf | None = None,
        control: tuple[ControlNet, Tensor] | None = None,
    ) -> Tensor:
        side = self.size // self.factor
        network: Any = self.unet
        if control is not None:
            hints = control[1][first : first + len(tokens)].to(self.device)
            network = Steered(self.unet, control[0], hints)
        x_0 = draw(
            network,
            self.model.sampling,
            (len(tokens), self.model.channels, side, side),
            Chance(self.seed, (first,)),
            tokens=tokens,
            empty=empty,
            guidance=guidance,
            steps=steps,
            device=self.device,
            **({} if sampler is None else {"sampler": sampler}),
        )
        return self.decoded(x_0 / self.model.scale)

    @torch.no_grad()
    def decoded(self, latents: Tensor) -> Tensor:
        return ((self.vae.decode(latents) + 1) / 2).clamp(0, 1).cpu()

    @torch.no_grad()
    def through(self, pictures: Tensor) -> Tensor:
        """What becomes of pictures (N, 3, H, W) in [0, 1] on the way through the latent."""
        return torch.cat(
            [self.decoded(self._latents(part)) for part in torch.split(pictures, BATCH)]
        )

    @torch.no_grad()
    def _latents(self, pictures: Tensor) -> Tensor:
        return self.vae.encode(pictures.to(self.device) * 2 - 1).mean

    def losses(self, pictures: Tensor, captions: Sequence[str], buckets: int) -> list[float]:
        """L_simple of these pictures for times in each of `buckets` equal parts."""
        known = self.tokens(captions)
        lesson = DiffusionLesson(
            unet=self.unet,
            data=_Known(torch.cat([self._latents(part) for part in torch.split(pictures, BATCH)])),
            order=Order.over(len(pictures), len(pictures), 0),
            objective=SimpleLoss(self.model.sampling),
            trained={},
            condition=Fixed(lambda rows: known[rows], range(len(pictures)), 0, self.device),
            scale=self.model.scale,
            device=self.device,
        )
        return loss_by_time(lesson, tuple(range(len(pictures))), buckets, Chance(self.seed))


@dataclass(frozen=True, eq=False)
class _Known:
    """Latents that are given by their numbers."""

    latents: Tensor

    def batch(self, examples: tuple[int, ...], chance: Chance) -> Tensor:
        del chance
        return self.latents[list(examples)]
