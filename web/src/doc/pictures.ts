// The texts that a picture file carries: PNG in tEXt, zTXt and iTXt chunks, WebP and JPEG in EXIF.
// Pixels are not decoded. Sources: PNG 1.2, 4.2.3; the WebP container; JPEG APP1.

import { decode, latin1, readExif, startsWith } from "./exif";

const PNG = "\u0089PNG\r\n\u001a\n";
const MOST_TEXT = 64 * 2 ** 20; // bytes of a text, after decompression

/** The kind of picture that bytes are; null for anything else. */
export function pictureKind(bytes: Uint8Array): "png" | "webp" | "jpeg" | null {
  if (startsWith(bytes, PNG)) return "png";
  if (startsWith(bytes, "RIFF") && startsWith(bytes, "WEBP", 8)) return "webp";
  return startsWith(bytes, "\u00ff\u00d8\u00ff") ? "jpeg" : null;
}

/** The texts of a picture by name; of one name the last counts. Damaged parts are passed over. */
export async function readTexts(bytes: Uint8Array): Promise<Map<string, string>> {
  switch (pictureKind(bytes)) {
    case "png":
      return pngTexts(bytes);
    case "webp":
      return webpTexts(bytes);
    case "jpeg":
      return jpegTexts(bytes);
    case null:
      return new Map();
  }
}

async function pngTexts(bytes: Uint8Array): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = PNG.length; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const kind = latin1(bytes.subarray(at + 4, at + 8));
    const data = bytes.subarray(at + 8, at + 8 + length);
    if (kind === "IEND" || data.length < length) break;
    if (kind === "eXIf") for (const [name, text] of readExif(data)) texts.set(name, text);
    if (["tEXt", "zTXt", "iTXt"].includes(kind)) {
      const found = await pngText(kind, data);
      if (found) texts.set(...found);
    }
    at += 12 + length;
  }
  return texts;
}

async function pngText(kind: string, data: Uint8Array): Promise<[string, string] | null> {
  const [name, body] = split(data);
  if (!body) return null;
  if (kind === "tEXt") return [latin1(name), decode(body)];
  if (kind === "zTXt") {
    const text = await inflate(body.subarray(1));
    return text && [latin1(name), decode(text)];
  }
  const [, afterLanguage] = split(body.subarray(2));
  const [, text] = afterLanguage ? split(afterLanguage) : [];
  if (!text) return null;
  const plain = body[0] === 1 ? await inflate(text) : text;
  return plain && [latin1(name), new TextDecoder().decode(plain)];
}

/** What is before the first zero byte, and what is behind it. */
function split(data: Uint8Array): [Uint8Array, Uint8Array | null] {
  const zero = data.indexOf(0);
  return zero < 0 ? [data, null] : [data.subarray(0, zero), data.subarray(zero + 1)];
}

/** Zlib data, decompressed; null where it is damaged, or more than anybody writes. */
async function inflate(data: Uint8Array): Promise<Uint8Array | null> {
  const parts: Uint8Array[] = [];
  let size = 0;
  try {
    const stream = new Blob([data.slice()]).stream().pipeThrough(new DecompressionStream("deflate"));
    const reader = stream.getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      parts.push(part.value);
      size += part.value.length;
      if (size > MOST_TEXT) {
        await reader.cancel();
        return null;
      }
    }
  } catch {
    return null;
  }
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function webpTexts(bytes: Uint8Array): Map<string, string> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 12; at + 8 <= bytes.length; ) {
    const length = view.getUint32(at + 4, true);
    if (startsWith(bytes, "EXIF", at)) return readExif(bytes.subarray(at + 8, at + 8 + length));
    at += 8 + length + (length % 2);
  }
  return new Map();
}

function jpegTexts(bytes: Uint8Array): Map<string, string> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 2; at + 4 <= bytes.length && bytes[at] === 0xff; ) {
    const marker = bytes[at + 1] ?? 0;
    if (marker === 0xda || marker === 0xd9) break;
    const length = view.getUint16(at + 2);
    const data = bytes.subarray(at + 4, at + 2 + length);
    if (marker === 0xe1 && startsWith(data, "Exif\0\0")) return readExif(data);
    at += 2 + length;
  }
  return new Map();
}
