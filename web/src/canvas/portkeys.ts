// Keys on a port. Enter lists what it may be joined with; Space is a click, the first of which begins a
// cable and the second ends it; arrows go to the other ports of the node.

import type { KeyboardEvent } from "react";

import type { Drawn } from "../doc/connect";
import type { Editor } from "../state/editor";
import { nodeAround } from "./elements";

export function pressPort({ ui }: Editor, event: KeyboardEvent<HTMLDivElement>, drawn: Drawn): void {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const port = event.currentTarget;
  if (event.key === " " || (event.key === "Enter" && ui.getState().drawing !== null)) port.click();
  else if (event.key === "Enter") {
    const { left, bottom } = port.getBoundingClientRect();
    ui.setState({ joining: { at: { x: left, y: bottom }, from: drawn } });
  } else if (event.key === "Escape" && ui.getState().drawing === null) {
    nodeAround(port)?.focus();
  } else if (!event.shiftKey) {
    const next = portBeside(port, event.key);
    if (!next) return;
    next.focus();
  } else return;
  event.preventDefault();
  event.stopPropagation();
}

/** The port of the same node that an arrow leads to. */
function portBeside(port: HTMLElement, key: string): HTMLElement | null | undefined {
  const all = [...(nodeAround(port)?.querySelectorAll<HTMLElement>(".port") ?? [])];
  const side = (each: HTMLElement): boolean => each.classList.contains("source");
  const here = all.filter((each) => side(each) === side(port));
  const at = here.indexOf(port);
  switch (key) {
    case "ArrowDown":
      return here[at + 1] ?? port;
    case "ArrowUp":
      return here[at - 1] ?? port;
    case "ArrowRight":
    case "ArrowLeft":
      return all.find((each) => side(each) === (key === "ArrowRight")) ?? port;
    default:
      return null;
  }
}
