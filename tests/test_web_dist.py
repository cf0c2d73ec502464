"""The page that is committed was built from the sources that are. Node is not needed to tell."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from pathlib import Path

WEB = Path(__file__).parents[1] / "web"
# The same as in web/build-note.ts.
SOURCES = (
    "build-note.ts",
    "index.html",
    "package-lock.json",
    "package.json",
    "src",
    "tsconfig.json",
    "vite.config.ts",
)


def source_files(root: Path) -> list[str]:
    """The files that the page is built from, from `root`, sorted by code points."""
    found: list[Path] = []
    for name in SOURCES:
        path = root / name
        inside = [path] if path.is_file() else path.rglob("*")
        found += [each for each in inside if each.is_file() and not each.name.startswith(".")]
    return sorted(path.relative_to(root).as_posix() for path in found)


def source_hash(root: Path) -> str:
    """SHA-256 over path, NUL, content with line ends of Unix, NUL, of each file."""
    digest = hashlib.sha256()
    for path in source_files(root):
        content = (root / path).read_bytes().replace(b"\r\n", b"\n")
        digest.update(path.encode() + b"\0" + content + b"\0")
    return digest.hexdigest()


def test_the_page_was_built_from_these_sources() -> None:
    note = json.loads((WEB / "dist" / "BUILD.json").read_text())

    assert note["sources"] == source_hash(WEB), "run `make web`, and commit web/dist"


def test_the_hash_depends_on_every_source(tmp_path: Path) -> None:
    for name in ("src/a.ts", "src/doc/b.ts", *SOURCES[:4], *SOURCES[5:]):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    hashes = {source_hash(tmp_path)}
    files = source_files(tmp_path)

    for name in files:
        (tmp_path / name).write_text("changed")
        hashes.add(source_hash(tmp_path))
    (tmp_path / "src" / "new.ts").write_text("")
    hashes.add(source_hash(tmp_path))

    assert len(files) == 8
    assert len(hashes) == len(files) + 2


def test_neither_names_of_registries_nor_addresses_are_committed() -> None:
    lock = json.loads((WEB / "package-lock.json").read_text())

    assert len(lock["packages"]) > 50
    for name, entry in lock["packages"].items():
        assert "resolved" not in entry, name
        assert name == "" or entry["integrity"].startswith("sha512-"), name


def test_versions_are_pinned_exactly() -> None:
    package = json.loads((WEB / "package.json").read_text())

    for name, version in (package["dependencies"] | package["devDependencies"]).items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version), name


def first_load(dist: Path) -> dict[str, int]:
    """What a browser loads before the page is there, and its size once compressed: what the page
    names, and what those scripts import for themselves."""
    wanted = re.findall(
        r'(?:src|href)="/(assets/[^"]+\.(?:js|css))"', (dist / "index.html").read_text()
    )
    sizes: dict[str, int] = {}
    while wanted:
        name = wanted.pop()
        if name in sizes:
            continue
        content = (dist / name).read_bytes()
        sizes[name] = len(gzip.compress(content, mtime=0))
        if name.endswith(".js"):
            # `import("./x.js")` is for later, and has parentheses.
            imported = re.findall(rb'(?:from|import)\s*["\']\./([^"\']+\.js)["\']', content)
            wanted += [f"assets/{each.decode()}" for each in imported]
    return sizes


def test_what_is_loaded_first_is_small() -> None:
    sizes = first_load(WEB / "dist")

    assert "assets/index.js" in sizes
    assert sum(size for name, size in sizes.items() if name.endswith(".js")) <= 250_000, sizes
    assert sum(sizes.values()) <= 270_000, sizes


def test_what_is_seldom_used_is_loaded_when_it_is() -> None:
    first = first_load(WEB / "dist")
    later = {path.name for path in (WEB / "dist" / "assets").glob("*.js")} - {
        Path(name).name for name in first
    }

    for part in ("MaskDialog", "Settings"):
        assert f"{part}.js" in later
