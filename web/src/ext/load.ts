// Extensions: which there are, imported one after the other, each whole or not at all. What is wrong
// with one is noted with its name, and the others go on.

import type { PluginInfo } from "../protocol/shapes";
import type { Editor } from "../state/editor";
import { VERSION, makeApi } from "./api";
import type { Api, Extension } from "./extension";
import type { Registry } from "./registry";

export type Import = (url: string) => Promise<unknown>;

const PATIENCE = 15_000; // milliseconds for a setup

const imported: Import = (url) => import(/* @vite-ignore */ url);

/** Loads the extensions of all plugins. Never rejects. */
export async function loadExtensions(
  editor: Editor,
  registry: Registry,
  load: Import = imported,
  patience = PATIENCE,
): Promise<void> {
  let plugins: readonly PluginInfo[];
  try {
    plugins = await editor.api.plugins();
  } catch {
    return; // the server is gone; it is noticed elsewhere
  }
  for (const { name, web = [] } of plugins) {
    const base = `${editor.api.base}/api/plugins/${encodeURIComponent(name)}/web/`;
    const api = makeApi(editor, registry, name, base);
    for (const file of web) await setUp(api, file, registry, () => load(base + encodeURIComponent(file)), patience);
  }
}

async function setUp(
  api: Api,
  file: string,
  registry: Registry,
  load: () => Promise<unknown>,
  patience: number,
): Promise<void> {
  const before = registry.state();
  try {
    await inTime(begin(load, api), patience);
  } catch (error) {
    registry.withdraw(api.plugin, before);
    registry.fail(api.plugin, file, error);
  }
}

async function begin(load: () => Promise<unknown>, api: Api): Promise<void> {
  const { needs = VERSION, setup } = (await load()) as Partial<Extension>;
  if (needs > VERSION) throw new Error(`it needs version ${needs} of the page's interface, which is at ${VERSION}`);
  if (typeof setup !== "function") throw new Error("it exports no function setup");
  await setup(api);
}

/** Rejects if it takes too long: the others wait for it. */
async function inTime(work: Promise<void>, patience: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("its setup does not end")), patience);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
