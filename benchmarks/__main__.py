"""Every benchmark, as Markdown. `python -m benchmarks executor startup` runs some of them."""

from __future__ import annotations

import sys
from importlib import import_module

from .measure import machine

ALL = (
    "executor",
    "startup",
    "picture",
    "previews",
    "loading",
    "unet_step",
    "training_step",
    "precision",
    "streaming",
    "server",
    "canvas",
)


def main(names: list[str]) -> None:
    unknown = [name for name in names if name not in ALL]
    if unknown:
        sys.exit(f"no benchmark is named {', '.join(unknown)}; there are {', '.join(ALL)}")
    print(f"Measured on: {machine()}")
    for name in names or ALL:
        import_module(f"benchmarks.{name}").main()


if __name__ == "__main__":
    main(sys.argv[1:])
