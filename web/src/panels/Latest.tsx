// The last picture of the run, for screens on which the node that shows it is often out of sight.

import { useCallback, useSyncExternalStore } from "react";

import { asList } from "../doc/json";
import { t } from "../i18n/t";
import { useEditor } from "../state/context";
import type { Runtime } from "../state/runtime";
import { fileOf } from "../widgets/Picture";

const NARROW = "(width < 640px)"; // as in small.css

function useNarrow(): boolean {
  return useSyncExternalStore(
    useCallback((listener) => {
      const media = matchMedia(NARROW);
      media.addEventListener("change", listener);
      return () => media.removeEventListener("change", listener);
    }, []),
    () => matchMedia(NARROW).matches,
  );
}

export function Latest() {
  return useNarrow() && <Thumbnail />;
}

function Thumbnail() {
  const { api, runtime, ui } = useEditor();
  const made = useSyncExternalStore(
    useCallback((listener: () => void) => runtime.subscribeNodes(listener), [runtime]),
    () => latest(runtime),
  );
  if (made === null) return null;
  const file = fileOf(made);
  return (
    <button
      type="button"
      className="latest"
      aria-label={t("latest.show")}
      onClick={() => ui.setState({ shown: { file, job: runtime.shownJob?.id ?? null } })}
    >
      <img src={api.viewUrl(file, { preview: "webp;80" })} alt="" />
    </button>
  );
}

/** What the server said of the last picture; the same object while there is no other. */
function latest(runtime: Runtime): Parameters<typeof fileOf>[0] | null {
  return [...runtime.nodes()].flatMap(([, { output }]) => [...asList(output?.["images"])]).at(-1) ?? null;
}
