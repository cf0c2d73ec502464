"""From a prompt to what the UNet attends to.

A prompt becomes chunks of tokens (`prompt.py`), each encoded on its own. Where a token's weight w
is not 1, its hidden state z becomes (z - z_empty) w + z_empty, with z_empty the state at the same
place of an empty prompt. Chunks are joined along tokens. Shapes: n chunks, T tokens a chunk (77),
D width.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor

from .clip import CLIPText, TextFeatures
from .clip_config import CLIPConfig
from .errors import ArchitectureError
from .prompt import Chunk, Segment, WeightedToken, chunk, parse
from .tokenizer import CLIPTokenizer

NO_EMBEDDINGS: Mapping[str, Tensor] = MappingProxyType({})


class TextEncoder:
    """All that turns prompts into features but the weights: the network is lent to each call."""

    def __init__(self, config: CLIPConfig, tokenizer: CLIPTokenizer) -> None:
        """Raises ArchitectureError where the network lacks tokens that the tokenizer produces."""
        if config.vocab < tokenizer.vocab_size:
            raise ArchitectureError(
                f"the text encoder knows {config.vocab} tokens, but its tokenizer produces "
                f"{tokenizer.vocab_size}: the two do not belong together"
            )
        self.config = config
        self.tokenizer = tokenizer

    def encode(
        self,
        module: CLIPText,
        prompt: str,
        *,
        skip: int | None = None,
        embeddings: Mapping[str, Tensor] = NO_EMBEDDINGS,
    ) -> TextFeatures:
        """Hidden states (1, n T, D) and pooled (1, D) of a prompt, float32, on the module's device.

        `skip` is the user's clip skip: -1 the last layer of the published network, -2 the one
        before; None is what the family uses. `embeddings` are textual-inversion vectors by name,
        (v, D) or (D,). What cannot be honoured (an unknown embedding, a skip the network has no
        layer for) is left out and told in the result's `warnings`. Raises ArchitectureError for an
        embedding of another width, and for a skip that is not negative.
        """
        groups, left_out = self._groups(prompt, embeddings)
        layer, not_skipped = self._layer(skip)
        chunks = self._chunks(groups)
        w = torch.tensor([[token.weight for token in row] for row in chunks])[..., None]
        weighted = bool((w != 1).any())
        tokens, vectors = self._inputs((*chunks, *self._chunks(())) if weighted else chunks)
        device = module.text_model.embeddings.token_embedding.weight.device

        features = module(tokens.to(device), skip=layer, vectors=vectors)

        z = features.hidden.float()
        if weighted:
            z, z_empty, w = z[:-1], z[-1:], w.to(device)
            z = torch.where(w != 1, (z - z_empty) * w + z_empty, z)
        return TextFeatures(
            hidden=z.flatten(0, 1)[None],
            pooled=features.pooled[:1].float(),
            warnings=(*left_out, *not_skipped),
        )

    def _groups(
        self, prompt: str, embeddings: Mapping[str, Tensor]
    ) -> tuple[list[list[WeightedToken]], tuple[str, ...]]:
        """The tokens of each piece of the prompt, and what was left out of them."""
        groups: list[list[WeightedToken]] = []
        faults: dict[str, None] = {}
        for piece in parse(prompt):
            tokens: Iterable[int | Tensor]
            if isinstance(piece, Segment):
                tokens = self.tokenizer.encode(piece.text)
            elif piece.name not in embeddings:
                missing = f"embedding {piece.name!r} was not found and is left out of the prompt"
                faults[missing] = None
                continue
            else:
                tokens = self._vectors(piece.name, embeddings[piece.name])
            groups.append([WeightedToken(token, piece.weight) for token in tokens])
        return groups, tuple(faults)

    def _vectors(self, name: str, vectors: Tensor) -> Tensor:
        """An embedding as (v, D)."""
        shape = tuple(vectors.shape)
        if len(shape) not in (1, 2) or shape[-1] != self.config.width:
            raise ArchitectureError(
                f"embedding {name!r} has shape {shape}, but this text encoder takes vectors of "
                f"{self.config.width}: it was made for another model"
            )
        return vectors if vectors.ndim == 2 else vectors[None]

    def _layer(self, skip: int | None) -> tuple[int, tuple[str, ...]]:
        """The network's own skip for the user's, and a warning where it is not what was asked."""
        config = self.config
        if skip is None:
            return config.default_skip, ()
        if skip >= 0:
            raise ArchitectureError(f"clip skip is {skip}; expected -1 (the last layer) or less")
        own = skip + config.dropped_layers
        if -config.layers <= own <= -1:
            return own, ()
        warning = (
            f"clip skip {skip} asks for a layer that this text encoder of {config.layers} layers "
            "does not have: its last layer is used"
        )
        return -1, (warning,)

    def _chunks(self, groups: Sequence[Sequence[WeightedToken]]) -> tuple[Chunk, ...]:
        config = self.config
        return chunk(
            groups,
            start=config.start_token,
            end=config.end_token,
            pad=config.pad_token,
            length=config.positions,
        )

    def _inputs(self, rows: Sequence[Chunk]) -> tuple[Tensor, dict[tuple[int, int], Tensor]]:
        """Token numbers (n, T), and vectors by place; the start token holds a vector's place."""
        vectors: dict[tuple[int, int], Tensor] = {}
        numbers = torch.full((len(rows), self.config.positions), self.config.start_token)
        for row, tokens in enumerate(rows):
            for column, (token, _) in enumerate(tokens):
                if isinstance(token, Tensor):
                    vectors[row, column] = token
                else:
                    numbers[row, column] = token
        return numbers, vectors
