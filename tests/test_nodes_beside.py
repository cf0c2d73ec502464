"""What networks of more inputs than the latent has channels see next to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers_models
import pytest
import torch
from node_support import Desk, Painter, painted_model
from tiny_models import UNETS, scrambled
from torch import Tensor
from torch.nn.functional import interpolate

from nodegraph import NodeGraphError
from nodes.beside import GREY, beside
from nodes.conditioning_inputs import depth_conditioning
from nodes.denoising import Guidance, denoise
from nodes.models.keys_unet import to_diffusers
from nodes.models.unet import UNet
from nodes.types import Area, Condition, Conditioning, Image, Latent, Model, Sampler

pytestmark = pytest.mark.usefixtures("without_gradients")
LATENTS = torch.randn(2, 4, 6, 5, generator=torch.Generator().manual_seed(0))
TOLERANCE = 1e-4


def model(inputs: int, channels: int = 4, scale: float = 0.5) -> Model:
    return painted_model(Painter(), channels=channels, inputs=inputs, scale=scale, context=3)


def shown(entry: Condition, handle: Model, mask: Tensor | None = None, **options: Any) -> Tensor:
    found = beside(entry, handle, options.get("latents", LATENTS), mask)
    assert found is not None
    return found


def test_a_network_of_as_many_inputs_as_channels_sees_nothing_beside_the_latent() -> None:
    carrying = Condition(
        None, kept=LATENTS, hole=torch.ones(1, 1, 6, 5), depth=torch.ones(1, 1, 6, 5)
    )

    assert beside(carrying, model(4), LATENTS, torch.ones(1, 1, 48, 40)) is None


def test_a_number_of_inputs_that_nothing_here_fills_is_refused() -> None:
    with pytest.raises(NodeGraphError, match=r"reads 3 channels next to the 4.*1 \(depth\), 4"):
        beside(Condition(None), model(7), LATENTS, None)


# -- inpainting ------------------------------------------------------------------------------------


def test_an_inpainting_network_without_a_mask_makes_all_of_a_grey_picture() -> None:
    found = shown(Condition(None), model(9))

    assert found.shape == (2, 5, 6, 5)
    assert torch.equal(found[:, :1], torch.ones(2, 1, 6, 5))
    assert found[1, 1:, 3, 2].tolist() == pytest.approx(GREY)


def test_an_inpainting_network_of_other_channels_makes_all_of_zeros() -> None:
    found = shown(Condition(None), model(7, channels=3), latents=LATENTS[:, :3])

    assert torch.equal(found[:, 1:], torch.zeros(2, 3, 6, 5))


def test_an_inpainting_network_sees_the_noise_mask_rounded_and_the_latent() -> None:
    mask = torch.zeros(1, 1, 48, 40)
    mask[..., :20] = 1.0

    found = shown(Condition(None), model(9), mask)

    hole, kept = found[:, :1], found[:, 1:]
    assert hole[0, 0, 0].tolist() == [1, 1, 0, 0, 0]  # the middle cell is half: rounded to even
    assert torch.equal(hole[0], hole[1])
    assert torch.equal(kept, LATENTS)


def test_what_the_conditioning_brings_for_inpainting_counts_more_than_the_noise_mask() -> None:
    kept, hole = torch.randn(1, 4, 6, 5), torch.zeros(1, 1, 6, 5)
    hole[..., 0, :] = 1

    found = shown(Condition(None, kept=kept, hole=hole), model(9), torch.ones(1, 1, 6, 5))

    assert torch.equal(found[:, :1], hole.expand(2, 1, 6, 5))
    assert torch.equal(found[:, 1:], (kept * 0.5).expand(2, 4, 6, 5))


def test_a_masked_picture_of_another_size_is_refused_with_both_sizes() -> None:
    entry = Condition(None, kept=torch.zeros(1, 4, 8, 8), hole=torch.ones(1, 1, 64, 64))

    with pytest.raises(NodeGraphError, match=r"masked pictures of 64 x 64 pixels.*40 x 48 pixels"):
        beside(entry, model(9), LATENTS, None)


# -- depth -----------------------------------------------------------------------------------------


def test_a_depth_network_sees_the_map_at_the_latents_size_over_its_own_range() -> None:
    depth = torch.rand(2, 1, 48, 40, generator=torch.Generator().manual_seed(1)) * 9 + 2

    found = shown(Condition(None, depth=depth), model(5))

    # as the published pipeline prepares it: bicubic, then each map to [-1, 1]
    small = interpolate(depth, (6, 5), mode="bicubic", align_corners=False)
    least, greatest = (f(small, dim=(1, 2, 3), keepdim=True) for f in (torch.amin, torch.amax))
    torch.testing.assert_close(found, 2.0 * (small - least) / (greatest - least) - 1.0)
    assert found.amin(dim=(1, 2, 3)).tolist() == [-1, -1]


def test_one_depth_map_is_for_the_whole_batch() -> None:
    found = shown(Condition(None, depth=torch.rand(1, 1, 9, 7)), model(5))

    assert found.shape == (2, 1, 6, 5)
    assert torch.equal(found[0], found[1])


def test_a_depth_network_without_a_map_is_refused_with_the_node_to_use() -> None:
    with pytest.raises(NodeGraphError, match=r"sees a depth map.*DepthConditioning"):
        beside(Condition(None), model(5), LATENTS, None)


# -- editing ---------------------------------------------------------------------------------------


def test_an_editing_network_sees_the_picture_as_the_vae_made_it() -> None:
    edited = torch.randn(1, 4, 6, 5)

    found = shown(Condition(None, edited=edited), model(8))

    assert torch.equal(found, edited.expand(2, 4, 6, 5))


def test_an_editing_network_without_a_picture_sees_zeros() -> None:
    assert torch.equal(shown(Condition(None), model(8)), torch.zeros_like(LATENTS))


def test_a_picture_to_edit_of_another_size_is_refused_with_both_sizes() -> None:
    with pytest.raises(NodeGraphError, match=r"edited pictures of 64 x 64 pixels.*40 x 48"):
        beside(Condition(None, edited=torch.zeros(1, 4, 8, 8)), model(8), LATENTS, None)


# -- against diffusers -----------------------------------------------------------------------------

SIGMA = 2.0
GENERATOR = torch.Generator().manual_seed(4)
TOKENS, OTHER_TOKENS = (torch.randn(1, 6, 128, generator=GENERATOR) for _ in range(2))
PICTURES = torch.randn(2, 4, 8, 12, generator=GENERATOR)


def networks(inputs: int) -> tuple[Model, Any]:
    """Our network in a handle, and diffusers' of the same seeded weights."""
    config = replace(UNETS["sd2"], in_channels=inputs, channel_mult=(1, 2))
    ours, theirs = scrambled(UNet(config)), diffusers_models.unet("sd2", in_channels=inputs)
    weights = theirs.state_dict()
    ours.load_state_dict({name: weights[other] for name, other in to_diffusers(config).items()})
    handle = painted_model(ours, kind="eps", scale=0.18215, inputs=inputs, context=128)
    return handle, theirs


def denoised(desk: Desk, handle: Model, conditioning: Conditioning, **latent: Any) -> Tensor:
    """x̂_0 in the model's scale, in one step, guided by 3 away from `OTHER_TOKENS`."""
    negative = Conditioning(
        tuple(replace(entry, context=OTHER_TOKENS) for entry in conditioning.entries)
    )
    sigmas = torch.tensor([SIGMA, 0.0])
    result = denoise(
        handle,
        Latent(PICTURES, **latent),
        Guidance(conditioning, negative, 3.0),
        Sampler("euler"),
        sigmas,
        seed=0,
        add_noise=False,
        context=desk.context,
    )
    return result.latent.samples * handle.scale


def expected(handle: Model, theirs: Any, x: Tensor, extra: Tensor) -> Tensor:
    t = torch.tensor(float(handle.sampling.schedule.sigma_to_t(SIGMA)))
    seen = torch.cat([x / (SIGMA**2 + 1) ** 0.5, extra.expand(len(x), *extra.shape[1:])], dim=1)
    cond, uncond = (
        x - SIGMA * theirs(seen, t, tokens.expand(len(x), -1, -1)).sample
        for tokens in (TOKENS, OTHER_TOKENS)
    )
    return uncond + 3.0 * (cond - uncond)


def assert_same(found: Tensor, wanted: Tensor) -> None:
    assert float((found - wanted).abs().max()) <= TOLERANCE * float(wanted.abs().max())


def test_a_network_of_five_channels_computes_what_diffusers_does(tmp_path: Path) -> None:
    handle, theirs = networks(5)
    depth = Image(torch.rand(1, 64, 96, 3, generator=torch.Generator().manual_seed(2)))
    prompt = Conditioning((Condition(TOKENS),))
    conditioning = depth_conditioning(prompt, prompt, depth).positive

    found = denoised(Desk(tmp_path), handle, conditioning)

    small = interpolate(depth.mean(dim=-1)[:, None], (8, 12), mode="bicubic")
    extra = 2 * (small - small.min()) / (small.max() - small.min()) - 1
    assert_same(found, expected(handle, theirs, PICTURES * handle.scale, extra))
    assert (
        float((found - expected(handle, theirs, PICTURES * handle.scale, -extra)).abs().max())
        > 0.01
    )


def test_a_network_of_nine_channels_computes_what_diffusers_does(tmp_path: Path) -> None:
    handle, theirs = networks(9)
    kept = torch.randn(1, 4, 8, 12, generator=torch.Generator().manual_seed(2))
    hole = torch.zeros(1, 1, 8, 12)
    hole[..., 2:6, 3:] = 1
    conditioning = Conditioning((Condition(TOKENS, kept=kept, hole=hole),))

    found = denoised(Desk(tmp_path), handle, conditioning)

    extra = torch.cat([hole, kept * handle.scale], dim=1)
    assert_same(found, expected(handle, theirs, PICTURES * handle.scale, extra))


def test_a_network_of_eight_channels_computes_what_diffusers_does(tmp_path: Path) -> None:
    handle, theirs = networks(8)
    edited = torch.randn(1, 4, 8, 12, generator=torch.Generator().manual_seed(2))

    found = denoised(Desk(tmp_path), handle, Conditioning((Condition(TOKENS, edited=edited),)))

    assert_same(found, expected(handle, theirs, PICTURES * handle.scale, edited))


def test_an_area_of_a_depth_network_is_a_run_on_the_cropped_map(tmp_path: Path) -> None:
    handle, theirs = networks(5)
    depth = torch.rand(1, 1, 8, 12, generator=torch.Generator().manual_seed(2))
    area = Area(width=48, height=64, x=48, y=0)
    entry = Condition(TOKENS, depth=depth, area=area)

    found = denoised(Desk(tmp_path), handle, Conditioning((entry,)))

    extra = 2 * (depth - depth.min()) / (depth.max() - depth.min()) - 1
    half = expected(handle, theirs, PICTURES[..., 6:] * handle.scale, extra[..., 6:])
    assert_same(found[..., 6:], half)
    assert torch.equal(found[..., :6], torch.zeros(2, 4, 8, 6))
