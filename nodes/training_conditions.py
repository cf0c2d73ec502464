"""What a diffusion model is told while it learns: captions, and what condition encoders read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from nodegraph import Context, NodeGraphError
from nodes.encoding import EncoderSource, absent_encoder, encoder_at, require_present
from nodes.models.clip import CLIPText
from nodes.models.encoders import TokenEncoder, save_encoder
from nodes.training.chance import Chance
from nodes.training.conditioning import Conditioner, Joined, Sensed
from nodes.training.dataset import Dataset, DatasetError
from nodes.training.latents import Latents
from nodes.training.pixels import Pixels
from nodes.training.reading import BY_KIND, LABEL, Reading
from nodes.training_parts import (
    DTYPES,
    Stored,
    frozen_captions,
    learned_captions,
    network_of,
    same_width,
)
from nodes.types import Clip, ConditionEncoder, Model

ENCODER = "encoder.safetensors"
SHOWN = 8  # pictures of a sample sheet
ABSENT = "this model was trained without a condition encoder"


@dataclass(frozen=True, eq=False)
class Told:
    """What a network is told, and who of those that say it learns along."""

    captions: Conditioner | None = None
    text: CLIPText | None = None
    sensed: Sensed | None = None

    @property
    def condition(self) -> Conditioner | None:
        """All of it; None for nothing."""
        parts = tuple(part for part in (self.captions, self.sensed) if part is not None)
        return Joined(parts) if len(parts) > 1 else next(iter(parts), None)


@dataclass(frozen=True, eq=False)
class Tellers:
    """The encoders that a node was given, and which of them learn along.

    reads: what the condition encoder is shown: "label", "image", a hint's name, or "" for what its
    kind reads.
    """

    clip: Clip | None
    encoder: ConditionEncoder | None
    reads: str = ""
    text_learns: bool = False
    encoder_learns: bool = False

    def told(
        self, model: Model, dataset: Dataset, data: Latents | Pixels, context: Context
    ) -> Told:
        """What they tell a model of a data set.

        Raises NodeGraphError where the model reads tokens and nobody gives any, or the reverse;
        where tokens are not as wide as it reads; where the data set lacks what is to be read.
        """
        told = self._captions(dataset, context)
        if self.encoder is not None:
            told = replace(told, sensed=self._sensed(self.encoder, model, dataset, data, context))
        same_width(model, told.condition)
        return told

    def _captions(self, dataset: Dataset, context: Context) -> Told:
        if self.clip is None:
            return Told()
        if not self.text_learns:
            return Told(frozen_captions(dataset, self.clip, context))
        text = network_of(self.clip.source, CLIPText, context, learns=True)
        return Told(learned_captions(dataset, self.clip, text, context), text)

    def _sensed(
        self,
        encoder: ConditionEncoder,
        model: Model,
        dataset: Dataset,
        data: Latents | Pixels,
        context: Context,
    ) -> Sensed:
        source = _source(encoder)
        if model.context not in (None, encoder.config.width):
            raise NodeGraphError(
                f"{encoder} gives tokens {encoder.config.width} wide, but the model reads tokens "
                f"{model.context} wide: make one of that width"
            )
        wanted = self.reads or BY_KIND.get(encoder.kind, encoder.kind)
        try:
            reading = Reading(dataset, data, source.file.kind, encoder.config, wanted)
        except DatasetError as fault:
            raise NodeGraphError(f"{encoder}: {fault}") from fault
        network = replace(source, dtype=torch.float32).load().to(context.device)
        assert isinstance(network, TokenEncoder)
        network.requires_grad_(self.encoder_learns).train(self.encoder_learns)
        return Sensed("encoder", network, reading, context.device)


def _source(encoder: ConditionEncoder) -> EncoderSource:
    require_present(encoder)
    if isinstance(encoder.source, EncoderSource):
        return encoder.source
    raise NodeGraphError(
        f"{encoder} cannot be trained: take one from NewConditionEncoder or LoadConditionEncoder"
    )


@dataclass(frozen=True, eq=False)
class Specimens:
    """Examples that a sheet of samples is told about, the first of one size."""

    sensed: Sensed
    reading: Reading
    examples: tuple[int, ...]
    seed: int

    @classmethod
    def of(cls, sensed: Sensed, data: Latents | Pixels, seed: int) -> Specimens:
        pixels = data.pixels if isinstance(data, Latents) else data
        first, *_ = pixels.buckets.values()
        assert isinstance(sensed.read, Reading)
        return cls(sensed, sensed.read, tuple(first[:SHOWN]), seed)

    def prompts(self, given: tuple[str, ...]) -> tuple[str, ...]:
        """As many as there are examples: those given first, then their captions."""
        captions = [self.reading.dataset.examples[i].caption for i in self.examples]
        return (*given[: len(captions)], *captions[len(given) :])

    @property
    def hints(self) -> Tensor | None:
        """(P, 3, H, W) in [0, 1]: what the encoder is shown; None where that is no picture."""
        if self.reading.source == LABEL:
            return None
        return self.reading.shown(self.examples, Chance(self.seed))

    @torch.no_grad()
    def tokens(self) -> Tensor:
        """(P + 1, L, D): those of each example, and at the end those of none."""
        encoder = self.sensed.encoder
        y = self.reading(self.examples, Chance(self.seed)).to(self.sensed.device)
        return torch.cat([encoder(y), encoder.null(y[:1])]).float()


def save_trained(path: Path, encoder: ConditionEncoder, sensed: Sensed, stored: Stored) -> None:
    """Write the encoder as training left it, as a file that LoadConditionEncoder reads."""
    save_encoder(path, encoder.kind, encoder.config, sensed.encoder, dtype=DTYPES[stored])


def trained_encoder(
    path: Path, encoder: ConditionEncoder | None, context: Context
) -> ConditionEncoder:
    """The handle of an encoder as training left it; an absent one where none was trained."""
    if encoder is None:
        return absent_encoder(ABSENT)
    kinds = {encoder.kind: _source(encoder).file.kind}
    return encoder_at(path, f"trained {encoder.kind}", kinds, context)
