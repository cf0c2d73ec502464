"""Weights in files of their own: what they are known by, and that they are the same every time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from vision_models import QUICK, huggingface

from nodegraph import ModelSource
from nodes.models.clip_vision_file import inspect_clip_vision
from nodes.models.errors import CheckpointError
from nodes.models.precision import Precision
from nodes.part_source import FileSource

WHOLE, HALF = Precision(torch.float32), Precision(torch.float16, channels_last=True)


@pytest.fixture
def source(tmp_path: Path) -> FileSource:
    path = tmp_path / "model.safetensors"
    save_file(huggingface(QUICK).state_dict(), path)
    return FileSource(inspect_clip_vision(path), "content", WHOLE)


@pytest.mark.parametrize("precision", [WHOLE, HALF], ids=str)
def test_weights_are_the_same_whole_and_one_by_one(
    source: FileSource, precision: Precision
) -> None:
    source = replace(source, precision=precision)

    module, skeleton = source.load(), source.skeleton()

    assert source.nbytes == sum(p.nbytes for p in module.parameters())
    assert all(p.is_meta and not p.requires_grad for p in skeleton.parameters())
    for name, parameter in module.named_parameters():
        one = source.tensor(name)
        assert torch.equal(one, parameter)
        assert one.stride() == parameter.stride()
        assert one.dtype == parameter.dtype == skeleton.get_parameter(name).dtype
        assert not parameter.requires_grad
    assert not module.training


def test_a_name_it_does_not_know_is_refused(source: FileSource) -> None:
    with pytest.raises(CheckpointError, match="its image encoder has no parameter nothing"):
        source.tensor("nothing")


def test_content_architecture_and_precision_tell_models_apart(source: FileSource) -> None:
    other = replace(source.found, config=replace(QUICK, activation="gelu"))
    made: list[ModelSource] = [
        source,
        replace(source, identity="other"),
        replace(source, precision=HALF),
        replace(source, found=other),
    ]

    assert len({each.key for each in made}) == len(made)
    assert replace(source).key == source.key
