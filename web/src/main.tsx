import "./styles/tokens.css";
import "./styles/page.css";

import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { App } from "./panels/App";
import { clientId } from "./protocol/client";
import { Connection, socketUrl } from "./protocol/connection";
import { Api } from "./protocol/http";
import { EditorContext } from "./state/context";
import { Drafts } from "./state/drafts";
import { Editor } from "./state/editor";
import { Runtime } from "./state/runtime";
import { makeServerStore } from "./state/server";
import { makeUiStore } from "./state/ui";

const client = clientId(sessionStorage);
const api = new Api();
const connection = new Connection({ url: socketUrl(location.href, client) });
const runtime = new Runtime((id) => id.split(":")[0] ?? id);
const editor = new Editor({
  api,
  connection,
  runtime,
  server: makeServerStore(api, connection),
  ui: makeUiStore(localStorage),
  drafts: new Drafts(client),
  client,
});

connection.subscribe((event) => {
  if (event.kind === "job") runtime.hear(event.message);
  if (event.kind === "picture") runtime.show(event.picture);
  if (event.kind === "lost") runtime.lost(event.jobId);
});
const stop = editor.server.subscribe(({ catalogue }) => {
  if (!catalogue) return;
  stop();
  void editor.begin();
});
addEventListener("online", () => connection.retryNow());
addEventListener("visibilitychange", () => void (document.hidden && editor.keep()));
addEventListener("pagehide", () => void editor.keep());
connection.connect();

const root = document.getElementById("root");
if (!root) throw new Error("index.html has no element with the id root");
createRoot(root).render(
  <StrictMode>
    <EditorContext value={editor}>
      <App />
    </EditorContext>
  </StrictMode>,
);
