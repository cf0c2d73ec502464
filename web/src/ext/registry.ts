// What extensions have registered, and what went wrong with them. The state is replaced, never
// changed, so that whoever shows it can tell by ===.

import type { InputPort } from "../doc/catalogue";
import type { Panel, Widget, WidgetPlace } from "./extension";

export interface RegisteredWidget {
  readonly plugin: string;
  readonly place: WidgetPlace;
  readonly widget: Widget;
}

/** id: "plugin/id", unique. */
export interface RegisteredPanel {
  readonly plugin: string;
  readonly id: string;
  readonly panel: Panel;
}

/** What an extension did wrong. where: at which of its tasks. */
export interface ExtensionFailure {
  readonly plugin: string;
  readonly where: string;
  readonly message: string;
}

export interface Registered {
  readonly widgets: readonly RegisteredWidget[];
  readonly panels: readonly RegisteredPanel[];
  readonly failures: readonly ExtensionFailure[];
}

const MOST_FAILURES = 50;

export class Registry {
  private now: Registered = { widgets: [], panels: [], failures: [] };
  private readonly listeners = new Set<() => void>();

  readonly state = (): Registered => this.now;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  addWidget(entry: RegisteredWidget): void {
    this.set({ widgets: [...this.now.widgets, entry] });
  }

  /** Whether it could be: ids are unique. */
  addPanel(entry: RegisteredPanel): boolean {
    if (this.now.panels.some(({ id }) => id === entry.id)) return false;
    this.set({ panels: [...this.now.panels, entry] });
    return true;
  }

  /** Notes what went wrong, once. */
  fail(plugin: string, where: string, error: unknown): void {
    const message = messageOf(error);
    const { failures } = this.now;
    const known = failures.some((each) => each.plugin === plugin && each.where === where && each.message === message);
    if (!known && failures.length < MOST_FAILURES) this.set({ failures: [...failures, { plugin, where, message }] });
  }

  /** Takes back what was registered since `before`, by one plugin. */
  withdraw(plugin: string, before: Registered): void {
    this.set({
      widgets: this.now.widgets.filter((each) => each.plugin !== plugin || before.widgets.includes(each)),
      panels: this.now.panels.filter((each) => each.plugin !== plugin || before.panels.includes(each)),
    });
  }

  /** No longer draws inputs with a widget that has failed. */
  dropWidget(entry: RegisteredWidget): void {
    this.set({ widgets: this.now.widgets.filter((each) => each !== entry) });
  }

  private set(changes: Partial<Registered>): void {
    this.now = { ...this.now, ...changes };
    for (const listener of [...this.listeners]) listener();
  }
}

/** The widget that draws an input: of those that fit, the last one. */
export function widgetFor(registered: Registered, node: string, port: InputPort): RegisteredWidget | undefined {
  return registered.widgets.findLast(({ place }) => fits(place, node, port));
}

function fits({ node, input, type }: WidgetPlace, nodeType: string, port: InputPort): boolean {
  return (
    (node === undefined || node === nodeType) &&
    (input === undefined || input === port.name) &&
    (type === undefined || type === port.type)
  );
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error);
}
