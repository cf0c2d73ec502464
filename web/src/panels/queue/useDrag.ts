// A row of a list dragged to another place by its grip, with the mouse or a finger.

import { useState } from "react";
import type { PointerEvent, RefObject } from "react";

export interface Drag {
  /** What is dragged, and how many places it has moved. */
  readonly id: string | null;
  readonly by: number;
  readonly grip: (id: string) => {
    readonly onPointerDown: (event: PointerEvent) => void;
    readonly onPointerMove: (event: PointerEvent) => void;
    readonly onPointerUp: () => void;
    readonly onPointerCancel: () => void;
  };
}

/** rows: those that can be moved, in the order that they had when the drag began. */
export function useDrag(
  list: RefObject<HTMLOListElement | null>,
  rows: readonly { readonly id: string }[],
  drop: (id: string, by: number) => void,
): Drag {
  const [held, hold] = useState<{ readonly id: string; readonly by: number } | null>(null);
  const end = (): void => {
    if (held?.by) drop(held.id, held.by);
    hold(null);
  };
  const onPointerMove = ({ clientY }: PointerEvent): void => {
    if (!held) return;
    const from = rows.findIndex(({ id }) => id === held.id);
    if (from < 0) return hold(null); // it began meanwhile
    const others = [...(list.current?.querySelectorAll<HTMLElement>("[data-waiting]") ?? [])].filter(
      ({ dataset }) => dataset["waiting"] !== held.id,
    );
    const above = others.filter((row) => middle(row) < clientY).length;
    if (above - from !== held.by) hold({ id: held.id, by: above - from });
  };
  return {
    id: held?.id ?? null,
    by: held?.by ?? 0,
    grip: (id) => ({
      onPointerDown: (event) => {
        if (event.button !== 0) return;
        event.currentTarget.setPointerCapture(event.pointerId);
        hold({ id, by: 0 });
      },
      onPointerMove,
      onPointerUp: end,
      onPointerCancel: () => hold(null),
    }),
  };
}

function middle(row: HTMLElement): number {
  const { top, height } = row.getBoundingClientRect();
  return top + height / 2;
}
