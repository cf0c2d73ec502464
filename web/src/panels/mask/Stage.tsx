// The picture with the mask over it, which is painted here.

import { useEffect, useRef, useState } from "react";
import type { KeyboardEvent, PointerEvent, RefObject } from "react";

import type { Bounds, Point, Size } from "../../doc/graph";
import { joined, tinted } from "../../doc/mask";
import type { MaskDocument } from "../../doc/mask-history";
import type { Brush } from "../../doc/mask-stroke";
import type { View } from "../../doc/zoom";
import { inFrame, inPicture, kept, zoomed } from "../../doc/zoom";
import { t } from "../../i18n/t";
import type { Contact } from "./gestures";
import { Gestures } from "./gestures";
import { colourOf } from "./pixels";

/** What is shown: the mask over the picture, the mask alone, or the picture alone. */
export type Shown = "both" | "mask" | "picture";

const CRISP = 4; // the scale from which pixels are shown as squares
const WHEEL = 0.0016; // how much a pixel of the wheel zooms
const LINE = 16; // pixels

interface StageProps {
  readonly document: MaskDocument;
  readonly picture: string;
  readonly name: string;
  readonly brush: Brush;
  readonly shown: Shown;
  readonly frame: Size;
  readonly view: View;
  readonly smallest: number;
  readonly look: (view: View) => void;
  readonly resized: (frame: Size) => void;
  readonly locked: boolean;
  readonly stage: RefObject<HTMLDivElement | null>;
}

export function Stage(props: StageProps) {
  const { document, picture, name, brush, shown, frame, view, resized, locked, stage } = props;
  const { width, height } = document.mask;
  const [pointer, setPointer] = useState<Point | null>(null);
  const [holding, setHolding] = useState(false); // the space bar
  const latest = useRef(props);
  useEffect(() => {
    latest.current = props;
  });

  const hands = useRef<Gestures | null>(null);
  useEffect(() => {
    hands.current = handsOn(latest);
  }, []);
  useEffect(() => {
    const element = stage.current;
    if (!element) return;
    const observer = new ResizeObserver(() => resized({ width: element.clientWidth, height: element.clientHeight }));
    observer.observe(element);
    const onWheel = (event: WheelEvent): void => {
      event.preventDefault(); // React's own listener could not
      const { view: now, smallest: least } = latest.current;
      const by = event.deltaY * (event.deltaMode === 1 ? LINE : 1) * (event.ctrlKey ? 6 : 1);
      lookOn(latest, zoomed(now, placeOf(event, element), Math.exp(-WHEEL * by), least));
    };
    element.addEventListener("wheel", onWheel, { passive: false });
    return () => {
      observer.disconnect();
      element.removeEventListener("wheel", onWheel);
    };
  }, [stage, resized]);

  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === " ") {
      event.preventDefault();
      setHolding(true);
    }
    if (locked || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = inPicture(view, pointer ?? { x: frame.width / 2, y: frame.height / 2 });
    const next = stepped(event, at, brush.size, document.mask);
    if (next) {
      event.preventDefault();
      setPointer(inFrame(view, next));
      if (document.stroking) document.to({ ...next, pressure: 1 });
    }
    if (event.key !== "Enter") return;
    event.preventDefault();
    setPointer(inFrame(view, at));
    if (document.stroking) document.end();
    else document.begin(brush, { ...at, pressure: 1 });
  };
  const down = (event: PointerEvent<HTMLDivElement>): void => {
    if (locked) return;
    event.preventDefault(); // no scrolling by the middle button, no selecting of text
    event.currentTarget.focus({ preventScroll: true });
    event.currentTarget.setPointerCapture(event.pointerId);
    hands.current?.down(contactOf(event, event.currentTarget), holding);
    setPointer(event.pointerType === "touch" ? null : placeOf(event, event.currentTarget));
  };
  const move = (event: PointerEvent<HTMLDivElement>): void => {
    if (event.pointerType !== "touch") setPointer(placeOf(event, event.currentTarget));
    const all = event.nativeEvent.getCoalescedEvents?.() ?? [];
    for (const each of all.length ? all : [event.nativeEvent]) hands.current?.move(contactOf(each, event.currentTarget));
  };
  const size = brush.size * view.scale;
  return (
    <div
      ref={stage}
      className="mask-stage"
      role="application"
      aria-label={t("mask.stage", { name })}
      aria-describedby="mask-help"
      tabIndex={0}
      data-shown={shown}
      data-moving={holding}
      onKeyDown={onKeyDown}
      onKeyUp={(event) => event.key === " " && setHolding(false)}
      onBlur={() => {
        setHolding(false);
        if (!hands.current?.busy) document.end();
      }}
      onPointerDown={down}
      onPointerMove={move}
      onPointerUp={(event) => hands.current?.up(event.pointerId)}
      onPointerCancel={(event) => hands.current?.up(event.pointerId)}
      onPointerLeave={() => setPointer(null)}
      onContextMenu={(event) => event.preventDefault()}
    >
      <div
        className="mask-sheet"
        data-crisp={view.scale >= CRISP}
        style={{ width, height, transform: `translate(${view.x}px, ${view.y}px) scale(${view.scale})` }}
      >
        <img src={picture} alt="" draggable={false} />
        <Paint key={shown} document={document} />
      </div>
      {pointer && !holding && (
        <div
          className="mask-ring"
          data-erase={brush.erase}
          style={{ width: size, height: size, transform: `translate(${pointer.x - size / 2}px, ${pointer.y - size / 2}px)` }}
        />
      )}
    </div>
  );
}

/** What pointers do, with what the stage is at the time. */
function handsOn(latest: RefObject<StageProps>): Gestures {
  const dab = (at: Point, pressure: number) => ({ ...inPicture(latest.current.view, at), pressure });
  return new Gestures({
    begin: (at, pressure, erase) => {
      const { brush, document } = latest.current;
      document.begin({ ...brush, erase: erase || brush.erase }, dab(at, pressure));
    },
    to: (at, pressure) => latest.current.document.to(dab(at, pressure)),
    end: () => latest.current.document.end(),
    drop: () => latest.current.document.drop(),
    view: () => latest.current.view,
    look: (view) => lookOn(latest, view),
    smallest: () => latest.current.smallest,
  });
}

function lookOn(latest: RefObject<StageProps>, wanted: View): void {
  const { document, frame, look } = latest.current;
  const view = kept(wanted, document.mask, frame);
  latest.current = { ...latest.current, view }; // the next event may come before the next rendering
  look(view);
}

/** The mask as it is painted, in the colour of its style. What changes is drawn at most once a frame. */
function Paint({ document }: { readonly document: MaskDocument }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!canvas.current || !context) return;
    const colour = colourOf(canvas.current);
    let waiting: Bounds | null = { x: 0, y: 0, width: document.mask.width, height: document.mask.height };
    let asked = 0;
    const draw = (): void => {
      asked = 0;
      if (!waiting) return;
      const { x, y, width, height } = waiting;
      context.putImageData(new ImageData(tinted(document.mask, waiting, colour), width, height), x, y);
      waiting = null;
    };
    draw();
    const stop = document.subscribe((area) => {
      if (area.width <= 0 || area.height <= 0) return;
      waiting = waiting ? joined(waiting, area) : area;
      asked ||= requestAnimationFrame(draw);
    });
    return () => {
      stop();
      cancelAnimationFrame(asked);
    };
  }, [document]);
  return <canvas ref={canvas} width={document.mask.width} height={document.mask.height} />;
}

/** Where an arrow key takes the brush; null for other keys. Shift: by a pixel. */
function stepped({ key, shiftKey }: KeyboardEvent, { x, y }: Point, size: number, { width, height }: Size): Point | null {
  const step = shiftKey ? 1 : Math.max(1, size / 4);
  const [dx, dy] = [
    key === "ArrowRight" ? step : key === "ArrowLeft" ? -step : 0,
    key === "ArrowDown" ? step : key === "ArrowUp" ? -step : 0,
  ];
  if (!dx && !dy) return null;
  return { x: Math.min(width, Math.max(0, x + dx)), y: Math.min(height, Math.max(0, y + dy)) };
}

function placeOf({ clientX, clientY }: { readonly clientX: number; readonly clientY: number }, element: Element): Point {
  const box = element.getBoundingClientRect();
  return { x: clientX - box.left, y: clientY - box.top };
}

function contactOf(event: Omit<Contact, "at"> & { readonly clientX: number; readonly clientY: number }, element: Element): Contact {
  const { pointerId, pointerType, button, pressure } = event;
  return { pointerId, pointerType, button, pressure, at: placeOf(event, element) };
}
