"""A module that stands for spandrel: it knows one network, which enlarges by repeating pixels.

`enlarge.weight` (3 s^2, 3, 3, 3), followed by a pixel shuffle by s: a network of the kind that
spandrel knows, small enough to work out by hand. What it does not know raises as there.
"""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle

REACH = 1  # pixels on each side that decide on a pixel


class Network(nn.Module):
    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.enlarge = nn.Conv2d(3, 3 * scale**2, 3, padding=1, bias=False)
        self.register_buffer("gain", torch.ones(1))
        self.seen: list[tuple[int, ...]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(tuple(x.shape))
        return pixel_shuffle(self.enlarge(x) * self.gain, self.scale)


class UnsupportedModelError(Exception):
    pass


class ImageModelDescriptor:
    def __init__(self, model: nn.Module, scale: int, channels: tuple[int, int]) -> None:
        self.model = model
        self.scale = scale
        self.input_channels, self.output_channels = channels
        self.architecture = SimpleNamespace(name="Shuffle")

    @torch.inference_mode()
    def __call__(self, image: Tensor) -> Tensor:
        return self.model(image).clamp_(0, 1)


class MaskedImageModelDescriptor:
    pass


class ModelLoader:
    def __init__(self, device: Any = None) -> None:
        self.device = device

    def load_from_state_dict(self, state: dict[str, Tensor]) -> Any:
        if "mask_conv.weight" in state:
            return MaskedImageModelDescriptor()
        if "enlarge.weight" not in state:
            raise UnsupportedModelError
        out, channels = state["enlarge.weight"].shape[:2]
        scale = int((out // 3) ** 0.5)
        if channels != 3:
            return ImageModelDescriptor(nn.Identity(), scale, (channels, channels))
        network = Network(scale)
        network.load_state_dict({"gain": torch.ones(1), **state})
        return ImageModelDescriptor(network, scale, (3, 3))


def weights(scale: int, *, seed: int = 0, blur: float = 0.1) -> dict[str, Tensor]:
    """A network that repeats each pixel and adds a little of its neighbours, by place and colour.

    With `blur` 0 it repeats pixels and does nothing else.
    """
    generator = torch.Generator().manual_seed(seed)
    weight = blur * torch.rand(3 * scale**2, 3, 3, 3, generator=generator) / 27
    for colour in range(3):
        weight[colour * scale**2 : (colour + 1) * scale**2, colour, 1, 1] += 1 - blur
    return {"enlarge.weight": weight}


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `import spandrel` give this one."""
    module = ModuleType("spandrel")
    module.__dict__.update(
        ModelLoader=ModelLoader,
        ImageModelDescriptor=ImageModelDescriptor,
        MaskedImageModelDescriptor=MaskedImageModelDescriptor,
    )
    monkeypatch.setitem(sys.modules, "spandrel", module)
