import { afterEach, describe, expect, test, vi } from "vitest";

import { openData } from "../../src/doc/open";
import { makeApi } from "../../src/ext/api";
import type { Api, Edit, Events, Extension } from "../../src/ext/extension";
import { loadExtensions } from "../../src/ext/load";
import { Registry, widgetFor } from "../../src/ext/registry";
import { select } from "../../src/state/ui";
import { editorWith } from "../state/editing";
import { CATALOGUE, defOf, nodeOf, workflowOf } from "../support";

const graph = openData(workflowOf("text_to_image"), CATALOGUE).graph;
const SAMPLER = "5";
const widget = { mount: () => undefined };
const panel = { id: "words", title: "Words", mount: () => undefined };

afterEach(() => vi.useRealTimers());

function begin(): { editor: ReturnType<typeof editorWith>; registry: Registry; api: Api } {
  const [editor, registry] = [editorWith(graph), new Registry()];
  return { editor, registry, api: makeApi(editor, registry, "mine", "/api/plugins/mine/web/") };
}

/** Loads extensions, given as what their modules export, of plugins in this order. */
async function load(plugins: Record<string, Record<string, Partial<Extension> | Error>>): Promise<Registry> {
  const listed = Object.entries(plugins).map(([name, files]) => ({ name, state: "loaded", web: Object.keys(files) }));
  const editor = editorWith(graph, async () => new Response(JSON.stringify(listed)));
  const registry = new Registry();
  const modules = new Map<string, Partial<Extension> | Error>(
    Object.entries(plugins).flatMap(([name, files]) =>
      Object.entries(files).map(([file, exported]) => [`/api/plugins/${name}/web/${file}`, exported] as const),
    ),
  );
  await loadExtensions(
    editor,
    registry,
    async (url) => {
      const found = modules.get(url);
      if (found instanceof Error || !found) throw found ?? new Error(`nothing at ${url}`);
      return found;
    },
    50,
  );
  return registry;
}

describe("what an extension is given", () => {
  test("is frozen, and says its version and whose it is", () => {
    const { api } = begin();

    expect([api.version, api.plugin, api.urlOf("a b.css")]).toEqual([1, "mine", "/api/plugins/mine/web/a%20b.css"]);
    for (const part of [api, api.graph, api.runs]) expect(Object.isFrozen(part)).toBe(true);
  });

  test("of several widgets that fit an input the last is taken", () => {
    const { api, registry } = begin();
    const port = defOf("KSampler").inputs.find(({ name }) => name === "steps");
    if (!port) throw new Error("KSampler has no steps");
    const [whole, steps, own] = [{ ...widget }, { ...widget }, { ...widget }];
    const taken = (node = "KSampler"): unknown => widgetFor(registry.state(), node, port)?.widget;
    expect(taken()).toBeUndefined();

    api.registerWidget({ type: "INT" }, whole);
    expect(taken()).toBe(whole);
    api.registerWidget({ input: "cfg" }, steps);
    expect(taken()).toBe(whole);
    api.registerWidget({ node: "KSampler", input: "steps", type: "INT" }, own);
    expect(taken()).toBe(own);
    expect(taken("Other")).toBe(whole);
  });

  test.each([
    ["the place names neither", (api: Api) => api.registerWidget({}, widget)],
    ["no function mount", (api: Api) => api.registerWidget({ type: "INT" }, {} as never)],
    ["is no id", (api: Api) => api.registerPanel({ ...panel, id: "a b" })],
    ["has no title", (api: Api) => api.registerPanel({ ...panel, title: "" })],
    ["no function mount", (api: Api) => api.registerPanel({ ...panel, mount: null as never })],
    ["two panels words", (api: Api) => [api.registerPanel(panel), api.registerPanel(panel)]],
    ["no event", (api: Api) => api.onEvent("toString" as never, () => undefined)],
  ])("what is registered wrongly is refused: %s", (words, register) => {
    const { api } = begin();

    expect(() => register(api)).toThrow(words);
  });

  test("the graph can be read, not written", () => {
    const { api, editor } = begin();
    select(editor.ui, [SAMPLER]);

    const sampler = api.graph.node(SAMPLER);

    expect(api.graph.nodes().map(({ id }) => id)).toEqual([...graph.nodes.keys()]);
    expect(api.graph.selection()).toEqual([SAMPLER]);
    expect(sampler?.values["steps"]).toBe(nodeOf(graph, SAMPLER).values["steps"]);
    expect(sampler?.links["model"]).toEqual({ node: "1", output: "MODEL" });
    expect(api.graph.node("99")).toBeNull();
    expect(api.graph.types().find(({ type }) => type === "KSampler")?.inputs.map(({ name }) => name)).toContain("cfg");
    if (sampler) (sampler.position as { x: number }).x = 1e6;
    expect(nodeOf(editor.graph, SAMPLER).position.x).not.toBe(1e6);
  });

  test("all that a change does is one step to undo", () => {
    const { api, editor } = begin();
    let made = "";

    api.graph.change("Decode twice", (edit) => {
      made = edit.addNode("VAEDecode", { x: 1, y: 2 });
      edit.connect({ node: SAMPLER, output: "LATENT" }, { node: made, input: "samples" });
      edit.setTitle(made, "Again");
      edit.setValue(SAMPLER, "steps", 3);
      edit.disconnect(SAMPLER, "model");
      edit.removeNode("7");
    });

    expect(nodeOf(editor.graph, made)).toMatchObject({ title: "Again", links: { samples: { node: SAMPLER } } });
    expect(nodeOf(editor.graph, SAMPLER).values["steps"]).toBe(3);
    expect([editor.document.length, editor.document.undoLabel]).toEqual([1, "Decode twice"]);
    editor.document.undo();
    expect(editor.graph).toBe(graph);
  });

  test.each<[string, (edit: Edit) => unknown]>([
    ['no node "99"', (edit) => edit.removeNode("99")],
    ['no node type "Nothing"', (edit) => edit.addNode("Nothing", { x: 0, y: 0 })],
    ["This is a number", (edit) => edit.setValue(SAMPLER, "steps", "many")],
    ["At least 1", (edit) => edit.setValue(SAMPLER, "steps", 0)],
    ['no input "model" that holds', (edit) => edit.setValue(SAMPLER, "model", 1)],
    ["takes MODEL", (edit) => edit.connect({ node: "1", output: "VAE" }, { node: SAMPLER, input: "model" })],
    ['no node "99"', (edit) => edit.connect({ node: "99", output: "VAE" }, { node: SAMPLER, input: "model" })],
  ])("a change that cannot be made says why, and nothing of it is made: %s", (words, wrong) => {
    const { api, editor } = begin();

    const change = (): void =>
      api.graph.change("Wrong", (edit) => {
        edit.setTitle(SAMPLER, "Changed");
        wrong(edit);
      });

    expect(change).toThrow(words);
    expect(editor.graph).toBe(graph);
    expect(editor.document.length).toBe(0);
  });

  test("it hears what happens until it no longer wants to, and its own mistakes stay its own", () => {
    const { api, editor, registry } = begin();
    const heard: unknown[] = [];
    const hear = <Name extends keyof Events>(name: Name): (() => void) =>
      api.onEvent(name, (event) => heard.push([name, event]));
    api.onEvent("graph", () => {
      throw new Error("I cannot");
    });
    const ends = [hear("graph"), hear("selection"), hear("node"), hear("run")];

    select(editor.ui, [SAMPLER]);
    editor.document.apply("Title", (now) => ({ ...now }));
    editor.runtime.submitted("job");
    editor.runtime.hear({ type: "execution_start", data: { prompt_id: "job", timestamp: 1 }, n: 1 });
    editor.runtime.hear({ type: "executing", data: { prompt_id: "job", node: SAMPLER }, n: 2 });

    expect(heard).toEqual([
      ["selection", { nodes: [SAMPLER] }],
      ["graph", {}],
      ["run", { id: "job", state: "running" }],
      ["node", { id: SAMPLER }],
    ]);
    expect(api.runs.node(SAMPLER)).toMatchObject({ state: "running", error: null });
    expect(api.runs.current()).toEqual({ id: "job", state: "running" });
    expect(registry.state().failures).toEqual([{ plugin: "mine", where: "onEvent graph", message: "I cannot" }]);
    for (const end of ends) end();
    select(editor.ui, []);
    expect(heard).toHaveLength(4);
  });
});

describe("loading", () => {
  test("one that fails says which it is and why, takes back what it registered, and stops no other", async () => {
    const registered = (name: string): Partial<Extension> => ({
      setup: (api) => api.registerPanel({ ...panel, id: name }),
    });
    const registry = await load({
      first: { "a.js": registered("a"), "b.js": { setup: (api) => [api.registerPanel(panel), fail("half way")].at(2) } },
      absent: { "gone.js": new TypeError("Failed to fetch") },
      plain: { "none.js": {} },
      newer: { "new.js": { needs: 2, setup: () => undefined } },
      slow: { "slow.js": { setup: () => new Promise(() => undefined) } },
      late: { "late.js": { needs: 1, setup: async () => fail("later") } },
      last: { "z.js": registered("z") },
    });

    expect(registry.state().panels.map(({ id }) => id)).toEqual(["first/a", "last/z"]);
    expect(registry.state().failures).toEqual([
      { plugin: "first", where: "b.js", message: "half way" },
      { plugin: "absent", where: "gone.js", message: "Failed to fetch" },
      { plugin: "plain", where: "none.js", message: "it exports no function setup" },
      { plugin: "newer", where: "new.js", message: "it needs version 2 of the page's interface, which is at 1" },
      { plugin: "slow", where: "slow.js", message: "its setup does not end" },
      { plugin: "late", where: "late.js", message: "later" },
    ]);
  });

  test("where the server does not answer there are none", async () => {
    const registry = new Registry();

    await loadExtensions(editorWith(graph), registry, () => Promise.reject(new Error("never asked")));

    expect(registry.state()).toEqual({ widgets: [], panels: [], failures: [] });
  });

  test("the same mistake is told once, and not endlessly many", () => {
    const registry = new Registry();

    for (let count = 0; count < 2; count += 1) registry.fail("mine", "panel", new Error("twice"));
    expect(registry.state().failures).toEqual([{ plugin: "mine", where: "panel", message: "twice" }]);
    for (let count = 0; count < 200; count += 1) registry.fail("mine", "panel", new Error(`no ${count % 100}`));

    expect(registry.state().failures).toHaveLength(50);
  });
});

function fail(words: string): never {
  throw new Error(words);
}
