"""The command line of an installed nodegraph: `nodegraph run graph.json`, from any folder."""

from __future__ import annotations

from pathlib import Path

from nodegraph.cli import Core
from nodegraph.cli import main as command_line
from nodes import modules


def main() -> None:
    """Run the command line with the core nodes; models and plugins are the working folder's."""
    command_line(Core(modules, home=Path.cwd()))


if __name__ == "__main__":
    main()
