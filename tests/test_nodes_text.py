"""Prompts to conditioning: the node hands the encoder what it was given, and says what it warns."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from node_support import Desk, Given

from nodegraph import NodeGraphError
from nodes.models.clip import CLIPText
from nodes.models.clip_config import CLIPConfig
from nodes.models.text import TextEncoder
from nodes.models.tokenizer import CLIPTokenizer
from nodes.text import clip_encode, clip_set_last_layer, conditioning_empty
from nodes.types import Clip
from nodes.weights import AbsentPart

CONFIG = CLIPConfig(vocab=49408, width=64, layers=3, heads=1, mlp=128)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture(scope="module")
def module() -> CLIPText:
    with torch.random.fork_rng():
        torch.manual_seed(11)
        return CLIPText(CONFIG).eval().requires_grad_(False)


@pytest.fixture
def clip(module: CLIPText) -> Clip:
    return Clip(Given(module), TextEncoder(CONFIG, CLIPTokenizer()))


def test_a_prompt_becomes_one_entry_of_hidden_states_and_the_pooled_one(
    desk: Desk, clip: Clip, module: CLIPText
) -> None:
    made = clip_encode("a photo of a cat", clip, context=desk.context)

    [entry] = made.entries
    tokens = [49406, 320, 1125, 539, 320, 2368, 49407] + [49407] * 70
    expected = module(torch.tensor([tokens]))
    assert entry.context is not None
    assert entry.pooled is not None
    torch.testing.assert_close(entry.context, expected.hidden)
    torch.testing.assert_close(entry.pooled, expected.pooled)
    assert (entry.strength, entry.start, entry.end) == (1, 0, 1)


def test_weights_in_a_prompt_move_it_away_from_the_empty_one(desk: Desk, clip: Clip) -> None:
    plain, heavy, empty = (
        clip_encode(text, clip, context=desk.context).entries[0].context
        for text in ("cat", "(cat:1.5)", "")
    )

    assert plain is not None
    assert heavy is not None
    assert empty is not None
    torch.testing.assert_close(heavy[0, 1], (plain[0, 1] - empty[0, 1]) * 1.5 + empty[0, 1])


def test_a_long_prompt_is_joined_along_the_tokens(desk: Desk, clip: Clip) -> None:
    made = clip_encode("cat " * 100, clip, context=desk.context)

    assert made.entries[0].context is not None
    assert made.entries[0].context.shape == (1, 2 * 77, 64)


@pytest.mark.parametrize("layer", [-1, -2])
def test_the_last_layer_can_be_chosen(desk: Desk, clip: Clip, module: CLIPText, layer: int) -> None:
    made = clip_encode("cat", clip_set_last_layer(clip, layer), context=desk.context)

    tokens = torch.tensor([[49406, 2368, 49407] + [49407] * 74])
    expected = module(tokens, skip=layer).hidden
    assert made.entries[0].context is not None
    torch.testing.assert_close(made.entries[0].context, expected)
    assert clip.skip is None


def test_the_encoders_warnings_are_the_nodes(desk: Desk, clip: Clip) -> None:
    clip_encode("embedding:lost", clip_set_last_layer(clip, -9), context=desk.context)

    assert len(desk.warnings) == 2
    assert "'lost' was not found" in desk.warnings[0]
    assert "clip skip -9" in desk.warnings[1]


def test_an_encoder_with_a_device_of_its_own_runs_there(desk: Desk, module: CLIPText) -> None:
    encoder = TextEncoder(CONFIG, CLIPTokenizer())
    clip = Clip(Given(module), encoder, device="nowhere")

    with pytest.raises(Exception, match="nowhere"):
        clip_encode("cat", clip, context=desk.context)


def test_a_checkpoint_without_an_encoder_says_so_when_it_is_used(desk: Desk) -> None:
    clip = clip_set_last_layer(Clip(AbsentPart("x.safetensors holds no text encoder"), None), -2)

    with pytest.raises(NodeGraphError, match="holds no text encoder"):
        clip_encode("cat", clip, context=desk.context)


def test_empty_conditioning_has_one_entry_without_tokens() -> None:
    [entry] = conditioning_empty().entries

    assert entry.context is None
    assert (entry.strength, entry.start, entry.end) == (1, 0, 1)
