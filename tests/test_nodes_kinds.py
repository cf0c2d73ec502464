"""From what is attached to conditioning to hooks of one run, and which sides share it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from node_support import Desk, Given, Painter, painted_model, worth
from torch import Tensor

from nodegraph import NodeGraphError
from nodes.denoising import denoise
from nodes.diffusion.hooks import Asked, Hook
from nodes.guiding import dual_cfg_guider
from nodes.kinds import Binding, shared
from nodes.sampling import ksampler
from nodes.types import Area, Attached, Condition, Conditioning, Latent, Sampler


@dataclass
class Plus(Hook):
    value: float
    binding: Binding

    def after(self, denoised: Tensor, asked: Asked) -> Tensor:
        return denoised + self.value


class KindOfHook:
    """The kind "plus"; keeps the hooks it made."""

    def __init__(self) -> None:
        self.made: list[Plus] = []

    def __call__(self, data: Any, binding: Binding) -> Plus:
        self.made.append(Plus(data, binding))
        return self.made[-1]


@pytest.fixture
def kind() -> KindOfHook:
    return KindOfHook()


def context_with(desk: Desk, kind: KindOfHook) -> Any:
    extensions = {**desk.context.extensions, "conditioning_kinds": {"plus": kind}}
    return replace(desk.context, extensions=extensions)


def binding(desk: Desk, kind: KindOfHook) -> Binding:
    model = painted_model(Painter())
    context = context_with(desk, kind)
    return Binding(model, torch.zeros(1, 4, 2, 2), torch.ones(3), context, ExitStack())


def attached(conditioning: Conditioning, *more: Attached) -> Conditioning:
    return Conditioning(
        tuple(replace(e, attached=(*e.attached, *more)) for e in conditioning.entries)
    )


def drawn(desk: Desk, kind: KindOfHook, positive: Conditioning, negative: Conditioning) -> float:
    latent = ksampler(
        painted_model(Painter()),
        seed=1,
        steps=3,
        cfg=4.0,
        sampler_name="euler",
        scheduler="normal",
        positive=positive,
        negative=negative,
        latent_image=Latent(torch.zeros(1, 4, 2, 2)),
        context=context_with(desk, kind),
    )
    assert torch.allclose(latent.samples, latent.samples.flatten()[0], atol=1e-3)
    return round(latent.samples.flatten()[0].item(), 2)


def test_what_is_attached_acts_on_its_entry(tmp_path: Path, kind: KindOfHook) -> None:
    positive = attached(worth(2.0), Attached("plus", 3.0), Attached("plus", 0.5))

    assert drawn(Desk(tmp_path), kind, positive, worth(1.0)) == 1 + 4 * (5.5 - 1)


def test_a_hook_is_made_once_for_a_run_and_knows_it(tmp_path: Path, kind: KindOfHook) -> None:
    one = Attached("plus", 3.0)

    result = drawn(Desk(tmp_path), kind, attached(worth(2.0), one), attached(worth(1.0), one))

    assert result == 4 + 4 * (5 - 4)
    [hook] = kind.made
    assert hook.binding.latents.shape == (1, 4, 2, 2)
    assert len(hook.binding.sigmas) == 4


def test_equal_things_attached_apart_get_hooks_of_their_own(
    tmp_path: Path, kind: KindOfHook
) -> None:
    bound = binding(Desk(tmp_path), kind)

    entry = Condition(None, attached=(Attached("plus", 3.0), Attached("plus", 3.0)))
    hooks = bound.hooks(entry)

    assert len(hooks) == len(kind.made) == 2
    assert bound.hooks(entry) == hooks


def test_a_kind_that_is_not_there_is_named(tmp_path: Path, kind: KindOfHook) -> None:
    with pytest.raises(NodeGraphError, match="conditioning_kinds has no 'minus'; it has plus"):
        drawn(Desk(tmp_path), kind, attached(worth(2.0), Attached("minus", 3.0)), worth(1.0))


def test_a_further_model_is_lent_once_until_the_run_ends(tmp_path: Path, kind: KindOfHook) -> None:
    bound, source = binding(Desk(tmp_path), kind), Given(Painter())

    def leases() -> int:
        devices = bound.context.need_models().stats().devices.values()
        return sum(model.leases for device in devices for model in device.models)

    with bound.stack:
        module = bound.lease(source)
        assert bound.lease(source) is module
        assert leases() == 1
    assert leases() == 0


def test_something_is_made_once_for_a_key(tmp_path: Path, kind: KindOfHook) -> None:
    bound = binding(Desk(tmp_path), kind)

    first = bound.once("a", object)

    assert bound.once("a", object) is first
    assert bound.once("b", object) is not first


# --- what one side shares with the others ---------------------------------------------------------

SHARED, OWN, OTHER = (
    Attached("plus", 3.0, shared=True),
    Attached("plus", 4.0),
    Attached("times", 2.0),
)


def carried(conditioning: Conditioning) -> list[tuple[Attached, ...]]:
    return [entry.attached for entry in conditioning.entries]


def several(*conditionings: Conditioning) -> Conditioning:
    return Conditioning(tuple(e for c in conditionings for e in c.entries))


def test_what_is_shared_acts_on_the_other_side_that_carries_none(
    tmp_path: Path, kind: KindOfHook
) -> None:
    positive = attached(worth(2.0), SHARED)

    assert drawn(Desk(tmp_path), kind, positive, worth(1.0)) == 4 + 4 * (5 - 4)
    assert carried(shared(positive, worth(1.0))) == [(SHARED,)]


def test_what_is_not_shared_stays_where_it_is() -> None:
    positive, negative = attached(worth(2.0), OWN), worth(1.0)

    assert shared(positive, negative) is negative


def test_a_side_that_carries_one_of_that_kind_keeps_its_own() -> None:
    positive = attached(worth(2.0), SHARED)
    negative = several(attached(worth(1.0), OWN), worth(0.0))

    assert shared(positive, negative) is negative
    assert shared(positive, positive) is positive


def test_another_kind_is_no_hindrance_and_the_whole_chain_goes_along() -> None:
    positive = attached(worth(2.0), OWN, OTHER, SHARED)
    negative = attached(worth(1.0), OTHER)

    assert carried(shared(positive, negative)) == [(OTHER, OWN, SHARED)]


def test_entries_are_answered_in_turn_and_the_last_one_stays() -> None:
    second = Attached("plus", 5.0, shared=True)
    third = Attached("plus", 6.0, shared=True)
    positive = several(*(attached(worth(1.0), one) for one in (SHARED, second, third)))

    assert carried(shared(positive, several(worth(0.0), worth(1.0)))) == [(third,), (second,)]
    assert carried(shared(positive, worth(0.0))) == [(third,)]


def test_entries_with_an_area_neither_share_nor_get() -> None:
    part = replace(worth(1.0).entries[0], area=Area(16, 16))
    within = replace(part, area=None, mask=torch.ones(1, 4, 4), within_mask=True)
    everywhere = worth(0.0)

    for one in (part, within):
        apart = attached(Conditioning((one,)), SHARED)
        assert carried(shared(apart, everywhere)) == [()]
        positive = attached(worth(2.0), SHARED)
        assert carried(shared(positive, several(Conditioning((one,)), everywhere))) == [
            (),
            (SHARED,),
        ]


def test_the_middle_of_two_legs_gets_it_as_well(tmp_path: Path, kind: KindOfHook) -> None:
    model = painted_model(Painter())
    guider = dual_cfg_guider(
        model,
        attached(worth(2.0), SHARED),
        worth(3.0),
        worth(1.0),
        2.0,
        3.0,
        style="regular",
    )

    done = denoise(
        model,
        Latent(torch.zeros(1, 4, 2, 2)),
        guider.guidance,
        Sampler("euler"),
        model.sampling.schedule.sigmas_at([999, 500]),
        seed=1,
        context=context_with(Desk(tmp_path), kind),
    )

    c, m, u = 2 + 3, 3 + 3, 1 + 3
    expected = u + 3 * (m - u) + 2 * (c - m)
    torch.testing.assert_close(
        done.latent.samples, torch.full((1, 4, 2, 2), float(expected)), rtol=1e-4, atol=1e-2
    )
