"""The command line, called with the small nodes, in a folder of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import small_nodes
from click.testing import CliRunner, Result

from nodegraph.cli import Core
from nodegraph.cli.app import cli

GRAPH: dict[str, Any] = {
    "1": {"class_type": "Count", "inputs": {"value": 3}, "_meta": {"title": "How many"}},
    "2": {"class_type": "Add", "inputs": {"left": ["1", 0], "right": 10}},
    "3": {"class_type": "Save", "inputs": {"value": ["2", 0]}},
}
# Started as `python -c PROGRAM`, it is the command line with the small nodes.
PROGRAM = """
import sys
from pathlib import Path
from nodegraph.cli import Core, main
def modules():
    import small_nodes
    return (small_nodes,)
main(Core(modules, Path(sys.prefix)))
"""


@dataclass(frozen=True)
class CommandLine:
    """Calls commands in `folder`."""

    folder: Path
    modules: Callable[[], Iterable[ModuleType]] = lambda: (small_nodes,)

    def file(self, document: Any = GRAPH, name: str = "graph.json") -> str:
        """A file in the folder; its name."""
        text = document if isinstance(document, str) else json.dumps(document, indent=2)
        (self.folder / name).write_text(text)
        return name

    def __call__(self, *arguments: str, code: int = 0) -> Result:
        """Call it, and see that it exits with `code`."""
        core = Core(self.modules, self.folder / "home")
        result = CliRunner().invoke(cli, arguments, obj=core)
        assert result.exit_code == code, result.output
        return result

    def answer(self, *arguments: str, code: int = 0) -> Any:
        """What it answers with --json: one document, and nothing else."""
        return json.loads(self(*arguments, "--json", code=code).stdout)

    def environment(self) -> dict[str, str]:
        """For a process of its own, which finds the package and the small nodes."""
        tests = Path(__file__).parent
        path = ":".join([str(tests), str(tests.parent)])
        return {"PYTHONPATH": path, "NODEGRAPH_DEVICE": "cpu", "OMP_NUM_THREADS": "1"}

    def process(self, *arguments: str) -> list[str]:
        """The words that start it in a process of its own."""
        return [sys.executable, "-c", PROGRAM, *arguments]
