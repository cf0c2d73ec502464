"""Files of textual inversion in every layout, and what is said of those that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from nodes.models.embedding_file import read_embedding
from nodes.models.errors import CheckpointError

V, D = 3, 8
VECTORS = torch.randn(V, D, generator=torch.Generator().manual_seed(1))


def saved(path: Path, tensors: dict[str, Tensor]) -> Path:
    save_file(tensors, path / "e.safetensors")
    return path / "e.safetensors"


@pytest.mark.parametrize(
    "tensors",
    [
        {"emb_params": VECTORS},
        {"emb_params": VECTORS, "other": torch.zeros(V, D)},
        {"clip_l": VECTORS, "clip_g": torch.zeros(V, 2 * D)},
        {"clip_l": torch.zeros(V, 2 * D), "clip_g": VECTORS},
        {"<cat-toy>": VECTORS},
    ],
    ids=["emb_params", "with others", "clip_l", "clip_g", "single"],
)
def test_vectors_are_found_in_every_layout(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    assert torch.equal(read_embedding(saved(tmp_path, tensors), D), VECTORS)


def test_one_vector_without_a_dimension_for_it_is_a_row(tmp_path: Path) -> None:
    path = saved(tmp_path, {"<cat-toy>": VECTORS[0].half()})

    found = read_embedding(path, D)

    assert found.dtype == torch.float32
    assert torch.equal(found, VECTORS[:1].half().float())


@pytest.mark.parametrize(
    "content",
    [
        {"string_to_token": {"*": torch.tensor(265)}, "string_to_param": {"*": VECTORS}},
        {
            "string_to_token": {"*": 265},
            "string_to_param": {"*": torch.nn.Parameter(VECTORS)},
            "name": "cat",
            "step": 500,
        },
        {"emb_params": VECTORS},
        {"<cat-toy>": VECTORS},
        VECTORS,
    ],
    ids=["original", "web interface", "emb_params", "single", "bare"],
)
def test_pickles_are_read_where_they_are_allowed(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "e.pt"
    torch.save(content, path)

    with pytest.raises(CheckpointError, match=r"e\.pt: is a PyTorch checkpoint"):
        read_embedding(path, D)
    assert torch.equal(read_embedding(path, D, ckpt=True), VECTORS)


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        ({"emb_params": VECTORS}, "has vectors of 8 numbers, but this text encoder takes 16"),
        (
            {"clip_l": VECTORS, "clip_g": torch.zeros(V, 2 * D)},
            "has vectors of 8 and 16 numbers",
        ),
    ],
)
def test_vectors_of_another_width_are_refused(
    tmp_path: Path, tensors: dict[str, Tensor], says: str
) -> None:
    width = 16 if "emb_params" in tensors else 32
    with pytest.raises(CheckpointError, match=f"{says}.*: it was made for another model"):
        read_embedding(saved(tmp_path, tensors), width)


@pytest.mark.parametrize(
    "tensors",
    [
        {"a": VECTORS, "b": VECTORS + 1},
        {"emb_params": torch.zeros(1, V, D)},
    ],
)
def test_what_is_no_embedding_is_refused_with_what_it_holds(
    tmp_path: Path, tensors: dict[str, Tensor]
) -> None:
    name, tensor = next(iter(tensors.items()))
    held = f"{name} {tuple(tensor.shape)}"
    with pytest.raises(CheckpointError, match="is no embedding") as error:
        read_embedding(saved(tmp_path, tensors), D)
    assert held in str(error.value)
