import "./styles/tokens.css";
import "./styles/page.css";

import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { ExtensionsContext } from "./ext/context";
import { Registry } from "./ext/registry";
import { App } from "./panels/App";
import { Connection, socketUrl } from "./protocol/connection";
import { Api } from "./protocol/http";
import { EditorContext } from "./state/context";
import { Drafts } from "./state/drafts";
import { Editor } from "./state/editor";
import { loadKeymap } from "./state/keymap";
import { enter } from "./state/presence";
import { narrate } from "./state/narrator";
import { Runtime } from "./state/runtime";
import { keepLive } from "./state/live";
import { catchUp } from "./state/saving";
import { makeServerStore } from "./state/server";
import { makeUiStore } from "./state/ui";

import "./styles/small.css"; // the last one: it adapts what the others lay out

const { id: client, twin } = await enter(sessionStorage);
const api = new Api();
const connection = new Connection({ url: socketUrl(location.href, client) });
const runtime = new Runtime((id) => id.split(":")[0] ?? id);
const editor = new Editor({
  api,
  connection,
  runtime,
  server: makeServerStore(api, connection),
  ui: makeUiStore(localStorage),
  drafts: new Drafts(client, twin),
  client,
});

connection.subscribe((event) => editor.tabs.hear(event));
const extensions = new Registry();
const stop = editor.server.subscribe(({ catalogue }) => {
  if (!catalogue) return;
  stop();
  void editor.begin().then(() => catchUp(editor));
  void loadKeymap(editor);
  void import("./ext/load").then(({ loadExtensions }) => loadExtensions(editor, extensions));
});
keepLive(editor);
narrate(editor, () => document.activeElement?.matches("input, textarea, select") === true);
addEventListener("online", () => connection.retryNow());
addEventListener("visibilitychange", () => void (document.hidden ? editor.keep() : catchUp(editor)));
addEventListener("pagehide", () => void editor.keep());
connection.connect();

const root = document.getElementById("root");
if (!root) throw new Error("index.html has no element with the id root");
createRoot(root).render(
  <StrictMode>
    <EditorContext value={editor}>
      <ExtensionsContext value={extensions}>
        <App />
      </ExtensionsContext>
    </EditorContext>
  </StrictMode>,
);
