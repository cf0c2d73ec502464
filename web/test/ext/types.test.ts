// The types that are shipped for authors: their own checker has to be content with the plugins that
// come along and with the examples of the documentation, and to see mistakes.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, expect, test } from "vitest";

const WEB = join(import.meta.dirname, "../..");
const HOME = join(WEB, "..");
const FOLDER = mkdtempSync(join(tmpdir(), "extension-"));
const TYPES = readFileSync(join(WEB, "src/ext/extension.d.ts"), "utf8");

afterAll(() => rmSync(FOLDER, { recursive: true }));

/** What the checker says of files: "" if it is content. */
function complaints(files: readonly string[]): string {
  const config = join(FOLDER, "tsconfig.json");
  writeFileSync(config, JSON.stringify({ extends: join(WEB, "test/ext/tsconfig.json"), files }));
  try {
    execFileSync(join(WEB, "node_modules/.bin/tsc"), ["-p", config], { encoding: "utf8", stdio: "pipe" });
    return "";
  } catch (error) {
    return String((error as { stdout?: unknown }).stdout);
  }
}

function module(name: string, text: string): string {
  writeFileSync(join(FOLDER, "extension.d.ts"), TYPES);
  writeFileSync(join(FOLDER, name), text);
  return join(FOLDER, name);
}

test("the plugins that come along fit the types", { timeout: 60_000 }, () => {
  const plugins = join(HOME, "plugins");
  const scripts = readdirSync(plugins, { recursive: true, encoding: "utf8" })
    .filter((path) => /^\w+\/web\/[\w-]+\.js$/.test(path))
    .map((path) => join(plugins, path));

  expect(scripts.length).toBeGreaterThan(1);
  expect(complaints(scripts)).toBe("");
});

test("the examples in docs/plugins.md fit them as well", { timeout: 60_000 }, () => {
  const text = readFileSync(join(HOME, "docs/plugins.md"), "utf8");
  const examples = [...text.matchAll(/```js\n([\s\S]*?)```/g)].map(([, code = ""]) => code);

  expect(examples.length).toBeGreaterThan(0);
  expect(complaints(examples.map((code, index) => module(`example${index}.js`, code)))).toBe("");
});

test("mistakes are seen", { timeout: 60_000 }, () => {
  const wrong = module(
    "wrong.js",
    `/** @param {import("./extension").Api} api */
    export function setup(api) {
      api.registerPanel({ id: "a", mount() {} });
      api.registerWidget({ kind: "INT" }, { mount() {} });
      api.onEvent("nothing", () => {});
      api.graph.change("a", (edit) => edit.setValue(1, "steps", 2));
      api.version = 2;
    }`,
  );

  const said = complaints([wrong]);

  for (const line of [3, 4, 5, 6, 7]) expect(said).toContain(`wrong.js(${line},`);
});
