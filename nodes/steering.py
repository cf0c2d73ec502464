"""The conditioning kind "controlnet": a picture that steers the network through a ControlNet."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nodegraph import NodeGraphError
from nodes.diffusion.control_hook import ControlHook
from nodes.diffusion.hooks import ControlNetwork, Hook
from nodes.kinds import Binding
from nodes.models.control import Control
from nodes.models.controlnet import ControlNet as ControlModule
from nodes.models.controlnet import soft_weights
from nodes.types import ControlNet, Model

KIND = "controlnet"
FAMILIES = {"sd1": "Stable Diffusion 1", "sd2": "Stable Diffusion 2"}


@dataclass(frozen=True, eq=False)
class Steering:
    """What is attached to an entry: which ControlNet is shown what, and how hard it pulls.

    image: (B, H, W, C) in [0, 1]. start, end: shares of the sampling between which it acts.
    """

    control_net: ControlNet
    image: Tensor
    strength: float
    start: float = 0.0
    end: float = 1.0


def steer(data: Steering, binding: Binding) -> Hook:
    """The hook of one entry. Raises NodeGraphError for a ControlNet that the model has no use for.

    The ControlNet is lent for the run; entries that name it share it, and its calls.
    """
    control_net, schedule = data.control_net, binding.model.sampling.schedule
    require_fitting(control_net, binding.model)
    module = binding.lease(control_net.source)
    assert isinstance(module, ControlModule)
    network = binding.once((KIND, control_net.source.key), lambda: network_of(module))
    height, width = binding.latents.shape[-2:]
    return ControlHook(
        network,
        lambda hint: _encoded(module, hint, binding.latents.device),
        as_hint(data.image, control_net),
        (height, width),
        strength=data.strength,
        start_sigma=schedule.percent_to_sigma(data.start),
        end_sigma=schedule.percent_to_sigma(data.end),
        weights=soft_weights(len(control_net.skips) + 1) if control_net.guess else None,
    )


def network_of(module: ControlModule) -> ControlNetwork:
    """A ControlNet as the driver calls it, in its own dtype; it sees its first channels of x_t."""
    channels = module.config.unet.in_channels

    def network(x_t: Tensor, t: Tensor, tokens: Tensor | None, features: Tensor) -> Control:
        dtype = features.dtype
        given = None if tokens is None else tokens.to(dtype)
        control: Control = module(x_t[:, :channels].to(dtype), t, given, features)
        return control

    return network


def as_hint(image: Tensor, control_net: ControlNet) -> Tensor:
    """(B, H, W, C) -> (B, channels of the hint, H, W): grey is repeated, alpha left out.

    Raises NodeGraphError for a batch without pictures and for other numbers of channels.
    """
    if image.ndim != 4 or 0 in image.shape:
        raise NodeGraphError(
            f"{named(control_net)} is shown a batch of pictures (B, H, W, C), not "
            f"{tuple(image.shape)}: give it at least one picture"
        )
    hint, wanted = image.movedim(-1, 1), control_net.hint
    if hint.shape[1] == 1:
        return hint.expand(-1, wanted, -1, -1)
    if hint.shape[1] < wanted:
        raise NodeGraphError(
            f"{named(control_net)} is shown pictures of {wanted} channels, but the picture has "
            f"{hint.shape[1]}: convert it to RGB first"
        )
    return hint[:, :wanted]


def require_fitting(control_net: ControlNet, model: Model) -> None:
    """Raises NodeGraphError naming both where a ControlNet was made for another network."""
    faults = []
    if control_net.context != model.context:
        faults.append((_tokens(control_net.context), _tokens(model.context)))
    if control_net.channels not in (model.channels, model.inputs):
        faults.append((f"{control_net.channels} channels", f"{model.channels} channels"))
    if model.skips and control_net.skips != model.skips:
        faults.append((_skips(control_net.skips), _skips(model.skips)))
    if not faults:
        return
    ours, theirs = (" and ".join(side) for side in zip(*faults, strict=True))
    family = f" ({FAMILIES[model.family]})" if model.family in FAMILIES else ""
    raise NodeGraphError(
        f"{named(control_net)} is made for a network with {ours}, but the model{family} has "
        f"{theirs}: load a ControlNet that was trained for this model"
    )


def named(control_net: ControlNet) -> str:
    return f"the ControlNet {control_net.name}" if control_net.name else "the ControlNet"


def _encoded(module: ControlModule, hint: Tensor, device: torch.device) -> Tensor:
    dtype = _dtype(module)
    with torch.no_grad():
        return module.encode(hint.to(device, dtype))


def _dtype(module: nn.Module) -> torch.dtype:
    return next(module.parameters()).dtype


def _tokens(width: int | None) -> str:
    return "no tokens" if width is None else f"tokens {width} wide"


def _skips(skips: tuple[tuple[int, int], ...]) -> str:
    widths = ", ".join(str(channels) for channels, _ in skips)
    return f"{len(skips)} skip connections ({widths} channels)"
