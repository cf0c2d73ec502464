"""Handles of ControlNets: the file, and what it must have in common with a diffusion network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nodegraph import Context
from nodes.models.checkpoint import read_part_tensor
from nodes.models.controlnet import ControlNetConfig
from nodes.models.controlnet_file import inspect_controlnet
from nodes.models.precision import choose
from nodes.models.save import WRITABLE, Piece, Pieces
from nodes.models.unet_config import skips_of
from nodes.part_source import FileSource
from nodes.types import ControlNet

FOLDER = "controlnet"


@dataclass(frozen=True, eq=False)
class ControlSource(FileSource):
    """A ControlNet as the model manager loads it."""

    @property
    def config(self) -> ControlNetConfig:
        config = self.found.config
        assert isinstance(config, ControlNetConfig)
        return config


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
