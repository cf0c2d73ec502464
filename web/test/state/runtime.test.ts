import { describe, expect, test, vi } from "vitest";

import type { JsonObject } from "../../src/doc/json";
import type { ConnectionEvent } from "../../src/protocol/connection";
import type { Fault } from "../../src/protocol/http";
import type { JobMessage, JobMessages, JobMessageType } from "../../src/protocol/messages";
import { IDLE, Runtime } from "../../src/state/runtime";
import { makeServerStore } from "../../src/state/server";

function message<T extends JobMessageType>(type: T, data: Omit<JobMessages[T], "prompt_id">, jobId = "j"): JobMessage {
  return { type, data: { ...data, prompt_id: jobId }, n: null } as unknown as JobMessage;
}

function progress(nodes: Record<string, [string, number, number]>, shownAs: Record<string, string> = {}): JobMessage {
  const entries = Object.entries(nodes).map(([id, [state, value, max]]) => [
    id,
    { value, max, state, node_id: id, display_node_id: shownAs[id] ?? id, prompt_id: "j", parent_node_id: null, real_node_id: id },
  ]);
  return message("progress_state", { nodes: Object.fromEntries(entries) });
}

const START = message("execution_start", { timestamp: 1000 });
const fault = (input: string | null): Fault => ({ type: "t", message: "m", details: "d", input, extra: {} });

describe("what a node measures", () => {
  const SHEET = { filename: "step-000002.png", subfolder: "training/a", type: "output" };
  const measured = (step: number, loss: number | null, sample: typeof SHEET | null = null, job = "j"): JobMessage =>
    message(
      "figures",
      { node: "2", display_node: "2", step, total: 4, figures: loss === null ? {} : { loss }, sample },
      job,
    );
  const losses = (runtime: Runtime): unknown =>
    runtime.node("2").curve?.points.map(({ step, figures }) => [step, figures["loss"]]);

  test("is kept as points and pictures, also when it is over", () => {
    const runtime = new Runtime();
    runtime.submitted("j");
    runtime.hear(START);
    for (const each of [measured(1, 0.5), measured(2, 0.4), measured(2, null, SHEET), measured(3, 0.3)]) runtime.hear(each);
    runtime.hear(message("execution_success", { timestamp: 2000 }));

    expect(losses(runtime)).toEqual([[1, 0.5], [2, 0.4], [3, 0.3]]);
    expect(runtime.node("2").curve).toMatchObject({ job: "j", total: 4, samples: [{ step: 2, file: SHEET }] });
  });

  test("begins anew with the first figures of another run, and goes back where the run does", () => {
    const runtime = new Runtime();
    for (const job of ["j", "k"]) {
      runtime.submitted(job);
      runtime.hear(message("execution_start", { timestamp: 1000 }, job));
      expect(losses(runtime)).toEqual(job === "j" ? undefined : [[1, 0.5], [2, 0.2]]);
      for (const each of [measured(1, 0.5, null, job), measured(2, 0.4, SHEET, job), measured(3, 0.3, null, job)]) {
        runtime.hear(each);
      }
      runtime.hear(measured(2, 0.2, null, job));
      expect(losses(runtime)).toEqual([[1, 0.5], [2, 0.2]]);
      expect(runtime.node("2").curve?.samples).toHaveLength(1);
    }
    runtime.hear(measured(9, 0.1, null, "j"));
    expect(losses(runtime)).toEqual([[1, 0.5], [2, 0.2]]);
    runtime.hear(message("execution_start", { timestamp: 1000 }, "l"));
    runtime.hear(measured(3, 0.1, null, "l"));
    expect(losses(runtime)).toEqual([[3, 0.1]]);
  });

  test("is bounded", () => {
    const runtime = new Runtime();
    runtime.submitted("j");
    runtime.hear(START);
    for (let step = 1; step <= 5000; step += 1) runtime.hear(measured(step, 1, step % 10 ? null : SHEET));

    const { curve } = runtime.node("2");
    expect(curve?.points.length).toBeLessThanOrEqual(2000);
    expect([curve?.samples.length, curve?.samples.at(-1)?.step]).toEqual([100, 5000]);
  });
});

describe("what a run shows", () => {
  test("a step concerns one node: its own listeners and those of all nodes hear of it, others do not", () => {
    const runtime = new Runtime();
    runtime.submitted("j");
    runtime.hear(START);
    const [own, other, all] = [vi.fn(), vi.fn(), vi.fn()];
    runtime.subscribeNode("2", own);
    runtime.subscribeNode("3", other);
    const end = runtime.subscribeNodes(all);

    runtime.hear(progress({ "2": ["running", 1, 20] }));
    end();
    runtime.hear(progress({ "2": ["running", 2, 20] }));

    expect([own.mock.calls.length, other.mock.calls.length, all.mock.calls]).toEqual([2, 0, [["2"]]]);
  });

  test("a node goes from waiting over running to done, with its progress and output", () => {
    const runtime = new Runtime();
    runtime.submitted("j");
    expect(runtime.job("j")?.state).toBe("pending");
    runtime.hear(START);
    runtime.hear(message("execution_cached", { nodes: ["1"], timestamp: 1001 }));
    runtime.hear(progress({ "2": ["running", 0, 1] }));
    runtime.hear(message("executing", { node: "2", display_node: "2" }));
    runtime.hear(progress({ "2": ["running", 3, 20] }));
    expect(runtime.node("1").state).toBe("cached");
    expect(runtime.node("2")).toMatchObject({ state: "running", value: 3, max: 20 });
    runtime.hear(message("executed", { node: "2", display_node: "2", output: { images: [] } }));
    runtime.hear(progress({ "2": ["finished", 20, 20] }));
    runtime.hear(message("execution_success", { timestamp: 2000 }));
    runtime.hear(message("executing", { node: null }));

    expect(runtime.node("2")).toMatchObject({ state: "done", output: { images: [] } });
    expect(runtime.shownJob).toMatchObject({ state: "success", started: 1000, ended: 2000 });
  });

  test("a step of one node concerns its listeners and no others", () => {
    const runtime = new Runtime();
    runtime.hear(START);
    runtime.hear(progress({ "1": ["finished", 1, 1], "2": ["running", 1, 20] }));
    const [one, two, all] = [vi.fn(), vi.fn(), vi.fn()];
    runtime.subscribeNode("1", one);
    const leave = runtime.subscribeNode("2", two);
    runtime.subscribe(all);

    runtime.hear(progress({ "1": ["finished", 1, 1], "2": ["running", 2, 20] }));
    runtime.hear(message("progress", { node: "2", value: 2, max: 20 }));
    expect([one.mock.calls.length, two.mock.calls.length, all.mock.calls.length]).toEqual([0, 1, 0]);

    leave();
    runtime.hear(progress({ "2": ["running", 3, 20] }));
    expect(two.mock.calls.length).toBe(1);
  });

  test("a failure stands at its node until the next run begins", () => {
    const runtime = new Runtime();
    runtime.hear(START);
    runtime.hear(message("executing", { node: "2" }));
    runtime.hear(
      message("execution_error", {
        node_id: "2", node_type: "KSampler", executed: [], exception_message: "No memory",
        exception_type: "OutOfMemory", traceback: ["a"], timestamp: 5,
      }),
    );

    expect(runtime.node("2")).toMatchObject({ state: "error", failure: { message: "No memory" } });
    expect(runtime.shownJob).toMatchObject({ state: "error", failure: { node: "2", type: "OutOfMemory" } });
    runtime.hear(message("execution_start", { timestamp: 9 }, "k"));
    expect(runtime.node("2")).toMatchObject({ state: "idle", failure: null });
  });

  test("an interrupted run leaves nothing running, and what there was before", () => {
    const runtime = new Runtime();
    runtime.hear(START);
    runtime.hear(message("executed", { node: "3", display_node: "3", output: { images: [1] } }));
    runtime.hear(message("executing", { node: "2" }));
    runtime.hear(message("execution_interrupted", { node_id: "2", node_type: "A", executed: [], timestamp: 6 }));

    expect(runtime.node("2").state).toBe("idle");
    expect(runtime.node("3").output).toEqual({ images: [1] });
    expect(runtime.job("j")?.state).toBe("interrupted");
  });

  test("outputs stay while the next run is on its way", () => {
    const runtime = new Runtime();
    runtime.hear(START);
    runtime.hear(message("executed", { node: "3", display_node: "3", output: { images: [1] } }));
    runtime.hear(message("execution_start", { timestamp: 9 }, "k"));

    expect(runtime.node("3").output).toEqual({ images: [1] });
    runtime.hear(message("executed", { node: "3", display_node: "3", output: { images: [2] } }));
    expect(runtime.node("3").output).toEqual({ images: [1] }); // of the job before: too late
  });

  test("previews are shown while the node works, and those of other jobs are not", () => {
    const runtime = new Runtime();
    const picture = { kind: "preview" as const, node: "2", media: "image/jpeg", about: {}, bytes: new Uint8Array([1]) };
    runtime.hear(START);
    runtime.show({ ...picture, jobId: "other" });
    expect(runtime.node("2").preview).toBeNull();
    runtime.show({ ...picture, jobId: "j" });
    expect(runtime.node("2").preview?.media).toBe("image/jpeg");
    runtime.hear(message("execution_success", { timestamp: 7 }));
    expect(runtime.node("2").preview).toBeNull();
  });

  test("a node that stands for others shows the one at work", () => {
    const runtime = new Runtime((id) => id.split(":")[0] ?? id);
    runtime.hear(START);
    runtime.hear(progress({ "5:1": ["finished", 1, 1], "5:2": ["running", 4, 9] }, { "5:1": "5", "5:2": "5" }));
    expect(runtime.node("5")).toMatchObject({ state: "running", value: 4, max: 9 });
    runtime.hear(progress({ "5:2": ["running", 5, 9], "5:1": ["finished", 1, 1] }, { "5:1": "5", "5:2": "5" }));
    expect(runtime.node("5")).toMatchObject({ state: "running", value: 5, max: 9 });
    runtime.hear(message("execution_success", { timestamp: 7 }));
    expect(runtime.node("5").state).toBe("done");
  });

  test("faults stand at their inputs until they are mended, or a graph without them is submitted", () => {
    const runtime = new Runtime();
    runtime.submitted("j", new Map([["2", [fault("steps"), fault(null)]], ["3", [fault("cfg")]]]));
    runtime.forgiveFault("2", "steps");
    expect(runtime.node("2").faults.map(({ input }) => input)).toEqual([null]);
    runtime.setFaults(new Map([["3", [fault("cfg")]]]));
    expect([runtime.node("2").faults.length, runtime.node("3").faults.length]).toEqual([0, 1]);
  });

  test("a job that the server no longer knows is lost", () => {
    const runtime = new Runtime();
    runtime.hear(START);
    runtime.hear(message("executing", { node: "2" }));
    runtime.lost("j");

    expect(runtime.job("j")?.state).toBe("lost");
    expect(runtime.node("2").state).toBe("idle");
  });

  test("a job that ended while another is shown is known to have ended", () => {
    const runtime = new Runtime();
    runtime.submitted("k");
    runtime.hear(START);
    runtime.hear(message("execution_interrupted", { node_id: null, node_type: null, executed: [], timestamp: 6 }, "k"));
    runtime.hear(message("executing", { node: "7" }, "unknown"));

    expect([runtime.job("k")?.state, runtime.job("j")?.state]).toEqual(["interrupted", "running"]);
    expect(runtime.node("7")).toBe(IDLE);
  });

  test("cleared, it knows nothing and has told everybody", () => {
    const runtime = new Runtime();
    runtime.hear(START);
    runtime.hear(message("executing", { node: "2" }));
    const listener = vi.fn();
    runtime.subscribeNode("2", listener);
    runtime.clear();

    expect(listener).toHaveBeenCalledOnce();
    expect([runtime.node("2"), runtime.shownJob, runtime.nodes().size]).toEqual([IDLE, null, 0]);
  });
});

describe("what is known of the server", () => {
  function store(objectInfo: () => Promise<JsonObject>) {
    let listener: (event: ConnectionEvent) => void = () => undefined;
    const connection = {
      state: { kind: "connecting" as const },
      subscribe: (each: (event: ConnectionEvent) => void) => {
        listener = each;
        return () => undefined;
      },
    };
    const made = makeServerStore({ objectInfo }, connection as never);
    return { made, tell: (event: ConnectionEvent) => listener(event) };
  }
  const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

  test("the node types are read each time that the connection opens", async () => {
    const asked = vi.fn(async () => ({ A: {}, B: {} }));
    const { made, tell } = store(asked);
    tell({ kind: "state", state: { kind: "open" } });
    await turn();

    expect(made.getState().catalogue?.has("B")).toBe(true);
    expect(made.getState().connection.kind).toBe("open");
    tell({ kind: "state", state: { kind: "open" } });
    expect(asked).toHaveBeenCalledTimes(2);
  });

  test("why they are not there is said, until they are", async () => {
    const answers = [Promise.reject(new Error("The nodes could not be loaded")), Promise.resolve({})];
    const { made, tell } = store(() => answers.shift() ?? Promise.resolve({}));
    tell({ kind: "state", state: { kind: "open" } });
    await turn();
    expect(made.getState().problem).toBe("The nodes could not be loaded");
    await made.getState().refresh();
    expect(made.getState().problem).toBeNull();
  });

  test("an answer that was overtaken does not count", async () => {
    let late: (info: JsonObject) => void = () => undefined;
    const answers = [new Promise<JsonObject>((resolve) => (late = resolve)), Promise.resolve({ New: {} })];
    const { made } = store(() => answers.shift() ?? Promise.resolve({}));
    const first = made.getState().refresh();
    await made.getState().refresh();
    late({ Old: {} });
    await first;

    expect([...(made.getState().catalogue?.keys() ?? [])]).toContain("New");
  });

  test("the length of the queue is kept", () => {
    const { made, tell } = store(async () => ({}));
    tell({ kind: "server", message: { type: "status", queueRemaining: 4, sid: null } });

    expect(made.getState().queueRemaining).toBe(4);
  });
});
