import { describe, expect, test } from "vitest";

import { asObject, parseJson } from "../../src/doc/json";
import { Api, ApiError, Unreachable } from "../../src/protocol/http";

interface Asked {
  readonly method: string;
  readonly url: string;
  readonly body: BodyInit | null | undefined;
}

function api(status: number, body: string, headers: Record<string, string> = {}): { api: Api; asked: Asked[] } {
  const asked: Asked[] = [];
  const fetch = async (url: string, init?: RequestInit): Promise<Response> => {
    asked.push({ method: init?.method ?? "GET", url, body: init?.body });
    return new Response(status === 204 ? null : body, { status, headers });
  };
  return { api: new Api("", fetch), asked };
}

const REFUSAL = JSON.stringify({
  error: { type: "prompt_outputs_failed_validation", message: "Prompt outputs failed validation", details: "d", extra_info: {} },
  node_errors: {
    "5": {
      errors: [
        { type: "value_bigger_than_max", message: "m", details: "steps", extra_info: { input_name: "steps", received_value: 9 } },
        { type: "missing_inputs", message: "n", details: "", extra_info: {} },
      ],
      class_type: "KSampler",
    },
  },
});

describe("the server over HTTP", () => {
  test("the example workflows are listed and read by name", async () => {
    const example = { name: "a b", title: "A b", group: "Control", description: "", picture: true };
    const { api: server, asked } = api(200, JSON.stringify([example]));

    expect(await server.templates()).toEqual([example]);
    expect(server.templatePicture("a b")).toBe("/api/templates/a%20b/picture");
    await server.template("a b");

    expect(asked.map(({ url }) => url)).toEqual(["/api/templates", "/api/templates/a%20b"]);
  });

  test("a graph is submitted with what goes into the pictures", async () => {
    const { api: server, asked } = api(200, '{"prompt_id": "j", "number": 3, "node_errors": {}}');

    const answer = await server.submit({
      prompt: { "1": { class_type: "A", inputs: { seed: 18446744073709551615n } } },
      promptId: "j", clientId: "c", workflow: { nodes: [] }, front: true, targets: ["1"],
    });

    expect(answer).toEqual({ promptId: "j", number: 3, faults: new Map(), warnings: [] });
    expect(asked[0]).toMatchObject({ method: "POST", url: "/api/prompt" });
    expect(String(asked[0]?.body)).toContain("18446744073709551615");
    expect(asObject(parseJson(String(asked[0]?.body)))).toMatchObject({
      prompt_id: "j", client_id: "c", front: true, partial_execution_targets: ["1"],
      extra_data: { extra_pnginfo: { workflow: { nodes: [] } } },
    });
  });

  test("what is wrong with it is told by node and input", async () => {
    const { api: server } = api(400, REFUSAL);

    const error = await server.submit({ prompt: {}, promptId: "j", clientId: "c" }).catch((each: unknown) => each);

    expect(error).toBeInstanceOf(ApiError);
    const refused = error as ApiError;
    expect([refused.status, refused.type, refused.details]).toEqual([400, "prompt_outputs_failed_validation", "d"]);
    expect(refused.faults.get("5")?.map(({ input, type }) => [input, type])).toEqual([
      ["steps", "value_bigger_than_max"], [null, "missing_inputs"],
    ]);
  });

  test("an answer that is no JSON, as a proxy's, is an error with its status", async () => {
    const { api: server } = api(502, "<html>Bad gateway", { "Retry-After": "5" });

    await expect(server.queueState()).rejects.toMatchObject({ status: 502, type: "http", retryAfter: 5 });
  });

  test("no answer at all is told apart", async () => {
    const server = new Api("", () => Promise.reject(new TypeError("failed")));

    await expect(server.objectInfo()).rejects.toBeInstanceOf(Unreachable);
  });

  test.each([
    ["cancel", (server: Api) => server.cancel("a/b"), "POST /api/jobs/a%2Fb/cancel"],
    ["retry", (server: Api) => server.retry("j"), "POST /api/jobs/j/retry"],
    ["move", (server: Api) => server.move("j", "front"), "POST /api/jobs/j/move"],
    ["pause", (server: Api) => server.pause(true), "POST /api/queue/pause"],
    ["resume", (server: Api) => server.pause(false), "POST /api/queue/resume"],
    ["clear", (server: Api) => server.clearQueue(), "POST /api/queue"],
    ["forget", (server: Api) => server.forget(["j"]), "POST /api/history"],
    ["history", (server: Api) => server.history(5), "GET /api/history?max_items=5"],
    ["jobs", (server: Api) => server.jobs({ status: ["pending", "failed"], q: "cat", limit: 5 }), "GET /api/jobs?status=pending%2Cfailed&q=cat&limit=5"],
    ["plugins", (server: Api) => server.plugins(), "GET /api/plugins"],
    ["write", (server: Api) => server.writeUserFile("drafts/a b.json", "{}"), "POST /api/userdata/drafts%2Fa%20b.json?overwrite=true&full_info=true"],
    ["delete", (server: Api) => server.deleteUserFile("drafts/a.json"), "DELETE /api/userdata/drafts%2Fa.json"],
    ["rename", (server: Api) => server.moveUserFile("a.json", "b/c.json"), "POST /api/userdata/a.json/move/b%2Fc.json?overwrite=false&full_info=true"],
    ["versions", (server: Api) => server.versions("workflows/a.json"), "GET /api/userdata/workflows%2Fa.json/versions"],
    ["version", (server: Api) => server.readVersion("a.json", "5"), "GET /api/userdata/a.json/versions/5"],
    ["restore", (server: Api) => server.restoreVersion("a.json", "5"), "POST /api/userdata/a.json/versions/5/restore?full_info=true"],
    ["deleted", (server: Api) => server.deletedUserFiles("workflows"), "GET /api/v2/userdata/deleted?path=workflows"],
    ["settings", (server: Api) => server.changeSettings({ a: 1 }), "POST /api/settings"],
  ])("%s", async (_name, call, expected) => {
    const { api: server, asked } = api(200, "{}");

    await call(server);

    expect(asked.map(({ method, url }) => `${method} ${url}`)).toEqual([expected]);
  });

  test.each([
    ['[{"name": "drafts"}]', ["GET /api/v2/userdata", "GET /api/userdata?dir=drafts&recurse=true&full_info=true"]],
    ['[{"name": "workflows"}]', ["GET /api/v2/userdata"]],
  ])("a folder is looked into where it is one of %s", async (top, expected) => {
    const { api: server, asked } = api(200, top);

    const files = await server.userFiles("drafts");

    expect(asked.map(({ method, url }) => `${method} ${url}`)).toEqual(expected);
    expect(files).toHaveLength(expected.length - 1);
  });

  test("a file that is not there is null, a folder that is not there is empty", async () => {
    const { api: server } = api(404, '{"error": {"type": "not_found", "message": "m", "details": "d"}}');

    await expect(server.readUserFile("a.json")).resolves.toBeNull();
    await expect(server.userFiles("drafts")).resolves.toEqual([]);
    await expect(server.job("j")).rejects.toMatchObject({ status: 404 });
  });

  test("pictures have addresses, smaller ones too", () => {
    const file = { filename: "a b.png", subfolder: "x", type: "output" };

    expect(new Api("").viewUrl(file, { preview: "webp;80", size: 256 })).toBe(
      "/api/view?filename=a+b.png&subfolder=x&type=output&preview=webp%3B80&size=256",
    );
    expect(new Api("http://h").viewUrl({ ...file, subfolder: "" })).toBe("http://h/api/view?filename=a+b.png&type=output");
  });

  test("an upload says what the file is called there", async () => {
    const { api: server, asked } = api(200, '{"name": "a (1).png", "subfolder": "s", "type": "input"}');

    const file = await server.uploadImage(new Blob(["x"]), "a.png", { subfolder: "s", overwrite: true });
    await server.uploadMask(new Blob(["x"]), "m.png", file);

    expect(file).toEqual({ filename: "a (1).png", subfolder: "s", type: "input" });
    const form = asked[0]?.body as FormData;
    expect([form.get("subfolder"), form.get("overwrite"), (form.get("image") as File).name]).toEqual(["s", "true", "a.png"]);
    const mask = asked[1]?.body as FormData;
    expect(JSON.parse(String(mask.get("original_ref")))).toEqual(file);
  });
});
