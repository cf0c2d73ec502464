// Saving the graph as a file of the browser's.

import { t } from "../i18n/t";
import type { Editor } from "../state/editor";
import { say } from "../state/ui";

export function saveFile(editor: Editor): void {
  const name = `${editor.ui.getState().name || "graph"}.json`;
  download(new Blob([editor.text()], { type: "application/json" }), name);
  editor.document.markSaved();
  say(editor.ui, t("say.saved", { name }));
}

function download(content: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
