// A node as it is drawn. Its rows are where layout.ts says, so that cables meet their ports.

import { Handle, NodeResizeControl, Position } from "@xyflow/react";
import type { NodeProps } from "@xyflow/react";
import type { CSSProperties } from "react";
import { createContext, memo, useContext } from "react";

import { setTitle } from "../doc/edit";
import type { GraphNode } from "../doc/graph";
import type { Row } from "../doc/layout";
import { isSubgraph } from "../doc/open";
import { titleOf } from "../doc/ports";
import { t } from "../i18n/t";
import { useEditor, useNodeRun, useUi } from "../state/context";
import type { NodeRun } from "../state/runtime";
import { Missing } from "../widgets/Missing";
import { WidgetRow } from "../widgets/WidgetRow";
import { Picture } from "../widgets/Picture";
import { TitleField } from "../widgets/TitleField";
import type { CanvasNode, NodeData } from "./adapter";
import { inHandle, outHandle } from "./adapter";
import { lookOf } from "./looks";
import { pressPort } from "./portkeys";

/** Whether nodes are too small to be read, and are drawn as boxes with titles. */
export const FarContext = createContext(false);

export const NodeView = memo(function NodeView({ id, data, selected }: NodeProps<CanvasNode>) {
  const run = useNodeRun(id);
  const { graph } = useEditor();
  const far = useContext(FarContext);
  const { node, def } = data;
  const title = titleOf(node, def);
  const subgraph = !def && isSubgraph(node, graph);
  const state = run.faults.length || run.failure ? "error" : run.state;
  const tint = { "--tint": node.color || undefined } as CSSProperties;
  const shared = {
    className: "node",
    "data-state": state,
    "data-mode": node.mode,
    "data-selected": selected,
    "data-known": def !== undefined || subgraph,
    "data-subgraph": subgraph,
    "data-note": def?.category === "canvas",
    "data-colored": node.color !== "",
    "data-collapsed": node.collapsed,
    style: tint,
  };
  if (far) {
    return (
      <div {...shared} data-far>
        <span className="node-far-title">{title}</span>
      </div>
    );
  }
  return (
    <div {...shared}>
      <Header node={node} title={title} run={run} state={state} height={data.layout.measures.header} />
      {node.collapsed ? <CollapsedPorts data={data} title={title} /> : <Rows data={data} title={title} run={run} />}
      {def || run.failure ? <Trouble run={run} /> : <Missing node={node} trouble={run.faults.length ? <Trouble run={run} /> : null} />}
      {selected && !node.collapsed && (
        <NodeResizeControl className="node-resize" minWidth={160} minHeight={data.layout.measures.header} aria-label={t("node.resize")} />
      )}
    </div>
  );
});

interface HeaderProps {
  readonly node: GraphNode;
  readonly title: string;
  readonly run: NodeRun;
  readonly state: string;
  readonly height: number;
}

function Header({ node, title, run, state, height }: HeaderProps) {
  const editor = useEditor();
  const rename = (text: string): void => {
    editor.document.apply(t("do.title"), (graph) => setTitle(graph, node.id, text));
  };
  const words = run.max > 1 && run.state === "running" ? `${run.value}/${run.max}` : wordsFor(node, state, run.failure !== null);
  return (
    <div className="node-header" style={{ height }}>
      <TitleField kind="node" id={node.id} text={title} label={t("title.edit")} change={rename} />
      {node.pinned && (
        <svg className="node-pin" viewBox="0 0 24 24" role="img" aria-label={t("node.pinned")}>
          <path d="M9 3h6l-1 7 4 4H6l4-4zM12 14v7" />
        </svg>
      )}
      {words && <span className="node-words">{words}</span>}
      {run.state === "running" && (
        <div
          className="node-progress"
          role="progressbar"
          aria-label={t("node.progress", { title, value: run.value, max: run.max })}
          aria-valuenow={run.value}
          aria-valuemax={run.max || 1}
        >
          <div style={{ width: `${run.max ? (100 * run.value) / run.max : 100}%` }} data-vague={!run.max} />
        </div>
      )}
    </div>
  );
}

function wordsFor(node: GraphNode, state: string, failed: boolean): string {
  if (node.mode === "muted") return t("node.muted");
  if (node.mode === "bypassed") return t("node.bypassed");
  if (state === "cached") return t("node.cached");
  if (state === "error") return t(failed ? "node.error" : "node.faulty");
  return state === "done" ? "✓" : "";
}

function Trouble({ run }: { run: NodeRun }) {
  const whole = run.faults.filter((fault) => fault.input === null).map((fault) => fault.details || fault.message);
  const ports = run.faults.filter((fault) => fault.input !== null);
  const texts = [
    ...(run.failure ? [run.failure.message] : []),
    ...whole,
    ...ports.map((fault) => `${fault.input ?? ""}: ${fault.details || fault.message}`),
  ];
  if (!texts.length) return null;
  return <div className="node-trouble nodrag nowheel">{texts.join("\n")}</div>;
}

function Rows({ data, title, run }: { data: NodeData; title: string; run: NodeRun }) {
  const { node, def, layout } = data;
  return (
    <>
      {layout.rows.map((row) => {
        const style = { top: row.y, height: row.height };
        const key = `${row.kind} ${row.input ?? ""} ${row.output ?? ""}`;
        if (row.kind === "picture") {
          return (
            <div key={key} className="row row-picture" style={style}>
              <Picture node={node} def={def} run={run} title={title} />
            </div>
          );
        }
        const input = data.ports.inputs.find((port) => port.name === row.input);
        return (
          <div key={key} className={`row row-${row.kind}`} style={style}>
            <RowPorts row={row} data={data} title={title} run={run} />
            {row.kind !== "ports" && input && <WidgetRow node={node} port={input} title={title} />}
          </div>
        );
      })}
    </>
  );
}

function RowPorts({ row, data, title, run }: { row: Row; data: NodeData; title: string; run: NodeRun }) {
  const input = data.ports.inputs.find((port) => port.name === row.input);
  const output = data.ports.outputs.find((port) => port.key === row.output);
  const top = (row.kind === "text" ? data.layout.measures.widget : row.height) / 2;
  const faulty = run.faults.some((fault) => fault.input === row.input && row.input !== null);
  return (
    <>
      {input && (
        <Port
          id={data.node.id}
          kind="in"
          name={input.name}
          type={input.type}
          title={title}
          top={top}
          faulty={faulty}
          linked={Object.hasOwn(data.node.links, input.name)}
        />
      )}
      {row.kind === "ports" && input && (
        <span className="port-label" data-optional={!input.required} title={input.tooltip}>
          {input.name}
        </span>
      )}
      {output && <span className="port-label port-label-out" title={output.tooltip}>{output.name}</span>}
      {output && <Port id={data.node.id} kind="out" name={output.key} type={output.type} title={title} top={top} />}
    </>
  );
}

interface PortProps {
  readonly id: string;
  readonly kind: "in" | "out";
  readonly name: string;
  readonly type: string;
  readonly title: string;
  readonly top: number;
  readonly faulty?: boolean;
  readonly linked?: boolean;
}

const Port = memo(function Port({ id, kind, name, type, title, top, faulty, linked }: PortProps) {
  const editor = useEditor();
  const handle = kind === "in" ? inHandle(name) : outHandle(name);
  const selected = useUi(({ nodes }) => nodes.has(id));
  const aim = useUi(({ drawing }) => (drawing ? (drawing.ports.get(id)?.has(handle) ? "fits" : "off") : undefined));
  const look = lookOf(type);
  const words = t(kind === "in" ? "node.input" : "node.output", { name, title, type });
  return (
    <Handle
      id={handle}
      type={kind === "in" ? "target" : "source"}
      position={kind === "in" ? Position.Left : Position.Right}
      className="port"
      data-shape={look.shape}
      data-aim={aim}
      data-faulty={faulty}
      data-linked={linked}
      style={{ top, "--port": look.color } as CSSProperties}
      aria-label={words}
      role="button"
      // Of a thousand ports those of selected nodes can be tabbed to, and those that take a cable.
      tabIndex={selected || aim === "fits" ? 0 : -1}
      onKeyDown={(event) => pressPort(editor, event, kind === "in" ? { to: { node: id, input: name } } : { from: { node: id, output: name } })}
      title={`${name}: ${type}`}
    />
  );
});

function CollapsedPorts({ data, title }: { data: NodeData; title: string }) {
  const top = data.layout.measures.header / 2;
  return (
    <>
      {data.ports.inputs.map(({ name, type }) => (
        <Port key={name} id={data.node.id} kind="in" name={name} type={type} title={title} top={top} />
      ))}
      {data.ports.outputs.map(({ key, type }) => (
        <Port key={key} id={data.node.id} kind="out" name={key} type={type} title={title} top={top} />
      ))}
    </>
  );
}

/** A bend in a cable: two ports and nothing else. */
export const RerouteView = memo(function RerouteView({ data, selected }: NodeProps<CanvasNode>) {
  const { node, layout } = data;
  const title = titleOf(node, data.def);
  const far = useContext(FarContext);
  return (
    <div className="reroute" data-selected={selected}>
      {!far && (
        <>
          <Port id={node.id} kind="in" name="" type="*" title={title} top={layout.height / 2} />
          <Port id={node.id} kind="out" name="" type="*" title={title} top={layout.height / 2} />
        </>
      )}
    </div>
  );
});
