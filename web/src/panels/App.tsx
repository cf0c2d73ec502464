// The whole page.

import { useEffect } from "react";
import { useStore } from "zustand";

import { Canvas } from "../canvas/Canvas";
import { t } from "../i18n/t";
import { useCatalogue, useEditor, useUi } from "../state/context";
import { Curves } from "./Curves";
import { HintChoice } from "./HintChoice";
import { Keys } from "./Keys";
import { Masking } from "./Masking";
import { Openings } from "./Openings";
import { Palette } from "./Palette";
import { Looking } from "./pictures/Looking";
import { Sayings } from "./Sayings";
import { Files } from "./saved/Files";
import { Tabs } from "./saved/Tabs";
import { Selection } from "./Selection";
import { useShortcuts } from "./shortcuts";
import { Side } from "./Side";
import { Toolbar } from "./Toolbar";

export function App() {
  const { server, connection } = useEditor();
  const catalogue = useCatalogue();
  const state = useStore(server, (now) => now.connection);
  const theme = useUi((now) => now.theme);
  const density = useUi((now) => now.density);
  useEffect(() => {
    document.documentElement.dataset["theme"] = theme;
    document.documentElement.dataset["density"] = density;
  }, [theme, density]);
  useShortcuts();
  if (!catalogue) {
    return (
      <main className="loading">
        <p role="status">{state.kind === "waiting" ? t("status.waiting") : t("app.loading")}</p>
        {state.kind === "waiting" && (
          <button type="button" onClick={() => connection.retryNow()}>
            {t("status.retry")}
          </button>
        )}
      </main>
    );
  }
  return (
    <div className="page">
      <Toolbar />
      <Side />
      <main className="stage">
        <Tabs />
        <Canvas />
        <Selection />
      </main>
      <Palette />
      <Openings />
      <HintChoice />
      <Looking />
      <Masking />
      <Curves />
      <Keys />
      <Files />
      <Sayings />
    </div>
  );
}
