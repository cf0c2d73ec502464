// The painting of masks, loaded when it is first wanted.

import type { ComponentType } from "react";
import { useEffect, useState } from "react";

import type { NodeId } from "../doc/graph";
import { t } from "../i18n/t";
import { useEditor, useUi } from "../state/context";
import { say } from "../state/ui";

export function Masking() {
  const { ui } = useEditor();
  const masking = useUi((state) => state.masking);
  const [Dialog, setDialog] = useState<ComponentType<{ readonly id: NodeId }> | null>(null);
  const wanted = masking !== null && Dialog === null;
  useEffect(() => {
    if (!wanted) return;
    import("./mask/MaskDialog").then(
      (loaded) => setDialog(() => loaded.MaskDialog),
      () => {
        ui.setState({ masking: null });
        say(ui, t("mask.unloaded"), true);
      },
    );
  }, [wanted, ui]);
  return masking !== null && Dialog && <Dialog key={masking} id={masking} />;
}
