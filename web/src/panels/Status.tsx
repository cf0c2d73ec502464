import { useStore } from "zustand";

import type { ConnectionState } from "../protocol/connection";
import type { ServerStore } from "../state/server";

const WORDS: Readonly<Record<ConnectionState["kind"], string>> = {
  connecting: "Connecting …",
  open: "Connected",
  waiting: "No connection; it is tried again",
  closed: "Not connected",
};

/** Whether the server is there, how many node types it has, and how long its queue is. */
export function Status({ server, retry }: { server: ServerStore; retry: () => void }) {
  const { connection, catalogue, queueRemaining, problem } = useStore(server);
  return (
    <main>
      <h1>nodegraph</h1>
      <p role="status" data-state={connection.kind}>
        {WORDS[connection.kind]}
        {connection.kind === "waiting" && (
          <button type="button" onClick={retry}>
            Try now
          </button>
        )}
      </p>
      <dl>
        <dt>Node types</dt>
        <dd>{catalogue ? [...catalogue.values()].filter((def) => def.category !== "canvas").length : "…"}</dd>
        <dt>Jobs in the queue</dt>
        <dd>{queueRemaining}</dd>
      </dl>
      {problem && <p role="alert">{problem}</p>}
    </main>
  );
}
