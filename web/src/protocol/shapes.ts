// What is sent to the server and what it answers, as the page sees it.

import type { JsonObject } from "../doc/json";

/** One thing that is wrong with a graph. input: null if it is about the node as a whole. */
export interface Fault {
  readonly type: string;
  readonly message: string;
  readonly details: string;
  readonly input: string | null;
  readonly extra: JsonObject;
}

/** What is wrong, by node. */
export type Faults = ReadonlyMap<string, readonly Fault[]>;

export interface Submission {
  readonly prompt: JsonObject | Readonly<Record<string, unknown>>;
  readonly promptId: string;
  readonly clientId: string;
  readonly workflow?: JsonObject;
  readonly front?: boolean;
  readonly targets?: readonly string[];
}

/** faults: of the part that cannot run, if the rest does. */
export interface Submitted {
  readonly promptId: string;
  readonly number: number;
  readonly faults: Faults;
  readonly warnings: readonly Fault[];
}

export interface FileRef {
  readonly filename: string;
  readonly subfolder: string;
  readonly type: string;
}

export type JobStatus = "pending" | "in_progress" | "completed" | "failed" | "cancelled";

/** A job as lists show it; times in milliseconds since the epoch. */
export interface JobSummary {
  readonly id: string;
  readonly status: JobStatus;
  readonly priority: number;
  readonly create_time: number | null;
  readonly execution_start_time: number | null;
  readonly execution_end_time: number | null;
  readonly execution_error: JsonObject | null;
  readonly outputs_count: number;
  readonly previewable_outputs_count: number;
  readonly preview_output: (FileRef & { readonly nodeId: string; readonly mediaType: string }) | null;
  readonly workflow_id: string | null;
}

export interface JobDetails extends JobSummary {
  readonly outputs: Readonly<Record<string, JsonObject>>;
  readonly workflow: { readonly prompt: JsonObject; readonly extra_data: JsonObject };
}

export interface JobPage {
  readonly jobs: readonly JobSummary[];
  readonly pagination: { readonly offset: number; readonly total: number; readonly has_more: boolean };
}

export interface JobQuery {
  readonly status?: readonly JobStatus[];
  readonly q?: string;
  readonly limit?: number;
  readonly offset?: number;
  readonly order?: "asc" | "desc";
  /** priority: as they wait in the queue. */
  readonly sort?: "created_at" | "execution_duration" | "priority";
}

export interface QueueState {
  readonly paused: boolean;
  readonly running: number;
  readonly pending: number;
}

/** modified: in seconds. etag: another one for each content that the file has had. */
export interface UserFile {
  readonly path: string;
  readonly size: number;
  readonly modified: number;
  readonly etag: string;
}

/** What a file held before. modified: when it was written, in seconds. */
export interface FileVersion {
  readonly version: string;
  readonly size: number;
  readonly modified: number;
}

export interface PluginInfo {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly state: string;
  readonly nodes: readonly string[];
  readonly reason?: string;
  /** Scripts that extend the page. */
  readonly web?: readonly string[];
}

/** Options of a picture's address. preview: in another format, as "webp;80". size: pixels of the longer
 * side, at most. */
export interface ViewOptions {
  readonly preview?: string;
  readonly size?: number;
  readonly channel?: "rgba" | "rgb" | "a";
}
