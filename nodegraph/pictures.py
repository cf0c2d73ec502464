"""Pictures that no file holds: what a node offers to whoever watches, made when somebody looks.

Three kinds of value are pictures: a tensor (B, H, W, C) of floats in [0, 1] with 1, 3 or 4 channels
(an IMAGE), an image of PIL's, and a `Picturable`, which has yet to become one of the two. torch and
PIL are not imported here before they are needed: a value can only hold what has been imported.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from .values.tree import is_tensor

if TYPE_CHECKING:
    from PIL.Image import Image

MOST = 4  # pictures of a batch that are shown
MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # PIL's names, by the number of channels


@runtime_checkable
class Picturable(Protocol):
    """Something that can become a picture, if somebody wants to see it."""

    def picture(self, longest: int, mode: str) -> Any:
        """A picture tensor or PIL image; None where there is nothing to see, or not yet.

        longest: pixels the longer side is shown with. It is scaled by whoever shows it, so this is
                 only to say what would be a waste.
        mode:    "auto" for the best that costs little, "latent2rgb" for what costs least.

        Called from any thread, at most once, and perhaps never; it may be slow, and may raise.
        """


def showable(value: Any) -> bool:
    """Whether a value is a picture of one of the three kinds."""
    return isinstance(value, Picturable) or _is_image(value) or _is_picture_tensor(value)


def as_picture(value: Any, longest: int, mode: str) -> Image | None:
    """The picture, its longer side `longest` pixels; None where a Picturable has nothing to show.

    Up to four pictures of a batch are laid beside and below each other. Raises what a Picturable
    raises, TypeError for a value that is no picture.
    """
    if isinstance(value, Picturable):
        value = value.picture(longest, mode)
        if value is None:
            return None
    if _is_image(value):
        return _scaled(value, *_within(value.size, (longest, longest)))
    if _is_picture_tensor(value):
        return _laid_out(_images(value), longest)
    raise TypeError(f"a picture is an IMAGE tensor or a PIL image, not {_described(value)}")


def best_grid(count: int, width: int, height: int) -> tuple[int, int]:
    """(columns, rows) that show `count` pictures of this size the largest within a square."""
    grids = [(columns, -(-count // columns)) for columns in range(count, 0, -1)]
    return min(grids, key=lambda grid: max(grid[0] * width, grid[1] * height))


def _is_image(value: Any) -> bool:
    kind = getattr(sys.modules.get("PIL.Image"), "Image", None)
    return kind is not None and isinstance(value, kind)


def _is_picture_tensor(value: Any) -> bool:
    if not is_tensor(value) or value.ndim != 4 or 0 in value.shape:
        return False
    return bool(value.shape[-1] in MODES and value.is_floating_point())


def _described(value: Any) -> str:
    shape = f" of shape {tuple(value.shape)}" if is_tensor(value) else ""
    return f"a {type(value).__name__}{shape}"


def _images(tensor: Any) -> list[Image]:
    """The first pictures of a batch, NaN as black."""
    from PIL import Image

    values = tensor[:MOST].detach().cpu().float().nan_to_num(0).clamp(0, 1).mul(255).byte()
    channels = tensor.shape[-1]
    arrays = values[..., 0].numpy() if channels == 1 else values.numpy()
    return [Image.fromarray(array) for array in arrays]


def _laid_out(images: Sequence[Image], longest: int) -> Image:
    """Each is scaled on its own, so that none bleeds into its neighbour."""
    from PIL import Image

    width, height = images[0].size
    columns, rows = best_grid(len(images), width, height)
    cell = (longest // columns, longest // rows)
    w, h = _within((width, height), cell)
    if len(images) == 1:
        return _scaled(images[0], w, h)
    sheet = Image.new(images[0].mode, (columns * w, rows * h))
    for index, image in enumerate(images):
        sheet.paste(_scaled(image, w, h), (index % columns * w, index // columns * h))
    return sheet


def _within(size: tuple[int, int], room: tuple[int, int]) -> tuple[int, int]:
    """The size with its aspect kept that just fits, each side at least 1."""
    share = min(room[0] / size[0], room[1] / size[1])
    return max(1, round(size[0] * share)), max(1, round(size[1] * share))


def _scaled(image: Image, width: int, height: int) -> Image:
    from PIL import Image

    if image.size == (width, height):
        return image
    if image.mode not in MODES.values():  # of a palette no means can be taken
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    # Smooth, as the few cells of a latent are then seen as a picture and not as a mosaic.
    return image.resize((width, height), Image.Resampling.BICUBIC)
