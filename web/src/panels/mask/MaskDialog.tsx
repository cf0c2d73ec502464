// Painting a mask on the picture of a node. Nothing is changed before it is saved, and what was painted
// is not thrown away unasked.

import "./mask.css";

import { useEffect, useRef, useState } from "react";

import { nodeElement } from "../../canvas/elements";
import type { NodeId } from "../../doc/graph";
import { readMask } from "../../doc/mask";
import { MaskDocument } from "../../doc/mask-history";
import type { Maskable } from "../../doc/uploads";
import { t } from "../../i18n/t";
import { ApiError } from "../../protocol/http";
import { useEditor } from "../../state/context";
import type { Editor } from "../../state/editor";
import { maskParts, maskableOf, saveMask } from "../../state/masks";
import { asPng, readPixels } from "./pixels";
import { Painter } from "./Painter";

interface Painting {
  readonly target: Maskable;
  readonly document: MaskDocument;
  /** The address of its colours. */
  readonly picture: string;
}

export function MaskDialog({ id }: { readonly id: NodeId }) {
  const editor = useEditor();
  const dialog = useRef<HTMLDialogElement>(null);
  const [painting, problem] = usePainting(editor, id);
  const [asking, setAsking] = useState(false);
  const [saving, setSaving] = useState(false);
  const [refusal, setRefusal] = useState<string | null>(null);
  const leaving = useRef(false);

  useEffect(() => dialog.current?.showModal(), []);
  useEffect(() => {
    if (!painting) return;
    const stay = (event: BeforeUnloadEvent): void => {
      if (painting.document.changed) event.preventDefault();
    };
    addEventListener("beforeunload", stay);
    return () => removeEventListener("beforeunload", stay);
  }, [painting]);

  const leave = (): void => {
    leaving.current = true;
    dialog.current?.close(); // the focus goes back to where it was
  };
  const cancel = (): void => {
    if (saving) return;
    if (painting?.document.changed) setAsking(true);
    else leave();
  };
  const save = async (): Promise<void> => {
    if (!painting || saving) return;
    painting.document.end();
    if (!painting.document.changed) return leave();
    setSaving(true);
    setRefusal(null);
    try {
      await saveMask(editor, id, painting.target, await asPng(painting.document.mask));
      leave();
    } catch (error) {
      setRefusal(wordsOf(error));
      setSaving(false);
    }
  };
  const closed = (): void => {
    // Browsers close a dialog at the second Escape, whatever the page says.
    if (!leaving.current && painting?.document.changed) {
      dialog.current?.showModal();
      setAsking(true);
      return;
    }
    editor.ui.setState({ masking: null });
    focusNode(id);
  };

  return (
    <dialog
      ref={dialog}
      className="masking"
      aria-label={t("mask.label")}
      onCancel={(event) => {
        if (event.target !== event.currentTarget) return; // it is the question's
        event.preventDefault();
        cancel();
      }}
      onClose={(event) => event.target === event.currentTarget && closed()}
      onDragOver={(event) => event.preventDefault()}
      onDrop={(event) => event.preventDefault()}
    >
      {painting ? (
        <Painter
          document={painting.document}
          picture={painting.picture}
          name={painting.target.file.filename}
          saving={saving}
          refusal={refusal}
          save={() => void save()}
          cancel={cancel}
        />
      ) : (
        <div className="mask-waiting">
          <p role={problem === null ? "status" : "alert"}>{problem ?? t("mask.loading")}</p>
          <button type="button" onClick={leave}>
            {t("mask.close")}
          </button>
        </div>
      )}
      {asking && <Question keep={() => setAsking(false)} discard={leave} />}
    </dialog>
  );
}

/** The picture and the mask that it has; or what is wrong with them. */
function usePainting(editor: Editor, id: NodeId): [Painting | null, string | null] {
  const [target] = useState(() => maskableOf(editor, id));
  const [painting, setPainting] = useState<Painting | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  useEffect(() => {
    if (!target) return;
    let [over, url] = [false, ""];
    const load = async (): Promise<void> => {
      const { colours, mask } = await maskParts(editor, target);
      const pixels = await readPixels(mask);
      if (over) return;
      url = URL.createObjectURL(colours);
      setPainting({ target, document: new MaskDocument(readMask(pixels.data, pixels, target.channel)), picture: url });
    };
    load().catch((error: unknown) => !over && setProblem(t("mask.unread", { why: wordsOf(error) })));
    return () => {
      over = true;
      if (url) URL.revokeObjectURL(url);
    };
  }, [editor, target]);
  return [painting, problem];
}

function Question({ keep, discard }: { readonly keep: () => void; readonly discard: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog
      ref={dialog}
      className="mask-question"
      role="alertdialog"
      aria-labelledby="mask-question"
      onKeyDown={(event) => event.stopPropagation()}
      onClose={(event) => {
        event.stopPropagation();
        keep();
      }}
    >
      <p id="mask-question">{t("mask.question")}</p>
      <div className="mask-row">
        <button type="button" className="mask-action" onClick={() => dialog.current?.close()}>
          {t("mask.keep")}
        </button>
        <button
          type="button"
          className="mask-action mask-discard"
          onClick={() => {
            dialog.current?.close(); // first, or nothing under it could get the focus
            discard();
          }}
        >
          {t("mask.discard")}
        </button>
      </div>
    </dialog>
  );
}

function wordsOf(error: unknown): string {
  const details = error instanceof ApiError && error.details ? `: ${error.details}` : "";
  return `${error instanceof Error ? error.message : String(error)}${details}`;
}

/** Where the button that opened the dialog is gone, the focus goes to the node. */
function focusNode(id: NodeId): void {
  if (document.activeElement && document.activeElement !== document.body) return;
  nodeElement(id)?.focus();
}
