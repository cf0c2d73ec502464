import { resolve } from "node:path";

import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

import { buildNote, extensionTypes } from "./build-note.ts";

const SERVER = process.env["NODEGRAPH_SERVER"] ?? "http://127.0.0.1:8188";

// Names are stable, so that a new build is a small change of what is committed; the server tells
// browsers to ask whether a file is still the same.
export default defineConfig({
  plugins: [react(), buildNote(import.meta.dirname), extensionTypes(import.meta.dirname)],
  build: {
    outDir: "dist",
    emptyOutDir: true,
    target: "es2022",
    sourcemap: false,
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 700,
    rolldownOptions: {
      input: resolve(import.meta.dirname, "index.html"),
      output: {
        entryFileNames: "assets/[name].js",
        chunkFileNames: "assets/[name].js",
        assetFileNames: "assets/[name][extname]",
        // What several parts share is one file: a file for each would be dozens of requests.
        codeSplitting: {
          groups: [
            { name: "vendor", test: /node_modules/ },
            { name: "shared", test: /src/, minShareCount: 2 },
          ],
        },
      },
    },
  },
  server: {
    proxy: {
      "/api": { target: SERVER, changeOrigin: true, headers: { Origin: SERVER } },
      "/ws": { target: SERVER, ws: true, changeOrigin: true, headers: { Origin: SERVER } },
    },
  },
  test: {
    include: ["test/**/*.test.{ts,tsx}"],
    environment: "node",
    restoreMocks: true,
  },
});
