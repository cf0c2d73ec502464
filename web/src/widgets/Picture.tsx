// The pictures of a node: what it is making, what it made, or the one of the input folder it names.

import { useEffect, useRef } from "react";

import type { NodeDef } from "../doc/catalogue";
import type { GraphNode } from "../doc/graph";
import type { Json } from "../doc/json";
import { asList, asObject, asText } from "../doc/json";
import { t } from "../i18n/t";
import type { FileRef } from "../protocol/shapes";
import { useEditor } from "../state/context";
import type { NodeRun, Preview } from "../state/runtime";

interface PictureProps {
  readonly node: GraphNode;
  readonly def: NodeDef | undefined;
  readonly run: NodeRun;
  readonly title: string;
}

export function Picture({ node, def, run, title }: PictureProps) {
  const { api, ui, runtime } = useEditor();
  if (run.preview) return <Moving preview={run.preview} title={title} />;
  const made = filesOf(run);
  const files = made.length ? made : named(node, def);
  if (!files.length) return <div className="pictures-none" aria-hidden="true" />;
  return (
    <div className="pictures" data-count={Math.min(files.length, 9)}>
      {files.slice(0, 9).map((file) => (
        <button
          key={`${file.subfolder}/${file.filename}`}
          type="button"
          className="nodrag"
          onClick={() => ui.setState({ shown: { file, job: made.length ? (runtime.shownJob?.id ?? null) : null } })}
        >
          <img src={api.viewUrl(file, { preview: "webp;85" })} alt={t("node.picture", { title })} draggable={false} />
        </button>
      ))}
    </div>
  );
}

function Moving({ preview, title }: { preview: Preview; title: string }) {
  const image = useRef<HTMLImageElement>(null);
  useEffect(() => {
    const url = URL.createObjectURL(new Blob([preview.bytes], { type: preview.media }));
    if (image.current) image.current.src = url;
    return () => URL.revokeObjectURL(url);
  }, [preview]);
  return (
    <div className="pictures" data-count={1}>
      <img ref={image} alt={t("node.preview", { title })} draggable={false} />
    </div>
  );
}

export function fileOf(data: Json): FileRef {
  const { filename, subfolder, type } = asObject(data);
  return { filename: asText(filename), subfolder: asText(subfolder), type: asText(type, "output") };
}

function filesOf({ output }: NodeRun): FileRef[] {
  return asList(output?.["images"]).map(fileOf);
}

function named(node: GraphNode, def: NodeDef | undefined): FileRef[] {
  const port = def?.inputs.find(({ widget }) => widget?.kind === "choice" && widget.upload);
  const value = port && (node.values[port.name] ?? port.widget?.initial);
  if (typeof value !== "string" || !value) return [];
  const [path = "", type = "input"] = value.split(/ \[(\w+)\]$/);
  const at = path.lastIndexOf("/");
  return [{ filename: path.slice(at + 1), subfolder: at < 0 ? "" : path.slice(0, at), type }];
}
