"""Which threads share the cores."""

from __future__ import annotations

import sys
import threading


def compute_alone() -> None:
    """Let torch, if it is there, compute in the calling thread without helpers.

    For threads that compute beside the sampler. By default every thread that computes gets as many
    helpers as there are cores. OpenMP, once it has more threads than cores, lets all of them sleep
    sooner while they wait for each other: a sampler of many short steps then takes 1.6 times as
    long (measured on two cores), for as long as those helpers exist, even if they have no work.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        return
    usual = torch.get_num_threads()
    if usual == 1:
        return
    torch.set_num_threads(1)
    # The number is this thread's own, and from now on also what threads to come begin with: that
    # is put back at once, by a thread that does nothing else.
    other = threading.Thread(target=torch.set_num_threads, args=(usual,))
    other.start()
    other.join()
