// What runs and what waits: each can be cancelled, what waits can be first; all of it can pause.

import { useEffect, useState } from "react";

import { t } from "../i18n/t";
import { useEditor } from "../state/context";
import { say } from "../state/ui";
import { useJobs } from "./jobs";

export function Queue() {
  const editor = useEditor();
  const { api, ui } = editor;
  const [jobs, ask] = useJobs(["in_progress", "pending"], 100);
  const [paused, setPaused] = useState(false);
  useEffect(() => {
    api.queueState().then(
      (state) => setPaused(state.paused),
      () => undefined, // the list says it already
    );
  }, [api]);
  const doing = (work: Promise<unknown>): void => {
    work.then(ask, (error: unknown) => say(ui, error instanceof Error ? error.message : String(error), true));
  };
  const pause = async (): Promise<void> => {
    await api.pause(!paused);
    setPaused(!paused);
  };
  const sorted = jobs.toSorted((a, b) => Number(b.status === "in_progress") - Number(a.status === "in_progress") || a.priority - b.priority);
  return (
    <>
      <div className="side-buttons">
        <button type="button" onClick={() => doing(pause())}>
          {t(paused ? "queue.resume" : "queue.pause")}
        </button>
        <button type="button" onClick={() => doing(api.clearQueue())} disabled={!jobs.some((job) => job.status === "pending")}>
          {t("queue.clear")}
        </button>
      </div>
      {!jobs.length && <p className="none">{t("queue.none")}</p>}
      <ul className="queue">
        {sorted.map((job) => (
          <li key={job.id}>
            <span className="job-state" data-state={job.status} />
            <span>{t(job.status === "in_progress" ? "status.running" : "status.pending")}</span>
            <code>{job.id.slice(0, 8)}</code>
            {job.status === "pending" && (
              <button type="button" onClick={() => doing(api.move(job.id, "front"))}>
                {t("queue.front")}
              </button>
            )}
            <button type="button" aria-label={`${t("queue.cancel")} ${job.id.slice(0, 8)}`} onClick={() => doing(editor.cancel(job.id))}>
              {t("bar.cancel")}
            </button>
          </li>
        ))}
      </ul>
    </>
  );
}
