"""Guidance and thresholds against values worked out by hand."""

import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg

from nodes.diffusion.guidance import Clip, DynamicThreshold, guide, needs_uncond, rescaled
from nodes.diffusion.prediction import to_denoised


def test_guidance_moves_away_from_the_unconditional() -> None:
    cond, uncond = torch.tensor([3.0, 1.0]), torch.tensor([1.0, 1.0])

    assert guide(cond, uncond, 7.5).tolist() == [1 + 2 * 7.5, 1.0]
    assert guide(cond, uncond, 0.0).tolist() == [1.0, 1.0]
    assert guide(cond, None, 7.5) is cond


def test_scale_one_needs_no_unconditional_half() -> None:
    assert not needs_uncond(1.0)
    assert not needs_uncond(1 + 1e-10)
    assert needs_uncond(1 + 1e-8)
    assert needs_uncond(0.0)


def test_clipping_leaves_the_inside_alone() -> None:
    assert Clip()(torch.tensor([-3.0, 0.25, 3.0])).tolist() == [-1, 0.25, 1]
    assert Clip(2.0)(torch.tensor([-3.0, 1.5])).tolist() == [-2, 1.5]


def test_dynamic_thresholding_takes_the_percentile_of_each_image_apart() -> None:
    loud = torch.linspace(-10, 10, 101).reshape(1, 1, 1, 101)
    quiet = loud / 20

    result = DynamicThreshold(0.8)(torch.cat([loud, quiet]))

    # |loud| has its 80th percentile at 8; |quiet| stays below 1 and is left as it is
    torch.testing.assert_close(result[:1], loud.clamp(-8, 8) / 8)
    torch.testing.assert_close(result[1:], quiet)


def test_the_threshold_can_be_bounded() -> None:
    x_0 = torch.linspace(-10, 10, 101).reshape(1, 1, 1, 101)

    result = DynamicThreshold(0.8, maximum=2.0)(x_0)

    torch.testing.assert_close(result, x_0.clamp(-2, 2) / 2)


def test_half_precision_goes_in_and_comes_out() -> None:
    x_0 = torch.linspace(-4, 4, 64).reshape(1, 1, 8, 8)

    result = DynamicThreshold(0.9)(x_0.bfloat16())

    assert result.dtype == torch.bfloat16
    torch.testing.assert_close(result.float(), DynamicThreshold(0.9)(x_0), atol=0.02, rtol=0.02)


def test_thresholds_refuse_values_that_mean_nothing() -> None:
    with pytest.raises(ValueError, match="limit: expected"):
        Clip(0.0)
    with pytest.raises(ValueError, match="percentile: expected"):
        DynamicThreshold(1.5)
    with pytest.raises(ValueError, match="maximum: expected"):
        DynamicThreshold(maximum=0.5)


@pytest.mark.parametrize("share", [0.0, 0.7, 1.0])
def test_rescaled_guidance_of_a_network_that_predicts_v_is_that_of_diffusers(share: float) -> None:
    source = torch.Generator().manual_seed(0)
    x, v_c, v_u = torch.randn(3, 2, 4, 8, 8, generator=source, dtype=torch.float64)
    sigma = torch.tensor(2.5, dtype=torch.float64)
    cond, uncond = (to_denoised("v", v, x, sigma) for v in (v_c, v_u))

    ours = rescaled(cond, uncond, 7.5, share, x, sigma)

    v = rescale_noise_cfg(v_u + 7.5 * (v_c - v_u), v_c, guidance_rescale=share)
    torch.testing.assert_close(ours, to_denoised("v", v, x, sigma), rtol=1e-9, atol=1e-9)


def test_answers_that_are_even_are_rescaled_without_a_division_by_zero() -> None:
    even = torch.zeros(1, 1, 2, 2)

    assert bool(torch.isfinite(rescaled(even, even, 7.5, 0.7, even, torch.tensor(1.0))).all())
