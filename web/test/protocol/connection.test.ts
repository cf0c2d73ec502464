import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import type { Json, JsonObject } from "../../src/doc/json";
import { asObject, formatJson, parseJson } from "../../src/doc/json";
import { clientId, newId } from "../../src/protocol/client";
import type { ConnectionEvent, SocketLike } from "../../src/protocol/connection";
import { Connection, socketUrl } from "../../src/protocol/connection";
import { ApiError, Unreachable } from "../../src/protocol/http";
import { readFrame, readMessage } from "../../src/protocol/messages";

class FakeSocket implements SocketLike {
  binaryType = "";
  onopen: (() => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onerror: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  readonly sent: JsonObject[] = [];
  closed = false;

  send(data: string): void {
    this.sent.push(asObject(parseJson(data)));
  }

  close(): void {
    this.closed = true;
  }

  say(message: Json): void {
    this.onmessage?.({ data: formatJson(message) });
  }

  commands(type: string): JsonObject[] {
    return this.sent.filter((each) => each["type"] === type);
  }
}

const sockets: FakeSocket[] = [];
const latest = (): FakeSocket => {
  const socket = sockets.at(-1);
  if (!socket) throw new Error("nobody connected");
  return socket;
};

function connected(): { connection: Connection; events: ConnectionEvent[]; jobs: () => string[] } {
  const open = (): FakeSocket => {
    const socket = new FakeSocket();
    sockets.push(socket);
    return socket;
  };
  const connection = new Connection({ url: "ws://here/ws", open, random: () => 1 });
  const events: ConnectionEvent[] = [];
  connection.subscribe((event) => events.push(event));
  connection.connect();
  latest().onopen?.();
  const jobs = (): string[] =>
    events.flatMap((event) => (event.kind === "job" ? [`${event.message.type} ${event.message.n}`] : []));
  return { connection, events, jobs };
}

function message(type: string, n: number | null, jobId = "j"): Json {
  return { type, data: { prompt_id: jobId }, ...(n === null ? {} : { n }) };
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
}

beforeEach(() => {
  sockets.length = 0;
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

describe("a connection", () => {
  test("says what it understands before anything else", () => {
    const { connection } = connected();

    expect(latest().sent[0]).toEqual({
      type: "feature_flags", data: { supports_preview_metadata: true, numbered_events: true },
    });
    expect(connection.state.kind).toBe("open");
  });

  test("that is lost is tried again, later each time, and at once if somebody asks", () => {
    const { connection } = connected();
    const waits: number[] = [];
    for (let turn = 0; turn < 7; turn += 1) {
      latest().onclose?.({ code: 1006, reason: "" });
      const { state } = connection;
      if (state.kind === "waiting") waits.push(state.until - Date.now());
      vi.advanceTimersByTime(20_000);
    }

    expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 15_000, 15_000]);
    expect(sockets.length).toBe(8);
    latest().onerror?.();
    connection.retryNow();
    expect(sockets.length).toBe(9);
    latest().onopen?.();
    latest().onclose?.({ code: 1006, reason: "" });
    expect(connection.state).toMatchObject({ kind: "waiting", attempt: 1 });
  });

  test("that is closed stays so", () => {
    const { connection } = connected();

    connection.close();
    vi.advanceTimersByTime(60_000);

    expect(sockets.length).toBe(1);
    expect(latest().closed).toBe(true);
    expect(connection.state.kind).toBe("closed");
  });

  test("on which nothing is heard is asked for a sign of life, and given up without one", () => {
    const { connection } = connected();
    vi.advanceTimersByTime(25_000);
    expect(latest().commands("feature_flags").length).toBe(2);
    latest().say({ type: "feature_flags", data: {} });
    vi.advanceTimersByTime(24_000);
    expect(connection.state.kind).toBe("open");

    vi.advanceTimersByTime(11_001);

    expect(connection.state.kind).toBe("waiting");
    expect(sockets[0]?.closed).toBe(true);
  });

  test("an old socket's words do not count any more", () => {
    const { events } = connected();
    const [old] = sockets;
    const { onmessage } = old ?? {};
    old?.onclose?.({ code: 1006, reason: "" });
    const before = events.length;

    onmessage?.({ data: formatJson(message("executing", 5)) });

    expect(events.length).toBe(before);
  });
});

describe("commands", () => {
  test("are answered by their replies, in any order", async () => {
    const { connection } = connected();
    const first = connection.command("cancel", { prompt_id: "a" });
    const second = connection.command("validate", { prompt: {} });
    const [a, b] = [latest().commands("cancel")[0], latest().commands("validate")[0]];

    latest().say({ type: "reply", id: b?.["id"] ?? null, data: { valid: true } });
    latest().say({ type: "reply", id: a?.["id"] ?? null, data: { cancelled: true } });

    await expect(first).resolves.toEqual({ cancelled: true });
    await expect(second).resolves.toEqual({ valid: true });
  });

  test("that are refused say why", async () => {
    const { connection } = connected();
    const asked = connection.command("cancel", {});
    const id = latest().commands("cancel")[0]?.["id"] ?? null;

    latest().say({ type: "refused", id, data: { error: { type: "bad_request", message: "No", details: "name it" } } });

    await expect(asked).rejects.toMatchObject({ type: "bad_request", message: "No", details: "name it" });
    await expect(asked).rejects.toBeInstanceOf(ApiError);
  });

  test("fail when the connection is lost, or is not there", async () => {
    const { connection } = connected();
    const asked = connection.command("cancel", {});
    latest().onclose?.({ code: 1006, reason: "" });

    await expect(asked).rejects.toBeInstanceOf(Unreachable);
    await expect(connection.command("cancel", {})).rejects.toBeInstanceOf(Unreachable);
  });
});

describe("events of a job", () => {
  function reply(jobId = "j"): void {
    const asked = latest().commands("subscribe").find((each) => asObject(each["data"])["prompt_id"] === jobId);
    latest().say({ type: "reply", id: asked?.["id"] ?? null, data: { prompt_id: jobId, status: "running" } });
  }

  test("of one's own come as they are, each once", () => {
    const { connection, jobs } = connected();
    connection.expect("j");
    latest().say(message("execution_start", 1));
    latest().say(message("executing", 3));
    latest().say(message("executing", 3));
    latest().say(message("executing", 2));

    expect(jobs()).toEqual(["execution_start 1", "executing 3"]);
    expect(latest().commands("subscribe")).toEqual([]);
    expect(connection.lastNumber("j")).toBe(3);
  });

  test("after a loss are asked for from the last one on, and come once and in order", async () => {
    const { connection, jobs } = connected();
    connection.expect("j");
    latest().say(message("execution_start", 1));
    latest().onclose?.({ code: 1006, reason: "" });
    vi.advanceTimersByTime(500);
    latest().onopen?.();
    expect(latest().commands("subscribe")[0]?.["data"]).toEqual({ prompt_id: "j", since: 1 });

    latest().say(message("executed", null)); // kept for whoever was away, without a number
    latest().say(message("executing", 9)); // goes on while we ask
    latest().say(message("executing", 4)); // and this is what we missed
    latest().say(message("executed", 5));
    latest().say(message("executing", 9));
    expect(jobs()).toEqual(["execution_start 1"]);
    reply();
    await settle();
    latest().say(message("executed", 10));

    expect(jobs()).toEqual(["execution_start 1", "executing 4", "executed 5", "executing 9", "executed 10"]);
  });

  test("a second loss while asking loses nothing", async () => {
    const { connection, jobs } = connected();
    connection.watch("j");
    latest().say(message("execution_start", 1));
    latest().onclose?.({ code: 1006, reason: "" });
    await settle();
    vi.advanceTimersByTime(500);
    latest().onopen?.();
    latest().say(message("execution_start", 1));
    latest().say(message("executing", 2));
    reply();
    await settle();

    expect(jobs()).toEqual(["execution_start 1", "executing 2"]);
  });

  test("end with the job: it is not asked for again", () => {
    const { connection } = connected();
    connection.expect("j");
    latest().say(message("execution_success", 4));
    latest().onclose?.({ code: 1006, reason: "" });
    vi.advanceTimersByTime(500);
    latest().onopen?.();

    expect(latest().commands("subscribe")).toEqual([]);
    expect(connection.lastNumber("j")).toBeNull();
  });

  test("that the server no longer knows are lost, and that is said", async () => {
    const { connection, events } = connected();
    connection.watch("j");
    const id = latest().commands("subscribe")[0]?.["id"] ?? null;
    latest().say({ type: "refused", id, data: { error: { type: "not_found", message: "There is no such job" } } });
    await settle();

    expect(events.at(-1)).toEqual({ kind: "lost", jobId: "j" });
    expect(connection.lastNumber("j")).toBeNull();
  });

  test("of others, which nobody watches, are passed on as they are", () => {
    const { jobs } = connected();

    latest().say(message("executing", null, "other"));

    expect(jobs()).toEqual(["executing null"]);
  });

  test("that nobody wants to hear of any more", () => {
    const { connection } = connected();
    connection.watch("j");
    connection.unwatch("j");

    expect(latest().commands("unsubscribe")[0]?.["data"]).toEqual({ prompt_id: "j" });
  });
});

describe("frames", () => {
  const bytes = (...numbers: number[]): ArrayBuffer => new Uint8Array(numbers).buffer;
  const withAbout = (kind: number, about: Json, content: number[]): ArrayBuffer => {
    const text = new TextEncoder().encode(formatJson(about));
    return bytes(0, 0, 0, kind, 0, 0, 0, text.length, ...text, ...content);
  };

  test("a preview says whose it is", () => {
    const frame = readFrame(
      withAbout(4, { node_id: "5:2", display_node_id: "5", prompt_id: "j", image_type: "image/jpeg" }, [1, 2, 3]),
    );

    expect(frame).toMatchObject({ kind: "preview", node: "5", jobId: "j", media: "image/jpeg" });
    expect([...(frame?.bytes ?? [])]).toEqual([1, 2, 3]);
  });

  test("a picture that is a result, and a plain one", () => {
    const about = { node_id: "7", prompt_id: "j", filename: "a.png", image_type: "image/png" };
    expect(readFrame(withAbout(100, about, [9]))).toMatchObject({ kind: "result", node: "7", about });
    expect(readFrame(bytes(0, 0, 0, 1, 0, 0, 0, 2, 7))).toMatchObject({ kind: "preview", media: "image/png", node: null });
  });

  test.each([
    [bytes()],
    [bytes(0, 0, 0, 4)],
    [bytes(0, 0, 0, 4, 0, 0, 9, 9, 1)],
    [bytes(0, 0, 0, 4, 0, 0, 0, 1, 123)],
    [bytes(0, 0, 0, 3, 0, 0, 0, 0)],
    [bytes(0, 0, 0, 1, 0, 0, 0, 9, 1)],
  ])("%# a damaged one, or one of another kind, is none", (buffer) => {
    expect(readFrame(buffer)).toBeNull();
  });

  test("they are passed on", () => {
    const { events } = connected();

    latest().onmessage?.({ data: withAbout(4, { node_id: "5", prompt_id: "j" }, []) });

    expect(events.at(-1)).toMatchObject({ kind: "picture", picture: { node: "5" } });
  });

  test.each(["", "{", "3", "{}", '{"type": 5}'])("the text %j is no message", (text) => {
    expect(readMessage(text)).toBeNull();
  });

  test("the length of the queue", () => {
    const text = '{"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 3}}, "sid": "x"}}';

    expect(readMessage(text)).toEqual({ type: "status", queueRemaining: 3, sid: "x" });
    expect(readMessage('{"type": "logs", "data": {"a": 1}}')).toEqual({ type: "other", name: "logs", data: { a: 1 } });
  });
});

describe("who one is", () => {
  test("the address of the websocket follows that of the page", () => {
    expect(socketUrl("http://127.0.0.1:8188/?x=1#y", "a b")).toBe("ws://127.0.0.1:8188/ws?clientId=a+b");
    expect(socketUrl("https://art.example/", "c")).toBe("wss://art.example/ws?clientId=c");
  });

  test("a tab keeps its id", () => {
    const kept = new Map<string, string>();
    const storage = {
      getItem: (key: string) => kept.get(key) ?? null,
      setItem: (key: string, value: string) => void kept.set(key, value),
    };

    expect(clientId(storage)).toBe(clientId(storage));
    expect(newId()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(newId()).not.toBe(newId());
  });
});
