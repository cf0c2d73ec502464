// The server over HTTP (docs/server.md), typed. Every method throws ApiError where the server
// refuses, and Unreachable where there is no answer.

import type { Example } from "../doc/examples";
import type { Json, JsonObject } from "../doc/json";
import { asList, asObject, asText, formatJson, isObject, parseJson } from "../doc/json";
import type {
  Fault, Faults, FileRef, FileVersion, JobDetails, JobPage, JobQuery, PluginInfo, QueueState, Submission, Submitted, UserFile,
  ViewOptions,
} from "./shapes";

export type * from "./shapes";

/** A request that the server refused. type: a stable word; details: this very case. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly type: string,
    message: string,
    readonly details: string,
    readonly faults: Faults = new Map(),
    readonly retryAfter: number | null = null,
  ) {
    super(message);
  }
}

/** There was no answer at all. */
export class Unreachable extends Error {}

export type Fetch = (url: string, init?: RequestInit) => Promise<Response>;

export class Api {
  /** base: where the server is, "" for where the page comes from. */
  constructor(
    readonly base = "",
    private readonly fetch: Fetch = (url, init) => globalThis.fetch(url, init),
  ) {}

  // -- graphs and jobs ------------------------------------------------------------------------

  /** The catalogue, as readCatalogue takes it. */
  objectInfo(): Promise<Json> {
    return this.get("/object_info");
  }

  async health(): Promise<"ok" | "loading"> {
    return asObject(await this.get("/healthz"))["status"] === "ok" ? "ok" : "loading";
  }

  features(): Promise<JsonObject> {
    return this.object("/features");
  }

  /** Puts a graph into the queue. The same id again is the same job, so it may be sent again. */
  async submit(given: Submission): Promise<Submitted> {
    const answer = asObject(await this.post("/prompt", bodyOf(given)));
    return {
      promptId: asText(answer["prompt_id"], given.promptId),
      number: Number(answer["number"] ?? 0),
      faults: readFaults(answer["node_errors"]),
      warnings: asList(answer["warnings"]).filter(isObject).map(readFault),
    };
  }

  /** What is wrong with a graph, without running it. */
  async validate(prompt: Submission["prompt"]): Promise<{ valid: boolean; error: JsonObject | null; faults: Faults }> {
    const answer = asObject(await this.post("/validate", { prompt: prompt as JsonObject }));
    const error = answer["error"];
    return {
      valid: answer["valid"] === true,
      error: isObject(error) ? error : null,
      faults: readFaults(answer["node_errors"]),
    };
  }

  async jobs(query: JobQuery = {}): Promise<JobPage> {
    const parameters = {
      status: query.status?.join(","),
      q: query.q,
      limit: query.limit,
      offset: query.offset,
      sort_by: query.sort,
      sort_order: query.order,
    };
    return (await this.get(`/jobs${search(parameters)}`)) as unknown as JobPage;
  }

  async job(id: string): Promise<JobDetails> {
    return (await this.get(`/jobs/${encodeURIComponent(id)}`)) as unknown as JobDetails;
  }

  /** Stops a job, whether it waits or runs. Whether there was something to stop. */
  async cancel(id: string): Promise<boolean> {
    const answer = await this.post(`/jobs/${encodeURIComponent(id)}/cancel`);
    return asObject(answer)["cancelled"] === true;
  }

  /** Submits a job that has ended once more. The id of the new one. */
  async retry(id: string): Promise<string> {
    return asText(asObject(await this.post(`/jobs/${encodeURIComponent(id)}/retry`))["prompt_id"]);
  }

  /** Gives a waiting job another place: a number, lower ones first, or "front". */
  async move(id: string, to: number | "front"): Promise<void> {
    const body = to === "front" ? { front: true } : { number: to };
    await this.post(`/jobs/${encodeURIComponent(id)}/move`, body);
  }

  async queueState(): Promise<QueueState> {
    return (await this.get("/queue/state")) as unknown as QueueState;
  }

  async pause(paused: boolean): Promise<void> {
    await this.post(paused ? "/queue/pause" : "/queue/resume");
  }

  /** Cancels all that waits. */
  async clearQueue(): Promise<void> {
    await this.post("/queue", { clear: true });
  }

  /** Forgets jobs that have ended: some, or all. */
  async forget(ids: readonly string[] | "all"): Promise<void> {
    await this.post("/history", ids === "all" ? { clear: true } : { delete: [...ids] });
  }

  /** Entries of /history by job id. */
  history(limit: number, offset?: number): Promise<JsonObject> {
    return this.object(`/history${search({ max_items: limit, offset })}`);
  }

  /** The example workflows, by group. */
  async templates(): Promise<readonly Example[]> {
    return (await this.get("/templates")) as unknown as Example[];
  }

  /** The address of an example's small picture, for <img>. */
  templatePicture(name: string): string {
    return `${this.base}/api/templates/${encodeURIComponent(name)}/picture`;
  }

  /** An example workflow, as openData takes it. */
  template(name: string): Promise<Json> {
    return this.get(`/templates/${encodeURIComponent(name)}`);
  }

  async plugins(): Promise<readonly PluginInfo[]> {
    return (await this.get("/plugins")) as unknown as PluginInfo[];
  }

  // -- pictures -------------------------------------------------------------------------------

  /** The address of a file of the server's, for <img>. */
  viewUrl(file: FileRef, { preview, channel, size }: ViewOptions = {}): string {
    const { filename, subfolder, type } = file;
    return `${this.base}/api/view${search({ filename, subfolder, type, preview, channel, size })}`;
  }

  /** A file of the server's. */
  async view(file: FileRef, { preview, channel }: ViewOptions = {}): Promise<Blob> {
    const { filename, subfolder, type } = file;
    return (await this.ask("GET", `/view${search({ filename, subfolder, type, preview, channel })}`)).blob();
  }

  /** Sends a picture to the input folder (or another); what it is called there. */
  uploadImage(
    content: Blob,
    name: string,
    options: { type?: string; subfolder?: string; overwrite?: boolean } = {},
  ): Promise<FileRef> {
    const form = new FormData();
    form.set("image", content, name);
    return this.upload("/upload/image", form, options);
  }

  /** Sends a picture whose transparency goes on to the original; that one is not changed. */
  uploadMask(
    content: Blob,
    name: string,
    original: FileRef,
    options: { type?: string; subfolder?: string } = {},
  ): Promise<FileRef> {
    const form = new FormData();
    form.set("image", content, name);
    form.set("original_ref", JSON.stringify(original));
    return this.upload("/upload/mask", form, options);
  }

  private async upload(
    path: string,
    form: FormData,
    { type, subfolder, overwrite }: { type?: string; subfolder?: string; overwrite?: boolean },
  ): Promise<FileRef> {
    if (type) form.set("type", type);
    if (subfolder) form.set("subfolder", subfolder);
    if (overwrite) form.set("overwrite", "true");
    const answer = asObject(parseJson(await (await this.ask("POST", path, form)).text()));
    return {
      filename: asText(answer["name"]),
      subfolder: asText(answer["subfolder"]),
      type: asText(answer["type"], "input"),
    };
  }

  // -- the user's files -----------------------------------------------------------------------

  /** The files in a folder of the user's, in its folders too; [] where there is no such folder. */
  async userFiles(folder: string): Promise<readonly UserFile[]> {
    try {
      // Asked first, since browsers write each 404 into their console.
      const [top] = folder.split("/");
      const all = (await this.get("/v2/userdata")) as unknown as readonly { readonly name: string }[];
      if (!all.some(({ name }) => name === top)) return [];
      const answer = await this.get(`/userdata${search({ dir: folder, recurse: "true", full_info: "true" })}`);
      return answer as unknown as UserFile[];
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return [];
      throw error;
    }
  }

  /** The text of a file; null if it is not there. */
  async readUserFile(path: string): Promise<string | null> {
    return (await this.openUserFile(path))?.text ?? null;
  }

  /** The same with the etag of this content. */
  async openUserFile(path: string): Promise<{ readonly text: string; readonly etag: string } | null> {
    try {
      const answer = await this.ask("GET", `/userdata/${encodeURIComponent(path)}`);
      return { text: await answer.text(), etag: (answer.headers.get("ETag") ?? "").replaceAll('"', "") };
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return null;
      throw error;
    }
  }

  /** Writes a file, whole or not at all. ApiError 409 if it is there and may not be replaced; 412 if
   * it is another than the one with the etag `match`. */
  async writeUserFile(path: string, content: string, overwrite = true, match?: string): Promise<UserFile> {
    const query = search({ overwrite: String(overwrite), full_info: "true" });
    const address = `/userdata/${encodeURIComponent(path)}${query}`;
    return this.written(await this.ask("POST", address, content, ifMatch(match)));
  }

  async deleteUserFile(path: string, match?: string): Promise<void> {
    await this.ask("DELETE", `/userdata/${encodeURIComponent(path)}`, undefined, ifMatch(match));
  }

  /** Its versions go with it. */
  async moveUserFile(from: string, to: string, overwrite = false): Promise<UserFile> {
    const query = search({ overwrite: String(overwrite), full_info: "true" });
    const address = `/userdata/${encodeURIComponent(from)}/move/${encodeURIComponent(to)}${query}`;
    return this.written(await this.ask("POST", address));
  }

  /** What a file of the folder workflows held before, the newest first. */
  async versions(path: string): Promise<readonly FileVersion[]> {
    return (await this.get(`/userdata/${encodeURIComponent(path)}/versions`)) as unknown as FileVersion[];
  }

  async readVersion(path: string, version: string): Promise<string> {
    const address = `/userdata/${encodeURIComponent(path)}/versions/${encodeURIComponent(version)}`;
    return (await this.ask("GET", address)).text();
  }

  /** Writes an earlier content once more; what is there now becomes a version. */
  async restoreVersion(path: string, version: string, match?: string): Promise<UserFile> {
    const address = `/userdata/${encodeURIComponent(path)}/versions/${encodeURIComponent(version)}/restore`;
    return this.written(await this.ask("POST", `${address}?full_info=true`, undefined, ifMatch(match)));
  }

  /** Files that were deleted and can be restored, the newest first; the etag is their last version. */
  async deletedUserFiles(folder: string): Promise<readonly UserFile[]> {
    return (await this.get(`/v2/userdata/deleted${search({ path: folder })}`)) as unknown as UserFile[];
  }

  private async written(answer: Response): Promise<UserFile> {
    return parseJson(await answer.text()) as unknown as UserFile;
  }

  settings(): Promise<JsonObject> {
    return this.object("/settings");
  }

  async changeSettings(changes: JsonObject): Promise<void> {
    await this.post("/settings", changes);
  }

  // -- requests -------------------------------------------------------------------------------

  private async object(path: string): Promise<JsonObject> {
    return asObject(await this.get(path));
  }

  private async get(path: string): Promise<Json> {
    return parseJson(await (await this.ask("GET", path)).text());
  }

  private async post(path: string, data?: JsonObject): Promise<Json> {
    const answer = data === undefined ? await this.ask("POST", path) : await this.ask("POST", path, formatJson(data), JSON_BODY);
    const text = await answer.text();
    return text ? parseJson(text) : null;
  }

  private async ask(
    method: string,
    path: string,
    body?: BodyInit,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Response> {
    const init = { method, headers, ...(body === undefined ? {} : { body }) };
    let answer: Response;
    try {
      answer = await this.fetch(`${this.base}/api${path}`, init);
    } catch (error) {
      throw new Unreachable("The server does not answer", { cause: error });
    }
    if (answer.ok) return answer;
    throw await refusalOf(answer);
  }
}

const JSON_BODY = { "Content-Type": "application/json" };

function ifMatch(etag: string | undefined): Record<string, string> {
  return etag === undefined ? {} : { "If-Match": `"${etag}"` };
}

function bodyOf(given: Submission): JsonObject {
  const extra = given.workflow ? { extra_pnginfo: { workflow: given.workflow } } : {};
  return {
    prompt: given.prompt as JsonObject,
    prompt_id: given.promptId,
    client_id: given.clientId,
    extra_data: extra,
    ...(given.front ? { front: true } : {}),
    ...(given.targets ? { partial_execution_targets: [...given.targets] } : {}),
  };
}

async function refusalOf(answer: Response): Promise<ApiError> {
  const after = Number(answer.headers.get("Retry-After"));
  let data: JsonObject = {};
  try {
    data = asObject(parseJson(await answer.text()));
  } catch {
    // A proxy's page: the status says what there is to say.
  }
  const error = asObject(data["error"]);
  return new ApiError(
    answer.status,
    asText(error["type"], "http"),
    asText(error["message"]) || `The server answered ${answer.status}`,
    asText(error["details"]),
    readFaults(data["node_errors"]),
    after > 0 ? after : null,
  );
}

/** `node_errors` of an answer. */
export function readFaults(data: Json | undefined): Faults {
  return new Map(
    Object.entries(asObject(data)).map(([node, entry]) => [
      node,
      asList(asObject(entry)["errors"]).filter(isObject).map(readFault),
    ]),
  );
}

function readFault(data: JsonObject): Fault {
  const extra = asObject(data["extra_info"]);
  return {
    type: asText(data["type"]),
    message: asText(data["message"]),
    details: asText(data["details"]),
    input: asText(extra["input_name"]) || null,
    extra,
  };
}

function search(parameters: Readonly<Record<string, string | number | undefined>>): string {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== "");
  const query = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return query ? `?${query}` : "";
}
