"""What is learned: L_simple and the variational bound, against closed forms and integrals."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from nodes.diffusion.prediction import ModelSampling, PredictionKind, noised, x0_from
from nodes.diffusion.schedule import NoiseSchedule, betas_of, linear, scaled_linear
from nodes.training.chance import Chance
from nodes.training.simple_loss import Distance, Draw, SimpleLoss, min_snr
from nodes.training.variational import (
    Posterior,
    bits_per_dimension,
    discrete_log_likelihood,
    normal_kl,
    prior_term,
)

KINDS: list[PredictionKind] = ["eps", "v", "x0"]


def sampling(kind: PredictionKind = "eps", T: int = 1000) -> ModelSampling:
    return ModelSampling(NoiseSchedule(scaled_linear(T)), kind)


def optimal_output(kind: PredictionKind, x_t: Tensor, alpha_bar: Tensor, s: float) -> Tensor:
    """The best answer on data N(0, s²): E[x_0 | x_t] = √ᾱ s² x_t / (ᾱ s² + 1 − ᾱ)."""
    x_0 = alpha_bar.sqrt() * s**2 * x_t / (alpha_bar * s**2 + 1 - alpha_bar)
    eps = (x_t - alpha_bar.sqrt() * x_0) / (1 - alpha_bar).sqrt()
    v = alpha_bar.sqrt() * eps - (1 - alpha_bar).sqrt() * x_0
    return {"eps": eps, "v": v, "x0": x_0}[kind]


@pytest.mark.parametrize(
    ("distance", "expected"),
    [
        ("mse", [0.25, 9.0]),
        ("l1", [0.5, 3.0]),
        ("huber", [0.125, 2.5]),  # d²/2 up to 1, |d| − 1/2 beyond
        ("smooth_l1", [0.125, 2.5]),
    ],
)
def test_the_distance_of_answer_and_target_may_be_another(
    distance: Distance, expected: list[float]
) -> None:
    x_0, away = torch.zeros(2, 3), torch.tensor([[0.5], [-3.0]])
    draw = Draw(torch.tensor([10, 20]), torch.ones(2, 3))

    found = SimpleLoss(sampling(), distance=distance)(
        lambda x_t, t: 1 + away.expand(2, 3), x_0, draw
    )

    assert found.simple.tolist() == pytest.approx(expected)
    assert found.total.item() == pytest.approx(sum(expected) / 2)


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_of_the_best_network_on_gaussian_data_is_the_known_one(
    kind: PredictionKind,
) -> None:
    """E‖ε − E[ε | x_t]‖² = ᾱ s² / (ᾱ s² + 1 − ᾱ), and its like for v and x_0."""
    s, use = 0.7, sampling(kind)
    table = use.schedule.alpha_bar
    x_0 = s * torch.randn(20000, 4, generator=torch.Generator().manual_seed(0))
    draw = Draw.of(x_0, 1000, Chance(1))

    def network(x_t: Tensor, t: Tensor) -> Tensor:
        return optimal_output(kind, x_t, table[t].float()[:, None], s)

    found = SimpleLoss(use)(network, x_0, draw)
    a = table[draw.t]
    per_x0 = s**2 * (1 - a) / (a * s**2 + 1 - a)
    scale = {"eps": a / (1 - a), "v": 1 / (1 - a), "x0": torch.ones_like(a)}[kind]
    expected = (per_x0 * scale).mean().item()
    assert found.total.item() == pytest.approx(expected, rel=0.02)
    assert found.simple.shape == (20000,)


def test_a_trained_linear_eps_approaches_the_optimum() -> None:
    """One number per time; gradient descent on L_simple finds √(1−ᾱ) / (ᾱ s² + 1 − ᾱ)."""
    s, use = 0.5, ModelSampling(NoiseSchedule(linear(8, 0.05, 0.4)), "eps")
    slope = nn.Parameter(torch.zeros(8))
    optimizer = torch.optim.Adam([slope], lr=0.03)
    loss = SimpleLoss(use)
    for step in range(600):
        optimizer.param_groups[0]["lr"] = 0.03 * (1 - step / 600)
        chance = Chance(0, (step,))
        x_0 = s * torch.randn(1024, 1, generator=chance.generator("data"))
        draw = Draw.of(x_0, 8, chance)
        total = loss(lambda x_t, t: slope[t][:, None] * x_t, x_0, draw).total
        optimizer.zero_grad()
        torch.autograd.backward(total)
        optimizer.step()
    a = use.schedule.alpha_bar
    best = ((1 - a).sqrt() / (a * s**2 + 1 - a)).float()
    assert torch.allclose(slope.detach(), best, atol=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_min_snr_weighs_the_error_of_x0_alike_whatever_the_network_answers(
    kind: PredictionKind,
) -> None:
    """w_kind ‖output error‖² = min(SNR, γ) ‖x̂_0 error‖² (arXiv:2303.09556, eq. 5)."""
    use = sampling(kind)
    alpha_bar = use.schedule.alpha_bar[::37].double()
    x_0, eps, wrong = torch.randn(3, len(alpha_bar), dtype=torch.float64)
    x_t = noised(x_0, eps, alpha_bar)
    error = x0_from(kind, wrong, x_t, alpha_bar) - x_0
    target = {
        "eps": eps,
        "v": alpha_bar.sqrt() * eps - (1 - alpha_bar).sqrt() * x_0,
        "x0": x_0,
    }[kind]
    snr = alpha_bar / (1 - alpha_bar)
    weighted = min_snr(kind, snr, 5.0) * (wrong - target) ** 2
    assert torch.allclose(weighted, snr.clamp(max=5.0) * error**2, rtol=1e-9)


def test_the_draw_is_uniform_over_all_times_and_depends_on_chance_alone() -> None:
    x_0 = torch.zeros(20000, 1)
    draw = Draw.of(x_0, 10, Chance(4))
    counts = torch.bincount(draw.t, minlength=10)
    assert counts.min() > 1800
    assert len(counts) == 10
    assert torch.equal(draw.eps, Draw.of(x_0, 10, Chance(4)).eps)
    assert not torch.equal(draw.eps, Draw.of(x_0, 10, Chance(5)).eps)


def test_the_posterior_is_bayes_rule() -> None:
    """q(x_{t−1} | x_t, x_0) ∝ q(x_t | x_{t−1}) q(x_{t−1} | x_0), integrated on a grid."""
    alpha_bar = linear(20, 0.02, 0.3)
    beta, posterior = betas_of(alpha_bar), Posterior.of(alpha_bar)
    x_0, x_t, t = 0.4, -0.3, 7
    x = np.linspace(-8, 8, 40001)
    density = stats.norm.pdf(x_t, np.sqrt(1 - beta[t].item()) * x, math.sqrt(beta[t]))
    before = alpha_bar[t - 1].item()
    density *= stats.norm.pdf(x, math.sqrt(before) * x_0, math.sqrt(1 - before))
    density /= density.sum()
    mean = (density * x).sum()
    variance = (density * (x - mean) ** 2).sum()
    times = torch.tensor([t])
    found = posterior.mean(torch.tensor([[x_0]]), torch.tensor([[x_t]]), times)
    assert found.item() == pytest.approx(mean, abs=1e-5)
    assert posterior.log_variance[t].exp().item() == pytest.approx(variance, rel=1e-4)


def test_the_divergence_of_two_normals_is_its_integral() -> None:
    x = np.linspace(-30, 30, 200001)
    p, q = stats.norm.pdf(x, 0.3, 0.8), stats.norm.pdf(x, -1.0, 1.7)
    integral = (p * np.log(p / q)).sum() * (x[1] - x[0])
    said = torch.tensor([0.3, 2 * math.log(0.8), -1.0, 2 * math.log(1.7)], dtype=torch.float64)
    assert normal_kl(*said).item() == pytest.approx(integral, rel=1e-6)


def test_the_likelihoods_of_the_256_values_sum_to_one() -> None:
    x = torch.linspace(-1, 1, 256, dtype=torch.float64)
    mean, log_variance = torch.tensor(0.2).double(), torch.tensor(-2.0).double()
    total = discrete_log_likelihood(x, mean, log_variance).exp().sum()
    assert total.item() == pytest.approx(1.0, abs=1e-6)


def direct_bound(x_0: float, s: float, alpha_bar: np.ndarray) -> float:
    """−log p bound, in bits, for the best ε on N(0, s²) with σ² = β, ε integrated out.

    L_t = E_ε KL: the means differ by c (x̂_0 − x_0), which is normal in ε.
    """
    total = 0.0
    for t, a in enumerate(alpha_bar):
        before = alpha_bar[t - 1] if t else 1.0
        beta = 1 - a / before
        # x̂_0 − x_0 = k (√ᾱ x_0 + √(1−ᾱ) ε) − x_0
        k = math.sqrt(a) * s**2 / (a * s**2 + 1 - a)
        offset, slope = (k * math.sqrt(a) - 1) * x_0, k * math.sqrt(1 - a)
        c = math.sqrt(before) * beta / (1 - a)
        if t:
            tilde = beta * (1 - before) / (1 - a)
            squared = c**2 * (offset**2 + slope**2)
            total += (math.log(beta / tilde) + tilde / beta + squared / beta - 1) / 2
        else:
            nodes, weights = np.polynomial.hermite_e.hermegauss(200)
            means = x_0 + c * (offset + slope * nodes)
            sigma = math.sqrt(beta)
            mass = stats.norm.cdf((x_0 + 1 / 255 - means) / sigma)
            mass -= stats.norm.cdf((x_0 - 1 / 255 - means) / sigma)
            total -= (weights * np.log(np.maximum(mass, 1e-12))).sum() / weights.sum()
    last = alpha_bar[-1]
    total += (last * x_0**2 + (1 - last) - 1 - math.log(1 - last)) / 2
    return total / math.log(2)


def test_the_bound_of_a_toy_is_the_one_computed_directly() -> None:
    s, alpha_bar = 0.5, linear(40, 0.002, 0.3)
    use = ModelSampling(NoiseSchedule(alpha_bar), "eps")
    x_0 = round(0.3 * 255 / 2) * 2 / 255 - 1 / 255  # one of the 256 values
    batch = torch.full((4000, 1), x_0)

    def network(x_t: Tensor, t: Tensor) -> Tensor:
        return optimal_output("eps", x_t, alpha_bar[t].float()[:, None], s)

    found = bits_per_dimension(network, use, batch, Chance(0))
    expected = direct_bound(x_0, s, alpha_bar.numpy())
    assert found.terms.shape == (4000, 40)
    assert found.total.mean().item() == pytest.approx(expected, rel=0.01)


def test_the_prior_term_is_small_where_the_signal_is_gone_and_known_where_it_is_not() -> None:
    assert prior_term(linear(1000), torch.ones(1, 3)).item() < 1e-4
    alpha_bar = torch.tensor([0.9, 0.5], dtype=torch.float64)
    expected = (0.5 * 4 + 0.5 - 1 - math.log(0.5)) / 2
    assert prior_term(alpha_bar, torch.full((1, 3), 2.0)).item() == pytest.approx(expected)


def test_a_learned_variance_is_taught_by_the_bound_and_the_mean_by_the_simple_loss() -> None:
    """L_hybrid: no gradient of the bound reaches the mean (arXiv:2102.09672, §3.1)."""
    use = ModelSampling(NoiseSchedule(linear(100)), "eps")
    x_0 = torch.randn(8, 2, generator=torch.Generator().manual_seed(1)).clamp(-1, 1)
    draw = Draw.of(x_0, 100, Chance(0))
    output = torch.zeros(8, 4, requires_grad=True)
    plain = torch.zeros(8, 2, requires_grad=True)
    hybrid = SimpleLoss(use)(lambda *_: output, x_0, draw)
    simple = SimpleLoss(use)(lambda *_: plain, x_0, draw)
    torch.autograd.backward([hybrid.total, simple.total])
    assert output.grad is not None
    assert plain.grad is not None
    assert torch.equal(output.grad[:, :2], plain.grad)
    assert bool((output.grad[:, 2:] != 0).any())
    assert hybrid.bound is not None


def test_descending_the_hybrid_finds_the_best_variance() -> None:
    """On N(0, s²) the best σ_t² is that of p(x_{t−1} | x_t), between β̃ and β."""
    s, T = 0.6, 6
    alpha_bar = linear(T, 0.1, 0.5)
    use = ModelSampling(NoiseSchedule(alpha_bar), "eps")
    v = nn.Parameter(torch.zeros(T))
    optimizer = torch.optim.Adam([v], lr=0.05)
    loss = SimpleLoss(use, bound=1.0)

    def network(x_t: Tensor, t: Tensor) -> Tensor:
        mean = optimal_output("eps", x_t, alpha_bar[t].float()[:, None], s)
        return torch.cat([mean, v[t][:, None].expand_as(mean)], dim=1)

    for step in range(400):
        x_0 = s * torch.randn(2048, 1, generator=Chance(0, (step,)).generator("data"))
        total = loss(network, x_0, Draw.of(x_0, T, Chance(0, (step,)))).total
        optimizer.zero_grad()
        torch.autograd.backward(total)
        optimizer.step()
    for t in range(1, T):
        a, before = alpha_bar[t].item(), alpha_bar[t - 1].item()
        beta = 1 - a / before
        tilde = beta * (1 - before) / (1 - a)
        c = math.sqrt(before) * beta / (1 - a)
        best = tilde + c**2 * s**2 * (1 - a) / (a * s**2 + 1 - a)
        f = (v[t].item() + 1) / 2
        found = math.exp(f * math.log(beta) + (1 - f) * math.log(tilde))
        assert found == pytest.approx(best, rel=0.05)
