"""A thread that computes alone, and others that do not notice."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest
import torch

from nodegraph.computing import compute_alone

USUAL = 3


@pytest.fixture(autouse=True)
def several() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(USUAL)
    yield
    torch.set_num_threads(before)


def in_thread(work: Callable[[], object]) -> list[object]:
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results


def alone() -> int:
    compute_alone()
    return torch.get_num_threads()


def test_the_calling_thread_has_no_helpers_from_then_on() -> None:
    assert in_thread(alone) == [1]


def test_threads_that_are_there_and_threads_to_come_keep_theirs() -> None:
    in_thread(alone)

    assert torch.get_num_threads() == USUAL
    assert in_thread(torch.get_num_threads) == [USUAL]


def test_it_can_be_asked_for_again() -> None:
    assert in_thread(lambda: (alone(), alone())) == [(1, 1)]
    assert in_thread(torch.get_num_threads) == [USUAL]


def test_without_torch_nothing_happens() -> None:
    code = "import sys; from nodegraph.computing import compute_alone; compute_alone()"
    code += "; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
