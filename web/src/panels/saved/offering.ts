// Work that another browser left unsaved is offered once, when the page opens; nothing opens by itself.

import { t } from "../../i18n/t";
import type { Editor } from "../../state/editor";
import { ask, leftDrafts } from "../../state/saving";
import { say } from "../../state/ui";

const SEEN = "nodegraph.drafts"; // until when drafts were offered, milliseconds since the epoch

export async function offerDrafts(editor: Editor, storage: Pick<Storage, "getItem" | "setItem">): Promise<void> {
  try {
    const seen = Number(storage.getItem(SEEN) ?? 0);
    const latest = (await leftDrafts(editor)).find(({ here, saved }) => !here && saved > seen);
    if (!latest) return;
    storage.setItem(SEEN, String(latest.saved));
    const name = latest.name || t("tabs.unnamed");
    const act = { label: t("offer.show"), run: () => ask(editor, { kind: "graphs" }) };
    say(editor.ui, t("offer.text", { name }), false, act);
  } catch {
    // They are offered the next time, and are in the list of graphs.
  }
}
