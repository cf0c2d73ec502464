// What can be done with what is selected, for those who use no keys.

import type { Words } from "../i18n/t";
import { t } from "../i18n/t";
import { useEditor, useUi } from "../state/context";
import type { CommandId } from "./commands";
import { commandOf } from "./commands";
import { Icon } from "./icons";
import { LINES } from "./Menu";
import { openMenu } from "./opening";

type Action = readonly [CommandId, Words];

const SWITCHES: readonly Action[] = [["mute", "do.mute"], ["bypass", "do.bypass"], ["collapse", "do.collapse"]];
const NODES: readonly Action[] = [...SWITCHES, ["group", "do.group"], ["duplicate", "do.duplicate"]];
const GROUPS: readonly Action[] = [...SWITCHES, ["rename", "do.title"], ["duplicate", "do.duplicate"]];
const CABLES: readonly Action[] = [["bend", "do.reroute"]];

export function Selection() {
  const editor = useEditor();
  const nodes = useUi((state) => state.nodes.size);
  const groups = useUi((state) => state.groups.size);
  const cables = useUi((state) => state.cables.size);
  if (!nodes && !groups && !cables) return null;
  const actions = nodes ? NODES : groups ? GROUPS : CABLES;
  return (
    <div className="selection" role="toolbar" aria-label={t("selection.label")}>
      {actions.map(([id, words]) => (
        <button key={id} type="button" onClick={() => commandOf(id).act(editor)}>
          {t(words)}
        </button>
      ))}
      {nodes > 1 && (
        <span className="selection-lines" role="group" aria-label={t("do.align")}>
          {LINES.map(([id, icon]) => (
            <button
              key={id}
              type="button"
              className="menu-sign"
              aria-label={t(`cmd.${id}`)}
              title={t(`cmd.${id}`)}
              onClick={() => commandOf(id).act(editor)}
            >
              <Icon name={icon} />
            </button>
          ))}
        </span>
      )}
      {nodes + groups > 0 && (
        <button type="button" aria-haspopup="menu" onClick={() => openMenu(editor)}>
          {t("do.more")}
        </button>
      )}
      <button type="button" onClick={() => commandOf("remove").act(editor)}>
        {t("do.remove")}
      </button>
    </div>
  );
}
