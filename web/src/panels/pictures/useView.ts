// Zooming and moving a picture, or several in step, with the mouse, fingers and keys.

import { useCallback, useEffect, useRef, useState } from "react";
import type { KeyboardEvent, PointerEvent as ReactPointer } from "react";

import type { Point, Size } from "../../doc/graph";
import type { View } from "../../doc/zoom";
import { fitted, kept, moved, pinched, zoomed } from "../../doc/zoom";

const WHEEL = 0.0015; // of the scale, by pixel of the wheel
const STEP = 1.4;
const STILL = 4; // pixels that a press may move

export interface Looking {
  readonly view: View;
  readonly frame: Size;
  readonly zoom: (factor: number) => void;
  /** One pixel of the picture for one of the page. */
  readonly one: () => void;
  readonly fit: () => void;
  readonly pointers: {
    readonly onPointerDown: (event: ReactPointer) => void;
    readonly onPointerMove: (event: ReactPointer) => void;
    readonly onPointerUp: (event: ReactPointer) => void;
    readonly onPointerCancel: (event: ReactPointer) => void;
  };
  /** Whether the key was one of these: + - 0 1. */
  readonly key: (event: KeyboardEvent) => boolean;
}

/** measure: for the element that the picture is in; of several, for the first. around: for what is around
 * all of them. */
interface Places {
  readonly measure: (element: HTMLElement | null) => void;
  readonly around: (element: HTMLElement | null) => void;
}

/** pressed: what a press without a movement does, at a point of the frame. */
export function useView(picture: Size, pressed?: (at: Point, frame: Size) => void): Looking & Places {
  const [frame, setFrame] = useState<Size>({ width: 0, height: 0 });
  const [chosen, look] = useState<View | null>(null);
  const fingers = useRef(new Map<number, Point>());
  const way = useRef(0);
  const [outer, around] = useState<HTMLElement | null>(null);

  const whole = fitted(picture, frame);
  const smallest = Math.min(1, whole.scale);
  const view = chosen ? kept(chosen, picture, frame) : whole;
  const { width, height } = picture;
  const change = useCallback(
    (make: (view: View) => View) =>
      look((before) => kept(make(before ?? fitted({ width, height }, frame)), { width, height }, frame)),
    [width, height, frame],
  );

  const measure = useCallback((element: HTMLElement | null) => {
    if (!element) return undefined;
    const watch = new ResizeObserver(([entry]) => {
      if (entry) setFrame({ width: entry.contentRect.width, height: entry.contentRect.height });
    });
    watch.observe(element);
    return () => watch.disconnect();
  }, []);

  useEffect(() => {
    if (!outer) return undefined;
    const onWheel = (event: WheelEvent): void => {
      event.preventDefault(); // or else the browser makes the page larger
      const by = event.ctrlKey ? event.deltaY * 6 : event.deltaY * (event.deltaMode ? 16 : 1);
      change((now) => zoomed(now, placeOf(event, (event.target as Element).closest(".picture-stage") ?? outer), Math.exp(-by * WHEEL), smallest));
    };
    outer.addEventListener("wheel", onWheel, { passive: false });
    return () => outer.removeEventListener("wheel", onWheel);
  }, [outer, change, smallest]);

  const pair = (): readonly [Point, Point] | null => {
    const [a, b] = fingers.current.values();
    return a && b ? [a, b] : null;
  };
  const onPointerDown = (event: ReactPointer): void => {
    if (event.button > 1 || (event.target as Element).closest("[role=slider], button")) return;
    event.currentTarget.setPointerCapture(event.pointerId);
    fingers.current.set(event.pointerId, placeOf(event, event.currentTarget));
    way.current = 0;
  };
  const onPointerMove = (event: ReactPointer): void => {
    const from = fingers.current.get(event.pointerId);
    if (!from) return;
    const before = pair();
    const to = placeOf(event, event.currentTarget);
    fingers.current.set(event.pointerId, to);
    const after = pair();
    way.current += Math.hypot(to.x - from.x, to.y - from.y);
    if (before && after) change((now) => pinched(now, before, after, smallest));
    else if (way.current > STILL) change((now) => moved(now, to.x - from.x, to.y - from.y));
  };
  const onPointerUp = (event: ReactPointer): void => {
    const at = fingers.current.get(event.pointerId);
    fingers.current.delete(event.pointerId);
    if (at && event.type === "pointerup" && way.current <= STILL) pressed?.(at, frame);
  };
  const zoom = (factor: number): void => {
    change((now) => zoomed(now, { x: frame.width / 2, y: frame.height / 2 }, factor, smallest));
  };
  const one = (): void => zoom(1 / view.scale);
  const fit = (): void => look(null);
  const keys: Readonly<Record<string, () => void>> = {
    "+": () => zoom(STEP),
    "=": () => zoom(STEP),
    "-": () => zoom(1 / STEP),
    "0": fit,
    "1": one,
  };
  return {
    view,
    frame,
    zoom,
    one,
    fit,
    measure,
    around,
    pointers: { onPointerDown, onPointerMove, onPointerUp, onPointerCancel: onPointerUp },
    key: (event) => {
      const act = event.ctrlKey || event.metaKey || event.altKey ? undefined : keys[event.key];
      act?.();
      return act !== undefined;
    },
  };
}

/** Where the pointer is in the frame. */
function placeOf({ clientX, clientY }: { readonly clientX: number; readonly clientY: number }, stage: Element): Point {
  const { left, top } = stage.getBoundingClientRect();
  return { x: clientX - left, y: clientY - top };
}
