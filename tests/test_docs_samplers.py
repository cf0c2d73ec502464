"""docs/samplers.md: its tables say what the code says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from gaussian_data import levels, run, start

from nodes.diffusion.noise import no_noise
from nodes.diffusion.samplers import SAMPLERS, Method
from nodes.diffusion.spacing import SKIP_PENULTIMATE, SPACINGS

PAGE = (Path(__file__).parent.parent / "docs" / "samplers.md").read_text()
NOISE = {
    "none": "–",
    "step": "a draw for each step",
    "path": "a Brownian path, drawn on the CPU",
    "path on the device": "a Brownian path, drawn on the device",
}


def row(name: str, method: Method) -> str:
    paper = method.paper
    if paper.startswith("arXiv:"):
        paper = f"[{paper}](https://arxiv.org/abs/{paper.removeprefix('arXiv:')})"
    order = "–" if method.order is None else f"{method.order:.1f}"
    noise = NOISE[method.noise]
    return f"| `{name}` | {paper} | {method.looks} | {order} | {noise} |"


def rows() -> list[str]:
    return [row(name, m) for name, m in SAMPLERS.items() if isinstance(m, Method)]


def test_the_table_of_samplers_is_the_table_in_the_code() -> None:
    found = [
        line for line in PAGE.splitlines() if re.match(r"\| `[a-z0-9_]+` \| \S+.* \| \d \|", line)
    ]

    assert found == rows()
    assert len(found) == len(SAMPLERS)


def test_every_schedule_is_described() -> None:
    listed = re.findall(r"^- `([a-z_]+)`:", PAGE, re.MULTILINE)

    assert listed == list(SPACINGS)


@pytest.mark.parametrize("name", sorted(SKIP_PENULTIMATE))
def test_the_samplers_that_leave_a_level_out_are_named(name: str) -> None:
    [sentence] = re.findall(r"[^.]*level before the last[^.]*\.", PAGE)

    assert f"`{name}`" in sentence


def test_samplers_that_look_at_the_unconditional_prediction_are_told_by_their_name() -> None:
    assert all(
        method.uncond == name.endswith("_cfg_pp")
        for name, method in SAMPLERS.items()
        if isinstance(method, Method)
    )


def test_the_sampler_of_a_plugin_in_the_page_walks_as_it_says() -> None:
    [source] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    made: dict[str, Any] = {}
    exec(source, made)
    method = made["SAMPLERS"].entries["steady"]
    sigmas = levels(20)
    x = start(sigmas, 2, 3)

    by_page, by_euler = (run(m(x, sigmas, no_noise)) for m in (method, SAMPLERS["euler"]))

    torch.testing.assert_close(by_page, by_euler)
    assert not torch.allclose(run(method(x, sigmas, no_noise, pace=0.5)), by_euler)
