// What is known of the server: whether it is there, its node types, how long its queue is.

import type { StoreApi } from "zustand/vanilla";
import { createStore } from "zustand/vanilla";

import type { Catalogue } from "../doc/catalogue";
import { readCatalogue } from "../doc/catalogue";
import type { Connection, ConnectionState } from "../protocol/connection";
import type { Api } from "../protocol/http";

/** catalogue: null until it has come. problem: why it has not, as a sentence. */
export interface ServerState {
  readonly connection: ConnectionState;
  readonly catalogue: Catalogue | null;
  readonly queueRemaining: number;
  readonly problem: string | null;
  /** Asks for the node types again: models or plugins may be new. */
  readonly refresh: () => Promise<void>;
}

export type ServerStore = StoreApi<ServerState>;

/** The store, kept up to date by the connection; the catalogue is read each time it opens. */
export function makeServerStore(
  api: Pick<Api, "objectInfo">,
  connection: Pick<Connection, "state" | "subscribe">,
): ServerStore {
  const store = createStore<ServerState>((set) => {
    let asked = 0;
    const refresh = async (): Promise<void> => {
      asked += 1;
      const mine = asked;
      try {
        const catalogue = readCatalogue(await api.objectInfo());
        if (mine === asked) set({ catalogue, problem: null });
      } catch (error) {
        if (mine === asked) set({ problem: error instanceof Error ? error.message : String(error) });
      }
    };
    return { connection: connection.state, catalogue: null, queueRemaining: 0, problem: null, refresh };
  });
  connection.subscribe((event) => {
    if (event.kind === "state") {
      store.setState({ connection: event.state });
      if (event.state.kind === "open") void store.getState().refresh();
    }
    if (event.kind === "server" && event.message.type === "status") {
      store.setState({ queueRemaining: event.message.queueRemaining });
    }
  });
  return store;
}
