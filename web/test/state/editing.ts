// An editor without a page: the server is what the test says, everything else is real.

import { createStore } from "zustand/vanilla";

import type { Graph } from "../../src/doc/graph";
import { Connection } from "../../src/protocol/connection";
import { Api } from "../../src/protocol/http";
import type { Fetch } from "../../src/protocol/http";
import { Drafts } from "../../src/state/drafts";
import { Editor } from "../../src/state/editor";
import { Runtime } from "../../src/state/runtime";
import type { ServerState } from "../../src/state/server";
import { makeUiStore } from "../../src/state/ui";
import { CATALOGUE } from "../support";

export function editorWith(graph: Graph, fetch: Fetch = () => Promise.reject(new Error("no server"))): Editor {
  const values = new Map<string, string>();
  const storage = {
    getItem: (name: string) => values.get(name) ?? null,
    setItem: (name: string, value: string) => void values.set(name, value),
  };
  const editor = new Editor({
    api: new Api("", fetch),
    connection: new Connection({ url: "ws://nowhere", open: () => Object.create(null) as never }),
    runtime: new Runtime(),
    server: createStore<ServerState>(() => ({
      connection: { kind: "open" },
      catalogue: CATALOGUE,
      queueRemaining: 0,
      problem: null,
      refresh: async () => undefined,
    })),
    ui: makeUiStore(storage),
    drafts: new Drafts("tab"),
    client: "client",
  });
  editor.document.reset(graph);
  return editor;
}
