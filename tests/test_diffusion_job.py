"""What a job asks the network, and how the answers become a prediction."""

from typing import Any

import pytest
import torch
from torch import Tensor

from nodes.diffusion.condition import Condition
from nodes.diffusion.guidance import Clip
from nodes.diffusion.guidance import rescaled as rescaled_guidance
from nodes.diffusion.inpaint import Inpaint
from nodes.diffusion.job import Job, Middle, Question
from nodes.diffusion.noise import no_noise
from nodes.diffusion.prediction import ModelSampling, PredictionKind
from nodes.diffusion.samplers import euler
from nodes.diffusion.schedule import NoiseSchedule, scaled_linear

SCHEDULE = NoiseSchedule(scaled_linear())
X = torch.tensor([[[[4.0, -2.0]]]])
SIGMAS = torch.tensor([3.0, 2.0, 1.0, 0.0])


def entry(value: float, **options: Any) -> Condition:
    return Condition(torch.full((1, 2, 3), float(value)), **options)


def job(kind: PredictionKind = "eps", **options: Any) -> Job:
    return Job(
        **{
            "sampler": euler(X, SIGMAS, no_noise),
            "sigmas": SIGMAS,
            "model": ModelSampling(SCHEDULE, kind),
            "positive": (entry(1),),
            "negative": (entry(0),),
            **options,
        }
    )


def outputs(*values: float) -> list[Tensor]:
    return [torch.full_like(X, value) for value in values]


def test_the_network_sees_the_scaled_input_the_nearest_time_and_the_tokens() -> None:
    queries = Question(job(cfg=7.0), X, SCHEDULE.sigmas[500].item()).queries()

    assert [q.t for q in queries] == [500, 500]
    scale = (1 + SCHEDULE.sigmas[500] ** 2).sqrt()
    torch.testing.assert_close(queries[0].x_t, X / scale)
    assert [q.context.mean().item() for q in queries if q.context is not None] == [1, 0]


def test_guidance_acts_on_the_denoised_picture() -> None:
    answer = Question(job(cfg=7.0), X, 2.0).answer(outputs(1.0, 0.5))

    cond, uncond = X - 2 * 1.0, X - 2 * 0.5
    torch.testing.assert_close(answer.denoised, uncond + 7 * (cond - uncond))
    torch.testing.assert_close(answer.eps, torch.full_like(X, 0.5 + 7 * 0.5))
    assert answer.uncond is not None
    torch.testing.assert_close(answer.uncond, uncond)


@pytest.mark.parametrize("cfg", [1.0, 1 + 1e-12])
def test_scale_one_does_not_ask_the_negative_side(cfg: float) -> None:
    question = Question(job(cfg=cfg, negative=()), X, 2.0)

    assert len(question.queries()) == 1
    answer = question.answer(outputs(1.0))
    assert torch.equal(answer.denoised, X - 2)
    assert answer.uncond is None


def test_a_sampler_that_looks_at_the_negative_side_gets_it_at_any_scale() -> None:
    question = Question(job(cfg=1.0, always_uncond=True), X, 2.0)

    assert len(question.queries()) == 2
    answer = question.answer(outputs(1.0, 0.0))
    assert answer.uncond is not None
    torch.testing.assert_close(answer.uncond, X)
    torch.testing.assert_close(answer.denoised, X - 2)


@pytest.mark.parametrize(
    ("kind", "denoised"),
    [("eps", X - 3.0 * 2), ("x0", torch.full_like(X, 3.0)), ("v", X / 5 - 3.0 * 2 / 5**0.5)],
)
def test_each_kind_of_output_is_read_as_what_it_is(kind: PredictionKind, denoised: Tensor) -> None:
    answer = Question(job(kind), X, 2.0).answer(outputs(3.0))

    torch.testing.assert_close(answer.denoised, denoised)


def test_entries_of_a_side_are_averaged_by_strength_while_they_are_active() -> None:
    positive = (entry(1, strength=3.0), entry(2), entry(3, start_sigma=1.5))
    question = Question(job(positive=positive), X, 2.0)

    assert len(question.queries()) == 2
    answer = question.answer(outputs(1.0, 5.0))
    torch.testing.assert_close(answer.denoised, X - 2 * 2.0)


def test_a_side_without_an_active_entry_counts_as_zero() -> None:
    late = entry(0, start_sigma=1.0)

    answer = Question(job(cfg=3.0, negative=(late,)), X, 2.0).answer(outputs(1.0))

    torch.testing.assert_close(answer.denoised, 3 * (X - 2))


def test_the_threshold_acts_after_guidance_and_leaves_eps_alone() -> None:
    answer = Question(job(cfg=2.0, threshold=Clip()), X, 2.0).answer(outputs(1.0, 0.0))

    torch.testing.assert_close(answer.denoised, (X - 4).clamp(-1, 1))
    torch.testing.assert_close(answer.eps, torch.full_like(X, 2.0))


def test_the_known_region_is_noised_for_the_network_and_kept_in_the_answer() -> None:
    mask, latent, noise = torch.tensor([[[[1.0, 0.0]]]]), torch.full_like(X, 9.0), X * 0 + 0.5
    question = Question(
        job(inpaint=Inpaint(mask, latent, noise), threshold=Clip()), X, SCHEDULE.sigmas[500].item()
    )
    sigma = SCHEDULE.sigmas[500]

    [query] = question.queries()
    answer = question.answer(outputs(0.0))

    seen = torch.tensor([[[[4.0, 9.0 + 0.5 * sigma]]]])
    torch.testing.assert_close(query.x_t, seen / (1 + sigma**2).sqrt())
    assert answer.denoised.flatten().tolist() == [1.0, 9.0]  # clipped, but not what is known
    torch.testing.assert_close(answer.eps.flatten()[1], (X.flatten()[1] - 9.0) / sigma)


def test_guidance_leaves_the_learned_variance_to_the_positive_side() -> None:
    cond = torch.cat(outputs(1.0, 0.25), dim=1)
    uncond = torch.cat(outputs(0.0, 0.75), dim=1)

    answer = Question(job(cfg=5.0), X, 2.0).answer([cond, uncond])

    torch.testing.assert_close(answer.denoised, X - 2 * 5.0)
    assert answer.log_variance is not None
    torch.testing.assert_close(answer.log_variance, torch.full_like(X, 0.25))


def test_extra_channels_reach_the_network_unscaled() -> None:
    positive = (entry(1, concat=torch.full((1, 3, 1, 2), 7.0)),)

    [query] = Question(job(positive=positive), X, 2.0).queries()

    assert query.x_t.shape == (1, 4, 1, 2)
    assert query.x_t[0, 1:].unique().tolist() == [7]


def test_the_precision_of_x_decides_the_precision_of_everything() -> None:
    for dtype in (torch.float64, torch.bfloat16):
        question = Question(job(cfg=2.0), X.to(dtype), 2.0)

        answer = question.answer([o.to(torch.float16) for o in outputs(1.0, 0.0)])

        assert [q.x_t.dtype for q in question.queries()] == [dtype, dtype]
        assert answer.denoised.dtype == answer.eps.dtype == dtype


def test_a_question_belongs_to_the_step_whose_level_was_passed() -> None:
    down = job()
    up = job(sigmas=SIGMAS[:-1].flip(0))

    assert [down.step_at(s) for s in (3.5, 3.0, 2.5, 2.0, 1.0, 0.5)] == [0, 0, 0, 1, 2, 2]
    assert [up.step_at(s) for s in (1.0, 1.5, 2.0)] == [0, 0, 1]
    assert (down.steps, up.steps, job(sigmas=torch.empty(0)).steps) == (3, 2, 0)


def test_a_job_without_what_it_needs_is_refused() -> None:
    with pytest.raises(ValueError, match="positive: expected at least one"):
        job(positive=())
    with pytest.raises(ValueError, match=r"guidance at cfg 7 needs at least one"):
        job(cfg=7.0, negative=())


# -- more than two sides ---------------------------------------------------------------------------


def three_sides(cfg: float, middle_cfg: float, *, nested: bool) -> Job:
    middle = Middle((entry(2),), middle_cfg, nested)
    return job(kind="x0", cfg=cfg, middle=middle)


def test_a_middle_condition_is_asked_about_after_the_other_two() -> None:
    queries = Question(three_sides(3.0, 5.0, nested=False), X, 2.0).queries()

    assert [q.context.mean().item() for q in queries if q.context is not None] == [1, 0, 2]


def test_guidance_in_two_legs() -> None:
    question = Question(three_sides(3.0, 5.0, nested=False), X, 2.0)

    answer = question.answer(outputs(0.7, 0.1, 0.4))

    expected = 0.1 + 5 * (0.4 - 0.1) + 3 * (0.7 - 0.4)
    torch.testing.assert_close(answer.denoised, torch.full_like(X, expected))
    assert answer.uncond is not None
    assert answer.uncond[0, 0, 0, 0].item() == pytest.approx(0.1)


def test_nested_guidance_scales_the_first_leg_by_the_second() -> None:
    question = Question(three_sides(3.0, 5.0, nested=True), X, 2.0)

    answer = question.answer(outputs(0.7, 0.1, 0.4))

    inner = 0.4 + 3 * (0.7 - 0.4)
    torch.testing.assert_close(answer.denoised, torch.full_like(X, 0.1 + 5 * (inner - 0.1)))


def test_at_a_middle_scale_of_one_the_negative_side_is_left_out() -> None:
    question = Question(three_sides(3.0, 1.0, nested=False), X, 2.0)

    assert len(question.queries()) == 2
    answer = question.answer(outputs(0.7, 0.4))
    torch.testing.assert_close(answer.denoised, torch.full_like(X, 0.4 + 3 * (0.7 - 0.4)))


# -- perturbed attention ---------------------------------------------------------------------------


def test_the_positive_side_is_asked_about_again_with_perturbed_attention() -> None:
    queries = Question(job(cfg=7.0, perturbed=3.0), X, 2.0).queries()

    assert [q.perturbed for q in queries] == [False, False, True]
    assert torch.equal(queries[0].x_t, queries[2].x_t)
    assert queries[2].context is queries[0].context


def test_guidance_leads_away_from_the_perturbed_answer_after_all_else() -> None:
    question = Question(job("x0", cfg=7.0, perturbed=3.0), X, 2.0)

    answer = question.answer(outputs(0.7, 0.1, 0.4))

    expected = 0.1 + 7 * (0.7 - 0.1) + 3 * (0.7 - 0.4)
    torch.testing.assert_close(answer.denoised, torch.full_like(X, expected))


# -- rescaled guidance -----------------------------------------------------------------------------


def test_rescaling_by_nothing_is_plain_guidance_and_without_guidance_it_rests() -> None:
    given = [torch.randn(1, 1, 1, 2, generator=torch.Generator().manual_seed(s)) for s in (0, 1)]

    plain, none = (Question(job(cfg=7.0, rescale=r), X, 2.0).answer(given) for r in (0.0, 1e-9))
    alone, rescaled = (Question(job(rescale=r), X, 2.0).answer(given[:1]) for r in (0.0, 0.7))

    torch.testing.assert_close(plain.denoised, none.denoised, rtol=1e-4, atol=1e-4)
    assert torch.equal(alone.denoised, rescaled.denoised)


def test_rescaled_guidance_is_used_for_both_legs_of_three_sides() -> None:
    given = [torch.randn(1, 1, 1, 2, generator=torch.Generator().manual_seed(s)) for s in range(3)]
    sides = Middle((entry(2),), 5.0)

    answer = Question(job("x0", cfg=3.0, middle=sides, rescale=0.7), X, 2.0).answer(given)

    c, u, m = given
    sigma = torch.tensor(2.0)
    expected = rescaled_guidance(m, u, 5.0, 0.7, X, sigma) + 3 * (c - m)
    torch.testing.assert_close(answer.denoised, expected)


# -- how a network is used -------------------------------------------------------------------------


def test_an_image_to_image_network_sees_x_as_it_is() -> None:
    used = job(model=ModelSampling(SCHEDULE, "x0", "img_to_img"))

    [query] = Question(used, X, 2.0).queries()

    assert torch.equal(query.x_t, X)


def test_a_consistency_models_answer_is_mixed_with_x_by_its_time() -> None:
    used = job(model=ModelSampling(SCHEDULE, "eps", "lcm"))
    sigma = SCHEDULE.sigmas[1].item()

    answer = Question(used, X, sigma).answer(outputs(1.0))

    c_skip, c_out = 0.25 / (10**2 + 0.25), 10 / (10**2 + 0.25) ** 0.5
    torch.testing.assert_close(answer.denoised, c_skip * X + c_out * (X - sigma))
