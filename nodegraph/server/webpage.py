"""The page as it was built: where its files are, and what they may be; and what plugins add to it.

They are built from web/ (see web/README.md) and come along with the package; in a checkout they are
in web/dist. Nothing else is served from there, nor of a plugin anything but its folder `web`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from nodegraph.plugins.manifest import WEB

PACKAGE = Path(__file__).parents[1]
PLACES = (PACKAGE / "_web", PACKAGE.parent / "web" / "dist")
INDEX = "index.html"
MEDIA: Mapping[str, str] = MappingProxyType(
    {
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".json": "application/json",
        ".png": "image/png",
        ".svg": "image/svg+xml",
        ".ts": "text/plain; charset=utf-8",
        ".webp": "image/webp",
        ".woff2": "font/woff2",
    }
)

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


def built_page() -> Path | None:
    """The folder of the built page; None where it was not built."""
    return next((place for place in PLACES if (place / INDEX).is_file()), None)


def asset(page: Path, name: str) -> tuple[Path, str] | None:
    """A file of the page's assets and its media type; None if there is none of that name."""
    media = MEDIA.get(Path(name).suffix)
    if media is None or not _NAME.fullmatch(name):
        return None
    path = page / "assets" / name
    return (path, media) if path.is_file() else None


def plugin_file(folder: Path, name: str) -> tuple[Path, str] | None:
    """A file directly in a plugin's folder `web`, and its media type; None if there is none.

    folder: the plugin's, resolved. What a link makes of another folder's file is none of its files.
    """
    media = MEDIA.get(Path(name).suffix)
    if media is None or not _NAME.fullmatch(name):
        return None
    place = folder / WEB
    path = place / name
    return (path, media) if path.is_file() and path.resolve().parent == place else None
