// Words to the user, at the bottom of the page.

import { t } from "../i18n/t";
import { useEditor, useUi } from "../state/context";
import { dismiss } from "../state/ui";
import { Icon } from "./icons";

export function Sayings() {
  const { ui } = useEditor();
  const sayings = useUi((state) => state.sayings);
  return (
    <div className="sayings" aria-live="polite">
      {sayings.map(({ id, text, problem, act }) => (
        <div key={id} className="saying" data-problem={problem} role={problem ? "alert" : "status"}>
          <span>{text}</span>
          {act && (
            <button
              type="button"
              className="saying-act"
              onClick={() => {
                dismiss(ui, id);
                act.run();
              }}
            >
              {act.label}
            </button>
          )}
          <button type="button" className="button" aria-label={t("say.dismiss")} onClick={() => dismiss(ui, id)}>
            <Icon name="close" />
          </button>
        </div>
      ))}
    </div>
  );
}
