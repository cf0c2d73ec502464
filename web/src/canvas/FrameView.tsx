// A group as it is drawn: a frame with a title, behind the nodes.

import { NodeResizeControl } from "@xyflow/react";
import type { NodeProps } from "@xyflow/react";
import type { CSSProperties } from "react";
import { memo } from "react";

import { changeGroup } from "../doc/edit";
import { t } from "../i18n/t";
import { useEditor } from "../state/context";
import { TitleField } from "../widgets/TitleField";
import type { FrameNode } from "./adapter";

export const FrameView = memo(function FrameView({ data, selected }: NodeProps<FrameNode>) {
  const { document } = useEditor();
  const { group } = data;
  const rename = (title: string): void => {
    document.apply(t("do.title"), (graph) => changeGroup(graph, group.id, { title }));
  };
  return (
    <div
      className="frame"
      data-selected={selected}
      data-colored={group.color !== ""}
      style={{ "--tint": group.color || undefined } as CSSProperties}
    >
      <div className="frame-title">
        <TitleField kind="group" id={group.id} text={group.title} label={t("group.title")} change={rename} />
      </div>
      {selected && <NodeResizeControl className="node-resize" minWidth={120} minHeight={80} />}
    </div>
  );
});
