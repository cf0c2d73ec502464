// The dialogs about files, loaded when the first one is shown; and the page's title.

import { Suspense, lazy, useEffect } from "react";
import { useStore } from "zustand";

import { t } from "../../i18n/t";
import { useEditor } from "../../state/context";
import { offerDrafts } from "./offering";

const Dialogs = lazy(() => import("./Dialogs"));

export function Files() {
  const editor = useEditor();
  const dialog = useStore(editor.tabs.store, (state) => state.dialog);
  const title = useStore(editor.tabs.store, ({ tabs, shown }) => {
    const tab = tabs.find(({ id }) => id === shown);
    return tab?.name ? `${tab.dirty ? "● " : ""}${tab.name} – ${t("app.name")}` : t("app.name");
  });
  useEffect(() => {
    document.title = title;
  }, [title]);
  useEffect(() => void offerDrafts(editor, localStorage), [editor]);
  return (
    <Suspense fallback={null}>
      {dialog && <Dialogs dialog={dialog} />}
    </Suspense>
  );
}
