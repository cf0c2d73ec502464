"""Handles of models whose weights are computed as they are read: patched by LoRA, combined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import torch
from torch import Tensor, nn

from nodegraph import Context, ModelSource, NodeGraphError
from nodes.models.blank import blank
from nodes.models.checkpoint_part import PARTS, build
from nodes.models.derived import (
    Combined,
    Patch,
    Share,
    Stored,
    Weights,
    patched,
    unlike,
)
from nodes.models.lora_file import LoraFile, read_lora
from nodes.models.lora_match import match, modules_of, strangers
from nodes.models.precision import Precision
from nodes.types import Clip, Model
from nodes.weights import KEY_MAPS, AbsentPart, PartSource, rounded

SHOWN = 3  # names a message lists before "..."
ENDS = ("input_blocks.0.0.", "out.2.")  # where inpainting networks differ from the others


@dataclass(frozen=True, eq=False)
class DerivedSource:
    """Weights that are computed, as the model manager loads them (nodegraph.ModelSource).

    Each is made in float32 and then cast, one after the other: loading needs the model's own size
    and a few weights, and a streamed model makes a weight when it is touched.
    """

    weights: Weights
    precision: Precision
    rounding: str | None = None

    @property
    def key(self) -> str:
        return ":".join((self.weights.key, str(self.precision), self.rounding or ""))

    @property
    def nbytes(self) -> int:
        sizes = (prod(shape) for shape in self.weights.shapes.values())
        return sum(sizes) * self.precision.dtype.itemsize

    def load(self) -> nn.Module:
        module = self.skeleton()
        with self.weights.reader() as read:
            for name in self.weights.shapes:
                owner, _, leaf = name.rpartition(".")
                parameter = nn.Parameter(self._finished(read(name)), requires_grad=False)
                module.get_submodule(owner).register_parameter(leaf, parameter)
        return module

    def skeleton(self) -> nn.Module:
        with blank():
            module = build(self.weights.config)
        return module.to(self.precision.dtype).eval().requires_grad_(False)

    def tensor(self, name: str) -> Tensor:
        if name not in self.weights.shapes:
            raise KeyError(name)
        with self.weights.reader() as read:
            return self._finished(read(name))

    def _finished(self, tensor: Tensor) -> Tensor:
        tensor = rounded(tensor.to(self.precision.dtype), self.rounding)
        if self.precision.channels_last and tensor.ndim == 4:
            return tensor.contiguous(memory_format=torch.channels_last)
        return tensor.contiguous()


def known(source: ModelSource) -> PartSource | DerivedSource:
    """A source whose weights are those of files. Raises NodeGraphError for another one."""
    if isinstance(source, (PartSource, DerivedSource)):
        return source
    if isinstance(source, AbsentPart):
        raise NodeGraphError(source.complaint)
    raise NodeGraphError(
        f"the weights of this model come from a {type(source).__name__}, which is no checkpoint: "
        "they can be neither patched, merged nor saved"
    )


def weights_of(source: ModelSource) -> Weights:
    """What a model is made of, before it is cast. Raises NodeGraphError where it is not known."""
    found = known(source)
    if isinstance(found, DerivedSource):
        return found.weights
    return Stored(found.info, found.part, found.identity)


def made_from(source: ModelSource, weights: Weights) -> DerivedSource:
    """Other weights in the precision of `source`. Raises NodeGraphError like `weights_of`."""
    found = known(source)
    return DerivedSource(weights, found.precision, found.rounding)


def combined(first: ModelSource, second: ModelSource, shares: Sequence[Share]) -> DerivedSource:
    """a W_1 + b W_2 in the precision of the first.

    Raises NodeGraphError for networks of different architectures; they may differ in the channels
    they read and give, and those layers are the first's.
    """
    one, other = weights_of(first), weights_of(second)
    different = [name for name in unlike(one, other) if not name.startswith(ENDS)]
    if different:
        what = PARTS[one.part]
        raise NodeGraphError(
            f"the two {what}s are of different architectures: {len(different)} weights differ in "
            f"name or shape ({listed(different)}): merge models of one family"
        )
    return made_from(first, Combined(one, other, tuple(shares)))


# -- LoRA ------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Lora:
    """A LoRA file as a node got it: its name, content hash and what it holds."""

    name: str
    identity: str
    file: LoraFile

    def applied(self, source: ModelSource, strength: float) -> tuple[ModelSource, tuple[str, ...]]:
        """The source with this LoRA, and the modules that match nothing in it.

        Where nothing matches, and at strength 0, the source is the same.
        """
        weights = weights_of(source)
        found = match(self.file, weights)
        if strength == 0 or not found.uses:
            return source, found.unmatched
        patch = Patch(self.file, self.identity, strength, found.uses)
        return made_from(source, patched(weights, patch)), found.unmatched


def open_lora(name: str, context: Context) -> Lora:
    """Raises FileMissing, and CheckpointError for a file that is no LoRA."""
    return lora_at(context.need_folders().resolve("loras", name), name, context)


def lora_at(path: Path, name: str, context: Context) -> Lora:
    """The LoRA in a file, called `name` in messages. Raises like `open_lora`."""
    maps = context.extensions.get(KEY_MAPS, {})
    file = read_lora(path, ckpt=bool(context.extra.get("allow_ckpt")), maps=maps)
    identity = context.hashes.sha256(path) if context.hashes else str(path)
    return Lora(name, identity, file)


def with_lora(
    lora: Lora, model: Model, clip: Clip | None, strengths: tuple[float, float], context: Context
) -> tuple[Model, Clip | None]:
    """Both handles with the LoRA at (model's, text encoder's) strength; warns of what is left out.

    Raises NodeGraphError where the file has nothing for either, or is for another model.
    """
    source, unmatched = lora.applied(model.source, strengths[0])
    left_out = [*unmatched, *strangers(lora.file)]
    made = replace(model, source=source)
    if clip is not None and not isinstance(clip.source, AbsentPart):
        source, unmatched = lora.applied(clip.source, strengths[1])
        left_out += unmatched
        clip = replace(clip, source=source)
    _require_some(lora, left_out, text=clip is not None)
    if left_out:
        context.warn(
            f"{lora.name}: {len(left_out)} of its names match nothing in this model and are left "
            f"out: {listed(left_out)}"
        )
    return made, clip


def _require_some(lora: Lora, left_out: Sequence[str], *, text: bool) -> None:
    """At least one module has to be of use."""
    parts = modules_of(lora.file, "unet") + (modules_of(lora.file, "text") if text else [])
    missed = set(left_out)
    if any(module.name not in missed for module in parts):
        return
    if not text and modules_of(lora.file, "text"):
        raise NodeGraphError(
            f"{lora.name} changes the text encoder alone: load it with LoadLora, which takes the "
            "text encoder as well"
        )
    raise NodeGraphError(
        f"none of the {len(lora.file.modules)} modules that {lora.name} changes is in this model "
        f"({listed(list(lora.file.modules))}): it was made for another kind of model"
    )


def listed(names: Sequence[str]) -> str:
    """The first names, and "..." for more."""
    return f"{', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''}"
