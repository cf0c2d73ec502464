"""The node that gives a data set of emoji."""

from __future__ import annotations

from typing import Annotated

from nodegraph import Context, NodeGraphError, Number, Tip, node
from nodes.dataset import data_folder, looker
from nodes.imaging.errors import LibraryMissing
from nodes.training.dataset import Dataset, digest, read_dataset
from nodes.training.image_folder import read_image_folder

from .building import Look, build
from .font import Font, FontMissing
from .sequences import Wanted, known_emoji, names_version

FORMAT = 1  # of the folder: raise it when the same emoji are drawn otherwise


def _made_of() -> str:
    """What the result depends on beside the node's inputs: the font, the names, the layout."""
    try:
        font = Font.installed()
        return f"{font.hash} {font.shaped} {names_version()}"
    except (FontMissing, LibraryMissing) as error:
        return str(error)


@node(
    "EmojiDataset",
    category="training/data",
    display_name="Emoji Data Set",
    lane="io",
    fingerprint=_made_of,
)
def emoji_dataset(
    size: Annotated[int, Number(min=16, max=512, step=8), Tip("side of the pictures")] = 64,
    margin: Annotated[
        float, Number(min=0, max=0.4, step=0.01), Tip("white on each side, as a share")
    ] = 0.06,
    name_style: Annotated[bool, Tip('captions begin with "noto emoji of"')] = False,
    skin_tones: Annotated[bool, Tip("people in each skin tone as well")] = False,
    flags: Annotated[bool, Tip("flags of countries as well")] = False,
    *,
    context: Context,
) -> Dataset:
    """Some 1,600 emoji on white, with their names as captions and silhouettes as hints."""
    try:
        font, names = Font.installed(), names_version()
        emoji = known_emoji(Wanted(skin_tones, flags))
    except (FontMissing, LibraryMissing) as error:
        raise NodeGraphError(str(error)) from error
    if not font.shaped:
        context.warn(
            "emoji of several characters are left out: Pillow needs the library FriBiDi for them "
            "(libfribidi0 on Debian)"
        )
    look = Look(size, margin, name_style)
    key = digest([FORMAT, font.hash, font.shaped, names, vars(look), skin_tones, flags])
    folder = data_folder(context) / f"emoji-{key}"
    build(folder, emoji, font.draw, look, context.progress)
    return read_dataset(folder, read_image_folder, looker(context), name="emoji")
