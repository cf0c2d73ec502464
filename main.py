"""nodegraph's command line: `python main.py run workflows/text_to_image.json`."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

# To say anything at all; the rest is told when it is missing.
NEEDED = ("click", "rich", "yaml", "packaging")


def core_modules() -> tuple[ModuleType, ...]:
    """The core nodes; imported when first needed, because they import torch."""
    import nodes

    return nodes.modules()


def main() -> None:
    """Run the command line, if its packages are there."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        print(
            f"error: Python packages are not installed: {', '.join(missing)}. `make run` builds "
            ".venv with all that is needed, and `.venv/bin/python main.py` uses it",
            file=sys.stderr,
        )
        sys.exit(5)
    from nodegraph import cli

    cli.main(cli.Core(core_modules, home=Path(__file__).resolve().parent))


if __name__ == "__main__":
    main()
