// What comes over the websocket, typed (docs/server.md). Messages of a job name it in `prompt_id`;
// those with a number `n` are numbered.

import type { Json, JsonObject } from "../doc/json";
import { asObject, asText, isObject, parseJson } from "../doc/json";
import type { FileRef } from "./shapes";

export type RunState = "pending" | "running" | "finished" | "error";

export interface NodeProgress {
  readonly value: number;
  readonly max: number;
  readonly state: RunState;
  readonly node_id: string;
  readonly prompt_id: string;
  readonly display_node_id: string;
  readonly parent_node_id: string | null;
  readonly real_node_id: string;
}

/** The data of each message, by its type. */
export interface JobMessages {
  execution_start: { readonly prompt_id: string; readonly timestamp: number };
  execution_cached: { readonly prompt_id: string; readonly nodes: readonly string[]; readonly timestamp: number };
  progress_state: { readonly prompt_id: string; readonly nodes: Readonly<Record<string, NodeProgress>> };
  executing: { readonly prompt_id: string; readonly node: string | null; readonly display_node?: string };
  progress: {
    readonly prompt_id: string;
    readonly node: string;
    readonly value: number;
    readonly max: number;
  };
  executed: {
    readonly prompt_id: string;
    readonly node: string;
    readonly display_node: string;
    readonly output: JsonObject | null;
  };
  figures: {
    readonly prompt_id: string;
    readonly node: string;
    readonly display_node: string;
    readonly step: number;
    readonly total: number;
    readonly figures: Readonly<Record<string, number>>;
    /** A picture of how far the node is. */
    readonly sample: FileRef | null;
  };
  execution_success: { readonly prompt_id: string; readonly timestamp: number };
  execution_error: {
    readonly prompt_id: string;
    readonly node_id: string | null;
    readonly node_type: string | null;
    readonly executed: readonly string[];
    readonly exception_message: string;
    readonly exception_type: string;
    readonly traceback: readonly string[];
    readonly timestamp: number;
  };
  execution_interrupted: {
    readonly prompt_id: string;
    readonly node_id: string | null;
    readonly node_type: string | null;
    readonly executed: readonly string[];
    readonly timestamp: number;
  };
}

export type JobMessageType = keyof JobMessages;

export type JobMessage = {
  readonly [T in JobMessageType]: {
    readonly type: T;
    readonly data: JobMessages[T];
    /** Its number in the job; null for a message without one. */
    readonly n: number | null;
  };
}[JobMessageType];

/** What the server says of itself and its queue, and its answers to commands. */
export type ServerMessage =
  | { readonly type: "status"; readonly queueRemaining: number; readonly sid: string | null }
  | { readonly type: "feature_flags"; readonly data: JsonObject }
  | { readonly type: "reply"; readonly id: Json; readonly data: JsonObject }
  | { readonly type: "refused"; readonly id: Json; readonly data: JsonObject }
  | { readonly type: "other"; readonly name: string; readonly data: JsonObject };

const JOB_TYPES: ReadonlySet<string> = new Set<JobMessageType>([
  "execution_start", "execution_cached", "progress_state", "executing", "progress", "figures", "executed",
  "execution_success", "execution_error", "execution_interrupted",
]);

export function isJobMessage(message: JobMessage | ServerMessage): message is JobMessage {
  return JOB_TYPES.has(message.type);
}

/** A text frame as a message; null if it is none. */
export function readMessage(text: string): JobMessage | ServerMessage | null {
  let data: Json;
  try {
    data = parseJson(text);
  } catch {
    return null;
  }
  const type = asText(asObject(data)["type"]);
  if (!isObject(data) || !type) return null;
  const body = asObject(data["data"]);
  if (JOB_TYPES.has(type)) {
    const n = typeof data["n"] === "number" ? data["n"] : null;
    // What the server promises for each type is in docs/server.md; its tests hold it to that.
    return { type, data: body, n } as unknown as JobMessage;
  }
  switch (type) {
    case "status": {
      const info = asObject(asObject(body["status"])["exec_info"]);
      const remaining = info["queue_remaining"];
      const sid = typeof body["sid"] === "string" ? body["sid"] : null;
      return { type, queueRemaining: typeof remaining === "number" ? remaining : 0, sid };
    }
    case "feature_flags":
      return { type, data: body };
    case "reply":
    case "refused":
      return { type, id: data["id"] ?? null, data: body };
    default:
      return { type: "other", name: type, data: body };
  }
}

/** A binary frame: a picture of a node at work (preview), or one that a job was asked to send. */
export interface PictureFrame {
  readonly kind: "preview" | "result";
  readonly jobId: string | null;
  readonly node: string | null;
  readonly media: string;
  readonly about: JsonObject;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

const MEDIA: Readonly<Record<number, string>> = { 1: "image/jpeg", 2: "image/png" };

/** A binary frame as a picture; null for one of another kind, or a damaged one. */
export function readFrame(buffer: ArrayBuffer): PictureFrame | null {
  if (buffer.byteLength < 8) return null;
  const view = new DataView(buffer);
  const kind = view.getUint32(0);
  const second = view.getUint32(4);
  if (kind === 1) {
    const media = MEDIA[second];
    const bytes = new Uint8Array(buffer, 8);
    return media ? { kind: "preview", jobId: null, node: null, media, about: {}, bytes } : null;
  }
  if ((kind !== 4 && kind !== 100) || 8 + second > buffer.byteLength) return null;
  let about: Json;
  try {
    about = parseJson(new TextDecoder().decode(new Uint8Array(buffer, 8, second)));
  } catch {
    return null;
  }
  if (!isObject(about)) return null;
  const node = about["display_node_id"] ?? about["node_id"];
  return {
    kind: kind === 4 ? "preview" : "result",
    jobId: asText(about["prompt_id"]) || null,
    node: asText(node) || null,
    media: asText(about["image_type"], "image/png"),
    about,
    bytes: new Uint8Array(buffer, 8 + second),
  };
}
