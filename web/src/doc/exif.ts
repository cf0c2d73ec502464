// Texts in an EXIF block, as JPEG and WebP files of the ecosystem carry them: a small TIFF file in
// which the text named k is the value "k:..." of a tag up to 0x0110. Sources: TIFF 6.0, section 2;
// Exif 2.3, 4.6.5 (user comment).

const PROMPT_TAG = 0x0110;
const COMMENT_TAG = 0x9286;
const INNER_TAG = 0x8769;
const MOST_ENTRIES = 4096;
const NAME = /^[A-Za-z0-9_][A-Za-z0-9_. -]{0,78}$/;

/** The texts in a block by name; what is damaged or of another kind is passed over. */
export function readExif(given: Uint8Array): Map<string, string> {
  const block = startsWith(given, "Exif\0\0") ? given.subarray(6) : given;
  const little = startsWith(block, "II*\0");
  const texts = new Map<string, string>();
  if ((!little && !startsWith(block, "MM\0*")) || block.length < 8) return texts;
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  const main = entries(view, little, view.getUint32(4, little));
  for (const tag of [...main.keys()].toSorted((a, b) => b - a)) {
    const value = decode(main.get(tag) ?? new Uint8Array());
    const colon = value.indexOf(":");
    const name = value.slice(0, Math.max(0, colon));
    if (tag <= PROMPT_TAG && NAME.test(name)) texts.set(name, value.slice(colon + 1));
  }
  const pointer = main.get(INNER_TAG);
  if (pointer?.length === 4) {
    const start = new DataView(pointer.buffer, pointer.byteOffset, 4).getUint32(0, little);
    const comment = readComment(entries(view, little, start).get(COMMENT_TAG), little);
    if (comment && !texts.has("parameters")) texts.set("parameters", comment);
  }
  return texts;
}

function entries(view: DataView, little: boolean, start: number): Map<number, Uint8Array> {
  const found = new Map<number, Uint8Array>();
  if (start + 2 > view.byteLength) return found;
  const count = Math.min(view.getUint16(start, little), MOST_ENTRIES);
  for (let index = 0; index < count; index += 1) {
    const at = start + 2 + 12 * index;
    if (at + 12 > view.byteLength) break;
    const kind = view.getUint16(at + 2, little);
    const size = view.getUint32(at + 4, little);
    const isLong = kind === 4 && size === 1;
    if (!isLong && ![1, 2, 7].includes(kind)) continue;
    const place = isLong || size <= 4 ? at + 8 : view.getUint32(at + 8, little);
    const from = Math.min(place, view.byteLength);
    const length = Math.min(isLong ? 4 : size, view.byteLength - from);
    found.set(view.getUint16(at, little), new Uint8Array(view.buffer, view.byteOffset + from, length));
  }
  return found;
}

function readComment(value: Uint8Array | undefined, little: boolean): string {
  if (!value) return "";
  const body = value.subarray(8);
  if (startsWith(value, "UNICODE\0")) {
    // UTF-16 of an order that the standard leaves open: the zero bytes of plain letters tell.
    const zeros = [0, 0];
    body.forEach((byte, index) => {
      if (byte === 0) zeros[index % 2] = (zeros[index % 2] ?? 0) + 1;
    });
    const big = body.length ? (zeros[0] ?? 0) > (zeros[1] ?? 0) : !little;
    return new TextDecoder(big ? "utf-16be" : "utf-16le").decode(body).replace(/^[\0\ufeff]+|[\0\ufeff]+$/g, "");
  }
  const plain = startsWith(value, "ASCII\0\0\0") || value.subarray(0, 8).every((byte) => byte === 0);
  return plain ? decode(body) : "";
}

/** UTF-8, or Latin-1 where it is none; without zeros at its end. */
export function decode(given: Uint8Array): string {
  let end = given.length;
  while (end > 0 && given[end - 1] === 0) end -= 1;
  const bytes = given.subarray(0, end);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return latin1(bytes);
  }
}

export function latin1(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return text;
}

export function startsWith(bytes: Uint8Array, text: string, at = 0): boolean {
  return at + text.length <= bytes.length && [...text].every((letter, i) => bytes[at + i] === letter.charCodeAt(0));
}
