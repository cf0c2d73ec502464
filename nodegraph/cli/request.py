"""What a command line asks for, and what is wrong with that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from nodegraph.documents import Document
from nodegraph.engine import Engine
from nodegraph.errors import Fault
from nodegraph.graph import Checked

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    """What to do with which file.

    values: inputs to change, and axes: of a grid, by "node.input". targets: the wanted nodes, None
    for all. extra: what nodes see as Context.extra.
    """

    graph: Path
    values: Values = field(default_factory=dict)
    targets: Sequence[str] | None = None
    axes: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    keep_going: bool = False
    quiet: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)

    def cells(self) -> Iterator[Values]:
        """Every combination of the axes' values, the last axis fastest."""
        for values in product(*self.axes.values()):
            yield dict(zip(self.axes, values, strict=True))

    def check(self, engine: Engine, document: Document, cell: Values | None = None) -> Checked:
        """The check of the document as it is asked for, in one cell of the grid.

        A fault of something the command line says has that option in its extra.
        """
        chosen = cell or {}
        values = {**self.values, **chosen}
        checked = engine.check_document(document, values, targets=self.targets)
        options = {name: f"--set {name}={value}" for name, value in self.values.items()}
        options |= {name: f"--grid {name}={value}" for name, value in chosen.items()}
        return replace(
            checked,
            faults=tuple(_with_option(checked.faults, options)),
            warnings=tuple(_with_option(checked.warnings, options)),
        )


def _with_option(faults: Iterable[Fault], options: Mapping[str, str]) -> Iterator[Fault]:
    for fault in faults:
        option = options.get(fault.extra.get("set_as", ""))
        if "target" in fault.extra:
            option = f"--targets {fault.extra['target']}"
        yield fault if option is None else replace(fault, extra={**fault.extra, "option": option})
