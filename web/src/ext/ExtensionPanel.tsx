// A panel that an extension draws, and what there is to show of panels elsewhere.

import "./extensions.css";

import { useEffect, useRef } from "react";

import { t } from "../i18n/t";
import { useExtensions, useRegistry } from "./context";
import type { RegisteredPanel } from "./registry";

export function ExtensionPanel({ entry }: { entry: RegisteredPanel }) {
  const registry = useRegistry();
  const host = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = host.current;
    if (!element) return undefined;
    let close: void | (() => void);
    try {
      close = entry.panel.mount(element);
    } catch (error) {
      registry.fail(entry.plugin, `panel ${entry.panel.title}`, error);
      element.replaceChildren(t("ext.panel.failed"));
    }
    return () => {
      try {
        close?.();
      } catch (error) {
        registry.fail(entry.plugin, `panel ${entry.panel.title}`, error);
      }
      element.replaceChildren();
    };
  }, [entry, registry]);
  return <div ref={host} className="ext-panel" data-plugin={entry.plugin} />;
}

/** A picture if the icon is an address, else its first two characters; the title's, if it has none. */
export function PanelIcon({ entry }: { entry: RegisteredPanel }) {
  const { icon = "", title } = entry.panel;
  if (icon.includes("/")) return <img className="ext-icon" src={icon} alt="" />;
  return (
    <span className="ext-icon" aria-hidden="true">
      {[...(icon || title)].slice(0, 2).join("")}
    </span>
  );
}

/** What is wrong with extensions, for the panel of errors; nothing where nothing is. */
export function ExtensionFailures() {
  const { failures } = useExtensions();
  if (!failures.length) return null;
  return (
    <ul className="errors" aria-label={t("ext.failures")}>
      {failures.map(({ plugin, where, message }) => (
        <li key={`${plugin} ${where} ${message}`}>
          <strong>{t("ext.failure", { plugin, where })}</strong>
          <p>{message}</p>
        </li>
      ))}
    </ul>
  );
}
