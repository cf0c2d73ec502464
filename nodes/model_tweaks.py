"""Nodes that change how a model is used; its weights stay as they are."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from nodegraph import OPTIONAL, Number, Tip, node
from nodes.diffusion.prediction import ModelSampling, PredictionKind, Use
from nodes.diffusion.schedule import NoiseSchedule, distilled, zero_terminal_snr
from nodes.models.freeu import FreeU
from nodes.types import Model

UNET = "model_patches/unet"
LCM_TIMES = 50

Backbone = Annotated[float, Number(min=0.0, max=10.0, step=0.01)]
Share = Annotated[float, Number(min=0.0, max=1.0, step=0.01)]
USES: dict[str, tuple[PredictionKind, Use]] = {
    "eps": ("eps", "plain"),
    "v_prediction": ("v", "plain"),
    "lcm": ("eps", "lcm"),
    "x0": ("x0", "plain"),
    "img_to_img": ("x0", "img_to_img"),
}


@node("ModelSamplingDiscrete", category="advanced/model")
def model_sampling_discrete(
    model: Model,
    sampling: Annotated[
        Literal["eps", "v_prediction", "lcm", "x0", "img_to_img"],
        Tip("what the network predicts; lcm: one distilled to 50 of its times"),
    ],
    zsnr: Annotated[bool, Tip("no signal is left at the last time (arXiv:2305.08891)")] = False,
) -> Model:
    """Say what a network predicts and at which levels, where its file does not or is wrong."""
    schedule = model.sampling.schedule
    alpha_bar = zero_terminal_snr(schedule.alpha_bar) if zsnr else schedule.alpha_bar
    kind, use = USES[sampling]
    if sampling == "lcm" and schedule.stride == 1:
        schedule = distilled(alpha_bar, LCM_TIMES)
    else:
        schedule = NoiseSchedule(alpha_bar, schedule.stride)
    return replace(model, sampling=ModelSampling(schedule, kind, use))


@node("RescaleCFG", category="advanced/model")
def rescale_cfg(
    model: Model,
    multiplier: Annotated[Share, Tip("how far the deviation is brought back")] = 0.7,
) -> Model:
    """Guidance that keeps the contrast of the unguided picture (arXiv:2305.08891, §3.4)."""
    return replace(model, tweaks=replace(model.tweaks, rescale=multiplier))


@node("FreeU", category=UNET)
def freeu(
    model: Model, b1: Backbone = 1.1, b2: Backbone = 1.2, s1: Backbone = 0.9, s2: Backbone = 0.2
) -> Model:
    """The way up through the UNet made stronger against the skips (arXiv:2309.11497)."""
    return _with_freeu(model, FreeU(b1, b2, s1, s2))


@node("FreeU_V2", category=UNET)
def freeu_v2(
    model: Model, b1: Backbone = 1.3, b2: Backbone = 1.4, s1: Backbone = 0.9, s2: Backbone = 0.2
) -> Model:
    """FreeU whose strength follows what is in the picture, place by place."""
    return _with_freeu(model, FreeU(b1, b2, s1, s2, form=2))


@node("PerturbedAttentionGuidance", category=UNET)
def perturbed_attention_guidance(
    model: Model,
    scale: Annotated[float, Number(min=0.0, max=100.0, step=0.01, round=0.01)] = 3.0,
) -> Model:
    """Guidance away from what the model draws without self-attention (arXiv:2403.17377)."""
    return replace(model, tweaks=replace(model.tweaks, perturbed=model.tweaks.perturbed + scale))


@node("DifferentialDiffusion", category="_for_testing", display_name="Differential Diffusion")
def differential_diffusion(
    model: Model,
    strength: Annotated[Share, OPTIONAL, Tip("0 leaves masks as they are")] = 1.0,
) -> Model:
    """A grey mask says how early each place is made anew (arXiv:2306.00950)."""
    return replace(model, tweaks=replace(model.tweaks, gate=strength))


def _with_freeu(model: Model, added: FreeU) -> Model:
    return replace(model, tweaks=replace(model.tweaks, freeu=(*model.tweaks.freeu, added)))
