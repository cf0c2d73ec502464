// A title that becomes a field on a double click, or when it is asked for (F2).

import { useEditor, useUi } from "../state/context";
import type { Thing } from "../state/ui";

interface TitleFieldProps extends Thing {
  readonly text: string;
  readonly label: string;
  readonly change: (text: string) => void;
}

export function TitleField({ kind, id, text, label, change }: TitleFieldProps) {
  const { ui } = useEditor();
  const open = useUi(({ renaming }) => renaming?.kind === kind && renaming.id === id);
  if (!open) {
    return (
      <span
        className="title"
        title={text}
        onDoubleClick={(event) => {
          event.stopPropagation();
          ui.setState({ renaming: { kind, id } });
        }}
      >
        {text}
      </span>
    );
  }
  return (
    <input
      className="title-field nodrag"
      aria-label={label}
      defaultValue={text}
      ref={selectAll}
      onBlur={(event) => {
        ui.setState(({ renaming }) => (renaming?.kind === kind && renaming.id === id ? { renaming: null } : {}));
        if (event.target.value !== text) change(event.target.value);
      }}
      onKeyDown={(event) => {
        event.stopPropagation();
        if (event.key === "Escape") event.currentTarget.value = text;
        if (event.key === "Enter" || event.key === "Escape") leave(event.currentTarget);
      }}
    />
  );
}

/** The field is left, and what it is the title of has the focus. */
function leave(field: HTMLElement): void {
  const around = field.closest<HTMLElement>("[tabindex]:not(input)");
  if (around) around.focus({ preventScroll: true });
  else field.blur();
}

function selectAll(field: HTMLInputElement | null): void {
  field?.focus({ preventScroll: true });
  field?.select();
}
