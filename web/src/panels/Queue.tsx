// What runs and what waits, in its order, which can be changed; and what ended last. All of it can pause.

import "./queue.css";

import { useCallback, useEffect, useRef, useState } from "react";

import type { Turn } from "../doc/turns";
import { renumbered, shifted } from "../doc/turns";
import { t } from "../i18n/t";
import type { JobStatus, JobSummary } from "../protocol/shapes";
import { useEditor } from "../state/context";
import { trying } from "../state/pictures";
import { announce } from "../state/ui";
import { useChanges } from "./jobs";
import { EndedRow, OpenRow } from "./queue/rows";
import { useDrag } from "./queue/useDrag";

const OPEN: readonly JobStatus[] = ["in_progress", "pending"];
const ENDED: readonly JobStatus[] = ["completed", "failed", "cancelled"];
const MOST = 200; // of what waits
const LAST = 12; // of what ended

interface Listed {
  readonly open: readonly JobSummary[];
  readonly more: number;
  readonly ended: readonly JobSummary[];
  readonly paused: boolean;
}

export function Queue() {
  const editor = useEditor();
  const { api } = editor;
  const [{ open, more, ended, paused }, setListed] = useListed();
  const running = open.filter(({ status }) => status === "in_progress");
  const waiting = open.filter(({ status }) => status === "pending");

  const place = async (id: string, by: number, words: string): Promise<void> => {
    const order = shifted(waiting, id, by);
    const changed = renumbered(order satisfies readonly Turn[], id);
    if (!changed.length) return;
    const numbers = new Map(changed.map((each) => [each.id, each.priority]));
    const placed = order.map((job) => ({ ...job, priority: numbers.get(job.id) ?? job.priority }));
    setListed.now((before) => ({ ...before, open: [...running, ...placed] }));
    announce(editor.ui, t("queue.moved", { words, at: order.findIndex((job) => job.id === id) + 1, count: order.length }));
    await doing(async () => {
      for (const { id: each, priority } of changed) await api.move(each, priority);
    });
  };
  const doing = async (work: () => Promise<unknown>): Promise<void> => {
    await trying(editor, work);
    setListed.ask();
  };
  const list = useRef<HTMLOListElement>(null);
  const drag = useDrag(list, waiting, (id, by) => void place(id, by, id.slice(0, 8)));
  return (
    <>
      <div className="side-buttons">
        <button type="button" onClick={() => void doing(() => api.pause(!paused))}>
          {t(paused ? "queue.resume" : "queue.pause")}
        </button>
        <button type="button" onClick={() => void doing(() => api.clearQueue())} disabled={!waiting.length}>
          {t("queue.clear")}
        </button>
      </div>
      {paused && <p className="queue-paused" role="status">{t("queue.paused")}</p>}
      {!open.length && <p className="none">{t("queue.none")}</p>}
      <ol className="queue" aria-label={t("queue.waiting")} ref={list}>
        {running.map((job) => (
          <OpenRow key={job.id} job={job} doing={doing} />
        ))}
        {shifted(waiting, drag.id ?? "", drag.by).map((job) => (
          <OpenRow key={job.id} job={job} doing={doing} drag={drag} place={place} />
        ))}
      </ol>
      {more > 0 && <p className="none">{t("queue.more", { count: more })}</p>}
      {ended.length > 0 && (
        <>
          <h3 className="queue-title">{t("queue.ended")}</h3>
          <ol className="queue" aria-label={t("queue.ended")}>
            {ended.map((job) => (
              <EndedRow key={job.id} job={job} doing={doing} />
            ))}
          </ol>
        </>
      )}
    </>
  );
}

interface Listing {
  readonly ask: () => void;
  readonly now: (change: (before: Listed) => Listed) => void;
}

/** The server's lists; what is changed here is shown at once. */
function useListed(): readonly [Listed, Listing] {
  const editor = useEditor();
  const [listed, now] = useState<Listed>({ open: [], more: 0, ended: [], paused: false });
  const asked = useRef(0);
  const ask = useCallback(() => {
    const { api } = editor;
    asked.current += 1;
    const mine = asked.current;
    void trying(editor, async () => {
      const [open, ended, { paused }] = await Promise.all([
        api.jobs({ status: OPEN, limit: MOST, sort: "priority", order: "asc" }),
        api.jobs({ status: ENDED, limit: LAST, order: "desc" }),
        api.queueState(),
      ]);
      if (mine !== asked.current) return; // a later question is on its way
      now({ open: open.jobs, more: open.pagination.total - open.jobs.length, ended: ended.jobs, paused });
    });
  }, [editor]);
  useEffect(ask, [ask]);
  useChanges(ask);
  return [listed, { ask, now }];
}
