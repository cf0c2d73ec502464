// A job of the queue: one that runs or waits, and one that has ended.

import { useSyncExternalStore } from "react";
import type { KeyboardEvent } from "react";

import { wordsOf } from "../../doc/recipe";
import type { Words } from "../../i18n/t";
import { t } from "../../i18n/t";
import type { JobStatus, JobSummary } from "../../protocol/shapes";
import { useEditor } from "../../state/context";
import { openGraph } from "../../state/pictures";
import type { Run } from "../../state/runs";
import { hasEnded } from "../../state/runs";
import { useRun } from "../pictures/GalleryRun";
import { SMALL } from "../pictures/Thumb";
import type { Drag } from "./useDrag";

const STATES: Readonly<Record<JobStatus, Words>> = {
  pending: "status.pending",
  in_progress: "status.running",
  completed: "status.success",
  failed: "status.error",
  cancelled: "status.interrupted",
};

type Doing = (work: () => Promise<unknown>) => Promise<void>;

interface OpenProps {
  readonly job: JobSummary;
  readonly doing: Doing;
  readonly drag?: Drag;
  readonly place?: (id: string, by: number, words: string) => Promise<void>;
}

/** What a job is called: the words of its prompt and its seed, which tells those of one prompt apart. */
function useName(job: JobSummary): { readonly run: Run | null; readonly words: string; readonly name: string } {
  const run = useRun(job.id, hasEnded(job));
  const words = run ? wordsOf(run.recipe) || t("gallery.run.nameless") : "…";
  const seed = run?.recipe.seeds[0]?.value;
  return { run, words, name: seed === undefined ? words : `${words}, ${t("gallery.seed", { seed })}` };
}

export function OpenRow({ job, doing, drag, place }: OpenProps) {
  const editor = useEditor();
  const { words, name, run } = useName(job);
  const waits = job.status === "pending";
  const seed = run?.recipe.seeds[0]?.value;
  const onKeyDown = (event: KeyboardEvent): void => {
    const by = event.key === "ArrowUp" ? -1 : event.key === "ArrowDown" ? 1 : 0;
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    void place?.(job.id, by, name);
  };
  return (
    <li className="job" data-state={job.status} data-waiting={waits ? job.id : undefined} data-held={drag?.id === job.id} aria-label={name}>
      {drag ? (
        <button
          type="button"
          className="job-grip"
          aria-label={t("queue.grip", { words: name })}
          title={t("queue.grip", { words: name })}
          onKeyDown={onKeyDown}
          {...drag.grip(job.id)}
        >
          ⠿
        </button>
      ) : (
        <span className="job-spin" aria-hidden="true" />
      )}
      <div className="job-about">
        <span className="job-words" title={words}>{words}</span>
        <span className="job-state">
          {t(STATES[job.status])}
          {seed !== undefined && ` · ${t("gallery.seed", { seed })}`}
        </span>
        {!waits && <Steps id={job.id} />}
      </div>
      {waits && (
        <button type="button" aria-label={`${t("queue.front")}: ${name}`} title={t("queue.front")} onClick={() => void doing(() => editor.api.move(job.id, "front"))}>
          ⤒
        </button>
      )}
      <button type="button" aria-label={`${t("queue.cancel")}: ${name}`} title={t("queue.cancel")} onClick={() => void doing(() => editor.cancel(job.id))}>
        ×
      </button>
    </li>
  );
}

/** How far the run is that the canvas shows: the node of most steps that is at work. */
function Steps({ id }: { id: string }) {
  const { runtime } = useEditor();
  const share = useSyncExternalStore(
    (listener) => runtime.subscribeNodes(listener),
    () => {
      if (runtime.shownJob?.id !== id) return 0;
      const at = [...runtime.nodes().values()].filter(({ state }) => state === "running").toSorted((a, b) => b.max - a.max)[0];
      return at?.max ? Math.round((100 * at.value) / at.max) : 0;
    },
  );
  return (
    <span className="job-steps" aria-hidden="true">
      <span style={{ width: `${share}%` }} />
    </span>
  );
}

export function EndedRow({ job, doing }: { job: JobSummary; doing: Doing }) {
  const editor = useEditor();
  const { words, name, run } = useName(job);
  const [first] = run?.pictures ?? [];
  const seconds = job.execution_start_time === null || job.execution_end_time === null
    ? null
    : (job.execution_end_time - job.execution_start_time) / 1000;
  const state = [
    t(STATES[job.status]),
    ...(seconds === null ? [] : [t("queue.took", { seconds: seconds.toFixed(1) })]),
    ...(run?.recipe.seeds[0] ? [t("gallery.seed", { seed: run.recipe.seeds[0].value })] : []),
  ].join(" · ");
  return (
    <li className="job" data-state={job.status} aria-label={name}>
      <button
        type="button"
        className="job-picture"
        disabled={!first}
        aria-label={t("queue.show", { words: name })}
        onClick={() => first && editor.ui.setState({ shown: { ...first, among: run?.pictures ?? [first] } })}
      >
        {first && <img src={editor.api.viewUrl(first.file, SMALL)} alt="" loading="lazy" />}
      </button>
      <div className="job-about">
        <button
          type="button"
          className="job-words"
          title={`${t("gallery.open")}: ${words}`}
          onClick={() => void openGraph(editor, { job: job.id, file: { filename: words, subfolder: "", type: "" } })}
        >
          {words}
        </button>
        <span className="job-state">{state}</span>
      </div>
      <button
        type="button"
        aria-label={t("queue.again", { words: name })}
        title={t("gallery.again")}
        onClick={() => void doing(() => editor.api.retry(job.id))}
      >
        ↻
      </button>
    </li>
  );
}
