"""What holds for every test, and what tests ask for by the mark `usefixtures`."""

import os
from collections.abc import Iterator

import pytest
from plugin_support import modules_apart

# The networks here are tiny: one thread is faster than two that wait for each other. torch reads
# this when it is imported, and nothing has imported it yet.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def modules_as_before() -> Iterator[None]:
    """No plugin's module at first, whatever other tests imported; and theirs again at the end."""
    with modules_apart():
        yield


@pytest.fixture
def without_gradients() -> Iterator[None]:
    import torch  # not before OMP_NUM_THREADS is set

    with torch.no_grad():
        yield
