"""Runs with ControlNets: how often they are called, what is refused, and their memory."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from controlnet_loops import (
    TIMES,
    H,
    Shown,
    W,
    assert_close,
    hint_of,
    model_of,
    net,
    noise,
    noise_guess,
    picture,
    prompts,
    sampled,
    save_all,
    tokens,
)
from controlnet_models import (
    control_model,
    save_diffusers,
    save_unet,
    unet_model,
)
from node_support import Desk
from torch import Tensor

from nodegraph import Cancelled, ModelManager, NodeGraphError
from nodes.controlnet import (
    control_net_apply,
    control_net_apply_advanced,
)
from nodes.loaders import unet_loader
from nodes.models.controlnet import ControlNet as ControlModule
from nodes.types import (
    Area,
    Conditioning,
    Image,
)

pytestmark = pytest.mark.usefixtures("without_gradients")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_all(tmp_path_factory.mktemp("files"))


@pytest.fixture
def desk(files: Path) -> Desk:
    return Desk(files)


# --- what is computed, and how often -------------------------------------------------------------


@dataclass
class Counted:
    """Rows of each call of a network of the desk's, and of each hint that is encoded."""

    calls: list[int]
    hints: list[int]


@pytest.fixture
def counted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Counted:
    found = Counted([], [])
    forward, encode = ControlModule.forward, ControlModule.encode

    def counting(self: Any, x: Tensor, *rest: Any) -> Any:
        found.calls.append(len(x))
        return forward(self, x, *rest)

    def encoding(self: Any, hint: Tensor) -> Any:
        found.hints.append(len(hint))
        return encode(self, hint)

    monkeypatch.setattr(ControlModule, "forward", counting)
    monkeypatch.setattr(ControlModule, "encode", encoding)
    return found


def test_one_call_a_step_for_both_sides_and_one_look_at_the_hint(
    desk: Desk, counted: Counted
) -> None:
    steered = control_net_apply_advanced(*prompts("sd1"), net(desk), picture(5))

    sampled(desk, model_of(desk, "sd1"), *steered)

    assert counted.calls == [4] * len(TIMES)
    assert counted.hints == [1]


def test_the_old_nodes_control_is_looked_at_once_as_well(desk: Desk, counted: Counted) -> None:
    positive, negative = prompts("sd1")

    sampled(
        desk, model_of(desk, "sd1"), control_net_apply(positive, net(desk), picture(5)), negative
    )

    assert (counted.calls, counted.hints) == ([4] * len(TIMES), [1])


def test_no_call_outside_the_range(desk: Desk, counted: Counted) -> None:
    steered = control_net_apply_advanced(
        *prompts("sd1"), net(desk), picture(5), 1.0, start_percent=0.5, end_percent=0.8
    )

    sampled(desk, model_of(desk, "sd1"), *steered)

    assert counted.calls == [4]  # at time 400


@pytest.mark.parametrize(("start", "end"), [(0.9, 1.0), (0.7, 0.2)])
def test_no_call_at_all_where_no_level_is_in_range(
    desk: Desk, counted: Counted, start: float, end: float
) -> None:
    positive, negative = prompts("sd1")
    steered = control_net_apply_advanced(positive, negative, net(desk), picture(5), 1, start, end)

    got = sampled(desk, model_of(desk, "sd1"), *steered)

    assert (counted.calls, counted.hints) == ([], [])
    assert torch.equal(got, sampled(desk, model_of(desk, "sd1"), positive, negative))


def test_strength_zero_gives_back_the_very_conditioning(desk: Desk) -> None:
    positive, negative = prompts("sd1")

    steered = control_net_apply_advanced(positive, negative, net(desk), picture(5), 0.0)

    assert steered.positive is positive
    assert steered.negative is negative
    assert control_net_apply(positive, net(desk), picture(5), 0.0) is positive


def test_conditioning_that_comes_in_is_not_changed(desk: Desk) -> None:
    positive, negative = prompts("sd1")

    control_net_apply_advanced(positive, negative, net(desk), picture(5))

    assert positive.entries[0].attached == negative.entries[0].attached == ()


def test_every_entry_of_a_side_is_steered_in_one_call(desk: Desk, counted: Counted) -> None:
    positive, negative = prompts("sd1")
    both = Conditioning((*positive.entries, *negative.entries))
    steered = control_net_apply_advanced(both, negative, net(desk), picture(5))

    sampled(desk, model_of(desk, "sd1"), *steered, batch=1)

    assert counted.calls == [3] * len(TIMES)
    assert counted.hints == [1]


def test_an_area_is_steered_by_its_part_of_the_picture(desk: Desk, counted: Counted) -> None:
    positive, negative = prompts("sd1")
    part = Area(width=8 * 3, height=8 * H, x=8 * 3)
    right = Conditioning((replace(positive.entries[0], area=part),))
    model, image = model_of(desk, "sd1"), picture(5)
    steered = control_net_apply_advanced(right, negative, net(desk), image)
    cropped = Image(image[:, :, 8 * 3 :])

    got = sampled(desk, model, steered.positive, steered.negative, cfg=1.0, times=(999,))
    alone = control_net_apply(positive, net(desk), cropped)

    x = noise() * (1 + model.sampling.schedule.sigma_max**2) ** 0.5
    x_t = noise()[..., 3:]
    shown = Shown("sd1", hint_of(cropped))
    eps = noise_guess("sd1", x_t, 999, tokens(1, "sd1"), [shown])
    expected = x[..., 3:] - model.sampling.schedule.sigma_max * eps
    assert_close(got[..., 3:], expected)
    assert alone.entries[0].attached


def test_an_inpainting_model_shows_its_controlnet_the_latent_alone(
    desk: Desk, tmp_path: Path, counted: Counted
) -> None:
    here = Desk(tmp_path)
    save_unet(unet_model("sd1", in_channels=9), here.place("unet", "inpaint.safetensors"))
    model = unet_loader("inpaint.safetensors", "default", context=here.context)
    image = picture(5)

    steered = control_net_apply_advanced(*prompts("sd1"), net(desk), image)
    got = sampled(here, model, *steered, times=(999,), cfg=1.0)

    # What is seen beside the latent: a hole everywhere, and grey.
    grey = torch.tensor([0.8223, -0.6876, 0.6364, 0.1380]).view(1, 4, 1, 1).expand(2, 4, H, W)
    x_t = noise()
    seen = torch.cat([x_t, torch.ones(2, 1, H, W), grey], dim=1)
    context, time = tokens(1, "sd1").expand(2, -1, -1), torch.tensor(999)
    down, middle = control_model("sd1")(
        x_t, time, context, hint_of(image).expand(2, -1, -1, -1), return_dict=False
    )
    eps = unet_model("sd1", in_channels=9)(
        seen,
        time,
        context,
        down_block_additional_residuals=down,
        mid_block_additional_residual=middle,
    ).sample
    sigma = model.sampling.schedule.sigma_max
    assert_close(got, x_t * (1 + sigma**2) ** 0.5 - sigma * eps)
    assert counted.calls == [2]


# --- what is refused -----------------------------------------------------------------------------


def test_a_controlnet_of_another_family_is_refused_before_any_step(
    desk: Desk, counted: Counted
) -> None:
    steered = control_net_apply_advanced(*prompts("sd1"), net(desk, "sd2"), picture(5))

    with pytest.raises(NodeGraphError) as caught:
        sampled(desk, model_of(desk, "sd1"), *steered)

    message = str(caught.value)
    assert "sd2.safetensors is made for a network with tokens 80 wide and 4 skip" in message
    assert "but the model (Stable Diffusion 1) has tokens 48 wide and 9 skip" in message
    assert desk.progress == []
    assert counted.calls == []


def test_a_controlnet_of_another_architecture_is_refused_before_any_step(
    desk: Desk, tmp_path: Path
) -> None:
    here = Desk(tmp_path)
    shallow = control_model("sd1", layers_per_block=1)
    save_diffusers(shallow, here.place("controlnet", "shallow.safetensors"))
    steered = control_net_apply_advanced(*prompts("sd1"), net(here, "shallow"), picture(5))

    with pytest.raises(NodeGraphError, match=r"with 6 skip .* has 9 skip"):
        sampled(desk, model_of(desk, "sd1"), *steered)

    assert desk.progress == []


def test_a_picture_that_is_none_is_refused_by_the_node(desk: Desk) -> None:
    none = Image(torch.zeros(0, 8, 8, 3))

    with pytest.raises(NodeGraphError, match=r"sd1\.safetensors .*at least one picture"):
        control_net_apply_advanced(*prompts("sd1"), net(desk), none)
    with pytest.raises(NodeGraphError, match="at least one picture"):
        control_net_apply(prompts("sd1")[0], net(desk), none)


# --- memory --------------------------------------------------------------------------------------


def budgeted(desk: Desk, nbytes: int) -> Desk:
    return Desk(desk.folder, models=ModelManager(budgets={"cpu": nbytes}, host_budget=nbytes))


def test_a_controlnet_is_lent_for_the_run_and_counted(desk: Desk) -> None:
    control_net, model = net(desk), model_of(desk, "sd1")
    steered = control_net_apply_advanced(*prompts("sd1"), control_net, picture(5))

    sampled(desk, model, *steered)

    stats = desk.models.stats().devices["cpu"]
    assert {m.key for m in stats.models} == {control_net.source.key, model.source.key}
    assert stats.resident == control_net.source.nbytes + model.source.nbytes
    assert all(m.leases == 0 for m in stats.models)


@pytest.mark.parametrize("ends", ["cancelled", "failed"])
def test_a_run_that_ends_early_gives_both_models_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    steered = control_net_apply_advanced(*prompts("sd1"), net(desk), picture(5))
    forward, calls = ControlModule.forward, itertools.count(1)

    def ending(self: Any, *given: Any) -> Any:
        if next(calls) == 2:
            if ends == "failed":
                raise RuntimeError("broken")
            desk.cancel.cancel()
        return forward(self, *given)

    monkeypatch.setattr(ControlModule, "forward", ending)

    with pytest.raises(RuntimeError if ends == "failed" else Cancelled):
        sampled(desk, model_of(desk, "sd1"), *steered)

    assert next(calls) == 3, "no further step"
    stats = desk.models.stats().devices["cpu"]
    assert [m.leases for m in stats.models] == [0, 0]


def test_with_little_memory_both_are_streamed_with_the_same_result(desk: Desk) -> None:
    control_net, model = net(desk), model_of(desk, "sd1")
    steered = control_net_apply_advanced(*prompts("sd1"), control_net, picture(5))
    expected = sampled(desk, model, *steered)
    little = (control_net.source.nbytes + model.source.nbytes) // 4
    small = budgeted(desk, little)

    got = sampled(small, model, *steered)

    stats = small.models.stats()
    assert torch.equal(got, expected)
    assert stats.streams == 2
    assert stats.devices["cpu"].peak <= little


def test_a_controlnet_makes_room_when_another_model_needs_it(desk: Desk) -> None:
    control_net, model = net(desk), model_of(desk, "sd1")
    tight = budgeted(desk, max(control_net.source.nbytes, model.source.nbytes) + 1000)

    with tight.models.lease(control_net.source):
        pass
    with tight.models.lease(model.source):
        pass

    keys = {m.key for m in tight.models.stats().devices["cpu"].models}
    assert keys == {model.source.key}
    assert tight.models.stats().evictions >= 1
