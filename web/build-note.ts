// dist/BUILD.json: a hash of all that the page is built from, so that a test without Node can tell
// whether the page that is committed was built from the sources that are.
//
// sha256 over the sources sorted by path: path, NUL, bytes with \r\n as \n, NUL.

import { createHash } from "node:crypto";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join, relative } from "node:path";

import type { Plugin } from "vite";

/** Files and folders that the page is built from. tests/test_web_dist.py has the same list. */
export const SOURCES = [
  "build-note.ts",
  "index.html",
  "package-lock.json",
  "package.json",
  "src",
  "tsconfig.json",
  "vite.config.ts",
];

/** The files, by their paths from `root` with "/", sorted by code points. */
export function sourceFiles(root: string): string[] {
  const paths = SOURCES.flatMap((source) => {
    if (statSync(join(root, source)).isFile()) return [source];
    const inside = readdirSync(join(root, source), { recursive: true, withFileTypes: true });
    const files = inside.filter((entry) => entry.isFile() && !entry.name.startsWith("."));
    return files.map((entry) => relative(root, join(entry.parentPath, entry.name)).replaceAll("\\", "/"));
  });
  return paths.sort();
}

/** The hash of the sources. */
export function sourceHash(root: string): string {
  const hash = createHash("sha256");
  for (const path of sourceFiles(root)) {
    const content = readFileSync(join(root, path)).toString("latin1").replaceAll("\r\n", "\n");
    hash.update(`${path}\0`).update(Buffer.from(content, "latin1")).update("\0");
  }
  return hash.digest("hex");
}

/** Writes BUILD.json beside the built page. */
export function buildNote(root: string): Plugin {
  return {
    name: "build-note",
    apply: "build",
    generateBundle() {
      const note = { sources: sourceHash(root) };
      this.emitFile({ type: "asset", fileName: "BUILD.json", source: `${JSON.stringify(note)}\n` });
    },
  };
}

/** Puts the types for authors of extensions beside the page, so that a server has those of its page. */
export function extensionTypes(root: string): Plugin {
  const source = join(root, "src/ext/extension.d.ts");
  return {
    name: "extension-types",
    apply: "build",
    generateBundle() {
      this.emitFile({ type: "asset", fileName: "assets/extension.d.ts", source: readFileSync(source, "utf8") });
    },
  };
}
