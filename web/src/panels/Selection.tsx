// What can be done with what is selected, for those who use no keys.

import { t } from "../i18n/t";
import {
  duplicateSelected, groupSelected, removeSelected, toggleSelectedLook, toggleSelectedMode,
} from "../state/actions";
import { useEditor, useUi } from "../state/context";

export function Selection() {
  const editor = useEditor();
  const nodes = useUi((state) => state.nodes.size);
  const others = useUi((state) => state.groups.size + state.cables.size);
  if (!nodes && !others) return null;
  return (
    <div className="selection" role="toolbar" aria-label={t("selection.label")}>
      {nodes > 0 && (
        <>
          <button type="button" onClick={() => toggleSelectedMode(editor, "muted")}>{t("do.mute")}</button>
          <button type="button" onClick={() => toggleSelectedMode(editor, "bypassed")}>{t("do.bypass")}</button>
          <button type="button" onClick={() => toggleSelectedLook(editor, "collapsed")}>{t("do.collapse")}</button>
          <button type="button" onClick={() => groupSelected(editor)}>{t("do.group")}</button>
          <button type="button" onClick={() => duplicateSelected(editor)}>{t("do.duplicate")}</button>
        </>
      )}
      <button type="button" onClick={() => removeSelected(editor)}>{t("do.remove")}</button>
    </div>
  );
}
