"""Guidance and thresholds against values worked out by hand."""

import pytest
import torch

from nodes.diffusion.guidance import Clip, DynamicThreshold, guide, needs_uncond


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
