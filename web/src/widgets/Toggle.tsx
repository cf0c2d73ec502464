import type { ToggleWidget } from "../doc/catalogue";
import type { WidgetProps } from "./WidgetRow";

/** Something that is on or off. */
export function Toggle({ value, change, label, name, widget }: WidgetProps<boolean> & { widget: ToggleWidget }) {
  return (
    <>
      <span className="widget-name">{name}</span>
      <button
        type="button"
        role="switch"
        className="toggle"
        aria-checked={value}
        aria-label={label}
        onClick={() => change(!value)}
      >
        <span className="toggle-words">{value ? widget.on : widget.off}</span>
        <span className="toggle-knob" aria-hidden="true" />
      </button>
    </>
  );
}
