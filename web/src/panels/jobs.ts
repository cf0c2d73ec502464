// Jobs as lists of the server's, asked for again whenever something may have changed.

import { useCallback, useEffect, useState } from "react";
import { useStore } from "zustand";

import type { JobStatus, JobSummary } from "../protocol/shapes";
import { useEditor } from "../state/context";
import { say } from "../state/ui";

/** The jobs, and a way to ask for them again. */
export function useJobs(status: readonly JobStatus[], limit: number): readonly [readonly JobSummary[], () => void] {
  const { api, runtime, server, ui } = useEditor();
  const [jobs, setJobs] = useState<readonly JobSummary[]>([]);
  const remaining = useStore(server, ({ queueRemaining }) => queueRemaining);
  const wanted = status.join(",");
  const ask = useCallback(() => {
    const states = wanted.split(",") as JobStatus[];
    api.jobs({ status: states, limit, order: "desc" }).then(
      (page) => setJobs(page.jobs),
      (error: unknown) => say(ui, error instanceof Error ? error.message : String(error), true),
    );
  }, [api, ui, wanted, limit]);
  useEffect(ask, [ask, remaining]);
  useEffect(() => runtime.subscribe(ask), [runtime, ask]);
  return [jobs, ask];
}
