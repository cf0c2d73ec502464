// JSON without loss: integers beyond 2^53 (seeds go to 2^64 - 1) are bigint, and NaN and the
// infinities, which some programs write although JSON has none, are null.

export type Json = null | boolean | number | bigint | string | JsonList | JsonObject;
export type JsonList = readonly Json[];
export interface JsonObject {
  readonly [name: string]: Json;
}

const BIG = "\u0000big:";
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|-?Infinity|NaN/g;

/** JSON text as data. Throws SyntaxError. */
export function parseJson(text: string): Json {
  const special = /\d{16,}|Infinity|NaN/.test(text);
  const plain = special ? text.replace(TOKENS, marked) : text;
  return special ? (JSON.parse(plain, unmarked) as Json) : (JSON.parse(plain) as Json);
}

/** Data as JSON text, on one line or with `indent` spaces a level. */
export function formatJson(data: Json, indent = 0): string {
  const text = JSON.stringify(
    data,
    (_name, value: unknown) => (typeof value === "bigint" ? BIG + value.toString() : value),
    indent,
  );
  return text.replace(/"\\u0000big:(-?\d+)"/g, "$1");
}

function marked(token: string): string {
  if (token.startsWith('"')) return token;
  if (token.endsWith("y") || token === "NaN") return "null";
  const large = /^-?\d{16,}$/.test(token) && !Number.isSafeInteger(Number(token));
  return large ? JSON.stringify(BIG + token) : token;
}

function unmarked(_name: string, value: unknown): unknown {
  return typeof value === "string" && value.startsWith(BIG) ? BigInt(value.slice(BIG.length)) : value;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isList(value: unknown): value is JsonList {
  return Array.isArray(value);
}

/** The object, or {} for anything else. */
export function asObject(value: Json | undefined): JsonObject {
  return isObject(value) ? value : {};
}

/** The list, or [] for anything else. */
export function asList(value: Json | undefined): JsonList {
  return isList(value) ? value : [];
}

export function asText(value: Json | undefined, otherwise = ""): string {
  return typeof value === "string" ? value : otherwise;
}

/** The finite number (a bigint too), or what is given for anything else. */
export function asNumber(value: Json | undefined, otherwise: number): number {
  const number = typeof value === "bigint" ? Number(value) : value;
  return typeof number === "number" && Number.isFinite(number) ? number : otherwise;
}

/** The integer as a number if that is exact, else as a bigint. */
export function exact(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** Whether two values are the same JSON. */
export function sameJson(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b) return true;
  if (isList(a) && isList(b)) {
    return a.length === b.length && a.every((item, index) => sameJson(item, b[index]));
  }
  if (!isObject(a) || !isObject(b)) return false;
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length &&
    names.every((name) => Object.hasOwn(b, name) && sameJson(a[name], b[name]))
  );
}
