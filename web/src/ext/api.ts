// What one extension is given: frozen, and each thing that it hands over is checked, so that what is
// wrong with it is said where it is done.

import type { InputPort, NodeDef } from "../doc/catalogue";
import type { Graph, GraphNode } from "../doc/graph";
import { connect, disconnect, refusal } from "../doc/connect";
import { addNode, removeNodes, setTitle, setValue } from "../doc/edit";
import { portsOf, titleOf } from "../doc/ports";
import { valueOf, valueRefusal } from "../doc/widgets";
import type { Editor } from "../state/editor";
import { say } from "../state/ui";
import type {
  Api, Edit, Events, GraphAccess, NodeInfo, Panel, PortInfo, RunAccess, RunInfo, TypeInfo, Widget, WidgetPlace,
} from "./extension";
import type { Registry } from "./registry";

export const VERSION = 1;
const PANEL_ID = /^[\w-]{1,60}$/;

/** The interface for a plugin's extension. base: the address of its files. */
export function makeApi(editor: Editor, registry: Registry, plugin: string, base: string): Api {
  const api: Api = {
    version: VERSION,
    plugin,
    registerWidget(place: WidgetPlace, widget: Widget): void {
      const { node, input, type } = place;
      require(node ?? input ?? type, "registerWidget: the place names neither node, input nor type");
      require(typeof widget.mount === "function", "registerWidget: the widget has no function mount");
      registry.addWidget({ plugin, place, widget });
    },
    registerPanel(panel: Panel): void {
      require(PANEL_ID.test(panel.id), `registerPanel: ${JSON.stringify(panel.id)} is no id: letters, digits, _ and -`);
      require(panel.title, "registerPanel: the panel has no title");
      require(typeof panel.mount === "function", "registerPanel: the panel has no function mount");
      const added = registry.addPanel({ plugin, id: `${plugin}/${panel.id}`, panel });
      require(added, `registerPanel: there are two panels ${panel.id}`);
    },
    onEvent: (name, listener) => {
      const guarded = (event: Events[typeof name]): void => {
        try {
          listener(event);
        } catch (error) {
          registry.fail(plugin, `onEvent ${name}`, error);
        }
      };
      return listen(editor, name, guarded);
    },
    graph: graphAccess(editor),
    runs: runAccess(editor),
    say: (text, problem = false) => say(editor.ui, text, problem),
    urlOf: (file) => base + encodeURIComponent(file),
  };
  Object.freeze(api.graph);
  Object.freeze(api.runs);
  return Object.freeze(api);
}

function require(condition: unknown, why: string): void {
  if (!condition) throw new Error(why);
}

type Listeners = { readonly [Name in keyof Events]: (listener: (event: Events[Name]) => void) => () => void };

function listen<Name extends keyof Events>(
  { document, ui, runtime }: Editor,
  name: Name,
  listener: (event: Events[Name]) => void,
): () => void {
  const kinds: Listeners = {
    graph: (tell) => document.subscribe(({ graph, before }) => graph !== before && tell({})),
    selection: (tell) =>
      ui.subscribe((now, before) => now.nodes !== before.nodes && tell({ nodes: [...now.nodes] })),
    node: (tell) => runtime.subscribeNodes((id) => tell({ id })),
    run: (tell) =>
      runtime.subscribe(() => {
        const run = runInfo({ runtime });
        if (run) tell(run);
      }),
  };
  require(Object.hasOwn(kinds, name), `onEvent: there is no event ${JSON.stringify(name)}`);
  return kinds[name](listener);
}

// -- the graph --------------------------------------------------------------------------------------

function graphAccess(editor: Editor): GraphAccess {
  const info = (node: GraphNode): NodeInfo => nodeInfo(node, editor);
  return {
    nodes: () => [...editor.graph.nodes.values()].map(info),
    node: (id) => {
      const node = editor.graph.nodes.get(id);
      return node ? info(node) : null;
    },
    selection: () => [...editor.ui.getState().nodes],
    types: () => [...editor.catalogue.values()].map(typeInfo),
    change: (label, work) => {
      const { graph, edit } = editing(editor);
      work(edit);
      editor.document.apply(label, () => graph());
    },
  };
}

/** An edit, and the graph as it has left it. */
function editing(editor: Editor): { readonly graph: () => Graph; readonly edit: Edit } {
  const { catalogue } = editor;
  let graph = editor.graph;
  const find = (id: string): GraphNode => {
    const node = graph.nodes.get(id);
    if (!node) throw new Error(`there is no node ${JSON.stringify(id)}`);
    return node;
  };
  const edit: Edit = {
    addNode(type, { x, y }) {
      const def = catalogue.get(type);
      if (!def) throw new Error(`there is no node type ${JSON.stringify(type)}`);
      const made = addNode(graph, def, { x: Number(x) || 0, y: Number(y) || 0 });
      graph = made.graph;
      return made.id;
    },
    removeNode(id) {
      graph = removeNodes(graph, [find(id).id], catalogue);
    },
    setValue(id, input, value) {
      const node = find(id);
      const port = portsOf(node, catalogue).inputs.find(({ name }) => name === input);
      if (!port?.widget) throw new Error(`${node.type} has no input ${JSON.stringify(input)} that holds a value`);
      const why = valueRefusal(value, port.widget);
      if (why !== null) throw new Error(`${input}: ${why}`);
      graph = setValue(graph, id, input, value);
    },
    setTitle(id, title) {
      graph = setTitle(graph, find(id).id, String(title));
    },
    connect(from, to) {
      find(from.node);
      find(to.node);
      const why = refusal(graph, from, to, catalogue);
      if (why !== null) throw new Error(why);
      graph = connect(graph, from, to);
    },
    disconnect(id, input) {
      graph = disconnect(graph, { node: find(id).id, input });
    },
  };
  return { graph: () => graph, edit: Object.freeze(edit) };
}

function nodeInfo(node: GraphNode, { catalogue }: Editor): NodeInfo {
  const ports = portsOf(node, catalogue).inputs.filter(({ widget }) => widget !== null);
  return {
    id: node.id,
    type: node.type,
    title: titleOf(node, catalogue.get(node.type)),
    position: { ...node.position },
    values: Object.fromEntries(ports.map((port) => [port.name, valueOf(node, port)])),
    links: Object.fromEntries(Object.entries(node.links).map(([name, source]) => [name, { ...source }])),
  };
}

function typeInfo({ type, title, category, inputs, outputs }: NodeDef): TypeInfo {
  return {
    type,
    title,
    category,
    inputs: inputs.map(portInfo),
    outputs: outputs.map((port) => ({ key: port.key, name: port.name, type: port.type })),
  };
}

export function portInfo({ name, type, required, tooltip, options }: InputPort): PortInfo {
  return { name, type, required, tooltip, options };
}

// -- runs -------------------------------------------------------------------------------------------

function runAccess(editor: Editor): RunAccess {
  return {
    node: (id) => {
      const { state, value, max, output, failure } = editor.runtime.node(id);
      return { state, value, max, output, error: failure?.message ?? null };
    },
    current: () => runInfo(editor),
  };
}

function runInfo({ runtime }: Pick<Editor, "runtime">): RunInfo | null {
  const job = runtime.shownJob;
  return job && { id: job.id, state: job.state };
}
