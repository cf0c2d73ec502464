// The list of keys.

import { useEffect, useRef } from "react";

import { t } from "../i18n/t";
import { useEditor, useUi } from "../state/context";
import { GESTURES, KEYS } from "./shortcuts";

export function Keys() {
  return useUi((state) => state.keys) && <Sheet />;
}

function Sheet() {
  const { ui } = useEditor();
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  const close = (): void => ui.setState({ keys: false });
  return (
    <dialog
      ref={dialog}
      className="keys"
      aria-label={t("keys.label")}
      onClose={close}
      onClick={(event) => event.target === event.currentTarget && close()}
    >
      <h2>{t("keys.label")}</h2>
      <dl>
        {KEYS.map(({ keys, words }) => (
          <div key={words}>
            <dt>{keys.map((key) => <kbd key={key}>{key}</kbd>)}</dt>
            <dd>{words}</dd>
          </div>
        ))}
        {GESTURES.map(([gesture, words]) => (
          <div key={gesture}>
            <dt><kbd>{gesture}</kbd></dt>
            <dd>{words}</dd>
          </div>
        ))}
      </dl>
      <button type="button" onClick={close}>
        {t("keys.close")}
      </button>
    </dialog>
  );
}
