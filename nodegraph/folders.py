"""Where files are: models by kind, inputs, outputs, temporary files.

    kind   what a file is: checkpoints, vae, loras ...; input, output, temp; latents
    name   a file's path inside the folders of its kind, with `/`

The folders of models are laid out as the ecosystem does: `models/checkpoints/sd/a.safetensors` is
`sd/a.safetensors` of the kind checkpoints.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from .errors import FileMissing
from .listing import files_under, walk
from .model_paths import ExtraFolder, read_model_paths
from .names import UnsafeName, inside, safe_relative
from .saving import Book, Reservations, reserve

if TYPE_CHECKING:
    from .settings import Settings

WEIGHTS = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin")
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".apng")
INDEX = "model_index.json"  # what a folder of the kind diffusers contains

Place = Literal["input", "output", "temp"]


@dataclass(frozen=True)
class Kind:
    """A kind of model: the folders it is in, under each models folder, and what it looks like.

    suffixes: of its files; none: it is a whole folder with an index.
    open:     a file may be named without its suffix.
    holds:    it is a whole folder with files of these suffixes in it or below; also of `input`.
    """

    folders: tuple[str, ...]
    suffixes: tuple[str, ...] = WEIGHTS
    open: bool = False
    holds: tuple[str, ...] = ()

    def found_at(self, path: Path) -> bool:
        """Whether this is one, whatever its name."""
        if self.holds:
            return any(True for _ in _holding(path, self.holds))
        return os.path.isfile(path if self.suffixes else path / INDEX)


def _kinds() -> dict[str, Kind]:
    plain = (
        "checkpoints",
        "clip_vision",
        "condition_encoders",
        "controlnet",
        "depth",
        "gligen",
        "hypernetworks",
        "loras",
        "photomaker",
        "style_models",
        "upscale_models",
        "vae",
        "vae_approx",
    )
    text, unet = Kind(("text_encoders", "clip")), Kind(("diffusion_models", "unet"))
    return {
        **{name: Kind((name,)) for name in plain},
        **{"text_encoders": text, "clip": text, "diffusion_models": unet, "unet": unet},
        "configs": Kind(("configs",), (".yaml", ".yml", ".json")),
        "datasets": Kind(("datasets",), (), holds=PICTURES),
        "diffusers": Kind(("diffusers",), ()),
        "embeddings": Kind(("embeddings",), open=True),
    }


KINDS: Mapping[str, Kind] = MappingProxyType(_kinds())


@dataclass(frozen=True)
class Folders:
    """The folders of one installation. Reading them makes none of them.

    models: looked into in this order; of two files of one name the first is meant.
    extra:  folders of single kinds beside them; a kind that only they name is a kind as well.
    cache:  for what can be made again; None: nothing is kept.
    book:   remembers the names of new files, for one call of a node.
    """

    models: tuple[Path, ...]
    input: Path
    output: Path
    temp: Path
    cache: Path | None = None
    extra: tuple[ExtraFolder, ...] = ()
    kinds: Mapping[str, Kind] = field(default_factory=lambda: KINDS, hash=False)
    book: Book | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, settings: Settings) -> Folders:
        """The folders that settings name. SettingsError for a bad file of extra folders."""
        file = settings.extra_model_paths
        return cls(
            models=settings.models,
            input=settings.input,
            output=settings.output,
            temp=settings.temp,
            cache=settings.cache,
            extra=() if file is None else read_model_paths(file),
        )

    def model_kinds(self) -> tuple[str, ...]:
        """The kinds of models, sorted; of two names of one kind the newer."""
        named = {name if name in kind.folders[:1] else "" for name, kind in self.kinds.items()}
        others = {folder.kind for folder in self.extra if folder.kind not in self.kinds}
        return tuple(sorted((named | others) - {""}))

    def folder(self, place: str) -> Path:
        """The folder called input, output or temp."""
        match place:
            case "input" | "latents":
                return self.input
            case "output":
                return self.output
            case "temp":
                return self.temp
        raise FileMissing(f"there is no folder {place!r}: expected input, output or temp")

    def roots(self, kind: str) -> tuple[Path, ...]:
        """The folders with models of a kind, the first one wins. FileMissing for no kind."""
        meant = self._kind(kind)
        extra = [e for e in self.extra if e.kind == kind or e.kind in meant.folders]
        usual = [models / name for models in self.models for name in meant.folders]
        first = [e.path for e in extra if e.first]
        last = [e.path for e in extra if not e.first]
        given = [self.input] if meant.holds else []
        return tuple(dict.fromkeys([*first, *usual, *last, *given]))

    def list(self, kind: str) -> tuple[str, ...]:
        """The names of all files of a kind (of kind diffusers: folders), sorted."""
        if kind in ("input", "output", "temp", "latents"):
            wanted = (".latent",) if kind == "latents" else PICTURES
            return _matching(files_under(self.folder(kind)), wanted)
        meant = self._kind(kind)
        names: set[str] = set()
        for root in self.roots(kind):
            if meant.suffixes:
                names.update(_matching(files_under(root), meant.suffixes))
            elif meant.holds:
                names.update(map(str, _holding(root, meant.holds)))
            else:
                names.update(str(folder) for folder, _, files in walk(root) if INDEX in files)
        return tuple(sorted(names - {"."}))

    def resolve(self, kind: str, name: str) -> Path:
        """Where a file is. `name` may have `\\` for `/`.

        An input may be annotated, `x.png [output]`. Raises UnsafeName for a name that leaves its
        folder (a link that the user put into a models folder may), FileMissing with the nearest
        names for one that is not there.
        """
        place, name = _annotated(kind, name)
        relative = safe_relative(name)
        if place in ("input", "output", "temp", "latents"):
            root = self.folder(place)
            path = root / relative
            if not inside(path, root):
                raise UnsafeName(f"{name!r} leads out of the {place} folder")
            hidden = any(part.startswith(".") for part in relative.parts)
            if not hidden and os.path.isfile(path):  # which is False for too long a name
                return path
            raise self._missing(place, name, (root,))
        return self._resolve_model(kind, name, relative)

    def written_to(self, kind: Literal["output", "temp"]) -> Path:
        """Where new files are put."""
        return self.folder(kind)

    def reserve(
        self,
        kind: Literal["output", "temp"],
        prefix: str,
        suffix: str,
        count: int = 1,
        *,
        width: int = 0,
        height: int = 0,
    ) -> Reservations:
        """Names for `count` new files, `{prefix}_{counter:05}_{suffix}`, see `saving.reserve`."""
        root = self.written_to(kind)
        size = {"width": width, "height": height}
        return reserve(root, kind, prefix, suffix, count, **size, book=self.book)

    def _resolve_model(self, kind: str, name: str, relative: PurePosixPath) -> Path:
        meant, roots = self._kind(kind), self.roots(kind)
        endings = ("", *meant.suffixes) if meant.open else ("",)
        for root in roots:
            for ending in endings:
                path = root / f"{relative}{ending}"
                if meant.holds and not _own_folder(path, relative, root, self.input):
                    continue
                if meant.found_at(path):
                    return path
        raise self._missing(kind, name, roots)

    def _kind(self, kind: str) -> Kind:
        if kind in self.kinds:
            return self.kinds[kind]
        if any(folder.kind == kind for folder in self.extra):
            return Kind((kind,))
        raise FileMissing(f"there is no kind of model {kind!r}{_nearest(kind, self.model_kinds())}")

    def _missing(self, kind: str, name: str, roots: tuple[Path, ...]) -> FileMissing:
        names = self.list(kind)
        if kind in self.kinds and self.kinds[kind].open:
            names = tuple(os.path.splitext(found)[0] for found in names)
        # The message may reach a stranger, who learns no path of this computer from it.
        looked = ", ".join(dict.fromkeys("/".join(root.parts[-2:]) for root in roots))
        hint = _nearest(name, names) if names else "; there is none: put files there"
        error = FileMissing(f"{name!r} is not in {kind} (looked in {looked}){hint}")
        error.add_note("looked in:\n" + "\n".join(f"  {root.absolute()}" for root in roots))
        return error


def _holding(root: Path, suffixes: tuple[str, ...]) -> Iterator[PurePosixPath]:
    """Folders, relative to the root, with such files in them or below; some more than once."""
    for folder, _, files in walk(root):
        if any(name.lower().endswith(suffixes) for name in files):
            yield folder
            yield from folder.parents


def _own_folder(path: Path, name: PurePosixPath, root: Path, input: Path) -> bool:
    """Whether a folder may be read: none is hidden, and no link leads out of the input folder."""
    hidden = any(part.startswith(".") for part in name.parts)
    return not hidden and (root != input or inside(path, root))


def _annotated(kind: str, name: str) -> tuple[str, str]:
    if kind not in ("input", "latents"):
        return kind, name
    match = re.fullmatch(r"(.*?)\s*\[(input|output|temp)\]", name, re.DOTALL)
    return (match[2], match[1]) if match else (kind, name)


def _matching(names: list[str], suffixes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(name for name in names if name.lower().endswith(suffixes)))


def _nearest(name: str, names: tuple[str, ...]) -> str:
    """ "; nearest: a, b", judged without folders and case, or nothing."""
    plain = PurePosixPath(name.replace("\\", "/").lower())
    near = difflib.get_close_matches(str(plain), [n.lower() for n in names], n=3)
    same = [n for n in names if PurePosixPath(n.lower()).stem == plain.stem]
    found = dict.fromkeys([*same, *(n for word in near for n in names if n.lower() == word)])
    return f"; nearest: {', '.join(map(repr, list(found)[:3]))}" if found else ""
