"""Handles of models: which file, which part, in which precision; the manager loads by them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from nodegraph import Context, NodeGraphError
from nodes.diffusion.prediction import ModelSampling
from nodes.diffusion.schedule import (
    NoiseSchedule,
    cosine,
    linear,
    scaled_linear,
    zero_terminal_snr,
)
from nodes.models.blank import blank
from nodes.models.checkpoint import load, part_bytes, read_tensor
from nodes.models.checkpoint_info import SCALE, CheckpointInfo
from nodes.models.checkpoint_part import PARTS, Part, build
from nodes.models.precision import Policy, Precision, choose
from nodes.models.text import TextEncoder
from nodes.models.tokenizer import CLIPTokenizer
from nodes.models.unet_config import skips_of
from nodes.types import Clip, Model, Vae

KEY_MAPS = "key_maps"  # extension point: layouts of files (nodes.models.key_map), by name
PIXEL_SPACE = "pixel_space"
PIXEL_CHANNELS = 3
FLOAT8 = {"fp8_e4m3fn": torch.float8_e4m3fn, "fp8_e5m2": torch.float8_e5m2}


@dataclass(frozen=True, eq=False)
class PartSource:
    """A part of a checkpoint as the model manager loads it (nodegraph.ModelSource).

    identity: the file's content hash. rounding: a narrower dtype the weights pass through.
    """

    info: CheckpointInfo = field(repr=False)  # it lists every tensor
    part: Part
    identity: str
    precision: Precision
    rounding: str | None = None

    @property
    def key(self) -> str:
        parts = (self.identity, self.part, str(self.precision), self.rounding or "")
        return ":".join(parts)

    @property
    def nbytes(self) -> int:
        return part_bytes(self.info, self.part, self.precision.dtype)

    def load(self) -> nn.Module:
        module: nn.Module = load(
            self.info,
            self.part,
            dtype=self.precision.dtype,
            channels_last=self.precision.channels_last,
        )
        for parameter in module.parameters() if self.rounding else ():
            parameter.data.copy_(rounded(parameter.data, self.rounding))
        return module

    def skeleton(self) -> nn.Module:
        with blank():
            module = build(self.info.parts[self.part].config)
        return module.to(self.precision.dtype).eval().requires_grad_(False)

    def tensor(self, name: str) -> Tensor:
        tensor = read_tensor(self.info, self.part, name, dtype=self.precision.dtype)
        tensor = rounded(tensor, self.rounding)
        if self.precision.channels_last and tensor.ndim == 4:
            tensor = tensor.contiguous(memory_format=torch.channels_last)
        return tensor


def rounded(tensor: Tensor, rounding: str | None) -> Tensor:
    """A weight that passed through a dtype of FLOAT8; vectors are left as they are."""
    if rounding is None or tensor.ndim < 2:
        return tensor
    return tensor.to(FLOAT8[rounding]).to(tensor.dtype)


@dataclass(frozen=True)
class AbsentPart:
    """In place of a part that a checkpoint does not have: who wants to use it is told `complaint`.

    So a checkpoint without a VAE is of use to a graph that takes the VAE from elsewhere.
    """

    complaint: str

    @property
    def key(self) -> str:
        raise NodeGraphError(self.complaint)

    @property
    def nbytes(self) -> int:
        raise NodeGraphError(self.complaint)

    def load(self) -> nn.Module:
        raise NodeGraphError(self.complaint)

    def skeleton(self) -> nn.Module:
        raise NodeGraphError(self.complaint)

    def tensor(self, name: str) -> Tensor:
        raise NodeGraphError(f"{self.complaint} ({name} was asked for)")


def arithmetic(policy: Policy, device: str) -> str:
    """What each part of a model is computed in under a policy on this machine."""
    return "; ".join(f"{part} {choose(policy, part, device)}" for part in PARTS)


def as_model(info: CheckpointInfo, context: Context, *, rounding: str | None = None) -> Model:
    """The handle of a checkpoint's UNet. Raises CheckpointError if it has none."""
    source = _source(info, "unet", context, rounding)
    unet = info.unet
    assert unet is not None
    # More inputs than outputs are concatenated ones; more outputs are a learned variance.
    channels = min(unet.in_channels, unet.out_channels)
    on_pixels = info.vae is None and channels == PIXEL_CHANNELS
    # Nobody scales pixels, and a file that is silent about the scale means that of its family.
    silent = info.scale_factor == SCALE
    return Model(
        source=source,
        sampling=ModelSampling(NoiseSchedule(schedule_of(info)), info.prediction),
        scale=1.0 if on_pixels and silent else info.scale_factor,
        channels=channels,
        inputs=unet.in_channels,
        factor=1 if on_pixels else info.factor,
        context=unet.context_dim,
        family=info.family or "",
        companion=_companion(info, channels, context),
        skips=skips_of(unet),
        classes=info.classes,
        vector=unet.adm_channels,
    )


def as_clip(info: CheckpointInfo, context: Context, *, device: str | None = None) -> Clip:
    """The handle of a checkpoint's text encoder. Raises CheckpointError if it has none."""
    source = _source(info, "text", replace(context, device=device or context.device))
    assert info.text is not None
    return Clip(source, TextEncoder(info.text, CLIPTokenizer()), device=device)


def as_vae(info: CheckpointInfo, context: Context) -> Vae:
    """The handle of a checkpoint's VAE. Raises CheckpointError if it has none."""
    source = _source(info, "vae", context)
    config = info.vae
    assert config is not None
    return Vae(source, factor=config.factor, channels=config.embed_dim)


def _companion(info: CheckpointInfo, channels: int, context: Context) -> PartSource | None:
    """The VAE of the same file as it runs on the host, if it decodes latents of the UNet's."""
    if info.vae is None or info.vae.embed_dim != channels:
        return None
    return _source(info, "vae", replace(context, device="cpu"))


def _source(
    info: CheckpointInfo, part: Part, context: Context, rounding: str | None = None
) -> PartSource:
    precision = choose(context.precision, part, context.device)
    identity = context.hashes.sha256(info.path) if context.hashes else str(info.path)
    source = PartSource(info, part, identity, precision, rounding)
    part_bytes(info, part, precision.dtype)  # names the part that is not there
    return source


def schedule_of(info: CheckpointInfo, *, zero_terminal: bool | None = None) -> Tensor:
    """The alpha-bars a checkpoint was trained with; `zero_terminal` None: as it declares."""
    betas = info.schedule
    match betas.kind:
        case "linear":
            alpha_bar = linear(betas.steps, betas.start, betas.end)
        case "cosine":
            alpha_bar = cosine(betas.steps)
        case _:
            alpha_bar = scaled_linear(betas.steps, betas.start, betas.end)
    rescaled = info.zero_terminal if zero_terminal is None else zero_terminal
    return zero_terminal_snr(alpha_bar) if rescaled else alpha_bar
