// @vitest-environment happy-dom
import { act } from "react";
import { createRoot } from "react-dom/client";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createStore } from "zustand/vanilla";

import { Status } from "../../src/panels/Status";
import type { ServerState } from "../../src/state/server";
import { CATALOGUE } from "../support";

const store = createStore<ServerState>(() => ({
  connection: { kind: "connecting" },
  catalogue: null,
  queueRemaining: 0,
  problem: null,
  refresh: async () => undefined,
}));
const retry = vi.fn();
let root: ReturnType<typeof createRoot>;

beforeEach(async () => {
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
  root = createRoot(document.body.appendChild(document.createElement("div")));
  await act(async () => root.render(<Status server={store} retry={retry} />));
});

afterEach(async () => {
  await act(async () => root.unmount());
  vi.unstubAllGlobals();
});

test("the page says whether the server is there, and what it has", async () => {
  const status = document.querySelector("[role=status]");
  expect(status?.textContent).toBe("Connecting …");

  await act(async () => store.setState({ connection: { kind: "open" }, catalogue: CATALOGUE, queueRemaining: 3 }));

  expect(status?.textContent).toBe("Connected");
  expect([...document.querySelectorAll("dd")].map((each) => each.textContent)).toEqual([
    String(CATALOGUE.size - 4), "3",
  ]);
});

test("a connection that is waited for can be tried at once, and a problem is announced", async () => {
  const waiting = { kind: "waiting", attempt: 2, until: 0 } as const;
  await act(async () => store.setState({ connection: waiting, problem: "The nodes could not be loaded" }));

  await act(async () => document.querySelector("button")?.click());

  expect(retry).toHaveBeenCalledOnce();
  expect(document.querySelector("[role=alert]")?.textContent).toBe("The nodes could not be loaded");
});
