"""Checkpoints: what a file or folder holds, and loading it part by part.

`inspect` reads headers alone and says everything about a checkpoint. `load` builds one part of it
and fills it tensor by tensor: no more than the weights and one tensor are ever in memory, and
nothing of the file stays open or mapped.

    info = inspect(Path("models/checkpoints/emoji.safetensors"))
    unet = load(info, "unet", dtype=torch.float32)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, overload

import torch
from torch import Tensor, nn

from .blank import blank
from .checkpoint_info import CheckpointInfo, DecidedBy, inspect
from .checkpoint_metadata import BetaSchedule, PredictionKind
from .checkpoint_part import KINDS, PARTS, Part, PartInfo, build
from .clip import CLIPText
from .errors import CheckpointError
from .unet import UNet
from .vae import VAE
from .weights import Reader

__all__ = [
    "BetaSchedule",
    "CheckpointInfo",
    "DecidedBy",
    "Part",
    "PredictionKind",
    "inspect",
    "load",
    "load_part",
    "part_bytes",
    "read_part_tensor",
    "read_tensor",
    "reading",
]


@overload
def load(
    info: CheckpointInfo,
    part: Literal["unet"],
    *,
    dtype: torch.dtype,
    device: torch.device | str = ...,
    channels_last: bool = ...,
) -> UNet: ...
@overload
def load(
    info: CheckpointInfo,
    part: Literal["text"],
    *,
    dtype: torch.dtype,
    device: torch.device | str = ...,
    channels_last: bool = ...,
) -> CLIPText: ...
@overload
def load(
    info: CheckpointInfo,
    part: Literal["vae"],
    *,
    dtype: torch.dtype,
    device: torch.device | str = ...,
    channels_last: bool = ...,
) -> VAE: ...
def load(
    info: CheckpointInfo,
    part: Part,
    *,
    dtype: torch.dtype,
    device: torch.device | str = "cpu",
    channels_last: bool = False,
) -> nn.Module:
    """One part, with its weights in `dtype` on `device`, ready to run and closed to training.

    `channels_last` lays convolutions' weights out by pixel. Raises CheckpointError where the file
    has no such part, or has changed since it was inspected.
    """
    return load_part(_found(info, part), dtype=dtype, device=device, channels_last=channels_last)


def load_part(
    found: PartInfo,
    *,
    dtype: torch.dtype,
    device: torch.device | str = "cpu",
    channels_last: bool = False,
) -> nn.Module:
    """What `load` does, for a part that was found in a file, of whatever kind."""
    with blank():
        module = build(found.config)
    # Where every tensor is converted anyway, what is read need not have memory of its own.
    converts = dtype != found.dtype or torch.device(device).type != "cpu"
    with found.file.reader(scratch=converts) as read:
        for name in found.shapes:
            tensor = _read(read, found, name).to(device=device, dtype=dtype, copy=converts)
            wide = channels_last and tensor.ndim == 4
            tensor = tensor.contiguous(
                memory_format=torch.channels_last if wide else torch.contiguous_format
            )
            owner, _, leaf = name.rpartition(".")
            parameter = nn.Parameter(tensor, requires_grad=False)
            module.get_submodule(owner).register_parameter(leaf, parameter)
    return module.eval()


def read_tensor(
    info: CheckpointInfo,
    part: Part,
    name: str,
    *,
    dtype: torch.dtype,
    device: torch.device | str = "cpu",
) -> Tensor:
    """The parameter that `load` puts at `name` of the part's state_dict, read from the file again.

    Raises CheckpointError like `load`, and where the part has no such parameter.
    """
    return read_part_tensor(_found(info, part), name, dtype=dtype, device=device)


def read_part_tensor(
    found: PartInfo, name: str, *, dtype: torch.dtype, device: torch.device | str = "cpu"
) -> Tensor:
    """What `read_tensor` does, for a part that was found in a file, of whatever kind."""
    if name not in found.sources:
        kind = KINDS[found.location.part]
        raise CheckpointError(found.file.path, f"its {kind} has no parameter {name}")
    with found.file.reader() as read:
        return _read(read, found, name).to(device=device, dtype=dtype).contiguous()


@contextmanager
def reading(info: CheckpointInfo, part: Part) -> Iterator[Callable[[str], Tensor]]:
    """Open a part: what is given reads its parameters by name, new ones, in the file's own dtype.

    Raises CheckpointError like `load`.
    """
    found = _found(info, part)
    with found.file.reader() as read:
        yield lambda name: _read(read, found, name)


def part_bytes(info: CheckpointInfo, part: Part, dtype: torch.dtype) -> int:
    """Bytes a part's parameters take in `dtype`. Raises CheckpointError where there is none."""
    return _found(info, part).nbytes(dtype)


def _found(info: CheckpointInfo, part: Part) -> PartInfo:
    if part not in info.parts:
        have = " and ".join(PARTS[other] for other in info.parts)
        raise CheckpointError(info.path, f"holds no {PARTS[part]}, only a {have}")
    return info.parts[part]


def _read(read: Reader, found: PartInfo, name: str) -> Tensor:
    source = found.sources[name]
    tensor = read(source.name, block=source.block, blocks=source.blocks)
    return (tensor.t() if source.transposed else tensor).reshape(found.shapes[name])
