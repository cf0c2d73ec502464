"""Handles of ControlNets: the file, and what it must have in common with a diffusion network."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from nodegraph import Context
from nodes.models.blank import blank
from nodes.models.checkpoint import load_part, read_part_tensor
from nodes.models.checkpoint_part import PartInfo, build
from nodes.models.controlnet import ControlNetConfig
from nodes.models.controlnet_file import inspect_controlnet
from nodes.models.precision import Precision, choose
from nodes.models.save import WRITABLE, Piece, Pieces
from nodes.models.unet_config import skips_of
from nodes.types import ControlNet

FOLDER = "controlnet"


@dataclass(frozen=True, eq=False)
class ControlSource:
    """A ControlNet as the model manager loads it (nodegraph.ModelSource).

    identity: the file's content hash.
    """

    found: PartInfo = field(repr=False)  # it lists every tensor
    identity: str
    precision: Precision

    @property
    def config(self) -> ControlNetConfig:
        config = self.found.config
        assert isinstance(config, ControlNetConfig)
        return config

    @property
    def key(self) -> str:
        unet = self.config.unet
        heads = f"{unet.num_heads} heads" if unet.num_heads else f"heads of {unet.head_channels}"
        pooled = "pooled" if self.config.pooled else ""
        return ":".join((self.identity, "control", str(self.precision), heads, pooled))

    @property
    def nbytes(self) -> int:
        return self.found.nbytes(self.precision.dtype)

    def load(self) -> nn.Module:
        wide = self.precision.channels_last
        return load_part(self.found, dtype=self.precision.dtype, channels_last=wide)

    def skeleton(self) -> nn.Module:
        with blank():
            module = build(self.config)
        return module.to(self.precision.dtype).eval().requires_grad_(False)

    def tensor(self, name: str) -> Tensor:
        tensor = read_part_tensor(self.found, name, dtype=self.precision.dtype)
        if self.precision.channels_last and tensor.ndim == 4:
            tensor = tensor.contiguous(memory_format=torch.channels_last)
        return tensor


def stored_pieces(source: ControlSource) -> Pieces:
    """Its weights for another file, in the dtypes of the one they come from."""
    found = source.found

    def piece(name: str, shape: tuple[int, ...]) -> Piece:
        stored = found.file.tensors[found.sources[name].name].dtype
        dtype = stored if stored in WRITABLE else source.precision.dtype
        return Piece(shape, dtype, lambda: read_part_tensor(found, name, dtype=dtype))

    return {name: piece(name, shape) for name, shape in found.shapes.items()}


def open_control_net(name: str, context: Context) -> ControlNet:
    """The handle of a file in the folder controlnet.

    Raises CheckpointError for one that is no ControlNet of Stable Diffusion 1 or 2.
    """
    return read_control_net(context.need_folders().resolve(FOLDER, name), name, context)


def read_control_net(path: Path, name: str, context: Context) -> ControlNet:
    """The handle of any file. Raises CheckpointError like `open_control_net`."""
    found = inspect_controlnet(path, ckpt=bool(context.extra.get("allow_ckpt")))
    identity = context.hashes.sha256(path) if context.hashes else str(path)
    precision = choose(context.precision, "unet", context.device)
    source = ControlSource(found, identity, precision)
    unet = source.config.unet
    return ControlNet(
        source=source,
        channels=unet.in_channels,
        hint=source.config.hint_channels,
        context=unet.context_dim,
        skips=skips_of(unet),
        name=name,
    )
