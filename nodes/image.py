"""Nodes that load, save, resize and combine images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import torch
from torch import Tensor

from nodegraph import (
    OPTIONAL,
    Context,
    Extension,
    FileOf,
    FileReader,
    Number,
    SavedFile,
    Sent,
    Shown,
    Tip,
    node,
)
from nodes.imaging.errors import TextSizeError
from nodes.imaging.files import Format, count_nan, decode
from nodes.imaging.files import encode as encode_picture
from nodes.imaging.matching import with_channels
from nodes.imaging.metadata import metadata_json
from nodes.imaging.resize import resize_images
from nodes.types import Image, Mask

ImageMethod = Literal["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]
Crop = Literal["disabled", "center"]
Side = Annotated[int, Number(min=0, max=16384, step=1), Tip("in pixels; 0 keeps the aspect")]
SUFFIX: Mapping[Format, str] = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}
RGBA = 4
LOSSLESS = 100  # the quality that means so, for webp


class Loaded(NamedTuple):
    image: Image
    mask: Mask


@node("LoadImage", category="image", display_name="Load Image", lane="io")
def load_image(image: Annotated[str, FileOf("input", upload=True)], *, context: Context) -> Loaded:
    """A picture from the input folder. The mask is white where it is transparent."""
    picture = decode(context.need_folders().resolve("input", image))
    return Loaded(Image(picture.image), Mask(picture.mask))


@node("SaveImage", category="image", display_name="Save Image", lane="io")
def save_image(
    images: Image,
    filename_prefix: str = "ComfyUI",
    format: Annotated[Literal["png", "jpeg", "webp"], OPTIONAL] = "png",
    quality: Annotated[
        int, Number(min=1, max=100), OPTIONAL, Tip("of jpeg and webp; webp at 100 is lossless")
    ] = 90,
    *,
    context: Context,
) -> Shown:
    """Write pictures to the output folder, with the graph that made them inside."""
    return _write(images, "output", filename_prefix, Style(format, quality), context)


@node("PreviewImage", category="image", display_name="Preview Image", lane="io")
def preview_image(images: Image, *, context: Context) -> Shown:
    """Show pictures without keeping them: they are written to the temp folder."""
    return _write(images, "temp", "preview", Style("png", compression=1), context)


@node(
    "SaveImageWebsocket",
    category="api/image",
    display_name="Send Image (WebSocket)",
    output=True,
    lane="io",
    cached=False,
)
def save_image_websocket(images: Image, *, context: Context) -> None:
    """Send pictures to the client that asked for them, as PNG over its socket. Writes no file."""
    images = _writable(images, "png", context)
    for index, image in enumerate(images):
        context.preview(Sent(encode_picture(image, "png", compress_level=1)))
        context.progress(index + 1, len(images))


@node("ImageScale", category="image/upscaling", display_name="Upscale Image")
def image_scale(
    image: Image,
    upscale_method: ImageMethod,
    *,
    width: Side = 512,
    height: Side = 512,
    crop: Crop,
) -> Image:
    """Resize to a size in pixels."""
    return Image(resize_images(image, width, height, upscale_method, crop))


@node("ImageScaleBy", category="image/upscaling", display_name="Upscale Image By")
def image_scale_by(
    image: Image,
    upscale_method: ImageMethod,
    scale_by: Annotated[float, Number(min=0.01, max=8.0, step=0.01)] = 1.0,
) -> Image:
    """Resize by a factor."""
    height, width = (max(1, round(side * scale_by)) for side in image.shape[1:3])
    return Image(resize_images(image, width, height, upscale_method))


@node("ImageInvert", category="image", display_name="Invert Image")
def image_invert(image: Image) -> Image:
    """The negative."""
    return Image(1.0 - image)


@node("ImageBatch", category="image", display_name="Batch Images")
def image_batch(image1: Image, image2: Image) -> Image:
    """One batch of both; the second is resized and cropped to the size of the first."""
    channels = max(image1.shape[-1], image2.shape[-1])
    first, second = with_channels(image1, channels), with_channels(image2, channels)
    if first.shape[1:] != second.shape[1:]:
        height, width = first.shape[1:3]
        second = resize_images(second, width, height, "bilinear", "center")
    return Image(torch.cat([first, second]))


@dataclass(frozen=True)
class Style:
    """How pictures are written: quality is JPEG's and WebP's, compression PNG's (0 to 9)."""

    format: Format
    quality: int = 90
    compression: int = 4


def _write(
    images: Image, kind: Literal["output", "temp"], prefix: str, style: Style, context: Context
) -> Shown:
    """Write each image under a name reserved before the work, with the graph and manifest."""
    images = _writable(images, style.format, context)
    height, width = images.shape[1:3]
    names = context.need_folders().reserve(
        kind, prefix, SUFFIX[style.format], count=len(images), width=width, height=height
    )
    saved: list[SavedFile] = []
    left_out: list[str] = []
    try:
        for index, (image, name) in enumerate(zip(images, names, strict=True)):
            text = graph_text(context, index)
            data = _encoded(image, style, text, left_out, context)
            name.write(data)
            digest = hashlib.sha256(data).hexdigest()
            saved.append(SavedFile(name.path.name, name.subfolder, kind, digest))
            context.progress(index + 1, len(images))
    finally:
        for name in names[len(saved) :]:
            name.release()
    return Shown(tuple(saved))


def _writable(images: Image, format: Format, context: Context) -> Image:
    """The images as the format can hold them; warns of what is lost."""
    bad = count_nan(images)
    if bad:
        context.warn(
            f"{bad} pixels are not numbers and are written as black; if the model ran in half "
            "precision, try fp32"
        )
    if format != "jpeg" or images.shape[-1] != RGBA:
        return images
    context.warn("a JPEG holds no transparency: the picture is laid on white; png and webp do")
    alpha = images[..., 3:]
    return Image(images[..., :3] * alpha + (1 - alpha))


def _encoded(
    image: Tensor, style: Style, text: dict[str, str], left_out: list[str], context: Context
) -> bytes:
    """The file's bytes. Texts that it has no room for go to `left_out`, the longest first."""
    while True:
        text = {name: value for name, value in text.items() if name not in left_out}
        try:
            return encode_picture(
                image,
                style.format,
                text=text,
                quality=style.quality,
                lossless=style.format == "webp" and style.quality == LOSSLESS,
                compress_level=style.compression,
            )
        except TextSizeError as error:
            left_out.append(max(text, key=lambda name: len(text[name])))
            context.warn(
                f"the picture is saved without its {left_out[-1]!r} text: a {style.format.upper()} "
                f"has room for {error.limit} bytes of texts; png and webp take any"
            )


def graph_text(context: Context, index: int = 0) -> dict[str, str]:
    """What a file tells about itself: the graph, the editor's form of it, and the manifest.

    `index` is the picture's place in its batch.
    """
    text: dict[str, Any] = {}
    if context.prompt is not None:
        text["prompt"] = context.prompt
    if context.workflow is not None:
        text["workflow"] = context.workflow
    text["nodegraph"] = {**context.manifest(), "batch_index": index}
    return {key: _json(value) for key, value in text.items()}


def _json(value: Any) -> str:
    """The value as JSON; what JSON cannot say (NaN, which editors write all the same) is null."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(json.loads(json.dumps(value), parse_constant=lambda _: None))


def _pixels(path: Path) -> Tensor:
    """Colours and, where something is transparent, alpha: (B, H, W, 3 or 4)."""
    picture = decode(path)
    if not picture.mask.any():  # without alpha, and with one that hides nothing
        return picture.image
    return torch.cat([picture.image, 1 - picture.mask[..., None]], dim=-1)


_READER = FileReader(texts=metadata_json, pixels=_pixels)
FILE_READERS = Extension(
    "file_readers", dict.fromkeys((".png", ".jpg", ".jpeg", ".webp", ".apng"), _READER)
)
