"""Runs on a network: one alone against a plain loop, and many together against each alone."""

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nodes.diffusion.condition import Condition
from nodes.diffusion.driver import Run, sample, sample_together, step_together
from nodes.diffusion.inpaint import Inpaint, resize_mask, start
from nodes.diffusion.job import Job, Middle
from nodes.diffusion.noise import (
    BatchNoise,
    PerImageNoise,
    initial_noise,
    initial_noise_per_image,
    known_region_noise,
    no_noise,
)
from nodes.diffusion.prediction import ModelSampling
from nodes.diffusion.samplers import SAMPLERS, Sampler, noise_for
from nodes.diffusion.schedule import NoiseSchedule, scaled_linear
from nodes.diffusion.spacing import sigmas_for

SCHEDULE = NoiseSchedule(scaled_linear())
C, D, WIDTH = 4, 12, 32


class Network(nn.Module):
    """Convolutions, group norm, time embedding, self- and cross-attention: a UNet in small."""

    def __init__(self, outputs: int = C) -> None:
        super().__init__()
        self.rows = 0
        self.enter = nn.Conv2d(C, WIDTH, 3, padding=1)
        self.time = nn.Linear(16, WIDTH)
        self.norm = nn.GroupNorm(4, WIDTH)
        self.conv = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.own = nn.MultiheadAttention(WIDTH, 4, batch_first=True)
        self.cross = nn.MultiheadAttention(WIDTH, 4, kdim=D, vdim=D, batch_first=True)
        self.leave = nn.Conv2d(WIDTH, outputs, 3, padding=1)

    def forward(self, x: Tensor, t: Tensor, context: Tensor | None) -> Tensor:
        self.rows = max(self.rows, len(x))
        frequencies = torch.exp(-torch.arange(8) * math.log(10000) / 8).to(x)
        angles = t.to(x)[:, None] * frequencies
        h = self.enter(x) + self.time(torch.cat([angles.cos(), angles.sin()], 1))[:, :, None, None]
        h = h + self.conv(nn.functional.silu(self.norm(h)))
        tokens = h.flatten(2).transpose(1, 2)
        tokens = tokens + self.own(tokens, tokens, tokens, need_weights=False)[0]
        if context is not None:
            tokens = tokens + 2 * self.cross(tokens, context, context, need_weights=False)[0]
        residual = self.leave(tokens.transpose(1, 2).unflatten(2, h.shape[2:]))
        eps, rest = residual[:, :C], residual[:, C:]
        return torch.cat([x + 0.5 * eps, rest], dim=1)  # mostly noise, as in a trained network


def seeded(outputs: int = C, dtype: torch.dtype = torch.float32) -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Network(outputs).to(dtype).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def network() -> Network:
    return seeded()


def prompt(seed: int, tokens: int = 7, **options: Any) -> Condition:
    source = torch.Generator().manual_seed(1000 + seed)
    return Condition(torch.randn(1, tokens, D, generator=source), **options)


def job(
    seed: int = 0,
    *,
    sampler: str = "euler",
    steps: int = 20,
    spacing: str = "normal",
    size: int = 8,
    batch: int = 1,
    denoise: float = 1.0,
    cfg: float = 7.0,
    options: dict[str, Any] | None = None,
    sampler_of: Sampler | None = None,
    **more: Any,
) -> Job:
    sigmas = sigmas_for(SCHEDULE, spacing, steps, denoise=denoise, sampler=sampler)
    latent = torch.full((batch, C, size, size), 0.3 if denoise < 1 else 0.0)
    x = start(latent, initial_noise(latent.shape, seed), sigmas, SCHEDULE)
    made = SAMPLERS[sampler](x, sigmas, BatchNoise(seed), **(options or {}))
    return Job(
        **{
            "sampler": sampler_of or made,
            "sigmas": sigmas,
            "model": ModelSampling(SCHEDULE),
            "positive": (prompt(seed),),
            "negative": (prompt(seed + 50),),
            "cfg": cfg,
            **more,
        }
    )


def difference(a: Tensor, b: Tensor) -> float:
    """The largest difference, relative to the largest value."""
    return ((a - b).abs().max() / b.abs().max()).item()


def mixed_jobs() -> list[Job]:
    """Runs that have nothing in common but the network."""
    return [
        job(0),
        job(1, sampler="euler_ancestral", steps=13, spacing="karras", cfg=4.0, batch=2),
        job(2, sampler="ddpm", cfg=1.0, negative=()),
        job(3, sampler="ddim", spacing="sgm_uniform", options={"eta": 0.5}, batch=3),
        job(4, denoise=0.5, positive=(prompt(4, tokens=14),)),
        job(5, steps=7, positive=(prompt(5, strength=0.5), prompt(6, end_sigma=3.0))),
        job(6, size=12, cfg=2.0),
        job(7, sampler="heun", steps=9),
        job(8, sampler="dpmpp_2m", spacing="karras", steps=11),
        job(9, sampler="dpm_adaptive", spacing="karras", steps=11),
        job(10, sampler="uni_pc", steps=12),
        job(11, sampler="euler_cfg_pp", cfg=1.0, steps=8, always_uncond=True),
        job(12, sampler="dpm_fast", steps=10),
        job(13, steps=6, cfg=3.0, middle=Middle((prompt(90),), 2.0), rescale=0.5),
    ]


def test_runs_together_are_the_runs_alone(network: Network) -> None:
    together = sample_together(mixed_jobs(), network)

    alone = [sample(one, network) for one in mixed_jobs()]
    assert all(isinstance(x, Tensor) for x in together)
    for a, b in zip(together, alone, strict=True):
        assert isinstance(a, Tensor)
        assert difference(a, b) < 1e-5


def test_runs_together_in_half_precision_stay_within_two_percent() -> None:
    network = seeded(dtype=torch.bfloat16)

    def half(x: Tensor, t: Tensor, context: Tensor | None) -> Tensor:
        return network(x.bfloat16(), t, None if context is None else context.bfloat16()).float()

    together = sample_together(mixed_jobs(), half)

    for a, b in zip(together, [sample(one, half) for one in mixed_jobs()], strict=True):
        assert isinstance(a, Tensor)
        assert difference(a, b) < 0.02


def test_in_double_precision_together_and_alone_agree_to_rounding() -> None:
    network = seeded(dtype=torch.float64)

    def double(x: Tensor, t: Tensor, context: Tensor | None) -> Tensor:
        return network(x.double(), t, None if context is None else context.double())

    def jobs() -> list[Job]:
        sigmas = sigmas_for(SCHEDULE, "karras", 20).double()
        samplers = [
            SAMPLERS["ddpm"](double_x(seed, sigmas), sigmas, BatchNoise(seed)) for seed in range(3)
        ]
        return [job(i, sampler_of=samplers[i], sigmas=sigmas) for i in range(3)]

    together = sample_together(jobs(), double)

    for a, b in zip(together, [sample(one, double) for one in jobs()], strict=True):
        assert isinstance(a, Tensor)
        assert a.dtype == torch.float64
        assert difference(a, b) < 1e-12


def double_x(seed: int, sigmas: Tensor) -> Tensor:
    return initial_noise((1, C, 8, 8), seed, dtype=torch.float64) * sigmas[0]


def plain_euler(network: Network, seed: int, cfg: float, steps: int) -> Tensor:
    """The same run written down as one loop, with two calls a step."""
    sigmas = sigmas_for(SCHEDULE, "normal", steps)
    z = torch.randn(1, C, 8, 8, generator=torch.Generator().manual_seed(seed))
    x = z * (1 + sigmas[0] ** 2).sqrt()
    contexts = prompt(seed).context, prompt(seed + 50).context
    for sigma, s in pairwise(sigmas):
        t = (sigma.log() - SCHEDULE.sigmas.log()).abs().argmin().float()[None]
        eps, u = (network(x / (1 + sigma**2).sqrt(), t, c) for c in contexts)
        guided = (x - u * sigma) + cfg * ((x - eps * sigma) - (x - u * sigma))
        x = x + (s - sigma) * (x - guided) / sigma
    return x


def test_a_guided_run_is_the_plain_loop(network: Network) -> None:
    x = sample(job(3, cfg=7.0, steps=20), network)

    assert difference(x, plain_euler(network, 3, 7.0, 20)) < 1e-5


def test_ddim_with_eta_zero_is_euler_to_the_last_bit(network: Network) -> None:
    assert torch.equal(sample(job(1, sampler="ddim"), network), sample(job(1), network))


def test_prompts_guidance_and_seeds_all_matter(network: Network) -> None:
    base = sample(job(0), network)

    for other in (job(0, cfg=6.0), job(1), job(0, positive=(prompt(9),)), job(0, steps=19)):
        assert difference(sample(other, network), base) > 1e-3


def test_an_image_with_its_own_seed_does_not_depend_on_its_batch(network: Network) -> None:
    sigmas = sigmas_for(SCHEDULE, "normal", 20)

    def images(seeds: list[int]) -> Tensor:
        shape = (len(seeds), C, 8, 8)
        noise = initial_noise_per_image(shape, seeds)
        x = start(torch.zeros(shape), noise, sigmas, SCHEDULE)
        sampler = SAMPLERS["euler_ancestral"](x, sigmas, PerImageNoise(seeds))
        return sample(job(sampler_of=sampler, sigmas=sigmas), network)

    together = images([7, 8, 9])

    assert difference(together[1:2], images([8])) < 1e-5
    assert difference(together[[2, 0]], images([9, 7])) < 1e-5


def test_a_run_that_is_cancelled_ends_alone(network: Network) -> None:
    class Cancelled(BaseException):
        pass

    seen: list[int] = []

    def cancel(step: int, total: int, x: Tensor, denoised: Tensor) -> None:
        seen.append(step)
        if step == 3:
            raise Cancelled

    jobs = [job(0), job(1, on_step=cancel), job(2, steps=5)]

    first, cancelled, short = sample_together(jobs, network)

    assert isinstance(cancelled, Cancelled)
    assert seen == [0, 1, 2, 3]
    assert isinstance(first, Tensor)
    assert isinstance(short, Tensor)
    assert difference(first, sample(job(0), network)) < 1e-5
    assert difference(short, sample(job(2, steps=5), network)) < 1e-5


def test_alone_a_cancelled_run_raises_what_its_callback_raised(network: Network) -> None:
    def cancel(*_: Any) -> None:
        raise TimeoutError("enough")

    with pytest.raises(TimeoutError, match="enough"):
        sample(job(on_step=cancel), network)


def test_an_interrupt_of_the_process_stops_everything_and_closes_the_samplers(
    network: Network,
) -> None:
    closed: list[bool] = []

    def endless(x: Tensor) -> Sampler:
        try:
            while True:
                yield x, 1.0
        finally:
            closed.append(True)

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    jobs = [job(0, sampler_of=endless(torch.zeros(1, C, 8, 8))), job(1, on_step=interrupt)]

    with pytest.raises(KeyboardInterrupt):
        sample_together(jobs, network)

    assert closed == [True]


def test_a_failing_network_ends_the_runs_that_were_in_the_call(network: Network) -> None:
    def fragile(x: Tensor, t: Tensor, context: Tensor | None) -> Tensor:
        if x.shape[-1] == 12:
            raise MemoryError("no room")
        return network(x, t, context)

    small, large = sample_together([job(0, steps=3), job(1, size=12, steps=3)], fragile)

    assert isinstance(small, Tensor)
    assert isinstance(large, MemoryError)
    assert difference(small, sample(job(0, steps=3), network)) < 1e-5


def test_a_fault_in_one_runs_sampler_or_conditions_is_its_own(network: Network) -> None:
    wrong_size = (prompt(0, concat=torch.ones(1, 1, 3, 3)),)
    no_variance = {"variance": "learned"}

    results = sample_together(
        [
            job(0, steps=3),
            job(1, positive=wrong_size),
            job(2, sampler="ddpm", options=no_variance),
            job(3, sampler="ddpm", options={"variance": "small"}),
        ],
        network,
    )

    assert isinstance(results[0], Tensor)
    assert "expected the size of the latent" in str(results[1])
    assert "returned no log variance" in str(results[2])
    assert "expected one of beta_tilde, beta, learned" in str(results[3])


def test_a_sampler_serves_one_job_only(network: Network) -> None:
    once = job(0, steps=2)
    sample(once, network)

    with pytest.raises(RuntimeError, match="make one for each job"):
        sample(once, network)


def test_each_step_is_reported_once_with_what_it_saw(network: Network) -> None:
    steps: list[tuple[int, int]] = []
    pictures: list[tuple[Tensor, Tensor]] = []

    def note(step: int, total: int, x: Tensor, denoised: Tensor) -> None:
        steps.append((step, total))
        pictures.append((x, denoised))

    x = sample(job(0, steps=6, on_step=note), network)

    assert steps == [(i, 6) for i in range(6)]
    sigmas = sigmas_for(SCHEDULE, "normal", 6)
    torch.testing.assert_close(
        pictures[0][0], initial_noise((1, C, 8, 8), 0) * (1 + sigmas[0] ** 2).sqrt()
    )
    torch.testing.assert_close(x, pictures[-1][1], rtol=1e-4, atol=1e-4)


def test_a_sampler_that_asks_twice_a_step_still_reports_each_step_once(network: Network) -> None:
    sigmas = sigmas_for(SCHEDULE, "karras", 5)

    def heun(x: Tensor) -> Sampler:
        for sigma, s in pairwise(sigmas):
            first = yield x, sigma.item()
            d = (x - first.denoised) / sigma
            if s > 0:
                second = yield x + d * (s - sigma), s.item()
                d = (d + (x + d * (s - sigma) - second.denoised) / s) / 2
            x = x + d * (s - sigma)
        return x

    steps: list[int] = []
    x = initial_noise((1, C, 8, 8), 0) * sigmas[0]
    one = Job(
        heun(x),
        sigmas,
        ModelSampling(SCHEDULE),
        (prompt(0),),
        on_step=lambda step, *_: steps.append(step),
    )

    sample(one, network)

    assert steps == [0, 1, 2, 3, 4]


def test_a_learned_variance_passes_through_guidance_to_the_sampler() -> None:
    network = seeded(outputs=2 * C)

    def at_the_bound(x: Tensor, t: Tensor, context: Tensor | None) -> Tensor:
        output = network(x, t, context).clone()
        output[:, C:] = 1
        return output

    learned = sample(job(0, sampler="ddpm", options={"variance": "learned"}), at_the_bound)

    fixed = sample(job(0, sampler="ddpm", options={"variance": "beta"}), at_the_bound)
    assert difference(learned, fixed) < 1e-5
    free = sample(job(0, sampler="ddpm", options={"variance": "learned"}), network)
    assert difference(free, fixed) > 1e-3


@pytest.mark.parametrize("sampler", ["euler", "ddim", "euler_ancestral", "ddpm"])
@pytest.mark.parametrize("denoise", [1.0, 0.6])
def test_what_a_mask_keeps_comes_back_unchanged(
    network: Network, sampler: str, denoise: float
) -> None:
    sigmas = sigmas_for(SCHEDULE, "normal", 8, denoise=denoise)
    latent = torch.randn(1, C, 8, 8, generator=torch.Generator().manual_seed(5))
    noise = initial_noise(latent.shape, 0)
    mask = torch.zeros(64, 64)
    mask[:, 32:] = 1
    inpaint = Inpaint(
        resize_mask(mask, latent.shape), latent, known_region_noise(sampler, noise, 0)
    )
    x = start(latent, noise, sigmas, SCHEDULE)

    result = sample(
        Job(
            SAMPLERS[sampler](x, sigmas, BatchNoise(0)),
            sigmas,
            ModelSampling(SCHEDULE),
            (prompt(0),),
            (prompt(1),),
            5.0,
            inpaint,
        ),
        network,
    )

    torch.testing.assert_close(result[..., :4], latent[..., :4], rtol=1e-4, atol=1e-4)
    assert (result[..., 4:] - latent[..., 4:]).abs().mean() > 0.1


def test_a_masked_run_is_the_plain_loop(network: Network) -> None:
    sigmas = sigmas_for(SCHEDULE, "normal", 10, denoise=0.7)
    latent = torch.randn(1, C, 8, 8, generator=torch.Generator().manual_seed(5))
    noise, mask = (
        initial_noise(latent.shape, 0),
        torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(6)),
    )
    x = start(latent, noise, sigmas, SCHEDULE)

    result = sample(
        Job(
            SAMPLERS["euler"](x, sigmas, no_noise),
            sigmas,
            ModelSampling(SCHEDULE),
            (prompt(0),),
            inpaint=Inpaint(mask, latent, noise),
        ),
        network,
    )

    for sigma, s in pairwise(sigmas):
        seen = x * mask + (latent + noise * sigma) * (1 - mask)
        t = (sigma.log() - SCHEDULE.sigmas.log()).abs().argmin().float()[None]
        eps = network(seen / (1 + sigma**2).sqrt(), t, prompt(0).context)
        denoised = (seen - eps * sigma) * mask + latent * (1 - mask)
        x = x + (s - sigma) * (x - denoised) / sigma
    assert difference(result, x) < 1e-5


def test_no_call_has_more_rows_than_allowed(network: Network) -> None:
    network.rows = 0

    limited = sample_together([job(0, batch=3), job(1)], network, max_rows=3)

    assert network.rows == 3
    free = sample_together([job(0, batch=3), job(1)], network)
    assert network.rows == 8
    for a, b in zip(limited, free, strict=True):
        assert isinstance(a, Tensor)
        assert isinstance(b, Tensor)
        assert difference(a, b) < 1e-5


def test_runs_may_join_while_others_are_on_their_way(network: Network) -> None:
    first, later = Run(job(0)), Run(job(1, steps=5))
    for _ in range(4):
        step_together([first], network)
    while first.question is not None or later.question is not None:
        step_together([first, later], network)

    for run, alone in ((first, job(0)), (later, job(1, steps=5))):
        assert isinstance(run.result, Tensor)
        assert difference(run.result, sample(alone, network)) < 1e-5
    with pytest.raises(RuntimeError, match="asks nothing"):
        first.answer([])


def test_a_run_without_steps_returns_its_latent(network: Network) -> None:
    assert torch.equal(sample(job(denoise=0.0), network), torch.full((1, C, 8, 8), 0.3))


def test_no_jobs_have_no_results(network: Network) -> None:
    assert sample_together([], network) == []


def test_the_global_generator_and_gradients_are_left_alone(network: Network) -> None:
    state = torch.get_rng_state()

    x = sample(job(0, sampler="ddpm", steps=3), seeded().requires_grad_(True))

    assert torch.equal(torch.get_rng_state(), state)
    assert not x.requires_grad
    assert not x.is_inference()


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_shares_calls_with_another_run_and_reports_each_of_its_steps(
    network: Network, name: str
) -> None:
    def one(**more: Any) -> Job:
        sigmas = sigmas_for(SCHEDULE, "karras", 7, sampler=name)
        x = initial_noise((2, C, 8, 8), 3) * sigmas[0]
        noise = noise_for(SAMPLERS[name], sigmas, 3, "cpu")
        sampler = SAMPLERS[name](x, sigmas, noise)
        return job(3, sampler_of=sampler, sigmas=sigmas, cfg=1.5, always_uncond=True, **more)

    steps: list[int] = []
    estimates: list[Tensor] = []
    network.rows = 0

    shared, _ = sample_together(
        [one(on_step=lambda i, *_: steps.append(i), on_estimate=estimates.append), job(1, steps=7)],
        network,
    )

    assert isinstance(shared, Tensor)
    assert network.rows == 6
    assert difference(shared, sample(one(), network)) < 1e-5
    assert steps == sorted(set(steps))
    assert len(estimates) >= len(steps)
    if name not in ("dpm_fast", "dpm_adaptive"):  # which choose their own
        assert steps == list(range(7))
