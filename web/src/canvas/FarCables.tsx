// Cables seen from far away: one path for each colour, in place of an element for each cable.

import { ViewportPortal } from "@xyflow/react";
import { useMemo } from "react";

import type { Catalogue } from "../doc/catalogue";
import type { Graph } from "../doc/graph";
import { cables } from "../doc/graph";
import type { Measures } from "../doc/layout";
import { layoutNode } from "../doc/layout";
import { sourceType } from "../doc/ports";
import { lookOf } from "./looks";

interface FarCablesProps {
  readonly graph: Graph;
  readonly catalogue: Catalogue;
  readonly measures: Measures;
}

export function FarCables({ graph, catalogue, measures }: FarCablesProps) {
  const paths = useMemo(() => [...pathsOf(graph, catalogue, measures)], [graph, catalogue, measures]);
  return (
    <ViewportPortal>
      <svg className="far-cables" aria-hidden="true">
        {paths.map(([color, path]) => (
          <path key={color} d={path} stroke={color} />
        ))}
      </svg>
    </ViewportPortal>
  );
}

function pathsOf(graph: Graph, catalogue: Catalogue, measures: Measures): Map<string, string> {
  const points = new Map<string, { readonly x: number; readonly y: number }>();
  for (const node of graph.nodes.values()) {
    for (const { kind, id, x, y } of layoutNode(node, catalogue, false, measures).handles) {
      points.set(`${kind} ${node.id} ${id}`, { x: node.position.x + x, y: node.position.y + y });
    }
  }
  const paths = new Map<string, string>();
  for (const { node, input, source } of cables(graph)) {
    const from = points.get(`out ${source.node} ${source.output}`);
    const to = points.get(`in ${node} ${input}`);
    if (!from || !to) continue;
    const { color } = lookOf(sourceType(graph, source, catalogue));
    const bend = Math.max(40, Math.abs(to.x - from.x) / 2);
    const curve = `M${from.x} ${from.y}C${from.x + bend} ${from.y} ${to.x - bend} ${to.y} ${to.x} ${to.y}`;
    paths.set(color, (paths.get(color) ?? "") + curve);
  }
  return paths;
}
