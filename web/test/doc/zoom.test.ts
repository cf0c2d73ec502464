import fc from "fast-check";
import { expect, test } from "vitest";

import { MOST, fitted, inFrame, inPicture, kept, moved, pinched, span, zoomed } from "../../src/doc/zoom";

const FRAME = { width: 600, height: 400 };
const SMALL = { width: 64, height: 64 };
const LARGE = { width: 1200, height: 400 };

test("a picture is shown whole and in the middle, a small one magnified by a whole number", () => {
  expect(fitted(LARGE, FRAME)).toEqual({ scale: 0.5, x: 0, y: 100 });
  expect(fitted(SMALL, FRAME)).toEqual({ scale: 6, x: 108, y: 8 });
  expect(fitted({ width: 0, height: 0 }, FRAME).scale).toBe(1);
});

test("zooming keeps the point under the mouse, and stops at the ends", () => {
  const at = { x: 300, y: 200 };
  const whole = fitted(LARGE, FRAME);
  const view = zoomed(whole, at, 4, 0.5);

  expect(view.scale).toBe(2);
  expect(inPicture(view, at)).toEqual(inPicture(whole, at));
  expect(zoomed(view, at, 1e-6, 0.5).scale).toBe(0.5);
  expect(zoomed(view, at, 1e6, 0.5).scale).toBe(MOST);
});

test("two fingers keep what is under them", () => {
  const view = { x: 10, y: 20, scale: 2 };
  const [a, b] = [{ x: 100, y: 100 }, { x: 200, y: 100 }];
  const after = pinched(view, [a, b], [{ x: 50, y: 80 }, { x: 250, y: 80 }], 0.1);

  expect(after.scale).toBe(4);
  expect(inFrame(after, inPicture(view, a))).toEqual({ x: 50, y: 80 });
});

test("however it is zoomed and moved, no gap opens at an edge", () => {
  const move = fc.record({
    factor: fc.double({ min: 0.2, max: 5, noNaN: true }),
    x: fc.integer({ min: -900, max: 900 }),
    y: fc.integer({ min: -900, max: 900 }),
  });
  fc.assert(
    fc.property(fc.array(move, { maxLength: 8 }), (moves) => {
      const view = moves.reduce(
        (now, { factor, x, y }) => kept(moved(zoomed(now, { x: 10, y: 10 }, factor, 0.5), x, y), LARGE, FRAME),
        fitted(LARGE, FRAME),
      );
      expect(view.x <= 0.5 && view.x + LARGE.width * view.scale >= FRAME.width - 0.5).toBe(true);
      expect(span(view, LARGE, FRAME)[0]).toBeLessThan(span(view, LARGE, FRAME)[1]);
    }),
  );
});
