"""Sheets of pictures that a network draws while it learns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from nodegraph import Context
from nodes.models.clip import CLIPText
from nodes.models.vae import VAE
from nodes.training.chance import Chance
from nodes.training.drawing import Network, draw, grid
from nodes.training.texts import encoding, token_ids
from nodes.training_classes import Drawn
from nodes.types import Clip, Model, Vae

UNPROMPTED = 8  # pictures where no prompts are given
COLUMNS = 8


@dataclass(frozen=True, eq=False)
class Sheet:
    """Draws the prompts, one picture each, always from the same noise.

    network: (x_t, t, tokens) -> its output, with the weights as they are.
    text:    the text encoder that learns along; None: that of `clip` is used as it is.
    sensed:  gives (P + 1, L, D), what a condition encoder tells beside each prompt, at the end what
             stands for nothing.
    drawn:   the class of each picture, for a network that has classes.
    """

    model: Model
    vae: Vae | None
    clip: Clip | None
    network: Network
    text: CLIPText | None
    prompts: tuple[str, ...]
    resolution: int
    context: Context
    guidance: float = 3.0
    steps: int = 20
    seed: int = field(default=0)
    sensed: Callable[[], Tensor] | None = None
    drawn: Drawn | None = None

    def __call__(self) -> Tensor:
        """(1, 3, H, W) in [−1, 1]: all pictures on one sheet."""
        return grid(self.pictures(), COLUMNS)[None]

    def pictures(self) -> Tensor:
        """(P, 3, H, W) in [−1, 1], on the host."""
        side = self.resolution // (self.model if self.vae is None else self.vae).factor
        count = len(self.prompts) or UNPROMPTED if self.drawn is None else len(self.drawn.y)
        shape = (count, self.model.channels, side, side)
        tokens = self._tokens()
        x_0 = draw(
            self.network,
            self.model.sampling,
            shape,
            Chance(self.seed),
            tokens=None if tokens is None else tokens[:-1],
            empty=None if tokens is None else tokens[-1:],
            y=None if self.drawn is None else self.drawn.y,
            null=None if self.drawn is None else self.drawn.null,
            guidance=self.guidance,
            steps=self.steps,
            device=self.context.device,
        )
        return self._pixels(x_0 / self.model.scale).clamp(-1, 1).cpu()

    def _tokens(self) -> Tensor | None:
        """(P + 1, T, D): what is said to each picture, and what stands for nothing."""
        found = [] if self.sensed is None else [self.sensed()]
        captions = self._captions()
        found = found if captions is None else [captions, *found]
        return torch.cat(found, dim=1) if found else None

    def _captions(self) -> Tensor | None:
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


@dataclass(frozen=True, eq=False)
class HintSheet:
    """A sheet with the hints that steered it in a row above.

    hints: (P, 3, H, W) in [0, 1].
    """

    sheet: Sheet
    hints: Tensor

    def __call__(self) -> Tensor:
        """(1, 3, H, W) in [−1, 1]."""
        pictures = self.sheet.pictures()
        above = interpolate(self.hints, size=pictures.shape[2:], mode="area") * 2 - 1
        return grid(torch.cat([above.cpu(), pictures]), len(pictures))[None]
