"""Captions as tokens, and as what a frozen text encoder makes of them, computed once.

K distinct captions, the empty one among them; T tokens each; D the encoder's width. A caption is
one chunk: start, its tokens, end, padding. What goes beyond is cut off. Weights in parentheses mean
nothing here: a caption is a plain text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from nodes.models.clip import CLIPText
from nodes.models.text import TextEncoder
from nodes.training.chance import Chance
from nodes.training.dataset import Dataset, digest
from nodes.training.shards import SHARD_BYTES, Progress, Rows, Shelf, shards_of, silent

FORMAT = 1
EMPTY = 0  # the number of the empty caption


@dataclass(frozen=True, eq=False)
class Texts:
    """The captions of a data set.

    ids:      (K, T) token numbers. numbers: for each example, that of its caption.
    features: hidden states (T, D) of each caption, where they were computed.
    cut:      captions that are longer than T tokens.
    """

    ids: Tensor
    numbers: tuple[int, ...]
    features: Rows | None = None
    cut: tuple[str, ...] = ()

    @classmethod
    def of(cls, dataset: Dataset, text: TextEncoder) -> Texts:
        """The tokens of a data set's captions."""
        captions = _captions(dataset)
        rows = [token_ids(text, caption) for caption in captions]
        place = {caption: number for number, caption in enumerate(captions)}
        cut = tuple(
            c for c in captions if len(text.tokenizer.encode(c)) > text.config.positions - 2
        )
        numbers = tuple(place[example.caption] for example in dataset.examples)
        return cls(torch.tensor(rows), numbers, cut=cut)

    def to(self, device: str | torch.device) -> Texts:
        """The same, held by a device."""
        features = None if self.features is None else self.features.to(device)
        return replace(self, ids=self.ids.to(device), features=features)

    def tokens(self, examples: Sequence[int], chance: Chance, drop: float = 0.0) -> Tensor:
        """(B, T) token numbers; a share `drop` of them, by chance, those of the empty caption.

        That share teaches the network to do without a text, for guidance (arXiv:2207.12598).
        """
        chosen = self.chosen(examples, chance, drop)
        return self.ids[torch.tensor(chosen, device=self.ids.device)]

    def hidden(self, examples: Sequence[int], chance: Chance, drop: float = 0.0) -> Tensor:
        """(B, T, D) hidden states of the same captions. Raises ValueError without features."""
        if self.features is None:
            raise ValueError("hidden states were not computed: encode the tokens instead")
        return self.features.take(self.chosen(examples, chance, drop)).float()

    def chosen(self, examples: Sequence[int], chance: Chance, drop: float = 0.0) -> list[int]:
        """The numbers of the captions, EMPTY where it is dropped."""
        generator = chance.generator("drop")
        dropped = torch.rand(len(examples), generator=generator, device=chance.device) < drop
        pairs = zip(examples, dropped.tolist(), strict=True)
        return [EMPTY if drops else self.numbers[example] for example, drops in pairs]


def token_ids(text: TextEncoder, caption: str) -> list[int]:
    """The T token numbers of a caption: start, at most T - 2 of its own, end, padding."""
    config = text.config
    own = text.tokenizer.encode(caption)[: config.positions - 2]
    padding = [config.pad_token] * (config.positions - 2 - len(own))
    return [config.start_token, *own, config.end_token, *padding]


def encoding(module: CLIPText, text: TextEncoder) -> Callable[[Tensor], Tensor]:
    """Token numbers (B, T) to hidden states (B, T, D), at the layer the encoder is used at."""
    device = module.text_model.embeddings.token_embedding.weight.device
    return lambda ids: module(ids.to(device), skip=text.config.default_skip).hidden.float()


def cache_texts(
    dataset: Dataset,
    text: TextEncoder,
    encode: Callable[[Tensor], Tensor],
    identity: str,
    folder: Path,
    *,
    batch: int = 32,
    dtype: torch.dtype = torch.float32,
    shard_bytes: int = SHARD_BYTES,
    on_progress: Progress = silent,
) -> Texts:
    """Tokens and hidden states of a data set's captions, from `folder` where they were computed.

    encode: token numbers (B, T) -> (B, T, D). identity: says which weights it has. on_progress is
    told how many captions are done, of how many, and may raise: what was done is kept.
    Raises OSError where the folder cannot be written.
    """
    texts = Texts.of(dataset, text)
    about = digest([FORMAT, _captions(dataset), texts.ids.tolist(), identity, str(dtype)])
    shape = (text.config.positions, text.config.width)
    shards = shards_of([(shape, range(len(texts.ids)))], dtype.itemsize, shard_bytes)

    @torch.no_grad()
    def encoded(numbers: Sequence[int]) -> Tensor:
        return encode(texts.ids[list(numbers)])

    rows = Shelf(folder / about, about, dtype).fill(shards, encoded, batch, on_progress)
    return replace(texts, features=rows)


def _captions(dataset: Dataset) -> tuple[str, ...]:
    found: Iterable[str] = dict.fromkeys(("", *dataset.captions))
    return tuple(found)
