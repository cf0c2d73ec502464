// What is chosen to be compared.

import { t } from "../../i18n/t";
import { useEditor, useUi } from "../../state/context";
import { compareMarked } from "../../state/pictures";
import { SMALL } from "./Thumb";

/** floating: over the canvas, since the gallery is not open. */
export function Marked({ floating = false }: { floating?: boolean }) {
  const editor = useEditor();
  const marked = useUi((state) => state.marked);
  if (!marked.length) return null;
  return (
    <section className="marked" data-floating={floating} aria-label={t("compare.chosen")}>
      {marked.map(({ file, job }) => (
        <img key={`${job ?? ""} ${file.subfolder}/${file.filename}`} src={editor.api.viewUrl(file, SMALL)} alt={file.filename} />
      ))}
      <span>{t(marked.length === 2 ? "compare.two" : "compare.one")}</span>
      <button type="button" disabled={marked.length < 2} onClick={() => compareMarked(editor)}>{t("compare.go")}</button>
      <button type="button" aria-label={t("compare.leave")} onClick={() => editor.ui.setState({ marked: [] })}>×</button>
    </section>
  );
}
