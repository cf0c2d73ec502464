// The page's words. All of them are in en.json; {name} in one is replaced.

import en from "./en.json";

export type Words = keyof typeof en;

/** The words for a key, with `{name}` replaced by what `given` has of that name. */
export function t(key: Words, given: Readonly<Record<string, string | number | bigint>> = {}): string {
  return en[key].replace(/\{(\w+)\}/g, (whole, name: string) => String(given[name] ?? whole));
}
