// The runs that made pictures, the newest first, page by page, kept up to date.

import { useCallback, useEffect, useRef, useState } from "react";

import { hasWords } from "../../doc/recipe";
import type { JobStatus, JobSummary } from "../../protocol/shapes";
import { useEditor } from "../../state/context";
import { trying } from "../../state/pictures";
import { useChanges } from "../jobs";

const PAGE = 24; // runs asked for at once
const ENDED: readonly JobStatus[] = ["completed", "failed", "cancelled"];

interface Made {
  readonly jobs: readonly JobSummary[];
  readonly more: boolean;
  readonly next: () => void;
  readonly drop: (id: string) => void;
}

interface Listed {
  readonly query: string;
  readonly jobs: readonly JobSummary[];
  /** How many of the server's list were looked at. */
  readonly seen: number;
  readonly more: boolean;
}

/** The runs with pictures that were made with some words, page by page. */
export function useMade(query: string): Made {
  const editor = useEditor();
  const [listed, setListed] = useState<Listed>({ query, jobs: [], seen: 0, more: true });
  const busy = useRef(false);
  const again = useRef(false);
  const latest = useRef<(offset: number) => Promise<void>>(() => Promise.resolve());
  useEffect(() => {
    latest.current = async (offset) => {
      busy.current = true;
      const page = await trying(editor, () => editor.api.jobs({ status: ENDED, q: longest(query), limit: PAGE, offset, order: "desc" }));
      const jobs = page ? await matching(editor, page.jobs, query) : [];
      busy.current = false;
      const answer = { query, jobs, seen: offset + (page?.jobs.length ?? 0), more: page?.pagination.has_more ?? false };
      setListed((before) => merged(before, answer, offset));
      if (!again.current) return;
      again.current = false;
      await latest.current(0);
    };
  });
  const refresh = useCallback(() => {
    if (busy.current) again.current = true;
    else void latest.current(0);
  }, []);
  useEffect(refresh, [refresh, query]);
  useChanges(refresh);

  const now = listed.query === query;
  return {
    jobs: now ? listed.jobs : [],
    more: !now || listed.more,
    next: () => {
      if (now && listed.more && !busy.current) void latest.current(listed.seen);
    },
    drop: (id) => setListed((before) => ({ ...before, jobs: before.jobs.filter((job) => job.id !== id), seen: before.seen - 1 })),
  };
}

/** What is known with what was just answered: the first page anew, or one behind the others. */
function merged(before: Listed, answer: Listed, offset: number): Listed {
  if (before.query !== answer.query) return offset ? before : answer;
  const known = new Set(before.jobs.map(({ id }) => id));
  const fresh = answer.jobs.filter(({ id }) => !known.has(id));
  if (offset) return { ...answer, jobs: [...before.jobs, ...fresh] };
  if (!before.jobs.length) return answer;
  const jobs = [...fresh, ...before.jobs].toSorted((a, b) => (b.create_time ?? 0) - (a.create_time ?? 0));
  return { ...before, jobs, seen: before.seen + fresh.length };
}

async function matching(editor: ReturnType<typeof useEditor>, jobs: readonly JobSummary[], query: string): Promise<readonly JobSummary[]> {
  const pictured = jobs.filter((job) => job.previewable_outputs_count > 0);
  if (!query.trim()) return pictured;
  const found = await Promise.all(
    pictured.map(async (job) => {
      const run = await editor.runs.get(job.id, true).catch(() => null);
      return run && hasWords(run.recipe, query.trim()) ? [job] : [];
    }),
  );
  return found.flat();
}

/** The word that the server looks for; whether all of them are in the prompt is seen here. */
function longest(query: string): string {
  return query.split(/\s+/).toSorted((a, b) => b.length - a.length)[0] ?? "";
}
