// The canvas: React Flow, fed from the document and feeding it.

import "@xyflow/react/dist/style.css";
import "./canvas.css";
import "./looks.css";

import {
  Background, BackgroundVariant, ConnectionMode, MiniMap, ReactFlow, ReactFlowProvider, useReactFlow, useStore,
  useStoreApi,
} from "@xyflow/react";
import type { Edge, OnConnectEnd, OnConnectStart, ReactFlowInstance } from "@xyflow/react";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { DragEvent, KeyboardEvent, MouseEvent } from "react";

import type { Point } from "../doc/graph";
import { t } from "../i18n/t";
import { cableOf, take } from "../state/actions";
import { useCatalogue, useEditor, useGraph, useUi } from "../state/context";
import { loadFrom, readDragged } from "../state/pictures";
import type { Editor } from "../state/editor";
import { bend } from "../state/organising";
import { layoutOf, measuresOf } from "../state/sizes";
import type { Menu } from "../state/ui";
import { NOTHING, select } from "../state/ui";
import type { AnyNode, End } from "./adapter";
import { Adapter, endOf, groupOf } from "./adapter";
import { comeOff, drawingFrom, drawnFrom, dropOnNode, makeConnection, mayConnect } from "./connecting";
import { CableLine, Refusal } from "./Drawing";
import { Dragging } from "./dragging";
import { nodeElement, nodeIdAround } from "./elements";
import { FarCables } from "./FarCables";
import { FrameView } from "./FrameView";
import { useHeld } from "./holding";
import { FarContext, NodeView, RerouteView } from "./NodeView";
import { usePictured } from "./pictured";

const FAR = 0.35; // the zoom below which nodes are boxes
const READABLE = 0.6; // the zoom from which on nodes can be read
const EDGE = 32; // pixels beside a node that is brought into view
const NARROW = 640; // pixels, as in small.css
const NODE_TYPES = { node: NodeView, reroute: RerouteView, group: FrameView };
const FIT = { padding: 0.08, maxZoom: 1 };
const NO_EDGES: Edge[] = [];
const WORDS = {
  "node.a11yDescription.default": t("node.describe"),
  "node.a11yDescription.keyboardDisabled": t("node.describe"),
  // React Flow tells where a node was before it moved; the narrator tells where it is.
  "node.a11yDescription.ariaLiveMessage": () => "",
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
  const measures = useUi((state) => measuresOf(state.density));
  const [aim, setAim] = useState<string | null>(null);
  const dragging = useMemo(() => new Dragging(editor), [editor]);
  const overlay = useRef<HTMLDivElement>(null);
  const drawnEnd = useRef<End | null>(null);

  const adapter = useMemo(() => new Adapter(), []);
  const { held, ...holding } = useHeld(nodes, groups);
  const shown = useMemo(
    () => ({ nodes, groups, cables, pictured, far, measures, held }),
    [nodes, groups, cables, pictured, far, measures, held],
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
      place: () => flow.getViewport(),
      goTo: (place) => void requestAnimationFrame(() => void flow.setViewport(place)),
      view: () => {
        const a = flow.screenToFlowPosition({ x: 0, y: 0 });
        const b = flow.screenToFlowPosition({ x: innerWidth, y: innerHeight });
        return { ...a, width: b.x - a.x, height: b.y - a.y };
      },
      show: (id) => show(editor, flow, id),
      zoom: (by) => void flow.zoomTo(flow.getZoom() * by),
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
      const id = nodeIdAround(document.elementFromPoint(at.x, at.y));
      if (id !== null && editor.graph.nodes.has(id)) return void dropOnNode(editor, end, id);
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
  const bendAt = (event: MouseEvent, { id }: Edge): void => {
    const at = flow.screenToFlowPosition({ x: event.clientX, y: event.clientY });
    bend(editor, cableOf(id), { x: Math.round(at.x - 20), y: Math.round(at.y - 12) });
  };
  const startDrag = (event: globalThis.MouseEvent | TouchEvent | MouseEvent, dragged: AnyNode[]): void =>
    dragging.start(dragged, event.altKey);
  const drag = (event: globalThis.MouseEvent | TouchEvent, dragged: AnyNode[]): void =>
    setAim(dragging.cableAt(pointOf(event), dragged));
  const endDrag = (event: globalThis.MouseEvent | TouchEvent, dragged: AnyNode[]): void => {
    dragging.end(dragged, dragging.cableAt(pointOf(event), dragged));
    setAim(null);
  };
  /** Opens the menu of a thing, which is selected if it is not, too. Fields keep the browser's. */
  const openMenu = (event: MouseEvent | globalThis.MouseEvent, about: Menu["about"], id = ""): void => {
    if (event.target instanceof Element && event.target.closest("input, textarea, select")) return;
    event.preventDefault();
    const { nodes: picked, groups: frames, cables: cut } = editor.ui.getState();
    if (about === "node" && !picked.has(id)) select(editor.ui, [id]);
    if (about === "group" && !frames.has(id)) select(editor.ui, [], [id]);
    if (about === "cable" && !cut.has(id)) editor.ui.setState({ nodes: NOTHING, groups: NOTHING, cables: new Set([id]) });
    const at = { x: event.clientX, y: event.clientY };
    editor.ui.setState({ menu: { at, position: rounded(flow.screenToFlowPosition(at)), about } });
  };
  const onDrop = (event: DragEvent): void => {
    event.preventDefault();
    const position = rounded(flow.screenToFlowPosition({ x: event.clientX, y: event.clientY }));
    const onto = nodeIdAround(event.target as Element);
    const picture = readDragged(event.dataTransfer);
    if (picture) return loadFrom(editor, picture, position, onto);
    for (const file of event.dataTransfer.files) void take(editor, file, position, onto);
  };
  const cover = (on: boolean): void => {
    if (overlay.current) overlay.current.hidden = !on;
  };

  return (
    <FarContext value={far}>
      <div
        className="canvas"
        {...holding}
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
          onNodesChange={(changes) => dragging.take(changes)}
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
          onNodeDragStart={(event, _node, dragged) => startDrag(event, dragged)}
          onNodeDrag={(event, _node, dragged) => drag(event, dragged)}
          onNodeDragStop={(event, _node, dragged) => endDrag(event, dragged)}
          onSelectionDragStart={(event, dragged) => startDrag(event, dragged)}
          onSelectionDragStop={(event) => endDrag(event.nativeEvent, [])}
          onNodeContextMenu={(event, { id }) => openMenu(event, groupOf(id) === null ? "node" : "group", groupOf(id) ?? id)}
          onEdgeContextMenu={(event, { id }) => openMenu(event, "cable", id)}
          onPaneContextMenu={(event) => openMenu(event, "canvas")}
          onSelectionContextMenu={(event, [first]) => openMenu(event, "node", first?.id)}
          onNodeClick={(event, { id }) => {
            if (event.shiftKey || event.ctrlKey || event.metaKey) return;
            const group = groupOf(id);
            if (group === null) select(editor.ui, [id]);
            else select(editor.ui, [], [group]);
          }}
          onEdgeDoubleClick={bendAt}
          // Not for the wheel: its next turn would meet the cover.
          onMove={(event) => event && event.type !== "wheel" && cover(true)}
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
          {far && <FarCables graph={graph} catalogue={known} measures={measures} />}
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
  return innerWidth < NARROW ? { minZoom: 0.8 } : {};
}

/** Brings a node into view, at a size that can be read and moving as little as may be, and gives it
 * the focus. */
function show(editor: Editor, flow: ReactFlowInstance<AnyNode>, id: string): void {
  const node = editor.graph.nodes.get(id);
  if (!node) return;
  const { width, height } = layoutOf(editor, node);
  const { x, y, zoom } = flow.getViewport();
  if (zoom < READABLE) {
    void flow.setCenter(node.position.x + width / 2, node.position.y + height / 2, { zoom: READABLE });
  } else {
    const a = flow.flowToScreenPosition(node.position);
    const seen = document.querySelector(".canvas")?.getBoundingClientRect() ?? new DOMRect(0, 0, innerWidth, innerHeight);
    const dx = toInside(a.x, width * zoom, seen.left + EDGE, seen.right - EDGE);
    const dy = toInside(a.y, height * zoom, seen.top + EDGE, seen.bottom - EDGE);
    if (dx || dy) void flow.setViewport({ x: x + dx, y: y + dy, zoom });
  }
  // It may have to be drawn first.
  requestAnimationFrame(() =>
    requestAnimationFrame(() => {
      if (document.activeElement?.closest(".title-field")) return;
      nodeElement(id)?.focus();
    }),
  );
}

/** How far a stretch has to move to lie between two borders; what is too long begins at the first. */
function toInside(from: number, length: number, least: number, most: number): number {
  if (from < least || length > most - least) return least - from;
  return Math.min(0, most - from - length);
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
