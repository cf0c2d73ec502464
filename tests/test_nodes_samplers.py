"""The nodes that give a sampler: their options are ones the sampler takes, and they matter."""

from __future__ import annotations

import pytest
import torch
from gaussian_data import levels, run, start

from nodes.diffusion.samplers import SAMPLERS, noise_for
from nodes.samplers import (
    sampler_dpmpp_2m_sde,
    sampler_dpmpp_sde,
    sampler_euler_ancestral,
    sampler_lms,
)
from nodes.types import Sampler


def sampled(sampler: Sampler) -> torch.Tensor:
    sigmas, factory = levels(6), SAMPLERS[sampler.name]
    noise = noise_for(factory, sigmas, 1, "cpu")
    return run(factory(start(sigmas, 2, 3), sigmas, noise, **dict(sampler.options)))


PLAIN = [
    (sampler_euler_ancestral(), "euler_ancestral"),
    (sampler_lms(), "lms"),
    (sampler_dpmpp_sde(noise_device="cpu"), "dpmpp_sde"),
    (sampler_dpmpp_sde(noise_device="gpu"), "dpmpp_sde_gpu"),
    (sampler_dpmpp_2m_sde("midpoint", noise_device="cpu"), "dpmpp_2m_sde"),
    (sampler_dpmpp_2m_sde("heun", noise_device="gpu"), "dpmpp_2m_sde_gpu"),
]


@pytest.mark.parametrize(("sampler", "name"), PLAIN)
def test_a_node_names_its_sampler_and_the_device_of_its_noise(sampler: Sampler, name: str) -> None:
    assert sampler.name == name
    assert sampler.name in SAMPLERS


@pytest.mark.parametrize(("sampler", "name"), PLAIN[:5])
def test_by_default_it_is_the_sampler_of_that_name(sampler: Sampler, name: str) -> None:
    assert torch.equal(sampled(sampler), sampled(Sampler(name)))


@pytest.mark.parametrize(
    ("plain", "changed"),
    [
        (sampler_euler_ancestral(), sampler_euler_ancestral(eta=0.5)),
        (sampler_euler_ancestral(), sampler_euler_ancestral(s_noise=0.9)),
        (sampler_lms(), sampler_lms(order=2)),
        (sampler_dpmpp_sde(noise_device="cpu"), sampler_dpmpp_sde(eta=0.5, noise_device="cpu")),
        (sampler_dpmpp_sde(noise_device="cpu"), sampler_dpmpp_sde(s_noise=2, noise_device="cpu")),
        (sampler_dpmpp_sde(noise_device="cpu"), sampler_dpmpp_sde(r=0.3, noise_device="cpu")),
        *(
            (
                sampler_dpmpp_2m_sde("midpoint", noise_device="cpu"),
                sampler_dpmpp_2m_sde(solver, *options, noise_device="cpu"),
            )
            for solver, options in (("heun", ()), ("midpoint", (0.5,)), ("midpoint", (1.0, 0.9)))
        ),
    ],
)
def test_each_option_changes_the_result(plain: Sampler, changed: Sampler) -> None:
    assert not torch.allclose(sampled(plain), sampled(changed))


def test_the_heun_form_has_a_name_of_its_own_in_the_table() -> None:
    by_node = sampler_dpmpp_2m_sde("heun", noise_device="cpu")

    assert torch.equal(sampled(by_node), sampled(Sampler("dpmpp_2m_sde_heun")))
