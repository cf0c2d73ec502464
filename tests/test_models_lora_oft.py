"""OFT files against networks: which weights they turn, and which they cannot."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lora_files import write

from nodes.models.checkpoint_part import parameter_shapes
from nodes.models.clip_config import CLIPConfig
from nodes.models.errors import CheckpointError
from nodes.models.lora_file import read_lora
from nodes.models.lora_keys import Target
from nodes.models.lora_match import Match, match
from nodes.models.unet_config import UNetConfig

UNET = UNetConfig(
    in_channels=4,
    out_channels=4,
    model_channels=32,
    channel_mult=(1,),
    num_res_blocks=(1,),
    transformer_depth=(1,),
    middle_depth=1,
    context_dim=8,
    num_heads=4,
)
TEXT = CLIPConfig(vocab=100, width=64, layers=2, heads=1, mlp=128, activation="gelu")
TO_Q = "down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
IN_PROJ = "cond_stage_model.model.transformer.resblocks.0.attn.in_proj"


def matched(path: Path, module: str, blocks: tuple[int, int], part: str, config: Any) -> Match:
    tensors = {f"{module}.oft_blocks": torch.ones(blocks[0], blocks[1], blocks[1])}
    lora = read_lora(write(path / "l.safetensors", tensors))
    weights = SimpleNamespace(part=part, config=config, shapes=parameter_shapes(config))
    return match(lora, weights)  # type: ignore[arg-type]


@pytest.mark.parametrize("prefix", ["lora_unet_", "oft_unet_"])
def test_kohyas_two_prefixes_are_the_unets(tmp_path: Path, prefix: str) -> None:
    found = matched(tmp_path, prefix + TO_Q, (8, 4), "unet", UNET)

    assert list(found.uses) == ["input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight"]
    assert found.unmatched == ()


def test_blocks_of_another_number_of_rows_are_of_another_model(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"changes a weight of 40 x 25, but .* is 32 x 32"):
        matched(tmp_path, f"lora_unet_{TO_Q}", (10, 4), "unet", UNET)


def test_queries_keys_and_values_in_one_get_their_own_blocks(tmp_path: Path) -> None:
    found = matched(tmp_path, IN_PROJ, (6, 32), "text", TEXT)

    assert {uses[0].target for uses in found.uses.values()} == {
        Target(f"text_model.encoder.layers.0.self_attn.{name}_proj", i, 3)
        for i, name in enumerate("qkv")
    }


def test_blocks_that_turn_rows_of_two_of_them_together_are_left_out(tmp_path: Path) -> None:
    found = matched(tmp_path, IN_PROJ, (4, 48), "text", TEXT)

    assert (found.uses, found.unmatched) == ({}, (IN_PROJ,))
