// The pictures of a node: what it is making, what it made, or the one of the input folder it names.

import { useEffect, useRef } from "react";

import type { NodeDef } from "../doc/catalogue";
import type { GraphNode } from "../doc/graph";
import type { Json } from "../doc/json";
import { asList, asObject, asText } from "../doc/json";
import { isViewer } from "../doc/partial";
import { maskable, pictureOf } from "../doc/uploads";
import { t } from "../i18n/t";
import type { FileRef } from "../protocol/shapes";
import { useEditor } from "../state/context";
import type { NodeRun, Preview } from "../state/runtime";
import { Training } from "./Training";
import { MaskedPart, PaintButton } from "./PaintButton";
import { PictureActions } from "./PictureActions";

const SMALL = 512; // pixels of the longer side: the viewer shows it whole

interface PictureProps {
  readonly node: GraphNode;
  readonly def: NodeDef | undefined;
  readonly run: NodeRun;
  readonly title: string;
}

export function Picture({ node, def, run, title }: PictureProps) {
  const { api, ui, runtime } = useEditor();
  if (run.curve) return <Training id={node.id} curve={run.curve} title={title} />;
  if (run.preview) return <Moving preview={run.preview} title={title} />;
  const made = filesOf(run);
  const named = pictureOf(node, def);
  const files = made.length ? made : named ? [named] : [];
  const paintable = !made.length && maskable(node, def) !== null;
  if (!files.length) return <div className="pictures-none" aria-hidden="true" />;
  return (
    <div className="pictures" data-count={Math.min(files.length, 9)}>
      {files.slice(0, 9).map((file) => (
        <button
          key={`${file.subfolder}/${file.filename}`}
          type="button"
          className="nodrag"
          onClick={() => {
            const job = made.length ? (runtime.shownJob?.id ?? null) : null;
            const among = files.map((each) => ({ file: each, job, node: node.id }));
            ui.setState({ shown: { file, job, node: node.id, among } });
          }}
        >
          {paintable && <MaskedPart file={file} />}
          <img
            key={`${file.type} ${file.subfolder} ${file.filename}`}
            src={api.viewUrl(file, { preview: "webp;85", size: SMALL })}
            alt={t("node.picture", { title })}
            draggable={false}
            onError={(event) => {
              event.currentTarget.hidden = true; // the file is gone, which the node's widget says
            }}
          />
        </button>
      ))}
      <PictureActions node={node.id} title={title} file={made[0] ?? null} viewer={isViewer(def)} />
      {paintable && <PaintButton node={node.id} title={title} />}
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
