"""nbytes and device_bytes: memory counted once, where it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from nodegraph.values import Many, device_bytes, nbytes
from nodegraph.values.size import OBJECT_BYTES


@dataclass(frozen=True)
class Latent:
    samples: Any
    mask: Any = None


class OnAccelerator(torch.Tensor):
    """A tensor that says it is on an accelerator."""

    device = property(lambda self: torch.device("cuda:0"))  # type: ignore[assignment]


def test_a_tensor_is_its_storage_and_an_object() -> None:
    assert nbytes(torch.zeros(10, 10)) == 400 + OBJECT_BYTES


def test_views_of_one_storage_count_once() -> None:
    base = torch.zeros(1000)

    one, two = nbytes([base]), nbytes([base, base[10:], base.view(10, 100).t(), base.detach()])

    assert two - one == 3 * OBJECT_BYTES


def test_a_small_view_holds_the_whole_storage() -> None:
    assert nbytes(torch.zeros(1000)[:1]) == 4000 + OBJECT_BYTES


def test_the_same_object_twice_counts_once() -> None:
    tensor = torch.zeros(100)

    assert nbytes((tensor, tensor)) == 400 + 2 * OBJECT_BYTES


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5, OBJECT_BYTES),
        (None, OBJECT_BYTES),
        ("a" * 1000, 1000 + OBJECT_BYTES),
        (b"a" * 1000, 1000 + OBJECT_BYTES),
        (bytearray(1000), 1000 + OBJECT_BYTES),
        (np.zeros(50), 400 + OBJECT_BYTES),
        (torch.zeros(3, dtype=torch.bfloat16), 6 + OBJECT_BYTES),
        (torch.zeros(1000, device="meta"), OBJECT_BYTES),
        (torch.nn.Linear(100, 100), OBJECT_BYTES),
        (Latent(torch.zeros(25)), 100 + 3 * OBJECT_BYTES),
        (Many((torch.zeros(25),)), 100 + 3 * OBJECT_BYTES),
        ({"a": torch.zeros(25)}, 1 + 100 + 3 * OBJECT_BYTES),
    ],
)
def test_known_sizes(value: Any, expected: int) -> None:
    assert nbytes(value) == expected


def test_an_array_view_counts_its_base() -> None:
    base = np.zeros(1000)

    assert nbytes(base[5:6]) == 8000 + 2 * OBJECT_BYTES
    assert nbytes([base, base[5:6]]) == 8000 + 3 * OBJECT_BYTES


def test_an_array_over_a_tensor_counts_the_storage_once() -> None:
    tensor = torch.zeros(1000)

    size = nbytes([tensor, tensor.numpy()])

    assert 4000 <= size < 5000


def test_an_array_over_bytes_counts_the_bytes() -> None:
    assert nbytes(np.frombuffer(b"a" * 1000, np.uint8)) == 1000 + 2 * OBJECT_BYTES


def test_a_sparse_tensor_holds_its_indices_and_values() -> None:
    tensor = torch.eye(100).to_sparse()

    size = nbytes(tensor)

    assert 100 * (2 * 8 + 4) <= size < 100 * (2 * 8 + 4) + 10 * OBJECT_BYTES


def test_cycles_end() -> None:
    loop: list[Any] = [torch.zeros(100)]
    loop.append(loop)

    assert nbytes(loop) == 400 + 2 * OBJECT_BYTES


def test_bytes_are_told_apart_by_device() -> None:
    value = Latent(torch.zeros(100).as_subclass(OnAccelerator), torch.zeros(10))

    held = device_bytes(value)

    assert held == {"cpu": 40 + 3 * OBJECT_BYTES, "cuda:0": 400}
    assert nbytes(value) == sum(held.values())
