// The graph as a file on the user's own computer.

import { t } from "../i18n/t";
import type { Editor } from "../state/editor";
import { say } from "../state/ui";

export function downloadGraph(editor: Editor): void {
  const name = `${editor.ui.getState().name || "graph"}.json`;
  download(new Blob([editor.text()], { type: "application/json" }), name);
  say(editor.ui, t("files.downloaded", { name }));
}

function download(content: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
