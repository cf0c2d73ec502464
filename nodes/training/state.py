"""A run's directory: its last state, its history, and what it became.

    run.json            what is trained, and the newest whole state: its file and step
    state-000500.safetensors   weights, their average, the optimiser's moments
    history.jsonl       a line for each step that was saved: loss, rate, gradient norm
    ...                 what the run writes at its end

run.json is replaced only when the state it names is whole on disk, so a run that is killed at any
moment leaves one that can be gone on from.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from nodes.models.atomic import replacing

RUN, HISTORY = "run.json", "history.jsonl"


class RunError(Exception):
    """A run's directory holds something else than this run, or something damaged."""


@dataclass(frozen=True, eq=False)
class State:
    """Where a run is: `step` steps are done. tensors: by "group/name". numbers: JSON-ready."""

    step: int
    tensors: Mapping[str, Tensor]
    numbers: Mapping[str, Any] = field(default_factory=dict)

    def group(self, name: str) -> dict[str, Tensor]:
        """The tensors of one group by their names in it."""
        prefix = f"{name}/"
        return {
            key.removeprefix(prefix): value
            for key, value in self.tensors.items()
            if key.startswith(prefix)
        }


@dataclass(frozen=True)
class RunFolder:
    """The directory of one run; `identity` says what it trains (a content key, or any text)."""

    path: Path
    identity: str

    def newest(self) -> State | None:
        """The last whole state, on the host; None where nothing was saved yet.

        Raises RunError where the directory belongs to another run or cannot be read.
        """
        said = self.record()
        if said is None or said.get("state") is None:
            return None
        file = self.path / said["state"]
        try:
            tensors = load_file(file)
        except Exception as fault:
            raise RunError(
                f"{file} cannot be read ({fault}): delete {self.path} to train from the beginning"
            ) from fault
        return State(said["step"], tensors, said["numbers"])

    def record(self) -> dict[str, Any] | None:
        """What run.json says; None where there is none. Raises RunError."""
        file = self.path / RUN
        try:
            said: dict[str, Any] = json.loads(file.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as fault:
            raise RunError(
                f"{file} cannot be read ({fault}): delete {self.path} to train from the beginning"
            ) from fault
        if said.get("identity") != self.identity:
            raise RunError(
                f"{self.path} holds another run ({said.get('identity')}, not {self.identity}): "
                "choose another directory, or delete it"
            )
        return said

    def keep(self, state: State, lines: Iterable[Mapping[str, Any]]) -> None:
        """Save a state and the history lines since the last; older states go. Raises OSError."""
        name = f"state-{state.step:06d}.safetensors"
        with replacing(self.path / name) as file:
            file.write(save({key: _plain(tensor) for key, tensor in state.tensors.items()}))
        self._append(state.step, lines)
        self.write({"step": state.step, "state": name, "numbers": state.numbers})
        for old in self.path.glob("state-*.safetensors"):
            if old.name != name:
                old.unlink(missing_ok=True)

    def write(self, said: Mapping[str, Any]) -> None:
        """Change entries of run.json, whole or not at all."""
        now = {**(self.record() or {}), "identity": self.identity, **said}
        with replacing(self.path / RUN) as file:
            file.write(json.dumps(now, indent=1).encode())

    def history(self, upto: int | None = None) -> list[dict[str, Any]]:
        """The saved history in order of steps, of the steps before `upto`."""
        try:
            text = (self.path / HISTORY).read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        lines = [_parsed(line) for line in text.splitlines()]
        return [x for x in lines if x is not None and (upto is None or x["step"] < upto)]

    def _append(self, step: int, lines: Iterable[Mapping[str, Any]]) -> None:
        """Lines of steps that a state has; what a killed run wrote beyond is made again."""
        fresh = list(lines)
        first = min((line["step"] for line in fresh), default=step)
        kept = self.history(upto=first)
        with replacing(self.path / HISTORY) as file:
            for line in (*kept, *fresh):
                file.write(json.dumps(line).encode() + b"\n")


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "step" in found else None


def _plain(tensor: Tensor) -> Tensor:
    """On the host, contiguous, sharing memory with no other."""
    return tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
