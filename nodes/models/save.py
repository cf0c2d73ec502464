"""Saving models as one safetensors file in the original latent-diffusion layout.

Names are those below the prefixes that Stable Diffusion's own files have; a text encoder of the
second family is written as OpenCLIP stores it, with queries, keys and values in one tensor. What
shapes cannot show goes into the metadata (checkpoint_metadata.py), so that reading needs no guess.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from .atomic import replacing
from .checkpoint_metadata import Declared, write_metadata
from .clip import CLIPText
from .clip_config import Family
from .controlnet import ControlNet
from .errors import CheckpointError
from .keys_clip import OPENCLIP_LAYER, OPENCLIP_ONCE
from .safetensors_file import DTYPES, LENGTH
from .unet import UNet
from .vae import VAE

UNET, VAE_PREFIX = "model.diffusion_model.", "first_stage_model."
CONTROL = "control_model."
CLIP, OPENCLIP = "cond_stage_model.transformer.", "cond_stage_model.model."
ALIGNMENT = 8  # bytes, of the first tensor
WRITABLE = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class Piece:
    """A tensor that need not be there before it is read."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    read: Callable[[], Tensor]

    @classmethod
    def of(cls, tensor: Tensor) -> Piece:
        return cls(tuple(tensor.shape), tensor.dtype, lambda: tensor)


Pieces = Mapping[str, Piece]  # by name in a module's state_dict


@dataclass(frozen=True)
class Written:
    """A tensor to write: the pieces it is made of, one below the other."""

    name: str
    pieces: tuple[Piece, ...]
    dtype: torch.dtype
    transposed: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        first = self.pieces[0].shape
        if len(self.pieces) > 1:
            return (sum(piece.shape[0] for piece in self.pieces), *first[1:])
        return first[::-1] if self.transposed else first

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize


def save_original(
    path: Path,
    declared: Declared,
    *,
    unet: UNet | None = None,
    text: CLIPText | None = None,
    vae: VAE | None = None,
    metadata: Mapping[str, str] | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Write the given parts to `path`, whole or not at all, in `dtype` (None: as they are).

    `declared` is what the metadata shall say of them; `metadata` is added to it as it is. One
    tensor at a time is converted and written. Raises CheckpointError where the file cannot be
    written, or where a weight does not fit `dtype`; ValueError where there is nothing to save.
    """
    entries = [
        entry
        for prefix, module in ((UNET, unet), (VAE_PREFIX, vae))
        if module is not None
        for entry in below(prefix, _pieces(module), dtype)
    ]
    if text is not None:
        family = declared.family or ("sd2" if text.config.activation == "gelu" else "sd1")
        entries += text_below(_pieces(text), text.config.layers, family, dtype)
    if not entries:
        raise ValueError("nothing to save: give a unet, a text encoder or a vae")
    said = write_metadata(
        declared,
        None if unet is None else unet.config,
        None if text is None else text.config,
    )
    write_safetensors(path, entries, {**said, **(metadata or {})})


def save_control_net(
    path: Path,
    network: ControlNet,
    *,
    metadata: Mapping[str, str] | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Write a ControlNet in the original layout, as `save_original` writes a checkpoint.

    That it adds means over the grid is not in the file: readers know it by the file's name.
    """
    entries = list(below(CONTROL, _pieces(network), dtype))
    said = write_metadata(Declared(), network.config.unet, None)
    write_safetensors(path, entries, {**said, **(metadata or {})})


def write_safetensors(path: Path, entries: Iterable[Written], metadata: Mapping[str, str]) -> None:
    """Write tensors and metadata as a safetensors file, whole or not at all.

    Raises CheckpointError.
    """
    try:
        with replacing(path) as file:
            write_tensors(file, path, entries, metadata)
    except OSError as error:
        raise CheckpointError(path, f"cannot be written: {error.strerror}") from error


class Open(Protocol):
    """An open file, as far as it is needed."""

    def write(self, data: Any, /) -> Any: ...


def write_tensors(
    file: Open, path: Path, entries: Iterable[Written], metadata: Mapping[str, str]
) -> None:
    """Write a safetensors file's content to an open file; `path` is what errors call it.

    Pieces are read one after the other. Raises CheckpointError, OSError.
    """
    # Wide dtypes come first, so that every tensor begins at a multiple of its items' size.
    ordered = sorted(entries, key=lambda entry: (-entry.dtype.itemsize, entry.name))
    file.write(_header(ordered, metadata))
    for entry in ordered:
        _write(path, file, entry)


def below(prefix: str, pieces: Pieces, dtype: torch.dtype | None = None) -> Iterator[Written]:
    """Tensors under our own names, after a prefix; `dtype` None leaves each in its own."""
    for name, piece in pieces.items():
        yield _written(prefix + name, (piece,), dtype)


def text_below(
    pieces: Pieces, layers: int, family: Family, dtype: torch.dtype | None = None
) -> Iterator[Written]:
    """A text encoder as the original files of its family hold it."""
    if family == "sd1":
        yield from below(CLIP, pieces, dtype)
        return
    entries = [entry.at(layer) for layer in range(layers) for entry in OPENCLIP_LAYER]
    for entry in (*OPENCLIP_ONCE, *entries):
        if entry.ours[0] in pieces:
            fused = tuple(pieces[name] for name in entry.ours)
            yield _written(OPENCLIP + entry.theirs, fused, dtype, entry.transposed)


def _pieces(module: nn.Module) -> Pieces:
    return {name: Piece.of(tensor) for name, tensor in module.state_dict().items()}


def _written(
    name: str, pieces: tuple[Piece, ...], dtype: torch.dtype | None, transposed: bool = False
) -> Written:
    kind = dtype or pieces[0].dtype
    if kind not in WRITABLE:
        raise ValueError(f"{name} cannot be saved as {kind}: choose one of {WRITABLE}")
    return Written(name, pieces, kind, transposed)


def _header(entries: Sequence[Written], metadata: Mapping[str, str]) -> bytes:
    names = {dtype: name for name, dtype in DTYPES.items()}
    header: dict[str, object] = {"__metadata__": {"format": "pt", **metadata}}
    end = 0
    for entry in entries:
        begin, end = end, end + entry.nbytes
        place = {"dtype": names[entry.dtype], "shape": entry.shape, "data_offsets": [begin, end]}
        header[entry.name] = place
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    return len(text).to_bytes(LENGTH, "little") + text


def _write(path: Path, file: Open, entry: Written) -> None:
    for piece in entry.pieces:
        source = piece.read().detach().to("cpu")
        data = (source.t() if entry.transposed else source).to(entry.dtype).contiguous()
        if data.dtype != source.dtype and bool(data.isinf().any() > source.isinf().any()):
            kind = str(entry.dtype).removeprefix("torch.")
            raise CheckpointError(
                path, f"{entry.name} has numbers beyond {kind}: save it in float32 or bfloat16"
            )
        file.write(data.reshape(-1).view(torch.uint8).numpy().data)
