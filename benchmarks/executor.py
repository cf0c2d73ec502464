"""Overhead of the executor: chains and fans of trivial nodes, first run and all cached.

Microseconds a node: what a graph costs beyond what its nodes do. `partly`: all but the last node
of a chain are cached, so the run finds that out and computes one node.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from nodegraph import Registry, Shown, node
from nodegraph.cache import Cache
from nodegraph.executor import Executor
from nodegraph.graph import validate
from nodegraph.plan import make_plan

from .measure import medians, seconds, table

SIZES = (10, 100, 1_000, 10_000)
ROUNDS = 5
ROOM = 2**30


@node("One", category="benchmark")
def one(value: int = 1) -> int:
    """A number."""
    return value


@node("Plus", category="benchmark")
def plus(a: int, b: int = 0) -> int:
    """The sum."""
    return a + b


@node("Show", category="benchmark")
def show(a: int) -> Shown:
    """Show a number."""
    return Shown(values={"value": [a]})


def chain(size: int, seed: int) -> dict[str, Any]:
    """1 -> + -> + -> ... -> Show."""
    document: dict[str, Any] = {"0": _entry("One", value=seed)}
    for i in range(1, size - 1):
        document[str(i)] = _entry("Plus", a=[str(i - 1), 0], b=i)
    document["out"] = _entry("Show", a=[str(size - 2), 0])
    return document


def fan(size: int, seed: int) -> dict[str, Any]:
    """One number, shown by many."""
    document: dict[str, Any] = {"0": _entry("One", value=seed)}
    for i in range(1, size // 2):
        document[str(i)] = _entry("Plus", a=["0", 0], b=i)
        document[f"out{i}"] = _entry("Show", a=[str(i), 0])
    return document


def main() -> None:
    registry = Registry()
    registry.register(_module())
    rows = []
    for name, build in (("chain", chain), ("fan", fan)):
        for size in SIZES:
            times: dict[str, list[float]] = {}
            for round_ in range(ROUNDS):
                for stage, value in _stages(registry, build(size, round_)).items():
                    times.setdefault(stage, []).append(value / size * 1e6)
            found = medians(times)
            rows.append([name, size, *(f"{found[stage]:.1f}" for stage in found)])
    header = ["graph", "nodes", "validate", "plan", "first run", "cached run"]
    table("Executor, microseconds a node", header, rows)


def _stages(registry: Registry, document: dict[str, Any]) -> dict[str, float]:
    cache = Cache(memory_bytes=ROOM)
    with Executor(registry, cache=cache) as executor:
        graph = validate(document, registry)
        plan = make_plan(graph, executor.keys)
        return {
            "validate": seconds(lambda: validate(document, registry)),
            "plan": seconds(lambda: make_plan(graph, executor.keys)),
            "first": seconds(lambda: executor.run(plan).require()),
            "cached": seconds(lambda: executor.run(plan).require()),
        }


def _entry(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def _module() -> ModuleType:
    return sys.modules[__name__]


if __name__ == "__main__":
    main()
