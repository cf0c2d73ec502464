"""Nodes that load, save, resize and combine images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import torch

from nodegraph import (
    OPTIONAL,
    Context,
    Extension,
    FileOf,
    FileReader,
    Number,
    SavedFile,
    Shown,
    Tip,
    node,
)
from nodes.imaging.files import Format, count_nan, decode
from nodes.imaging.files import encode as encode_picture
from nodes.imaging.metadata import metadata_json
from nodes.imaging.resize import resize_images
from nodes.types import Image, Mask

ImageMethod = Literal["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]
Crop = Literal["disabled", "center"]
Side = Annotated[int, Number(min=0, max=16384, step=1)]
SUFFIX: Mapping[Format, str] = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}
PREVIEW_COMPRESSION = 1
COMPRESSION = 4


class Loaded(NamedTuple):
    image: Image
    mask: Mask


@node("LoadImage", category="image", display_name="Load Image", lane="io")
def load_image(
    image: Annotated[str, FileOf("input", upload=True)], *, context: Context
) -> Loaded:
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
    return _write(images, "output", filename_prefix, format, quality, COMPRESSION, context)


@node("PreviewImage", category="image", display_name="Preview Image", lane="io")
def preview_image(images: Image, *, context: Context) -> Shown:
    """Show pictures without keeping them: they are written to the temp folder."""
    return _write(images, "temp", "preview", "png", 100, PREVIEW_COMPRESSION, context)


@node("ImageScale", category="image/upscaling", display_name="Upscale Image")
def image_scale(
    image: Image,
    upscale_method: ImageMethod,
    width: Side = 512,
    height: Side = 512,
    crop: Crop = "disabled",
) -> Image:
    """Resize to a size in pixels; 0 keeps the aspect."""
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
    first, second = _with_alpha(image1, channels), _with_alpha(image2, channels)
    if first.shape[1:] != second.shape[1:]:
        height, width = first.shape[1:3]
        second = resize_images(second, width, height, "bilinear", "center")
    return Image(torch.cat([first, second]))


def _with_alpha(image: torch.Tensor, channels: int) -> torch.Tensor:
    missing = channels - image.shape[-1]
    return torch.nn.functional.pad(image, (0, missing), value=1.0) if missing else image


def _write(
    images: Image,
    kind: Literal["output", "temp"],
    prefix: str,
    format: Format,
    quality: int,
    compression: int,
    context: Context,
) -> Shown:
    """Write each image under a name reserved before the work, with the graph and manifest."""
    bad = count_nan(images)
    if bad:
        context.warn(
            f"{bad} values of the pictures are not numbers and are written as black; "
            "if the model ran in half precision, try --precision fp32"
        )
    height, width = images.shape[1:3]
    names = context.need_folders().reserve(
        kind, prefix, SUFFIX[format], count=len(images), width=width, height=height
    )
    saved: list[SavedFile] = []
    try:
        for index, (image, name) in enumerate(zip(images, names, strict=True)):
            data = encode_picture(
                image,
                format,
                text=graph_text(context, index),
                quality=quality,
                lossless=format == "webp" and quality == 100,
                compress_level=compression,
            )
            name.write(data)
            saved.append(SavedFile(name.path.name, name.subfolder, kind))
            context.progress(index + 1, len(images))
    finally:
        for name in names[len(saved) :]:
            name.release()
    return Shown(tuple(saved))


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
    return {key: json.dumps(value, allow_nan=False) for key, value in text.items()}


def _pixels(path: Path) -> torch.Tensor:
    return decode(path).image


_READER = FileReader(texts=metadata_json, pixels=_pixels)
FILE_READERS = Extension(
    "file_readers", dict.fromkeys((".png", ".jpg", ".jpeg", ".webp", ".apng"), _READER)
)
