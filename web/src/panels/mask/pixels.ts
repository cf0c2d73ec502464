// Pictures as pixels, and pixels as pictures.

import type { Mask } from "../../doc/mask";
import { asTransparency } from "../../doc/mask";

/** The pixels (RGBA) of a picture, as its file has them. Throws where it is none. */
export async function readPixels(picture: Blob): Promise<ImageData> {
  const bitmap = await createImageBitmap(picture, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const { width, height } = bitmap;
  const [, context] = sheet(width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, width, height);
}

/** A mask as the transparency of a black picture, as PNG. */
export async function asPng(mask: Mask): Promise<Blob> {
  const [canvas, context] = sheet(mask.width, mask.height);
  context.putImageData(new ImageData(asTransparency(mask), mask.width, mask.height), 0, 0);
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The picture is too large for this browser"))));
  });
}

function sheet(width: number, height: number): [HTMLCanvasElement, CanvasRenderingContext2D] {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("The picture is too large for this browser");
  return [canvas, context];
}

/** The colour of an element's text, as its style has it. */
export function colourOf(element: Element): [number, number, number] {
  const [red = 0, green = 0, blue = 0] = (getComputedStyle(element).color.match(/[\d.]+/g) ?? []).map(Number);
  return [red, green, blue];
}
