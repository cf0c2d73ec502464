"""The image encoder against transformers' CLIP on the same seeded weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from vision_models import EXACT, QUICK, difference, huggingface, pixels, seeded, seen_by

from nodes.models.clip_vision import CLIPVision
from nodes.models.clip_vision_config import CLIPVisionConfig
from nodes.models.errors import ArchitectureError


def ours(config: CLIPVisionConfig, state: dict[str, torch.Tensor]) -> CLIPVision:
    module = CLIPVision(config)
    module.load_state_dict(state, strict=True)
    return module.eval().requires_grad_(False)


@pytest.mark.parametrize("config", [QUICK, EXACT], ids=["quick_gelu", "gelu"])
def test_features_equal_those_of_transformers(config: CLIPVisionConfig) -> None:
    theirs = huggingface(config)
    x = pixels(config)

    found = ours(config, theirs.state_dict())(x)

    expected = seen_by(theirs, x)
    assert difference(found.embedding, expected.embedding) <= 1e-5
    assert difference(found.last, expected.last) <= 1e-5
    assert difference(found.penultimate, expected.penultimate) <= 1e-5
    assert difference(found.penultimate, expected.last) > 0.1


def test_the_two_activations_are_not_the_same() -> None:
    module = seeded(CLIPVision(QUICK))
    other = ours(replace(QUICK, activation="gelu"), module.state_dict())

    assert difference(other(pixels(QUICK)).embedding, module(pixels(QUICK)).embedding) > 1e-3


def test_without_a_projection_the_embedding_is_the_pooled_state() -> None:
    whole = seeded(CLIPVision(QUICK))
    state = {name: w for name, w in whole.state_dict().items() if "projection" not in name}

    found = ours(replace(QUICK, projection=None), state)(pixels(QUICK))

    assert found.embedding.shape == (2, QUICK.width)
    projected = whole.visual_projection(found.embedding)
    torch.testing.assert_close(projected, whole(pixels(QUICK)).embedding)


def test_every_token_sees_those_after_it() -> None:
    module = seeded(CLIPVision(QUICK))
    x = pixels(QUICK, 1)
    changed = x.clone()
    changed[..., -1, -1] += 1  # in the last patch

    before, after = module(x).last[0], module(changed).last[0]

    assert (after - before).abs().amax(dim=1).min() > 1e-4


def test_of_a_single_layer_the_state_before_is_what_goes_in() -> None:
    config = replace(QUICK, layers=1)
    theirs = huggingface(config)

    found = ours(config, theirs.state_dict())(pixels(config))

    assert difference(found.penultimate, seen_by(theirs, pixels(config)).penultimate) <= 1e-5


@pytest.mark.parametrize("shape", [(1, 3, 28, 35), (1, 4, 28, 28), (3, 28, 28)])
def test_pictures_of_another_size_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ArchitectureError, match=r"reads \(B, 3, 28, 28\)"):
        CLIPVision(QUICK)(torch.zeros(shape))
