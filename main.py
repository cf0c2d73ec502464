"""nodegraph's command line: `python main.py run workflows/text_to_image.json`."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

try:
    from nodegraph.cli import Core, main
except ModuleNotFoundError as error:
    if (error.name or "").startswith("nodegraph"):
        raise
    sys.exit(
        f"error: the Python package {error.name} is not installed: `make run` builds .venv with "
        "all there is to need, and `.venv/bin/python main.py` then uses it"
    )


def core_modules() -> tuple[ModuleType, ...]:
    """The core nodes; imported when first needed, because they import torch."""
    import nodes

    return nodes.modules()


if __name__ == "__main__":
    main(Core(core_modules, home=Path(__file__).resolve().parent))
