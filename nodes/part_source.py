"""The weights of a network that has a file of its own, as the model manager loads them."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from nodes.models.blank import blank
from nodes.models.checkpoint import load_part, read_part_tensor
from nodes.models.checkpoint_part import PartInfo, build
from nodes.models.precision import Precision


@dataclass(frozen=True, eq=False)
class FileSource:
    """A part found in a file (nodegraph.ModelSource). identity: the file's content hash."""

    found: PartInfo = field(repr=False)  # it lists every tensor
    identity: str
    precision: Precision

    @property
    def key(self) -> str:
        # The architecture counts: a config.json beside the file may tell what no tensor does.
        config = self.found.config
        return f"{self.identity}:{self.found.location.part}:{config}:{self.precision}"

    @property
    def nbytes(self) -> int:
        return self.found.nbytes(self.precision.dtype)

    def load(self) -> nn.Module:
        return load_part(
            self.found, dtype=self.precision.dtype, channels_last=self.precision.channels_last
        )

    def skeleton(self) -> nn.Module:
        with blank():
            module = build(self.found.config)
        return module.to(self.precision.dtype).eval().requires_grad_(False)

    def tensor(self, name: str) -> Tensor:
        tensor = read_part_tensor(self.found, name, dtype=self.precision.dtype)
        if self.precision.channels_last and tensor.ndim == 4:
            tensor = tensor.contiguous(memory_format=torch.channels_last)
        return tensor
