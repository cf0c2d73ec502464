"""What a condition encoder reads for each example while it learns: a label, the picture, a hint.

All of it is seen as the network sees the picture: cut and mirrored by the same chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from nodes.models.encoders import EncoderConfig, EncoderKind
from nodes.training.chance import Chance
from nodes.training.dataset import Dataset, DatasetError

LABEL, PICTURE = "label", "image"
BY_KIND = {"class": LABEL, "image": PICTURE}  # other kinds read the hint of their name


class Pictured(Protocol):
    """Data with pictures and hints beside: pixels or latents."""

    def pictures(self, examples: Sequence[int], chance: Chance) -> Tensor: ...

    def hint(self, name: str, examples: Sequence[int], chance: Chance) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class Reading:
    """From examples to an encoder's y.

    source: "label", "image" or the name of a hint.
    Raises DatasetError where some examples lack it, or have a class that the encoder does not know.
    """

    dataset: Dataset
    data: Pictured
    kind: EncoderKind[Any]
    config: EncoderConfig
    source: str

    def __post_init__(self) -> None:
        if self.source == LABEL:
            lacking = [e.name for e in self.dataset.examples if e.label is None]
            if lacking:
                raise DatasetError(
                    f"{len(lacking)} pictures have no label for the encoder to read, the first: "
                    f"{lacking[0]}"
                )
            self._prepared("\n".join(self.dataset.labels))
        elif self.source != PICTURE and self.source not in self.dataset.hints:
            has = ", ".join((LABEL, PICTURE, *self.dataset.hints))
            raise DatasetError(
                f"the data set has no hint {self.source!r} for every picture; an encoder can be "
                f"shown {has}"
            )

    def __call__(self, examples: Sequence[int], chance: Chance) -> Tensor:
        """y, whose first dimension is the examples'. Raises DatasetError for a map that has what
        the encoder does not know."""
        if self.source == LABEL:
            labels = [str(self.dataset.examples[i].label) for i in examples]
            return self._prepared("\n".join(labels))
        return self._prepared(self.shown(examples, chance).movedim(1, -1))

    def shown(self, examples: Sequence[int], chance: Chance) -> Tensor:
        """(B, 3, H, W) in [0, 1]: the pictures or hints that are read."""
        if self.source == PICTURE:
            return (self.data.pictures(examples, chance) + 1) / 2
        return self.data.hint(self.source, examples, chance)

    def _prepared(self, given: Any) -> Tensor:
        try:
            return self.kind.prepare(self.config, given)
        except ValueError as error:
            raise DatasetError(f"the encoder reads {self.kind.takes}: {error}") from error
