"""Nodes that let a picture steer the sampling through a ControlNet (arXiv:2302.05543)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePath
from typing import Annotated, NamedTuple

from nodegraph import Context, Extension, FileOf, Number, Tip, node
from nodes.control_weights import FOLDER, open_control_net
from nodes.models.controlnet_file import CONFIG, is_pooled
from nodes.steering import KIND, Steering, as_hint, steer
from nodes.types import Attached, Conditioning, ControlNet, Image, Vae

CATEGORY = "conditioning/controlnet"
KINDS = Extension("conditioning_kinds", {KIND: steer})

Strength = Annotated[
    float, Number(min=0, max=10, step=0.01), Tip("0 leaves the conditioning as it is")
]
Share = Annotated[float, Number(min=0, max=1, step=0.001), Tip("of the sampling")]


class Controlled(NamedTuple):
    positive: Conditioning
    negative: Conditioning


def _by_name(control_net_name: str | None) -> str:
    """What the result depends on beside the file's content."""
    return "pooled" if is_pooled(PurePath(control_net_name or "")) else ""


@node("LoadControlNet", category="loaders", display_name="Load ControlNet", fingerprint=_by_name)
def load_control_net(
    control_net_name: Annotated[str, FileOf(FOLDER, beside=(CONFIG,))], *, context: Context
) -> ControlNet:
    """A ControlNet of Stable Diffusion 1 or 2, in the original's or in diffusers' names."""
    return open_control_net(control_net_name, context)


@node("ControlNetGuessMode", category=CATEGORY, display_name="ControlNet Guess Mode")
def control_net_guess_mode(control_net: ControlNet) -> ControlNet:
    """Let the ControlNet guess what the picture shows, with a prompt that says little or nothing.

    It then acts on the positive conditioning alone, and by 0.825^(n - i) on the i-th of the n + 1
    places it adds to, so less on what is finer.
    """
    return replace(control_net, guess=True)


@node("ControlNetApply", category=CATEGORY, display_name="Apply ControlNet (OLD)", deprecated=True)
def control_net_apply(
    conditioning: Conditioning, control_net: ControlNet, image: Image, strength: Strength = 1.0
) -> Conditioning:
    """Let a picture steer, on this side and on the other one where that has no ControlNet."""
    steering = Steering(control_net, image, strength)
    return _steered(conditioning, Attached(KIND, steering, shared=not control_net.guess))


@node("ControlNetApplyAdvanced", category=CATEGORY, display_name="Apply ControlNet")
def control_net_apply_advanced(
    positive: Conditioning,
    negative: Conditioning,
    control_net: ControlNet,
    image: Image,
    strength: Strength = 1.0,
    start_percent: Share = 0.0,
    end_percent: Share = 1.0,
    vae: Annotated[Vae | None, Tip("not needed by ControlNets of Stable Diffusion 1 and 2")] = None,
) -> Controlled:
    """Let a picture steer both sides during a part of the sampling; several add up.

    In guess mode the negative side stays as it is.
    """
    del vae
    steering = Steering(control_net, image, strength, start_percent, end_percent)
    attached = Attached(KIND, steering)  # one for both sides, so that they share its features
    against = negative if control_net.guess else _steered(negative, attached)
    return Controlled(_steered(positive, attached), against)


def _steered(conditioning: Conditioning, attached: Attached) -> Conditioning:
    """Every entry with this attached; at strength 0 the very conditioning that came in."""
    steering: Steering = attached.data
    if steering.strength == 0:
        return conditioning
    as_hint(steering.image, steering.control_net)  # says at once what is wrong with the picture
    return Conditioning(
        tuple(
            replace(entry, attached=(*entry.attached, attached)) for entry in conditioning.entries
        )
    )
