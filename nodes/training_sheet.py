"""Sheets of pictures that a network draws while it learns."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn

from nodegraph import Context
from nodes.models.clip import CLIPText
from nodes.models.vae import VAE
from nodes.training.chance import Chance
from nodes.training.drawing import draw, grid
from nodes.training.texts import encoding, token_ids
from nodes.types import Clip, Model, Vae

UNPROMPTED = 8  # pictures where no prompts are given
COLUMNS = 8


@dataclass(frozen=True, eq=False)
class Sheet:
    """Draws the prompts, one picture each, always from the same noise.

    unet, text: the networks that learn; `text` None: the text encoder of `clip` does not.
    """

    model: Model
    vae: Vae | None
    clip: Clip | None
    unet: nn.Module
    text: CLIPText | None
    prompts: tuple[str, ...]
    resolution: int
    context: Context
    guidance: float = 3.0
    steps: int = 20
    seed: int = field(default=0)

    def __call__(self) -> Tensor:
        """(1, 3, H, W) in [−1, 1]: all pictures on one sheet."""
        side = self.resolution // self.model.factor
        shape = (len(self.prompts) or UNPROMPTED, self.model.channels, side, side)
        tokens = self._tokens()
        x_0 = draw(
            self.unet,
            self.model.sampling,
            shape,
            Chance(self.seed),
            tokens=None if tokens is None else tokens[:-1],
            empty=None if tokens is None else tokens[-1:],
            guidance=self.guidance,
            steps=self.steps,
            device=self.context.device,
        )
        return grid(self._pixels(x_0 / self.model.scale).clamp(-1, 1).cpu(), COLUMNS)[None]

    def _tokens(self) -> Tensor | None:
        """(P + 1, T, D): each prompt's tokens, and the empty prompt's."""
        if self.clip is None or self.model.context is None:
            return None
        if self.text is not None:
            return self._encoded(self.text)
        return self._frozen

    @cached_property
    def _frozen(self) -> Tensor:
        assert self.clip is not None
        models, device = self.context.need_models(), self.context.device
        with models.lease(self.clip.source, device) as module:
            assert isinstance(module, CLIPText)
            return self._encoded(module)

    @torch.no_grad()
    def _encoded(self, module: CLIPText) -> Tensor:
        assert self.clip is not None
        assert self.clip.encoder is not None
        text = self.clip.encoder
        prompts = (*(self.prompts or ("",) * UNPROMPTED), "")
        return encoding(module, text)(torch.tensor([token_ids(text, p) for p in prompts]))

    def _pixels(self, latents: Tensor) -> Tensor:
        if self.vae is None or self.vae.source is None:
            return latents
        with self.context.need_models().lease(self.vae.source, self.context.device) as module:
            assert isinstance(module, VAE)
            return module.decode(latents.to(next(module.parameters()).dtype)).float()
