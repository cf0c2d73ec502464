// The canvas: React Flow, fed from the document and feeding it.

import "@xyflow/react/dist/style.css";
import "./canvas.css";

import {
  Background, BackgroundVariant, ConnectionMode, MiniMap, ReactFlow, ReactFlowProvider, useReactFlow, useStore,
  useStoreApi,
} from "@xyflow/react";
import type { Edge, OnConnectEnd, OnConnectStart } from "@xyflow/react";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { DragEvent, KeyboardEvent, MouseEvent } from "react";

import { addReroute, insertNode, insertion } from "../doc/connect";
import type { Point } from "../doc/graph";
import { t } from "../i18n/t";
import { cableOf, take } from "../state/actions";
import { useCatalogue, useEditor, useGraph, useUi } from "../state/context";
import { select } from "../state/ui";
import type { AnyNode, End } from "./adapter";
import { Adapter, endOf, groupOf } from "./adapter";
import { comeOff, drawingFrom, drawnFrom, dropOnNode, makeConnection, mayConnect } from "./connecting";
import { CableLine, Refusal } from "./Drawing";
import { FarCables } from "./FarCables";
import { FrameView } from "./FrameView";
import type { Along } from "./moving";
import { alongWith, takeChanges } from "./moving";
import { FarContext, NodeView, RerouteView } from "./NodeView";
import { usePictured } from "./pictured";

const FAR = 0.35; // the zoom below which nodes are boxes
const NARROW = 640; // pixels, as in page.css
const NODE_TYPES = { node: NodeView, reroute: RerouteView, group: FrameView };
const FIT = { padding: 0.08, maxZoom: 1 };
const NO_EDGES: Edge[] = [];
const NONE: Along = new Map();
const WORDS = {
  "node.a11yDescription.ariaLiveMessage": ({ direction }: { direction: string }) => `Moved ${direction}`,
};

export function Canvas() {
  return (
    <ReactFlowProvider>
      <Flow />
    </ReactFlowProvider>
  );
}

function Flow() {
  const editor = useEditor();
  const flow = useReactFlow<AnyNode>();
  const store = useStoreApi();
  const graph = useGraph();
  const catalogue = useCatalogue();
  const far = useStore(({ transform }) => transform[2] < FAR);
  const pictured = usePictured();
  const nodes = useUi((state) => state.nodes);
  const groups = useUi((state) => state.groups);
  const cables = useUi((state) => state.cables);
  const drawing = useUi((state) => state.drawing);
  const minimap = useUi((state) => state.minimap);
  const theme = useUi((state) => state.theme);
  const [aim, setAim] = useState<string | null>(null);
  const along = useRef<Along>(NONE);
  const overlay = useRef<HTMLDivElement>(null);
  const drawnEnd = useRef<End | null>(null);

  const adapter = useMemo(() => new Adapter(), []);
  const shown = useMemo(
    () => ({ nodes, groups, cables, pictured, far }),
    [nodes, groups, cables, pictured, far],
  );
  const known = useMemo(() => catalogue ?? new Map<string, never>(), [catalogue]);
  const flowNodes = useMemo(() => adapter.nodes(graph, known, shown), [adapter, graph, known, shown]);
  const flowEdges = useMemo(() => {
    const all = adapter.edges(graph, known, shown);
    if (!aim && !drawing?.cable) return all;
    return all.map((edge) => {
      if (edge.id === aim) return { ...edge, className: `${edge.className} cable-aim` };
      return edge.id === drawing?.cable ? { ...edge, className: `${edge.className} cable-picked` } : edge;
    });
  }, [adapter, graph, known, shown, aim, drawing]);

  useEffect(() => {
    editor.attach({
      fit: (ids, readable = false) => {
        const which = ids ? { nodes: ids.map((id) => ({ id })) } : {};
        // The document may just have changed: React Flow hears of it in the next frame.
        requestAnimationFrame(() => void flow.fitView({ ...FIT, ...which, ...(readable ? readably() : {}) }));
      },
      toGraph: (screen) => flow.screenToFlowPosition(screen),
      view: () => {
        const a = flow.screenToFlowPosition({ x: 0, y: 0 });
        const b = flow.screenToFlowPosition({ x: innerWidth, y: innerHeight });
        return { ...a, width: b.x - a.x, height: b.y - a.y };
      },
    });
    return () => editor.attach(null);
  }, [editor, flow]);

  const startDrawing = useCallback<OnConnectStart>(
    (_event, { nodeId, handleId }) => {
      const end = endOf(nodeId, handleId);
      drawnEnd.current = end;
      if (end) editor.ui.setState({ drawing: drawingFrom(editor, end) });
    },
    [editor],
  );
  const endDrawing = useCallback<OnConnectEnd>(
    (event, { toHandle }) => {
      const end = drawnEnd.current;
      drawnEnd.current = null;
      editor.ui.setState({ drawing: null });
      if (!end || toHandle) return;
      const at = pointOf(event);
      const below = document.elementFromPoint(at.x, at.y)?.closest<HTMLElement>(".react-flow__node");
      const id = below?.dataset["id"];
      if (id !== undefined && editor.graph.nodes.has(id)) return void dropOnNode(editor, end, id);
      const drawn = drawnFrom(editor, end);
      if (drawn) editor.ui.setState({ palette: { at, position: rounded(flow.screenToFlowPosition(at)), drawn } });
      else comeOff(editor, end);
    },
    [editor, flow],
  );
  /** Ends a cable that was begun with a click. */
  const cancelDrawing = (): void => {
    store.setState({ connectionClickStartHandle: null });
    editor.ui.setState({ drawing: null });
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key !== "Escape" || editor.ui.getState().drawing === null) return;
    event.stopPropagation();
    cancelDrawing();
  };
  const onDoubleClick = (event: MouseEvent): void => {
    const target = event.target as Element;
    if (!target.classList.contains("react-flow__pane")) return;
    const at = { x: event.clientX, y: event.clientY };
    editor.ui.setState({ palette: { at, position: rounded(flow.screenToFlowPosition(at)), drawn: null } });
  };
  const bend = (event: MouseEvent, { id }: Edge): void => {
    const at = flow.screenToFlowPosition({ x: event.clientX, y: event.clientY });
    const position = { x: Math.round(at.x - 20), y: Math.round(at.y - 12) };
    editor.document.apply(t("do.reroute"), (before) => addReroute(before, cableOf(id), position)?.graph ?? before);
  };
  const cableUnder = (event: unknown, node: AnyNode): string | null => {
    const at = pointOf(event as globalThis.MouseEvent | TouchEvent);
    for (const element of document.elementsFromPoint(at.x, at.y)) {
      const id = element.closest<HTMLElement>(".react-flow__edge")?.dataset["id"];
      if (id && insertion(editor.graph, cableOf(id), node.id, editor.catalogue)) return id;
    }
    return null;
  };
  const startDrag = (_event: unknown, _node: AnyNode | null, dragged: AnyNode[]): void => {
    along.current = alongWith(editor, dragged);
    editor.document.begin(t("do.move"));
  };
  const endDrag = (event: unknown, node: AnyNode | null, dragged: AnyNode[]): void => {
    const cable = node && dragged.length === 1 ? cableUnder(event, node) : null;
    if (node && cable !== null) {
      editor.document.apply(t("do.insert"), (before) => insertNode(before, cableOf(cable), node.id, editor.catalogue));
    }
    editor.document.commit();
    editor.document.seal();
    along.current = NONE;
    setAim(null);
  };
  const onDrop = (event: DragEvent): void => {
    event.preventDefault();
    const position = rounded(flow.screenToFlowPosition({ x: event.clientX, y: event.clientY }));
    const onto = (event.target as Element).closest<HTMLElement>(".react-flow__node")?.dataset["id"] ?? null;
    for (const file of event.dataTransfer.files) void take(editor, file, position, onto);
  };
  const cover = (on: boolean): void => {
    if (overlay.current) overlay.current.hidden = !on;
  };

  return (
    <FarContext value={far}>
      <div
        className="canvas"
        onDoubleClick={onDoubleClick}
        onKeyDown={onKeyDown}
        onDragOver={(event) => event.preventDefault()}
        onDrop={onDrop}
        data-drawing={drawing !== null}
      >
        <ReactFlow<AnyNode, Edge>
          nodes={flowNodes}
          edges={far ? NO_EDGES : flowEdges}
          nodeTypes={NODE_TYPES}
          onNodesChange={(changes) => takeChanges(editor, changes, along.current)}
          onEdgesChange={(changes) => takeEdges(editor, changes)}
          connectionMode={ConnectionMode.Loose}
          connectionLineComponent={CableLine}
          connectionRadius={18}
          isValidConnection={(connection) =>
            mayConnect(editor, {
              source: connection.source,
              target: connection.target,
              sourceHandle: connection.sourceHandle ?? null,
              targetHandle: connection.targetHandle ?? null,
            })
          }
          onConnect={(connection) => makeConnection(editor, connection)}
          onConnectStart={startDrawing}
          onConnectEnd={endDrawing}
          onClickConnectStart={startDrawing}
          onClickConnectEnd={() => editor.ui.setState({ drawing: null })}
          onNodeDragStart={startDrag}
          onNodeDrag={(event, node, dragged) => setAim(dragged.length === 1 ? cableUnder(event, node) : null)}
          onNodeDragStop={endDrag}
          onSelectionDragStart={(event, dragged) => startDrag(event, null, dragged)}
          onSelectionDragStop={(event, dragged) => endDrag(event, null, dragged)}
          onNodeClick={(event, { id }) => {
            if (event.shiftKey || event.ctrlKey || event.metaKey) return;
            const group = groupOf(id);
            if (group === null) select(editor.ui, [id]);
            else select(editor.ui, [], [group]);
          }}
          onEdgeDoubleClick={bend}
          onMove={(event) => event && cover(true)}
          onMoveEnd={() => cover(false)}
          onPaneClick={cancelDrawing}
          ariaLabelConfig={WORDS}
          aria-label={t("canvas.label")}
          onlyRenderVisibleElements
          elevateNodesOnSelect={false}
          edgesReconnectable={false}
          deleteKeyCode={null}
          multiSelectionKeyCode={["Meta", "Control", "Shift"]}
          zoomOnDoubleClick={false}
          minZoom={0.05}
          maxZoom={2.5}
          nodeDragThreshold={2}
          fitView
          fitViewOptions={{ ...FIT, ...readably() }}
          colorMode={theme === "auto" ? "system" : theme}
        >
          <Background variant={BackgroundVariant.Dots} gap={24} size={1.5} />
          {far && <FarCables graph={graph} catalogue={known} />}
          {minimap && <MiniMap pannable zoomable position="bottom-right" nodeBorderRadius={4} />}
          <Refusal />
        </ReactFlow>
        <div ref={overlay} className="canvas-overlay" hidden />
      </div>
    </FarContext>
  );
}

/** On a narrow screen a part of the graph that can be read is better than all of it. */
function readably(): { readonly minZoom?: number } {
  return innerWidth < NARROW ? { minZoom: 0.6 } : {};
}

function takeEdges(
  { ui }: ReturnType<typeof useEditor>,
  changes: readonly { readonly type: string; readonly id?: string; readonly selected?: boolean }[],
): void {
  const picks = changes.filter((change) => change.type === "select");
  if (!picks.length) return;
  const cables = new Set(ui.getState().cables);
  for (const { id = "", selected } of picks) {
    if (selected) cables.add(id);
    else cables.delete(id);
  }
  ui.setState({ cables });
}

function pointOf(event: globalThis.MouseEvent | TouchEvent): Point {
  const touch = "changedTouches" in event ? event.changedTouches[0] : event;
  return { x: touch?.clientX ?? 0, y: touch?.clientY ?? 0 };
}

function rounded({ x, y }: Point): Point {
  return { x: Math.round(x), y: Math.round(y) };
}
