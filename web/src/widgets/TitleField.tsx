// A title that becomes a field on a double click, or on F2.

import { useState } from "react";

export function TitleField({ text, label, change }: { text: string; label: string; change: (text: string) => void }) {
  const [open, setOpen] = useState(false);
  if (!open) {
    return (
      <span
        className="title"
        title={text}
        onDoubleClick={(event) => {
          event.stopPropagation();
          setOpen(true);
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
      ref={(field) => field?.select()}
      onBlur={(event) => {
        setOpen(false);
        if (event.target.value !== text) change(event.target.value);
      }}
      onKeyDown={(event) => {
        event.stopPropagation();
        if (event.key === "Enter") event.currentTarget.blur();
        if (event.key === "Escape") {
          event.currentTarget.value = text;
          event.currentTarget.blur();
        }
      }}
    />
  );
}
