"""Files of condition encoders: safetensors, with what they hold in the metadata.

    format   "nodegraph.condition_encoder"
    kind     a name at the extension point "condition_encoders"
    config   the kind's configuration, a JSON object

The tensors have the names of the kind's network. Files without this metadata are shown to the
kinds, of which each may know layouts of others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..blank import blank
from ..errors import ArchitectureError, CheckpointError
from ..save import Piece, below, write_safetensors
from ..shapes import require_equal, shapes_of
from ..weight_file import WeightFile
from ..weights import open_weights
from .encoder import EncoderConfig, TokenEncoder
from .kinds import EncoderKind
from .plain import from_json, to_json

FORMAT = "nodegraph.condition_encoder"

Kinds = Mapping[str, EncoderKind[Any]]


@dataclass(frozen=True, eq=False)
class EncoderFile:
    """An encoder on disk, of which names and shapes have been checked.

    name: of its kind. prefix: what precedes the names of the network's tensors.
    """

    file: WeightFile = field(repr=False)
    name: str
    kind: EncoderKind[Any] = field(repr=False)
    config: EncoderConfig
    prefix: str = ""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the network's tensors, by the network's names."""
        found = self.file.shapes()
        start = len(self.prefix)
        return {name[start:]: found[name] for name in found if name.startswith(self.prefix)}

    def skeleton(self) -> TokenEncoder:
        """The network on the meta device."""
        with blank():
            return self.kind.build(self.config)

    def load(self, dtype: torch.dtype = torch.float32) -> TokenEncoder:
        """The network with its weights, for inference. Raises CheckpointError."""
        module = self.skeleton()
        with self.file.reader() as read:
            weights = {name: read(self.prefix + name).to(dtype) for name in self.shapes}
        module.load_state_dict(weights, assign=True)
        return module.eval().requires_grad_(False)

    def tensor(self, name: str, dtype: torch.dtype = torch.float32) -> Tensor:
        """One weight by the network's name. KeyError for one that is not there."""
        if name not in self.shapes:
            raise KeyError(name)
        return self.file.read(self.prefix + name).to(dtype)


def read_encoder(path: Path, kinds: Kinds, *, ckpt: bool = False) -> EncoderFile:
    """Open an encoder's file; its weights are read later. `ckpt` allows pickles.

    Raises CheckpointError for a file that is damaged, of a kind that is not among `kinds`, or no
    condition encoder.
    """
    file = open_weights(path, ckpt=ckpt)
    try:
        found = _declared(file, kinds) if file.metadata.get("format") == FORMAT else None
        found = found or _foreign(file, kinds)
        require_equal(found.shapes, shapes_of(lambda: found.kind.build(found.config)))
    except ArchitectureError as error:
        raise CheckpointError(path, str(error)) from error
    for name in found.shapes:
        dtype = file.tensors[found.prefix + name].dtype
        if not dtype.is_floating_point:
            raise CheckpointError(path, f"{name} has the dtype {dtype}; weights are floats")
    return found


def save_encoder(
    path: Path,
    name: str,
    config: EncoderConfig,
    module: nn.Module,
    *,
    metadata: Mapping[str, str] | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Write an encoder of the kind `name`, whole or not at all; `dtype` None: as its weights are.

    `metadata` is added as it is. Raises CheckpointError where the file cannot be written.
    """
    pieces = {key: Piece.of(tensor) for key, tensor in module.state_dict().items()}
    said = {"format": FORMAT, "kind": name, "config": to_json(config)}
    write_safetensors(path, below("", pieces, dtype), {**(metadata or {}), **said})


def _declared(file: WeightFile, kinds: Kinds) -> EncoderFile:
    name, text = file.metadata.get("kind", ""), file.metadata.get("config", "")
    if name not in kinds:
        raise CheckpointError(
            file.path,
            f"is a condition encoder of kind {name!r}, which is not known here; there are "
            f"{', '.join(kinds)}: enable the plugin it came from",
        )
    try:
        config = from_json(kinds[name].config, text)
    except ValueError as error:
        raise CheckpointError(
            file.path, f"has a damaged configuration of kind {name}: {error}"
        ) from error
    return EncoderFile(file, name, kinds[name], config)


def _foreign(file: WeightFile, kinds: Kinds) -> EncoderFile:
    for name, kind in kinds.items():
        known = kind.foreign(file.shapes())
        if known is not None:
            return EncoderFile(file, name, kind, *known)
    raise CheckpointError(
        file.path,
        f'is no condition encoder: expected metadata with the format "{FORMAT}", or a layout that '
        f"a kind knows ({', '.join(kinds)})",
    )
