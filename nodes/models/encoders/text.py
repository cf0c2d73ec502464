"""Texts: τ_θ is CLIP's text transformer, trained along with the network that reads its tokens.

Latent diffusion's text-to-image model has such an encoder (Rombach et al. 2022, arXiv:2112.10752,
§4.3.1); Stable Diffusion's is CLIP's own. One text is one row of T tokens, start and end among
them; weights in parentheses and longer texts are CLIPEncode's business.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from ..clip import Transformer
from ..clip_config import CLIPConfig
from ..tokenizer import CLIPTokenizer
from .encoder import TokenEncoder

AROUND = 2  # tokens: start and end


class TextTokens(TokenEncoder):
    """Token numbers (B, T) -> (B, T, D): the last hidden state through the final layer norm."""

    def __init__(self, config: CLIPConfig) -> None:
        super().__init__()
        self.config = config
        self.text_model = Transformer(config)

    def forward(self, y: Tensor) -> Tensor:
        x = self.text_model.embeddings(y, {})
        chosen, _ = self.text_model.encoder(x, self.config.default_skip)
        tokens: Tensor = self.text_model.final_layer_norm(chosen)
        return tokens

    def null(self, y: Tensor) -> Tensor:
        empty = torch.tensor(_row(self.config, ()), device=y.device)
        return self.forward(empty[None, : y.shape[1]].expand(len(y), -1))


def text_numbers(config: CLIPConfig, given: Any) -> Tensor:
    """(1, T) token numbers of one text. Raises ValueError for one that is too long, or no text."""
    if not isinstance(given, str):
        raise ValueError(f"expected a text, got a value of type {type(given).__name__}")
    own = _tokenizer().encode(given)
    most = config.positions - AROUND
    if len(own) > most:
        raise ValueError(f"the text has {len(own)} tokens, but this encoder reads {most}")
    return torch.tensor([_row(config, own)])


def _row(config: CLIPConfig, own: tuple[int, ...]) -> list[int]:
    padding = [config.pad_token] * (config.positions - AROUND - len(own))
    return [config.start_token, *own, config.end_token, *padding]


@lru_cache(maxsize=1)
def _tokenizer() -> CLIPTokenizer:
    return CLIPTokenizer()
