"""Differences of models as the tensors of a LoRA file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from nodegraph import Context, ModelSource, NodeGraphError
from nodes.models.derived import Weights
from nodes.models.lora_extract import standard, whole_name
from nodes.models.save import Piece, Written
from nodes.patching import weights_of


def differences(
    sources: Sequence[ModelSource], rank: int | None, *, vectors: bool, context: Context
) -> list[Written]:
    """What weights that are differences come to: of this rank, or whole where it is None.

    vectors: also biases and norms. Weights of zeros are left out. Raises NodeGraphError where
    nothing is left.
    """
    entries: list[Written] = []
    for source in sources:
        weights = weights_of(source)
        home = _home(weights)
        for name, D in _changed(weights, context):
            if D.ndim < 2 and not vectors:
                continue
            if rank is None:
                piece = Piece(tuple(D.shape), D.dtype, _read_again(weights, name))
                entries.append(Written(home + whole_name(name), (piece,), D.dtype))
                continue
            found = standard(name, D.to(context.device), rank, vectors=vectors)
            for key, tensor in found:
                entries.append(Written(home + key, (Piece.of(tensor.cpu()),), tensor.dtype))
    if not entries:
        raise NodeGraphError(
            "the difference is zero, so there is no LoRA to save: take that of two models, from "
            "ModelMergeSubtract"
        )
    return entries


def _changed(weights: Weights, context: Context) -> Iterator[tuple[str, Tensor]]:
    with weights.reader() as read:
        for number, name in enumerate(weights.shapes, 1):
            context.progress(number, len(weights.shapes))
            D = read(name)
            if bool(torch.any(D)):
                yield name, D


def _read_again(weights: Weights, name: str) -> Callable[[], Tensor]:
    """All of a difference would not fit into memory beside what is there."""

    def read() -> Tensor:
        with weights.reader() as get:
            return get(name)

    return read


def _home(weights: Weights) -> str:
    if weights.part == "unet":
        return "diffusion_model."
    family = weights.origin.info.family
    return f"text_encoders.clip_{'h' if family == 'sd2' else 'l'}.transformer."
