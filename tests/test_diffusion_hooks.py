"""Hooks of an entry: what the network is asked instead, who is asked along, what becomes of it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from nodes.diffusion.condition import Condition
from nodes.diffusion.driver import sample, sample_together
from nodes.diffusion.hooks import Asked, ControlQuery, Hook
from nodes.diffusion.job import Job, Question
from nodes.diffusion.noise import no_noise
from nodes.diffusion.prediction import ModelSampling
from nodes.diffusion.samplers import euler
from nodes.diffusion.schedule import NoiseSchedule, scaled_linear
from nodes.models.control import Control

SCHEDULE = NoiseSchedule(scaled_linear())
X = torch.tensor([[[[4.0, -2.0]]]])
SIGMAS = torch.tensor([3.0, 2.0, 1.0, 0.0])


class Tokens(Hook):
    """Replaces the tokens by their sum with a number, and notes what it saw."""

    def __init__(self, plus: float, times: float = 1.0) -> None:
        self.plus, self.times = plus, times
        self.seen: list[Asked] = []

    def before(self, asked: Asked) -> Asked:
        self.seen.append(asked)
        assert asked.context is not None
        return replace(asked, context=asked.context * self.times + self.plus)


class After(Hook):
    def __init__(self, plus: float, times: float = 1.0) -> None:
        self.plus, self.times = plus, times
        self.seen: list[Asked] = []

    def after(self, denoised: Tensor, asked: Asked) -> Tensor:
        self.seen.append(asked)
        return denoised * self.times + self.plus


class Controlling(Hook):
    """Asks a network whose answer is the mean of the tokens; at levels above `above` alone."""

    def __init__(self, above: float = 0.0) -> None:
        self.above = above
        self.calls: list[tuple[list[float], list[float]]] = []

    def control(self, asked: Asked) -> ControlQuery | None:
        if asked.sigma <= self.above:
            return None
        return ControlQuery(self.network, torch.zeros(1, 1))

    def network(self, x: Tensor, t: Tensor, tokens: Tensor | None, hint: Tensor) -> Control:
        assert tokens is not None
        value = tokens.mean(dim=(1, 2))
        self.calls.append((t.tolist(), value.tolist()))
        return Control((value.view(-1, 1, 1, 1),))


def network(x: Tensor, t: Tensor, tokens: Tensor | None, control: Control | None = None) -> Tensor:
    """x0 = the mean of the tokens, plus what is added."""
    assert tokens is not None
    value = tokens.mean(dim=(1, 2)).view(-1, 1, 1, 1).expand_as(x)
    return value if control is None else value + control.skips[0]


def entry(value: float, *hooks: Hook, **options: float) -> Condition:
    return Condition(torch.full((1, 2, 3), value), hooks=hooks, **options)


def job(*positive: Condition, negative: tuple[Condition, ...] = (), cfg: float = 1.0) -> Job:
    return Job(
        sampler=euler(X, SIGMAS, no_noise),
        sigmas=SIGMAS,
        model=ModelSampling(SCHEDULE, "x0"),
        positive=positive,
        negative=negative,
        cfg=cfg,
    )


def drawn(*positive: Condition, **options: object) -> float:
    result = sample(job(*positive, **options), network)  # type: ignore[arg-type]
    assert torch.allclose(result, result.flatten()[0])
    return round(result.flatten()[0].item(), 4)


def test_a_hook_that_overrides_nothing_changes_nothing() -> None:
    x_t, tokens = torch.zeros(1, 1, 2, 2), torch.zeros(1, 2, 3)
    asked = Asked(x_t, 5, 1.0, 0, 3, tokens)

    assert Hook().before(asked) is asked
    assert Hook().control(asked) is None
    assert Hook().after(x_t, asked) is x_t
    assert drawn(entry(2.0, Hook())) == drawn(entry(2.0)) == 2


def test_the_network_is_asked_with_the_tokens_a_hook_gives_instead() -> None:
    assert drawn(entry(2.0, Tokens(plus=3.0))) == 5


def test_hooks_act_one_after_the_other_in_their_order() -> None:
    doubling, adding = Tokens(0.0, times=2.0), Tokens(3.0)

    assert drawn(entry(2.0, doubling, adding)) == 7
    assert drawn(entry(2.0, adding, doubling)) == 10
    assert drawn(entry(2.0, After(0.0, times=2.0), After(3.0))) == 7
    assert drawn(entry(2.0, After(3.0), After(0.0, times=2.0))) == 10


def test_a_hook_is_told_where_the_run_is() -> None:
    hook = Tokens(0.0)

    drawn(entry(2.0, hook))

    assert [(a.step, a.steps, a.sigma) for a in hook.seen] == [(0, 3, 3.0), (1, 3, 2.0), (2, 3, 1)]
    assert [a.t for a in hook.seen] == [SCHEDULE.sigma_to_t(s) for s in (3.0, 2.0, 1.0)]
    torch.testing.assert_close(hook.seen[0].x_t, X / 10**0.5)


def test_what_comes_after_sees_what_was_really_asked() -> None:
    after = After(0.0)

    drawn(entry(2.0, Tokens(3.0), after))

    assert {a.context.mean().item() for a in after.seen if a.context is not None} == {5.0}


def test_a_hook_acts_on_its_own_entry_before_the_entries_are_averaged() -> None:
    assert drawn(entry(2.0, After(3.0), strength=3.0), entry(9.0)) == (5 * 3 + 9) / 4


def test_a_hook_acts_on_its_own_side_before_guidance() -> None:
    result = drawn(entry(2.0, After(3.0)), negative=(entry(1.0),), cfg=4.0)

    assert result == 1 + 4 * (5 - 1)


def test_a_control_network_reads_the_tokens_a_hook_gives_wherever_it_stands() -> None:
    controlling = Controlling()

    first = drawn(entry(2.0, controlling, Tokens(3.0)))
    last = drawn(entry(2.0, Tokens(3.0), controlling))

    assert first == last == 10
    assert {value for _, [value] in controlling.calls} == {5.0}


def test_both_sides_share_a_call_of_the_control_network_at_each_step() -> None:
    hook = Controlling()

    result = drawn(entry(2.0, hook), negative=(entry(1.0, hook),), cfg=4.0)

    assert result == 2 + 4 * (4 - 2)
    assert [values for _, values in hook.calls] == [[2.0, 1.0]] * 3


def test_a_control_network_is_not_called_at_levels_where_its_hook_asks_nothing() -> None:
    hook = Controlling(above=1.5)

    sample(job(entry(2.0, hook)), network)

    assert [times for times, _ in hook.calls] == [[SCHEDULE.sigma_to_t(s)] for s in (3.0, 2.0)]


def test_entries_of_one_side_with_and_without_control_share_the_networks_call() -> None:
    hook = Controlling()

    assert drawn(entry(2.0, hook), entry(10.0)) == (4 + 10) / 2
    assert [values for _, values in hook.calls] == [[2.0]] * 3


def test_runs_together_keep_their_hooks_apart() -> None:
    hook = Controlling()
    jobs = [job(entry(2.0, hook)), job(entry(5.0)), job(entry(3.0, hook, After(0.5)))]

    results = sample_together(jobs, network)

    assert [r.flatten()[0].item() for r in results if isinstance(r, Tensor)] == [4, 5, 6.5]
    assert len(hook.calls) == 3  # one a step, for both runs that ask


def test_the_perturbed_question_is_controlled_as_well() -> None:
    hook = Controlling()
    question = Question(replace(job(entry(2.0, hook)), perturbed=1.0), X, 2.0)

    plain, perturbed = question.queries()

    assert (plain.perturbed, perturbed.perturbed) == (False, True)
    assert len(plain.controls) == len(perturbed.controls) == 1
