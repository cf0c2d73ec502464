// The websocket, kept open. After a loss it connects again, waiting longer each time, and asks for
// what has happened meanwhile in the jobs that are watched, so that nobody misses a message or
// hears one twice.

import type { Json, JsonObject } from "../doc/json";
import { asObject, asText, formatJson } from "../doc/json";
import { ApiError, Unreachable, readFaults } from "./http";
import type { JobMessage, PictureFrame, ServerMessage } from "./messages";
import { isJobMessage, readFrame, readMessage } from "./messages";

export type ConnectionState =
  | { readonly kind: "connecting" }
  | { readonly kind: "open" }
  /** until: when it is tried again, in milliseconds since the epoch. */
  | { readonly kind: "waiting"; readonly attempt: number; readonly until: number }
  | { readonly kind: "closed" };

/** What listeners hear. lost: the server no longer knows a job that was watched. */
export type ConnectionEvent =
  | { readonly kind: "state"; readonly state: ConnectionState }
  | { readonly kind: "job"; readonly message: JobMessage }
  | { readonly kind: "server"; readonly message: ServerMessage }
  | { readonly kind: "picture"; readonly picture: PictureFrame }
  | { readonly kind: "lost"; readonly jobId: string };

/** What is used of a WebSocket. */
export interface SocketLike {
  binaryType: string;
  onopen: (() => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  onerror: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  send(data: string): void;
  close(code?: number): void;
}

export interface ConnectionOptions {
  readonly url: string;
  readonly open?: (url: string) => SocketLike;
  readonly random?: () => number;
}

const FIRST_WAIT = 500; // milliseconds
const LONGEST_WAIT = 15_000;
const QUIET = 25_000; // without a word after which it is asked whether anybody is there
const PATIENCE = 10_000; // for the answer
const FLAGS = { supports_preview_metadata: true, numbered_events: true };
const ENDS: ReadonlySet<string> = new Set(["execution_success", "execution_error", "execution_interrupted"]);

interface Watched {
  last: number;
  /** Messages that came before the reply that says from where on they are complete. */
  held: JobMessage[] | null;
}

interface Waiting {
  readonly resolve: (data: JsonObject) => void;
  readonly reject: (error: Error) => void;
}

export class Connection {
  private socket: SocketLike | null = null;
  private current: ConnectionState = { kind: "closed" };
  private attempt = 0;
  private nextId = 1;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private quiet: ReturnType<typeof setTimeout> | undefined;
  private readonly watched = new Map<string, Watched>();
  private readonly waiting = new Map<number, Waiting>();
  private readonly listeners = new Set<(event: ConnectionEvent) => void>();

  constructor(private readonly options: ConnectionOptions) {}

  get state(): ConnectionState {
    return this.current;
  }

  /** Calls the listener for everything that comes; the function returned ends that. */
  subscribe(listener: (event: ConnectionEvent) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Connects, and stays connected until close(). */
  connect(): void {
    if (this.socket || this.current.kind === "connecting") return;
    clearTimeout(this.retry);
    this.enter({ kind: "connecting" });
    const open = this.options.open ?? ((url): SocketLike => new WebSocket(url) as SocketLike);
    const socket = open(this.options.url);
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.socket === socket && this.opened(socket);
    socket.onmessage = ({ data }) => this.socket === socket && this.heard(data);
    socket.onerror = () => this.socket === socket && this.lostSocket(socket);
    socket.onclose = () => this.socket === socket && this.lostSocket(socket);
  }

  /** Tries at once, if it is waiting to: the network is back, or the user asks. */
  retryNow(): void {
    if (this.current.kind === "waiting") this.connect();
  }

  close(): void {
    clearTimeout(this.retry);
    clearTimeout(this.quiet);
    const { socket } = this;
    this.socket = null;
    socket?.close(1000);
    this.failCommands();
    this.enter({ kind: "closed" });
  }

  /** Hears of a job from number `since` on (0: all of it), over lost connections, until it ends. */
  watch(jobId: string, since = 0): void {
    if (this.watched.has(jobId)) return;
    this.watched.set(jobId, { last: since, held: null });
    if (this.current.kind === "open") this.replay(jobId);
  }

  /** The same of a job that this client is about to submit: its messages come by themselves, and
   * are asked for only after a lost connection. */
  expect(jobId: string): void {
    if (!this.watched.has(jobId)) this.watched.set(jobId, { last: 0, held: null });
  }

  /** Hears of a job no longer, unless it is this client's own. */
  unwatch(jobId: string): void {
    if (!this.watched.delete(jobId) || this.current.kind !== "open") return;
    this.command("unsubscribe", { prompt_id: jobId }).catch(() => undefined);
  }

  /** The number of the last message of a job that was heard; null for one that is not watched. */
  lastNumber(jobId: string): number | null {
    return this.watched.get(jobId)?.last ?? null;
  }

  /** Sends a command and waits for its reply. Rejects with ApiError or Unreachable. */
  command(type: string, data: JsonObject): Promise<JsonObject> {
    const { socket } = this;
    if (!socket || this.current.kind !== "open") {
      return Promise.reject(new Unreachable("There is no connection to the server"));
    }
    const id = this.nextId;
    this.nextId += 1;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      socket.send(formatJson({ type, id, data }));
    });
  }

  private opened(socket: SocketLike): void {
    this.attempt = 0;
    socket.send(formatJson({ type: "feature_flags", data: FLAGS }));
    this.enter({ kind: "open" });
    this.listenForSilence();
    for (const jobId of this.watched.keys()) this.replay(jobId);
  }

  /** Asks for what is missing of a job; until the reply its messages are held back. */
  private replay(jobId: string): void {
    const job = this.watched.get(jobId);
    if (!job) return;
    job.held = [];
    this.command("subscribe", { prompt_id: jobId, since: job.last }).then(
      () => this.release(jobId),
      (error: unknown) => {
        if (!(error instanceof ApiError)) return; // the connection is lost: it is asked again later
        this.release(jobId);
        if (error.status === 404 && this.watched.delete(jobId)) this.emit({ kind: "lost", jobId });
      },
    );
  }

  private release(jobId: string): void {
    const job = this.watched.get(jobId);
    const held = job?.held;
    if (!job || !held) return;
    job.held = null;
    for (const message of held.toSorted((a, b) => (a.n ?? 0) - (b.n ?? 0))) this.pass(message, job);
  }

  private heard(data: unknown): void {
    this.listenForSilence();
    if (data instanceof ArrayBuffer) {
      const picture = readFrame(data);
      if (picture) this.emit({ kind: "picture", picture });
      return;
    }
    const message = typeof data === "string" ? readMessage(data) : null;
    if (!message) return;
    if (isJobMessage(message)) this.heardOfJob(message);
    else if (message.type === "reply" || message.type === "refused") this.answered(message);
    else this.emit({ kind: "server", message });
  }

  private heardOfJob(message: JobMessage): void {
    const job = this.watched.get(message.data.prompt_id);
    if (!job) this.emit({ kind: "job", message });
    else if (message.n === null) return; // of what was kept for us; it comes again with its number
    else if (job.held) job.held.push(message);
    else this.pass(message, job);
  }

  private pass(message: JobMessage, job: Watched): void {
    if (message.n === null || message.n <= job.last) return;
    job.last = message.n;
    this.emit({ kind: "job", message });
    if (ENDS.has(message.type)) this.watched.delete(message.data.prompt_id);
  }

  private answered(message: Extract<ServerMessage, { type: "reply" | "refused" }>): void {
    const waiting = typeof message.id === "number" ? this.waiting.get(message.id) : undefined;
    if (!waiting) return;
    this.waiting.delete(message.id as number);
    if (message.type === "reply") waiting.resolve(message.data);
    else waiting.reject(refusedBy(message.data));
  }

  private lostSocket(socket: SocketLike): void {
    this.socket = null;
    [socket.onopen, socket.onmessage, socket.onerror, socket.onclose] = [null, null, null, null];
    clearTimeout(this.quiet);
    socket.close();
    this.failCommands();
    const longest = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.attempt);
    const wait = longest * (0.5 + 0.5 * (this.options.random ?? Math.random)());
    this.attempt += 1;
    this.enter({ kind: "waiting", attempt: this.attempt, until: Date.now() + wait });
    this.retry = setTimeout(() => this.connect(), wait);
  }

  private listenForSilence(): void {
    clearTimeout(this.quiet);
    const { socket } = this;
    if (!socket) return;
    this.quiet = setTimeout(() => {
      socket.send(formatJson({ type: "feature_flags", data: FLAGS })); // which is always answered
      this.quiet = setTimeout(() => this.socket === socket && this.lostSocket(socket), PATIENCE);
    }, QUIET);
  }

  private failCommands(): void {
    const waiting = [...this.waiting.values()];
    this.waiting.clear();
    for (const { reject } of waiting) reject(new Unreachable("The connection to the server was lost"));
  }

  private enter(state: ConnectionState): void {
    this.current = state;
    this.emit({ kind: "state", state });
  }

  private emit(event: ConnectionEvent): void {
    for (const listener of [...this.listeners]) listener(event);
  }
}

function refusedBy(data: JsonObject): ApiError {
  const error = asObject(data["error"]);
  const type = asText(error["type"], "refused");
  const status = type === "not_found" ? 404 : 400;
  const faults = readFaults(data["node_errors"] as Json | undefined);
  return new ApiError(status, type, asText(error["message"], "The server refused"), asText(error["details"]), faults);
}

/** The address of a server's websocket, from that of a page ("http://host/") or of the server. */
export function socketUrl(page: string, clientId: string): string {
  const url = new URL("/ws", page);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.searchParams.set("clientId", clientId);
  return url.href;
}
