"""Example workflows that the page offers to begin with: the graphs in workflows/.

They come along with the package; in a checkout they are beside it. Nothing else is served from
there.
"""

from __future__ import annotations

import re
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
PLACES = (PACKAGE / "_workflows", PACKAGE.parent / "workflows")

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")


def templates() -> list[str]:
    """The names of the examples, in order; [] where they did not come along."""
    found = (place for place in PLACES if place.is_dir())
    folder = next(found, None)
    if folder is None:
        return []
    names = (path.stem for path in folder.glob("*.json") if path.is_file())
    return sorted(name for name in names if _NAME.fullmatch(name))


def template(name: str) -> Path | None:
    """The file of an example; None if there is none of that name."""
    if not _NAME.fullmatch(name):
        return None
    paths = (place / f"{name}.json" for place in PLACES)
    return next((path for path in paths if path.is_file()), None)
