"""Models on their way into files: weight by weight, under a name of their own, whole or not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, BinaryIO

import torch
from torch import Tensor

from nodegraph import Context, ModelSource, SavedFile, Shown
from nodes.diffusion.schedule import NoiseSchedule
from nodes.image import graph_text
from nodes.models.checkpoint import read_tensor as read_stored
from nodes.models.checkpoint_metadata import Declared
from nodes.models.save import WRITABLE, Piece, Pieces, Written, write_tensors
from nodes.patching import DerivedSource, known, weights_of
from nodes.types import Model
from nodes.weights import PartSource, schedule_of

SUFFIX = ".safetensors"


def pieces_of(source: ModelSource) -> Pieces:
    """A model's weights for a file: as they are used, and so that nothing is lost.

    Where nothing was changed they stay in the dtype of the file they come from; else they are in
    the dtype the model runs in. Raises NodeGraphError for a model that is no checkpoint.
    """
    made = known(source)
    return {name: _piece(made, name, shape) for name, shape in weights_of(made).shapes.items()}


def save_weights(
    entries: Sequence[Written], metadata: Mapping[str, str], prefix: str, context: Context
) -> Shown:
    """Write a safetensors file into the output folder, with the graph that made it."""
    told, said = _telling(entries, context), {**metadata, **graph_text(context)}
    digest = hashlib.sha256()
    [name] = context.need_folders().reserve("output", prefix, SUFFIX)
    name.write(lambda file: write_tensors(_Hashed(file, digest.update), name.path, told, said))
    saved = SavedFile(name.path.name, name.subfolder, "output", digest.hexdigest())
    return Shown((saved,), key="models")


def declared_of(model: Model, context: Context) -> Declared:
    """What a file shall say of a model besides its weights: as the handle has it by now."""
    info = weights_of(model.source).origin.info
    declared = replace(info.declared, prediction=model.sampling.kind, scale_factor=model.scale)
    for zero_terminal in (info.zero_terminal, not info.zero_terminal):
        schedule = NoiseSchedule(schedule_of(info, zero_terminal=zero_terminal))
        if torch.equal(schedule.sigmas, model.sampling.schedule.sigmas):
            return replace(declared, zero_terminal=zero_terminal)
    context.warn(
        "the model's noise levels were changed in a way no file can say: the file says those it "
        "was trained with"
    )
    return declared


class _Hashed:
    """A file being written, whose content is hashed on the way."""

    def __init__(self, file: BinaryIO, update: Callable[[Any], None]) -> None:
        self._file = file
        self._update = update

    def write(self, data: Any, /) -> None:
        self._update(data)
        self._file.write(data)


def _telling(entries: Iterable[Written], context: Context) -> list[Written]:
    """The entries; each says how far the writing is, and so notices a cancel."""
    listed = list(entries)
    done = iter(range(1, len(listed) + 1))

    def told(entry: Written) -> Written:
        first, *rest = entry.pieces

        def read() -> Tensor:
            context.progress(next(done), len(listed))
            return first.read()

        return replace(entry, pieces=(replace(first, read=read), *rest))

    return [told(entry) for entry in listed]


def _piece(source: PartSource | DerivedSource, name: str, shape: tuple[int, ...]) -> Piece:
    if isinstance(source, PartSource) and source.rounding is None:
        info, part = source.info, source.part
        stored = info.parts[part].file.tensors[info.parts[part].sources[name].name].dtype
        if stored in WRITABLE:
            return Piece(shape, stored, lambda: read_stored(info, part, name, dtype=stored))
    return Piece(shape, source.precision.dtype, lambda: source.tensor(name))
