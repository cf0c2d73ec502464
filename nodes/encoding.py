"""Condition encoders as handles, and from what stands on a node's port to conditioning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import torch
from torch import Tensor, nn

from nodegraph import Context, NodeGraphError
from nodes.models.encoders import (
    CORE,
    EncoderFile,
    EncoderKind,
    Kinds,
    TokenEncoder,
    read_encoder,
)
from nodes.models.precision import choose
from nodes.types import Condition, ConditionEncoder, Conditioning
from nodes.weights import AbsentPart

POINT = "condition_encoders"
FOLDER = "condition_encoders"

C = TypeVar("C")


class Encoded(NamedTuple):
    """What an input says, and what no input says, in as many tokens."""

    conditioning: Conditioning
    null: Conditioning


@dataclass(frozen=True, eq=False)
class EncoderSource:
    """An encoder as the model manager loads it (nodegraph.ModelSource).

    identity: the file's content hash.
    """

    file: EncoderFile = field(repr=False)
    identity: str
    dtype: torch.dtype

    @property
    def key(self) -> str:
        return f"{self.identity}:condition_encoder:{self.dtype}"

    @property
    def nbytes(self) -> int:
        shapes = self.file.shapes.values()
        return sum(torch.Size(shape).numel() for shape in shapes) * self.dtype.itemsize

    def load(self) -> nn.Module:
        return self.file.load(self.dtype)

    def skeleton(self) -> nn.Module:
        return self.file.skeleton().to(self.dtype).eval().requires_grad_(False)

    def tensor(self, name: str) -> Tensor:
        return self.file.tensor(name, self.dtype)


def open_encoder(name: str, context: Context) -> ConditionEncoder:
    """The handle of a file. Raises CheckpointError for one that is no encoder of a known kind."""
    path = context.need_folders().resolve(FOLDER, name)
    return encoder_at(path, name, context.extensions.get(POINT, CORE), context)


def encoder_at(path: Path, name: str, kinds: Kinds, context: Context) -> ConditionEncoder:
    """The handle of the file at a path, called `name` in messages. Raises as `open_encoder`."""
    file = read_encoder(path, kinds, ckpt=bool(context.extra.get("allow_ckpt")))
    identity = context.hashes.sha256(path) if context.hashes else str(path)
    # Like a text encoder it runs once a picture, so digits count for more than speed.
    precision = choose(context.precision, "text", context.device)
    source = EncoderSource(file, identity, precision.dtype)
    return ConditionEncoder(file.name, source, file.config, name)


@dataclass(frozen=True)
class _Nothing:
    """The configuration of an encoder that is not there."""

    width: int = 0


def absent_encoder(complaint: str) -> ConditionEncoder:
    """In place of an encoder that is not there: who wants to use it is told `complaint`."""
    return ConditionEncoder("none", AbsentPart(complaint), _Nothing())


def config_of(encoder: ConditionEncoder, kind: str, config: type[C]) -> C:
    """The configuration of an encoder that has to be of a kind. NodeGraphError for another kind."""
    require_present(encoder)
    if encoder.kind != kind or not isinstance(encoder.config, config):
        raise NodeGraphError(
            f"{encoder} does not read what this node gives, which is for the kind {kind}: use the "
            f"node of the kind {encoder.kind}, or EncodeCondition"
        )
    return encoder.config


def require_present(encoder: ConditionEncoder) -> None:
    """Raises NodeGraphError with the complaint of an absent encoder."""
    if isinstance(encoder.source, AbsentPart):
        raise NodeGraphError(encoder.source.complaint)


def encode_any(encoder: ConditionEncoder, value: Any, context: Context) -> Encoded:
    """What the encoder's own kind makes of a value; raises as `encode` does."""
    require_present(encoder)
    kind = _kind(encoder, context)
    return encode(encoder, partial(kind.prepare, encoder.config, value), context)


def encode(encoder: ConditionEncoder, prepare: Callable[[], Tensor], context: Context) -> Encoded:
    """Conditioning of the y that `prepare` makes, and of its absence; float32 on the host.

    Raises NodeGraphError where `prepare` raises ValueError, and for a network that gives no tokens
    of the width its file declares.
    """
    try:
        y = prepare()
    except ValueError as error:
        takes = _kind(encoder, context).takes
        raise NodeGraphError(f"{encoder} takes {takes}: {error}") from error
    tokens, nothing = _run(encoder, y, context)
    return Encoded(_conditioning(encoder, tokens), _conditioning(encoder, nothing))


def _kind(encoder: ConditionEncoder, context: Context) -> EncoderKind[Any]:
    kind: EncoderKind[Any] = context.extension(POINT, encoder.kind)
    return kind


def _run(encoder: ConditionEncoder, y: Tensor, context: Context) -> tuple[Tensor, Tensor]:
    """The tokens of y and of its absence."""
    with context.need_models().lease(encoder.source, context.device) as module, torch.no_grad():
        network = cast(TokenEncoder, module)
        dtype = next(module.parameters()).dtype if y.is_floating_point() else y.dtype
        y = y.to(context.device, dtype)
        tokens, nothing = (found.float().cpu() for found in (network(y), network.null(y)))
    for found in (tokens, nothing):
        if found.ndim != 3 or found.shape[-1] != encoder.config.width:
            raise NodeGraphError(
                f"{encoder} gave tokens of shape {tuple(found.shape)}: expected (B, L, "
                f"{encoder.config.width})"
            )
    return tokens, nothing


def _conditioning(encoder: ConditionEncoder, tokens: Tensor) -> Conditioning:
    return Conditioning((Condition(tokens, origin=str(encoder)),))
