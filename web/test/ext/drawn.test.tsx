// @vitest-environment happy-dom
// What extensions draw, in React: mounted once, told of changes, removed; and what becomes of one that
// throws.

import { StrictMode, act } from "react";
import { createRoot } from "react-dom/client";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { openData } from "../../src/doc/open";
import { ExtensionFailures, ExtensionPanel } from "../../src/ext/ExtensionPanel";
import { ExtensionsContext } from "../../src/ext/context";
import type { Widget } from "../../src/ext/extension";
import { Registry } from "../../src/ext/registry";
import { EditorContext } from "../../src/state/context";
import { setWidget } from "../../src/state/actions";
import { useGraph } from "../../src/state/context";
import { WidgetRow } from "../../src/widgets/WidgetRow";
import { CurveChart } from "../../src/widgets/CurveChart";
import { editorWith } from "../state/editing";
import { CATALOGUE, defOf, nodeOf, workflowOf } from "../support";

const graph = openData(workflowOf("text_to_image"), CATALOGUE).graph;
const port = defOf("KSampler").inputs.find(({ name }) => name === "steps");

let root: ReturnType<typeof createRoot>;
let host: HTMLElement;

beforeEach(() => {
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
  host = document.body.appendChild(document.createElement("div"));
  root = createRoot(host);
});
afterEach(() => {
  act(() => root.unmount());
  host.remove();
  vi.unstubAllGlobals();
});

function Steps() {
  const shown = useGraph();
  if (!port) throw new Error("KSampler has no steps");
  return <WidgetRow node={nodeOf(shown, "5")} port={port} title="Sampler" />;
}

function begin(widget: Widget) {
  const [editor, registry] = [editorWith(graph), new Registry()];
  registry.addWidget({ plugin: "mine", place: { input: "steps" }, widget });
  act(() =>
    root.render(
      <StrictMode>
        <EditorContext value={editor}>
          <ExtensionsContext value={registry}>
            <Steps />
            <ExtensionFailures />
          </ExtensionsContext>
        </EditorContext>
      </StrictMode>,
    ),
  );
  return { editor, registry };
}

test("a widget draws the value, sets it, is told of what others set, and is removed whole", () => {
  const told: unknown[] = [];
  const destroyed = vi.fn();
  const { editor } = begin({
    mount(element, { value, set, port: info, node, label }) {
      const button = document.createElement("button");
      button.textContent = `${info.name} ${node} ${label} ${String(value)}`;
      button.addEventListener("click", () => set(3));
      element.append(button);
      return { update: (next) => told.push(next), destroy: destroyed };
    },
  });
  const before = nodeOf(graph, "5").values["steps"];
  const buttons = host.querySelectorAll("button");
  expect([...buttons].map(({ textContent }) => textContent)).toEqual([`steps 5 steps, Sampler ${String(before)}`]);
  destroyed.mockClear(); // React mounts twice to see that this does no harm

  act(() => buttons[0]?.click());
  expect(nodeOf(editor.graph, "5").values["steps"]).toBe(3);
  expect(told).toEqual([]); // its own change is no news
  act(() => editor.document.undo());
  expect(told).toEqual([before]);

  act(() => root.render(null));
  expect(destroyed).toHaveBeenCalledTimes(1);
});

test.each<[string, Widget]>([
  ["mounted", { mount: () => fail("at once") }],
  ["told of a value", { mount: () => ({ update: () => fail("at once") }) }],
])("a widget that throws when it is %s gives way to the usual one", (_, widget) => {
  const { editor, registry } = begin(widget);

  act(() => setWidget(editor, "5", "steps", 9));

  expect(host.querySelector<HTMLInputElement>("input[role=spinbutton]")?.value).toBe("9");
  expect(registry.state().failures).toEqual([{ plugin: "mine", where: "widget of steps", message: "at once" }]);
  expect(host.textContent).toContain("Extension mine: widget of steps");
});

test("a panel is drawn, closed, and one that throws says so", () => {
  const registry = new Registry();
  const closed = vi.fn();
  const draw = (mount: (element: HTMLElement) => void | (() => void)): void => {
    const entry = { plugin: "mine", id: "mine/a", panel: { id: "a", title: "A", mount } };
    act(() =>
      root.render(
        <ExtensionsContext value={registry}>
          <ExtensionPanel entry={entry} />
        </ExtensionsContext>,
      ),
    );
  };

  draw((element) => {
    element.append("drawn");
    return closed;
  });
  expect(host.textContent).toBe("drawn");
  draw(() => fail("not today"));

  expect(closed).toHaveBeenCalledTimes(1);
  expect(host.textContent).toBe("This panel failed: see the errors.");
  expect(registry.state().failures).toEqual([{ plugin: "mine", where: "panel A", message: "not today" }]);
});

test("a curve is read point by point with the keyboard, and says itself in words", () => {
  const points = [1, 2, 3].map((step) => ({ step, figures: { loss: 4 - step } }));
  act(() => root.render(<CurveChart points={points} name="loss" title="Train" total={9} log={false} smooth={0.5} />));
  const plot = host.querySelector<HTMLElement>("[role=slider]");
  const press = (key: string): void => {
    act(() => void plot?.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true })));
  };

  expect(plot?.getAttribute("aria-valuetext")).toBe("step 3: loss 1");
  press("ArrowLeft");
  expect(plot?.getAttribute("aria-valuetext")).toBe("step 2: loss 2");
  press("Home");
  press("ArrowLeft");
  expect(plot?.getAttribute("aria-valuetext")).toBe("step 1: loss 3");
  press("End");
  press("Escape");
  expect(plot?.getAttribute("aria-valuenow")).toBe("3");
  expect(host.querySelector("p")?.textContent).toBe("3 values of loss: 3 at first, 1 at last, lowest 1 at step 3");
  expect(host.querySelectorAll("path")).toHaveLength(2);
});

function fail(words: string): never {
  throw new Error(words);
}
