"""What a network says, in every form, against one true x_0 and one true ε."""

import pytest
import torch
from torch import Tensor

from nodes.diffusion.prediction import (
    PREDICTION_KINDS,
    ModelSampling,
    PredictionKind,
    learned_log_variance,
    noised,
    scaled_input,
    split_variance,
    to_denoised,
    to_eps,
    training_target,
    unscaled,
    x0_from,
)
from nodes.diffusion.schedule import NoiseSchedule, linear


def truth() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x_0, ε, σ and the ᾱ that belongs to it; a row for each of three levels."""
    source = torch.Generator().manual_seed(0)
    x_0, eps = torch.randn(2, 3, 5, generator=source, dtype=torch.float64)
    sigma = torch.tensor([[0.03], [1.0], [14.6]], dtype=torch.float64)
    return x_0, eps, sigma, 1 / (1 + sigma**2)


@pytest.mark.parametrize("kind", PREDICTION_KINDS)
def test_a_perfect_answer_gives_back_the_data_in_both_sets_of_variables(
    kind: PredictionKind,
) -> None:
    x_0, eps, sigma, alpha_bar = truth()
    x, x_t = x_0 + sigma * eps, noised(x_0, eps, alpha_bar)

    output = training_target(kind, x_0, eps, alpha_bar)

    torch.testing.assert_close(to_denoised(kind, output, x, sigma), x_0)
    torch.testing.assert_close(x0_from(kind, output, x_t, alpha_bar), x_0)
    torch.testing.assert_close(to_eps(x_0, x, sigma), eps)


def test_the_two_sets_of_variables_differ_by_a_scale() -> None:
    x_0, eps, sigma, alpha_bar = truth()
    x, x_t = x_0 + sigma * eps, noised(x_0, eps, alpha_bar)

    torch.testing.assert_close(scaled_input(x, sigma), x_t)
    torch.testing.assert_close(unscaled(x_t, sigma), x)


def test_v_at_a_known_point() -> None:
    one, alpha_bar = torch.ones(1), torch.tensor([0.36])

    v = training_target("v", 2 * one, 3 * one, alpha_bar)

    assert v.item() == pytest.approx(0.6 * 3 - 0.8 * 2)


def test_an_unknown_kind_is_refused_everywhere() -> None:
    x = torch.zeros(1)
    for attempt in (
        lambda: to_denoised("score", x, x, x),  # type: ignore[arg-type]
        lambda: training_target("score", x, x, x),  # type: ignore[arg-type]
        lambda: x0_from("score", x, x, x),  # type: ignore[arg-type]
        lambda: ModelSampling(NoiseSchedule(linear()), "score"),  # type: ignore[arg-type]
    ):
        with pytest.raises(ValueError, match="expected one of eps, x0, v"):
            attempt()


def test_a_network_with_twice_the_channels_learned_its_variance() -> None:
    output = torch.arange(8.0).reshape(1, 8, 1, 1)

    prediction, log_variance = split_variance(output, 4)

    assert log_variance is not None
    assert prediction.flatten().tolist() == [0, 1, 2, 3]
    assert log_variance.flatten().tolist() == [4, 5, 6, 7]
    assert split_variance(output, 8)[1] is None


def test_other_numbers_of_channels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"returned 5 channels: expected 4 .* or 8"):
        split_variance(torch.zeros(1, 5, 1, 1), 4)


def test_the_learned_variance_moves_between_both_bounds_in_log_space() -> None:
    beta, beta_tilde = torch.tensor(0.04), torch.tensor(0.01)
    v = torch.tensor([-1.0, 0.0, 1.0])

    variance = learned_log_variance(v, beta, beta_tilde).exp()

    assert variance.tolist() == pytest.approx([0.01, 0.02, 0.04])


def test_a_vanishing_posterior_variance_has_a_finite_logarithm() -> None:
    zero = torch.zeros(())

    assert bool(torch.isfinite(learned_log_variance(torch.tensor(0.5), torch.tensor(0.1), zero)))
