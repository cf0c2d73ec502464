// The panel at the side: examples, queue, gallery, errors; one at a time.

import type { ReactNode } from "react";

import { ExtensionPanel, PanelIcon } from "../ext/ExtensionPanel";
import { useExtensions } from "../ext/context";
import { t } from "../i18n/t";
import { useEditor, useUi } from "../state/context";
import type { PanelName } from "../state/ui";
import { extensionPanel } from "../state/ui";
import { Errors, useTroubles } from "./Errors";
import { Gallery } from "./Gallery";
import { Icon } from "./icons";
import { Queue } from "./Queue";
import { Templates } from "./Templates";

const PANELS: readonly PanelName[] = ["templates", "queue", "gallery", "errors"];
const CONTENTS: Readonly<Record<PanelName, () => ReactNode>> = {
  templates: () => <Templates />,
  queue: () => <Queue />,
  gallery: () => <Gallery />,
  errors: () => <Errors />,
};

export function Side() {
  const { ui } = useEditor();
  const panel = useUi((state) => state.panel);
  const { panels, failures } = useExtensions();
  const troubles = useTroubles().length + failures.length;
  const own = panels.find(({ id }) => panel === extensionPanel(id));
  const known = PANELS.find((each) => each === panel);
  const title = own ? own.panel.title : known ? t(`panel.${known}`) : null;
  return (
    <>
      <nav className="rail" aria-label={t("bar.panels")}>
        {PANELS.map((each) => (
          <button
            key={each}
            type="button"
            className="button"
            aria-expanded={panel === each}
            aria-label={each === "errors" && troubles ? `${t(`panel.${each}`)}: ${troubles}` : t(`panel.${each}`)}
            title={t(`panel.${each}`)}
            onClick={() => ui.setState({ panel: panel === each ? null : each })}
          >
            <Icon name={each} />
            <span className="rail-words">{t(`panel.${each}`)}</span>
            {each === "errors" && troubles > 0 && <span className="badge">{troubles}</span>}
          </button>
        ))}
        {panels.map((entry) => (
          <button
            key={entry.id}
            type="button"
            className="button"
            aria-expanded={entry === own}
            aria-label={entry.panel.title}
            title={entry.panel.title}
            onClick={() => ui.setState({ panel: entry === own ? null : extensionPanel(entry.id) })}
          >
            <PanelIcon entry={entry} />
            <span className="rail-words">{entry.panel.title}</span>
          </button>
        ))}
      </nav>
      {title !== null && (
        <aside className="side" aria-label={title}>
          <div className="side-top">
            <h2>{title}</h2>
            <button type="button" className="button" aria-label={t("panel.close")} onClick={() => ui.setState({ panel: null })}>
              <Icon name="close" />
            </button>
          </div>
          <div className="side-body">{own ? <ExtensionPanel key={own.id} entry={own} /> : known && CONTENTS[known]()}</div>
        </aside>
      )}
    </>
  );
}
