// An input that an extension draws. It is told of values that others set; where it throws, the usual
// widget comes back, and the errors say whose fault it was.

import "./extensions.css";

import { useEffect, useLayoutEffect, useRef } from "react";

import type { InputPort } from "../doc/catalogue";
import type { Json } from "../doc/json";
import { portInfo } from "./api";
import { useRegistry } from "./context";
import type { WidgetView } from "./extension";
import type { RegisteredWidget } from "./registry";

interface ExtensionWidgetProps {
  readonly entry: RegisteredWidget;
  readonly value: Json;
  readonly change: (value: Json) => void;
  readonly label: string;
  readonly port: InputPort;
  readonly node: string;
}

export function ExtensionWidget({ entry, value, change, label, port, node }: ExtensionWidgetProps) {
  const registry = useRegistry();
  const host = useRef<HTMLSpanElement>(null);
  const view = useRef<WidgetView | null>(null);
  const latest = useRef({ value, change });
  const known = useRef<Json>(value);
  useLayoutEffect(() => {
    latest.current = { value, change };
  }, [value, change]);

  useEffect(() => {
    const element = host.current;
    if (!element) return undefined;
    const attempt = <T,>(work: () => T): T | undefined => {
      try {
        return work();
      } catch (error) {
        registry.fail(entry.plugin, `widget of ${port.name}`, error);
        registry.dropWidget(entry);
        return undefined;
      }
    };
    const set = (next: Json): void => {
      known.current = next;
      latest.current.change(next);
    };
    const input = { value: latest.current.value, set, port: portInfo(port), node, label };
    known.current = input.value;
    const mounted = attempt(() => entry.widget.mount(element, Object.freeze(input)) ?? {});
    view.current = mounted
      ? { update: (next) => attempt(() => mounted.update?.(next)), destroy: () => attempt(() => mounted.destroy?.()) }
      : null;
    return () => {
      view.current?.destroy?.();
      view.current = null;
      element.replaceChildren();
    };
  }, [entry, registry, port, node, label]);

  useEffect(() => {
    if (Object.is(known.current, value)) return;
    known.current = value;
    view.current?.update?.(value);
  }, [value]);

  return (
    <>
      <span className="widget-name">{port.name}</span>
      <span ref={host} className="ext-widget nowheel" data-plugin={entry.plugin} />
    </>
  );
}
