// A cable while it is drawn: its line, and beside the pointer why it may not go where that is.

import { getBezierPath, Position, useConnection, useReactFlow } from "@xyflow/react";
import type { ConnectionLineComponentProps, ConnectionState } from "@xyflow/react";

import { useEditor, useUi } from "../state/context";
import { endOf } from "./adapter";
import { endRefusal } from "./connecting";
import { lookOf } from "./looks";

export function CableLine({ fromX, fromY, toX, toY, fromPosition, toPosition }: ConnectionLineComponentProps) {
  const drawing = useUi((state) => state.drawing);
  const start = drawing?.start;
  const [path] = getBezierPath({
    sourceX: start?.x ?? fromX,
    sourceY: start?.y ?? fromY,
    sourcePosition: start ? Position.Right : fromPosition,
    targetX: toX,
    targetY: toY,
    targetPosition: start ? Position.Left : toPosition,
  });
  return <path className="cable-drawn" d={path} style={{ stroke: lookOf(drawing?.type ?? "*").color }} />;
}

interface Aim {
  readonly from: string;
  readonly fromHandle: string;
  readonly to: string;
  readonly toHandle: string;
  readonly x: number;
  readonly y: number;
}

function aimOf(state: ConnectionState): string {
  const { fromHandle, toHandle, to } = state;
  if (!state.inProgress || !fromHandle || !toHandle || !to || state.isValid !== false) return "";
  const aim: Aim = {
    from: fromHandle.nodeId,
    fromHandle: fromHandle.id ?? "",
    to: toHandle.nodeId,
    toHandle: toHandle.id ?? "",
    x: toHandle.x,
    y: toHandle.y,
  };
  return JSON.stringify(aim);
}

/** Why the port under the pointer does not take the cable. */
export function Refusal() {
  const editor = useEditor();
  const flow = useReactFlow();
  const text = useConnection(aimOf);
  if (!text) return null;
  const aim = JSON.parse(text) as Aim;
  if (aim.from === aim.to && aim.fromHandle === aim.toHandle) return null;
  const why = endRefusal(editor, endOf(aim.from, aim.fromHandle), endOf(aim.to, aim.toHandle));
  if (why === null) return null;
  const { x, y } = flow.flowToScreenPosition({ x: aim.x, y: aim.y });
  return (
    <div className="refusal" role="alert" style={{ left: x, top: y }}>
      {why}
    </div>
  );
}
