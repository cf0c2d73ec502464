"""Random numbers as a function of what they are for: nothing to save, nothing to restore."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Chance:
    """The random numbers of one place in a run: its seed, then step, part of the step ...

    Drawn on `device`: on the CPU they are the same on every machine.
    """

    seed: int
    place: tuple[int, ...] = ()
    device: str = "cpu"

    def at(self, *place: int) -> Chance:
        """The random numbers of a place within this one."""
        return Chance(self.seed, (*self.place, *place), self.device)

    def generator(self, purpose: str) -> torch.Generator:
        """A fresh generator for one purpose ("time", "noise" ...); equal calls, equal numbers."""
        said = f"{purpose}:{self.seed}:{','.join(map(str, self.place))}"
        digest = hashlib.blake2b(said.encode(), digest_size=8).digest()
        generator = torch.Generator(self.device)
        return generator.manual_seed(int.from_bytes(digest, "big") >> 1)
