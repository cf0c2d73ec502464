"""Names of CLIP text encoders in other layouts, as tables that read both ways.

* OpenCLIP: `transformer.resblocks.N.attn.in_proj_weight` ..., carried by Stable Diffusion 2 single
  files below `cond_stage_model.model.` (source: mlfoundations/open_clip, `TextTransformer`).
  Queries, keys and values are one tensor; `text_projection` is applied as x @ P, so it is the
  transpose of a linear layer's weight.
* Hugging Face: the folder `text_encoder/` of diffusers. Our own names, with or without
  `text_model.` (transformers 5 names the modules of a bare text model without it).

Every function maps {name: tensor} to {name: tensor}, names without the file's prefix. Tensors may
be on the meta device, which turns a file's shapes into ours. A name no table knows passes through
unchanged, so that a strict load reports it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from .errors import ArchitectureError


@dataclass(frozen=True)
class Entry:
    """A tensor of the other layout: which of ours it holds, stacked along rows if several."""

    theirs: str
    ours: tuple[str, ...]
    transposed: bool = False

    def at(self, layer: int) -> Entry:
        """The entry of one layer: {n} filled in."""
        ours = tuple(name.format(n=layer) for name in self.ours)
        return Entry(self.theirs.format(n=layer), ours, self.transposed)


def _layer(theirs: str, *ours: str) -> Entry:
    return Entry(
        "transformer.resblocks.{n}." + theirs,
        tuple("text_model.encoder.layers.{n}." + name for name in ours),
    )


OPENCLIP_LAYER = tuple(
    _layer(theirs.format(kind=kind), *(f"{name}.{kind}" for name in ours))
    for kind in ("weight", "bias")
    for theirs, ours in (
        ("ln_1.{kind}", ("layer_norm1",)),
        ("attn.in_proj_{kind}", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
        ("attn.out_proj.{kind}", ("self_attn.out_proj",)),
        ("ln_2.{kind}", ("layer_norm2",)),
        ("mlp.c_fc.{kind}", ("mlp.fc1",)),
        ("mlp.c_proj.{kind}", ("mlp.fc2",)),
    )
)
OPENCLIP_ONCE = (
    Entry("token_embedding.weight", ("text_model.embeddings.token_embedding.weight",)),
    Entry("positional_embedding", ("text_model.embeddings.position_embedding.weight",)),
    Entry("ln_final.weight", ("text_model.final_layer_norm.weight",)),
    Entry("ln_final.bias", ("text_model.final_layer_norm.bias",)),
    Entry("text_projection", ("text_projection.weight",), transposed=True),
)
NOT_WEIGHTS = frozenset({"logit_scale", "attn_mask", "text_model.embeddings.position_ids"})


def from_openclip(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """OpenCLIP names to ours. Raises ArchitectureError where a fused tensor cannot be split."""
    entries = {entry.theirs: entry for entry in _openclip(state)}
    result: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name in entries:
            result |= _split(entries[name], tensor)
        elif name not in NOT_WEIGHTS:
            result[name] = tensor
    return result


def to_openclip(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our names to OpenCLIP's. Raises ArchitectureError where part of a fused tensor is missing."""
    result = dict(state)
    for entry in _openclip(state):
        present = [name for name in entry.ours if name in state]
        if present and len(present) < len(entry.ours):
            missing = next(name for name in entry.ours if name not in state)
            raise ArchitectureError(f"{entry.theirs} cannot be written: {missing} is missing")
        if present:
            parts = [result.pop(name) for name in entry.ours]
            whole = parts[0] if len(parts) == 1 else torch.cat(parts)
            result[entry.theirs] = whole.t().contiguous() if entry.transposed else whole
    return result


def from_huggingface(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Hugging Face names to ours: `text_model.` put back where it was left out."""
    bare = ("embeddings.", "encoder.", "final_layer_norm.")
    named = {f"text_model.{k}" if k.startswith(bare) else k: v for k, v in state.items()}
    return {name: tensor for name, tensor in named.items() if name not in NOT_WEIGHTS}


def _openclip(names: Mapping[str, Tensor]) -> Iterator[Entry]:
    """The table, written out for every layer that `names` (of either layout) mention."""
    yield from OPENCLIP_ONCE
    pattern = re.compile(r"(?:transformer\.resblocks|text_model\.encoder\.layers)\.(\d+)\.")
    for layer in sorted({int(match[1]) for name in names if (match := pattern.match(name))}):
        yield from (entry.at(layer) for entry in OPENCLIP_LAYER)


def _split(entry: Entry, tensor: Tensor) -> dict[str, Tensor]:
    if len(entry.ours) > 1 and (tensor.ndim < 1 or tensor.shape[0] % len(entry.ours)):
        raise ArchitectureError(
            f"{entry.theirs} has shape {tuple(tensor.shape)}; expected queries, keys and values "
            "stacked, so a number of rows divisible by 3"
        )
    whole = tensor.t() if entry.transposed else tensor
    return dict(zip(entry.ours, whole.chunk(len(entry.ours)), strict=True))
