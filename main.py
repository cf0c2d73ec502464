"""nodegraph's command line: `python main.py run workflows/text_to_image.json`."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from nodegraph.cli import Core, main


def core_modules() -> tuple[ModuleType, ...]:
    """The core nodes; imported when first needed, because they import torch."""
    import nodes

    return nodes.modules()


if __name__ == "__main__":
    main(Core(core_modules, home=Path(__file__).resolve().parent))
