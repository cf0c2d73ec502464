"""Networks that enlarge pictures: ESRGAN, SwinIR and the like, built by spandrel.

spandrel (MIT licence) tells the architecture and its settings from the names and shapes of the
weights. It needs torchvision, so it is imported only when such a file is opened.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .errors import CheckpointError, ModelError
from .weights import open_weights

COLOURS = 3
MISSING = (
    "networks that enlarge pictures are built by spandrel, which is not installed: "
    "pip install spandrel, with the torchvision that belongs to your torch"
)
BROKEN = (
    f"spandrel is installed, but cannot be imported beside torch {torch.__version__}: install the "
    "torchvision that belongs to it"
)


class Upscaler(nn.Module):
    """x (1, 3, H, W) in [0, 1] -> (1, 3, scale H, scale W) in [0, 1]."""

    def __init__(self, described: Any) -> None:
        super().__init__()
        self.network: nn.Module = described.model
        self._described = described

    def forward(self, x: Tensor) -> Tensor:
        return self._described(x)  # pads to the size the network asks for, and cuts that off again


@dataclass(frozen=True)
class UpscalerFile:
    """A file of such a network, as it was found to be.

    scale: output pixels per input pixel. nbytes: of its weights in float32.
    ckpt:  whether the file may be a PyTorch checkpoint.
    """

    path: Path
    architecture: str
    scale: int
    nbytes: int = field(repr=False)
    ckpt: bool = False

    def build(self) -> Upscaler:
        """The network on the host, in float32. CheckpointError if the file has changed for bad."""
        return _build(self.path, ckpt=self.ckpt)[0]


def inspect_upscaler(path: Path, *, ckpt: bool = False) -> UpscalerFile:
    """What a file holds; the network is built once for that. `ckpt` allows pickles (.pth).

    Raises ModelError where spandrel is not installed, and CheckpointError for a file that cannot
    be read, that no known architecture fits, or whose network does more than enlarge colours.
    """
    upscaler, described = _build(path, ckpt=ckpt)
    tensors = [*upscaler.parameters(), *upscaler.buffers()]
    return UpscalerFile(
        path,
        architecture=str(described.architecture.name),
        scale=int(described.scale),
        nbytes=sum(tensor.nbytes for tensor in tensors),
        ckpt=ckpt,
    )


def _build(path: Path, *, ckpt: bool) -> tuple[Upscaler, Any]:
    spandrel = _spandrel()
    file = open_weights(path, ckpt=ckpt)
    with file.reader() as read:
        tensors = {name: read(name) for name in file.tensors}
    try:
        described = spandrel.ModelLoader(torch.device("cpu")).load_from_state_dict(tensors)
    # Every architecture reads its settings off the weights in its own way, and fails in its own.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).split("\n")[0]
        raise CheckpointError(path, f"is no network that spandrel knows: {reason}") from error
    if not isinstance(described, spandrel.ImageModelDescriptor):
        raise CheckpointError(path, "is a network that takes more than a picture (a mask)")
    channels = (described.input_channels, described.output_channels)
    if channels != (COLOURS, COLOURS):
        raise CheckpointError(
            path, f"takes {channels[0]} channels and gives {channels[1]}; expected red, green, blue"
        )
    upscaler = Upscaler(described).float().eval().requires_grad_(False)
    return upscaler, described


def _spandrel() -> Any:
    try:
        return import_module("spandrel")
    except ModuleNotFoundError as error:
        raise ModelError(MISSING) from error
    except Exception as error:  # torchvision fails as it likes where it was built for another torch
        raise ModelError(f"{BROKEN} ({error})") from error
