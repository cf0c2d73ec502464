// The open graphs, once there is more than one: a row above the canvas.

import { useStore } from "zustand";

import { EMPTY } from "../../doc/graph";
import { fresh } from "../../doc/history";
import { t } from "../../i18n/t";
import { useEditor } from "../../state/context";
import { Icon } from "../icons";
import "./tabs.css";

export function Tabs() {
  const { tabs } = useEditor();
  const open = useStore(tabs.store, (state) => state.tabs);
  const shown = useStore(tabs.store, (state) => state.shown);
  if (open.length < 2) return null;
  return (
    <nav className="tabs" aria-label={t("tabs.label")}>
      <ul>
        {open.map(({ id, name: given, dirty }) => {
          const name = given || t("tabs.unnamed");
          return (
            <li key={id} className="tab" data-shown={id === shown}>
              <button
                type="button"
                className="tab-name"
                aria-current={id === shown ? "page" : undefined}
                aria-label={dirty ? t("tabs.unsaved", { name }) : name}
                title={name}
                onClick={() => tabs.show(id)}
                onAuxClick={(event) => event.button === 1 && tabs.close(id)}
              >
                <span>{name}</span>
                {dirty && <span aria-hidden="true">●</span>}
              </button>
              <button type="button" className="tab-close" aria-label={t("tabs.close", { name })} onClick={() => tabs.close(id)}>
                <Icon name="close" />
              </button>
            </li>
          );
        })}
      </ul>
      <button
        type="button"
        className="button"
        aria-label={t("tabs.new")}
        title={t("tabs.new")}
        onClick={() => void tabs.add(fresh({ ...EMPTY }), "")}
      >
        <Icon name="add" />
      </button>
    </nav>
  );
}
