// Who this page is to the server: an id that lives as long as the tab, so that a page that is
// reloaded hears of the jobs it submitted.

const KEY = "nodegraph.client";

/** The tab's id, made at its first use. */
export function clientId(storage: Pick<Storage, "getItem" | "setItem">): string {
  const known = storage.getItem(KEY);
  if (known) return known;
  const made = newId();
  storage.setItem(KEY, made);
  return made;
}

/** An id for a client or a job: a UUID. crypto.randomUUID is missing on pages over plain HTTP. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
