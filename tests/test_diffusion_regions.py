"""Regional prompts: a network whose answer is known, asked about parts of the picture.

It answers x̂_0 = what its tokens are worth + the mean of what it sees (times `LOOK`), so an answer
tells both which prompt was asked and which part of the picture was shown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nodes.diffusion.area import Area
from nodes.diffusion.condition import Condition
from nodes.diffusion.driver import sample
from nodes.diffusion.hooks import Asked, Hook
from nodes.diffusion.inpaint import Inpaint
from nodes.diffusion.job import Job, Middle, Question
from nodes.diffusion.noise import no_noise
from nodes.diffusion.packing import evaluate
from nodes.diffusion.prediction import ModelSampling, Prediction, PredictionKind
from nodes.diffusion.samplers import euler
from nodes.diffusion.schedule import NoiseSchedule, scaled_linear

SCHEDULE = NoiseSchedule(scaled_linear())
SIGMAS = torch.tensor([3.0, 2.0, 1.0, 0.0])
SIGMA = 2.0
LOOK = 0.25


@dataclass
class Network:
    """Notes the shapes it is called with. `variance`: what it says of its learned variance."""

    channels: int = 2
    variance: bool = False
    shapes: list[tuple[int, ...]] = field(default_factory=list)

    def __call__(self, x: Tensor, t: Tensor, context: Tensor, perturbed: bool = False) -> Tensor:
        self.shapes.append(tuple(x.shape))
        seen = x.mean(dim=(1, 2, 3), keepdim=True)
        value = (
            context.mean(dim=(1, 2)).view(-1, 1, 1, 1) + LOOK * seen + (10.0 if perturbed else 0)
        )
        answer = value.expand(len(x), self.channels, *x.shape[2:])
        return torch.cat([answer, answer * 0 + value], dim=1) if self.variance else answer


def x_of(height: int, width: int, batch: int = 1, channels: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(batch, channels, height, width, generator=generator)


def entry(value: float, area: Area | None = None, **options: Any) -> Condition:
    return Condition(torch.full((1, 2, 3), float(value)), area=area, **options)


def job(positive: tuple[Condition, ...], x: Tensor, **options: Any) -> Job:
    return Job(
        sampler=euler(x, SIGMAS, no_noise),
        sigmas=SIGMAS,
        model=ModelSampling(SCHEDULE, "x0"),
        positive=positive,
        **options,
    )


def answered(asking: Job, x: Tensor, network: Network) -> Prediction:
    question = Question(asking, x, SIGMA)
    outputs = evaluate(question.queries(), network)
    return question.answer([o for o in outputs if isinstance(o, Tensor)])


def seen(x: Tensor, area: Area | None) -> float:
    """The mean of what the network sees of the first picture."""
    part = x if area is None else area.of(x)
    return LOOK * part[0].mean().item() / math.sqrt(SIGMA**2 + 1)


# -- what comes out --------------------------------------------------------------------------------


def test_halves_side_by_side_are_what_their_prompts_say_and_blend_where_they_overlap() -> None:
    x = x_of(16, 32) * 0
    left, right = Area(16, 20, 0, 0), Area(16, 20, 0, 12)

    answer = answered(job((entry(1, left), entry(5, right)), x), x, Network()).denoised

    row = answer[0, 0, 7]
    assert row[:12].tolist() == [1.0] * 12
    assert row[20:].tolist() == [5.0] * 12
    # both fade over a quarter of their side, 5 cells, from where they end
    falling = torch.tensor([1, 1, 1, 1, 4 / 5, 3 / 5, 2 / 5, 1 / 5])
    rising = falling.flip(0)
    expected = (1 * falling + 5 * rising) / (falling + rising)
    torch.testing.assert_close(row[12:20], expected)
    assert torch.equal(answer[0, 1], answer[0, 0])


def test_where_no_entry_has_a_say_the_picture_is_zero() -> None:
    x = x_of(12, 12)

    answer = answered(job((entry(3, Area(4, 4, 4, 4)),), x), x, Network()).denoised

    inside = torch.zeros(12, 12, dtype=torch.bool)
    inside[4:8, 4:8] = True
    assert torch.equal(answer[0, 0] != 0, inside)
    torch.testing.assert_close(
        answer[0, 0, 4:8, 4:8], torch.full((4, 4), 3 + seen(x, Area(4, 4, 4, 4)))
    )


def test_an_area_weighs_against_what_is_asked_for_everywhere_by_its_strength() -> None:
    x = x_of(16, 16) * 0
    entries = (entry(1), entry(5, Area(8, 8, 0, 0), strength=3.0))

    answer = answered(job(entries, x), x, Network()).denoised[0, 0]

    assert answer[0, 0].item() == pytest.approx((1 * 1 + 3 * 5) / 4)
    half = 3 * 0.5  # the last of 8 cells, a ramp of 2
    assert answer[0, 7].item() == pytest.approx((1 + half * 5) / (1 + half))
    assert answer[12, 12].item() == 1


def test_a_mask_replaces_the_fading_and_is_cropped_with_the_area() -> None:
    x = x_of(8, 8) * 0
    mask = torch.zeros(8, 8)
    mask[2:6, 2:6] = torch.linspace(0.25, 1, 16).reshape(4, 4)
    area = Area(4, 6, 2, 1)
    entries = (entry(1), entry(5, area, mask=mask, mask_strength=2.0, strength=0.5))

    answer = answered(job(entries, x), x, Network()).denoised[0, 0]

    expected = (1 + mask * 2 * 0.5 * 5) / (1 + mask * 2 * 0.5)
    torch.testing.assert_close(answer, expected)


def test_the_network_sees_the_crop_alone_and_each_image_of_a_batch_its_own() -> None:
    x = x_of(8, 8, batch=3)
    area = Area(4, 8, 4, 0)

    answer = answered(job((entry(1, area),), x), x, Network()).denoised

    for i in range(3):
        expected = 1 + LOOK * x[i, :, 4:].mean() / math.sqrt(SIGMA**2 + 1)
        torch.testing.assert_close(answer[i, 0, 6, 3], expected)


@pytest.mark.parametrize("kind", ["eps", "v", "x0"])
def test_an_area_is_answered_as_the_cropped_picture_alone(kind: PredictionKind) -> None:
    x, area = x_of(8, 8, batch=2), Area(4, 5, 4, 3)
    model = ModelSampling(SCHEDULE, kind)
    cropped = replace(job((entry(2),), area.of(x)), model=model)

    found = answered(replace(job((entry(2, area),), x), model=model), x, Network())

    alone = answered(cropped, area.of(x), Network())
    torch.testing.assert_close(area.of(found.denoised), alone.denoised)
    torch.testing.assert_close(area.of(found.eps), alone.eps)


def test_a_whole_run_ends_at_the_average_of_the_regions() -> None:
    x = x_of(16, 16) * 3
    top, bottom = Area(8, 16, 0, 0), Area(8, 16, 8, 0)

    result = sample(job((entry(1, top), entry(5, bottom), entry(0, strength=0.0)), x), Network())

    # each half sees itself: x̂_0 of the last step, at σ = 1, is worth + LOOK * what it saw
    assert float(result[0, 0, :8].std()) == 0.0
    assert float(result[0, 0, 8:].std()) == 0.0
    assert result[0, 0, 0, 0].item() != result[0, 0, 15, 0].item()
    one = sample(job((entry(1),), x[..., :8, :]), Network())
    torch.testing.assert_close(result[..., :8, :], one)


# -- how it is asked -------------------------------------------------------------------------------


def test_areas_of_equal_size_share_a_call_on_both_sides() -> None:
    x = x_of(16, 16)
    corners = [Area(8, 8, top, left) for top in (0, 8) for left in (0, 8)]
    positive = tuple(entry(i, area) for i, area in enumerate(corners))
    negative = (entry(9), *(entry(9, area) for area in corners))
    network = Network()

    answered(job(positive, x, negative=negative, cfg=4.0), x, network)

    assert network.shapes == [(8, 2, 8, 8), (1, 2, 16, 16)]


def test_two_runs_share_the_calls_of_their_areas() -> None:
    x = x_of(16, 16)
    queries = [
        query
        for place in (0, 4)
        for query in Question(job((entry(1, Area(8, 8, place, 4)),), x), x, SIGMA).queries()
    ]
    network = Network()

    evaluate(queries, network)

    assert network.shapes == [(2, 2, 8, 8)]


def test_the_channels_beside_the_latent_are_cropped_alike() -> None:
    x = x_of(6, 6)
    concat = torch.arange(72.0).reshape(1, 2, 6, 6)
    area = Area(2, 3, 3, 1)

    [query] = Question(job((entry(1, area, concat=concat),), x), x, SIGMA).queries()

    assert query.x_t.shape == (1, 4, 2, 3)
    assert torch.equal(query.x_t[:, 2:], concat[..., 3:5, 1:4])


def test_channels_beside_are_as_large_as_the_latent_also_with_an_area() -> None:
    entry_ = entry(1, Area(2, 3, 0, 0), concat=torch.ones(1, 1, 2, 3))

    with pytest.raises(ValueError, match="expected the size of the latent"):
        entry_.network_input(x_of(6, 6))


class Watching(Hook):
    """Adds 1 to the answer; notes what it is shown."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.shapes: list[tuple[int, ...]] = []

    def before(self, asked: Asked) -> Asked:
        self.asked.append(asked)
        return asked

    def after(self, denoised: Tensor, asked: Asked) -> Tensor:
        self.shapes.append(tuple(denoised.shape))
        assert asked is self.asked[-1]
        return denoised + 1


def test_a_hook_sees_the_crop_and_is_told_where_it_lies() -> None:
    x, hook, area = x_of(6, 6) * 0, Watching(), Area(2, 3, 3, 1)

    answer = answered(job((entry(1, area, hooks=(hook,)),), x), x, Network()).denoised

    assert [asked.area for asked in hook.asked] == [area]
    assert hook.asked[0].x_t.shape == (1, 2, 2, 3)
    assert hook.shapes == [(1, 2, 2, 3)]
    assert answer[0, 0, 4, 2].item() == 2


# -- together with the rest ------------------------------------------------------------------------


def test_a_learned_variance_is_placed_and_averaged_as_the_picture_is() -> None:
    x = x_of(12, 12) * 0
    entries = (entry(1, Area(12, 8, 0, 0)), entry(5, Area(12, 8, 0, 4)))

    answer = answered(job(entries, x), x, Network(variance=True))

    assert answer.log_variance is not None
    torch.testing.assert_close(answer.log_variance, answer.denoised)
    assert answer.denoised[0, 0, 0, 0].item() == 1
    assert answer.denoised[0, 0, 0, 11].item() == 5


def test_guidance_in_the_area_and_outside() -> None:
    x, area = x_of(8, 8) * 0, Area(8, 4, 0, 0)
    sides = {"negative": (entry(1),), "middle": Middle((entry(3, area), entry(2)), 5.0)}

    answer = answered(job((entry(7, area), entry(4)), x, cfg=3.0, **sides), x, Network()).denoised

    # u + 5 (m - u) + 3 (c - m) with u = 1
    assert answer[0, 0, 0, 7].item() == pytest.approx(1 + 5 * (2 - 1) + 3 * (4 - 2))
    m, c = (3 + 2) / 2, (7 + 4) / 2
    assert answer[0, 0, 0, 0].item() == pytest.approx(1 + 5 * (m - 1) + 3 * (c - m))


def test_perturbed_attention_guides_within_the_area() -> None:
    x, area = x_of(8, 8) * 0, Area(8, 4, 0, 0)
    network = Network()

    answer = answered(job((entry(7, area),), x, perturbed=2.0), x, network).denoised

    assert answer[0, 0, 0, 0].item() == pytest.approx(7 + 2 * (7 - 17))
    assert answer[0, 0, 0, 7].item() == 0
    assert network.shapes == [(1, 2, 8, 4)] * 2


def test_what_is_kept_is_kept_and_shown_in_crops() -> None:
    x = x_of(8, 8)
    mask, latent = torch.zeros(1, 1, 8, 8), torch.full_like(x, 9.0)
    mask[..., 4:] = 1
    inpaint = Inpaint(mask, latent, torch.zeros_like(x))
    area = Area(8, 4, 0, 0)

    question = Question(job((entry(1, area),), x, inpaint=inpaint), x, SIGMA)
    [query] = question.queries()
    answer = question.answer(
        [o for o in evaluate([query], Network()) if isinstance(o, Tensor)]
    ).denoised

    torch.testing.assert_close(query.x_t, latent[..., :4] / math.sqrt(SIGMA**2 + 1))
    assert answer[0, 0, 0].tolist() == [9.0] * 4 + [0.0] * 4


def test_areas_keep_the_precision_of_x() -> None:
    x = x_of(8, 8).to(torch.bfloat16)

    answer = answered(job((entry(1, Area(4, 4, 2, 2)), entry(2)), x), x, Network())

    assert answer.denoised.dtype == torch.bfloat16


# -- against a direct implementation ---------------------------------------------------------------

SIDES = st.integers(1, 21)
STRENGTHS = st.sampled_from([0.0, 0.5, 1.0, 2.5])


@st.composite
def areas(draw: st.DrawFn, height: int, width: int) -> Area:
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    tall, wide = draw(st.integers(1, height - top)), draw(st.integers(1, width - left))
    return Area(tall, wide, top, left)


@st.composite
def entries(draw: st.DrawFn, height: int, width: int) -> Condition:
    mask = None
    if draw(st.booleans()):
        seed = draw(st.integers(0, 9))
        mask = torch.rand(height, width, generator=torch.Generator().manual_seed(seed))
    return entry(
        draw(st.integers(-4, 4)),
        draw(st.none() | areas(height, width)),
        strength=draw(STRENGTHS),
        mask=mask,
        mask_strength=draw(STRENGTHS),
        start_sigma=draw(st.sampled_from([math.inf, 1.0])),
    )


@st.composite
def regions(draw: st.DrawFn) -> tuple[Tensor, list[Condition], list[Condition]]:
    height, width = draw(SIDES), draw(SIDES)
    lists = st.lists(entries(height, width), min_size=1, max_size=4)
    return x_of(height, width), draw(lists), draw(lists)


def fade(place: int, start: int, side: int, whole: int) -> float:
    """The weight of one cell along one axis."""
    n = min(8, side // 4)
    weight = 1.0
    if start > 0 and place - start < n:
        weight *= (place - start + 1) / n
    if start + side < whole and start + side - 1 - place < n:
        weight *= (start + side - place) / n
    return weight


def cell_weight(condition: Condition, row: int, column: int, height: int, width: int) -> float:
    area = condition.area or Area(height, width)
    if not (area.top <= row < area.bottom and area.left <= column < area.right):
        return 0.0
    if condition.mask is not None:
        return condition.strength * condition.mask_strength * condition.mask[row, column].item()
    fading = fade(row, area.top, area.height, height) * fade(column, area.left, area.width, width)
    return condition.strength * fading


def cell(x: Tensor, side: list[Condition], row: int, column: int) -> float:
    """Σ w_i x̂_i / Σ w_i of one cell, entry by entry."""
    height, width = x.shape[-2:]
    total, weights = 0.0, 0.0
    for condition in side:
        if condition.start_sigma < SIGMA or condition.context is None:
            continue
        weight = cell_weight(condition, row, column, height, width)
        total += weight * (condition.context.mean().item() + seen(x, condition.area))
        weights += weight
    return total / weights if weights else 0.0


@settings(max_examples=60, deadline=None)
@given(regions())
def test_regions_compose_as_a_direct_implementation_says(
    case: tuple[Tensor, list[Condition], list[Condition]],
) -> None:
    x, positive, negative = case

    found = answered(job(tuple(positive), x, negative=tuple(negative), cfg=3.0), x, Network())

    height, width = x.shape[-2:]
    expected = torch.tensor(
        [
            [
                cell(x, negative, row, column)
                + 3 * (cell(x, positive, row, column) - cell(x, negative, row, column))
                for column in range(width)
            ]
            for row in range(height)
        ]
    )
    torch.testing.assert_close(found.denoised[0, 0], expected, rtol=1e-4, atol=1e-4)
