import fc from "fast-check";
import { describe, expect, test } from "vitest";

import {
  MOST_POINTS, addPoint, figureNames, nearest, pathOf, positive, scaleOf, seriesOf, shownFigure, smoothed, summaryOf,
} from "../../src/doc/curve";
import type { CurvePoint } from "../../src/doc/curve";

const BOX = { width: 200, height: 100 };
const at = (step: number, loss = 1): CurvePoint => ({ step, figures: { loss } });
const finite = fc.double({ min: -1e6, max: 1e6, noNaN: true });
const losses = fc.array(fc.double({ min: 1e-6, max: 1e3, noNaN: true }), { minLength: 1, maxLength: 60 });

test("points come in order, and never more than there is room for", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 500 }), { maxLength: 80 }), (steps) => {
      let points: readonly CurvePoint[] = [];
      for (const step of steps) {
        points = addPoint(points, at(step));
        expect(points.at(-1)?.step).toBe(step);
        for (const [index, point] of points.slice(1).entries()) {
          expect(point.step).toBeGreaterThan(points[index]?.step ?? 0);
        }
      }
    }),
  );
  let points: readonly CurvePoint[] = [];
  for (let step = 1; step <= 3 * MOST_POINTS; step += 1) points = addPoint(points, at(step));
  expect(points.length).toBeLessThanOrEqual(MOST_POINTS);
  expect([points[0]?.step, points.at(-1)?.step]).toEqual([1, 3 * MOST_POINTS]);
});

test("a run that goes on from an earlier step measures anew what was beyond", () => {
  const points = [1, 2, 3, 4].reduce((all, step) => addPoint(all, at(step)), [] as readonly CurvePoint[]);

  expect(addPoint(points, at(3, 9)).map(({ step, figures }) => [step, figures["loss"]])).toEqual([
    [1, 1], [2, 1], [3, 9],
  ]);
});

test("each figure is a series of its own, and the loss comes first", () => {
  const points = [
    { step: 1, figures: { rate: 0.1, loss: 2 } },
    { step: 2, figures: { loss: Number.NaN } },
    { step: 4, figures: { loss: 1, norm: 3 } },
  ];

  expect(figureNames(points)).toEqual(["loss", "rate", "norm"]);
  expect(seriesOf(points, "loss")).toEqual({ steps: [1, 4], values: [2, 1] });
  expect(seriesOf(points, "gone")).toEqual({ steps: [], values: [] });
});

test("smoothing keeps what is constant, begins with the first value and stays within the values", () => {
  fc.assert(
    fc.property(fc.array(finite, { minLength: 1 }), fc.double({ min: 0, max: 0.99, noNaN: true }), (values, keep) => {
      const smooth = smoothed(values, keep);
      const [low, high] = [Math.min(...values), Math.max(...values)];
      const slack = 1e-6 * (1 + Math.abs(low) + Math.abs(high));
      expect(smooth[0]).toBeCloseTo(values[0] ?? 0, 3);
      for (const value of smooth) {
        expect(value).toBeGreaterThanOrEqual(low - slack);
        expect(value).toBeLessThanOrEqual(high + slack);
      }
    }),
  );
  expect(smoothed([1, 2, 4], 0)).toEqual([1, 2, 4]);
  expect(smoothed([0, 3], 0.5)).toEqual([0, 2]);
});

describe("a scale", () => {
  test("has all points in its box, higher values higher up, later steps further right", () => {
    fc.assert(
      fc.property(losses, fc.boolean(), (values, log) => {
        const series = { steps: values.map((_, index) => index + 1), values };
        const scale = scaleOf(series, values.length + 5, BOX, log);
        for (const [index, value] of values.entries()) {
          const [x, y] = [scale.x(index + 1), scale.y(value)];
          expect(x).toBeGreaterThanOrEqual(0);
          expect(x).toBeLessThanOrEqual(BOX.width);
          expect(y).toBeGreaterThanOrEqual(0);
          expect(y).toBeLessThanOrEqual(BOX.height);
          expect(nearest(series.steps, scale, x)).toBe(index);
        }
        expect(scale.y(Math.max(...values))).toBeLessThanOrEqual(scale.y(Math.min(...values)));
        expect(scale.log).toBe(log);
        for (const tick of scale.ticks) {
          expect(scale.y(tick)).toBeGreaterThanOrEqual(-1e-6);
          expect(scale.y(tick)).toBeLessThanOrEqual(BOX.height + 1e-6);
        }
        expect(scale.ticks.length).toBeLessThanOrEqual(10);
      }),
    );
  });

  test("is not logarithmic where a value is not above 0", () => {
    expect(positive([1, 0])).toBe(false);
    expect(scaleOf({ steps: [1, 2], values: [1, 0] }, 2, BOX, true).log).toBe(false);
  });

  test("has ticks at round numbers, and a place for no values at all", () => {
    expect(scaleOf({ steps: [0, 10], values: [0, 10] }, 10, BOX, false).ticks).toEqual([0, 5, 10]);
    expect(scaleOf({ steps: [0, 10], values: [0.001, 10] }, 10, BOX, true).ticks).toEqual([0.001, 0.01, 0.1, 1, 10]);
    const nothing = scaleOf({ steps: [], values: [] }, 10, BOX, true);
    expect(pathOf({ steps: [], values: [] }, nothing)).toBe("");
    expect(nearest([], nothing, 5)).toBe(-1);
  });
});

test("a line goes from point to point", () => {
  const series = { steps: [0, 10], values: [0, 10] };

  expect(pathOf(series, scaleOf(series, 10, BOX, false))).toBe("M0 95.5L200 4.5");
});

test.each([
  [0.123456, "0.1235"], [0.00012345, "1.23e-4"], [0, "0"], [12345.6, "12350"], [3e9, "3.00e+9"], [-0.5, "-0.5"],
])("%d is shown as %s", (value, words) => {
  expect(shownFigure(value)).toBe(words);
});

test("a curve can be said in words", () => {
  expect(summaryOf({ steps: [1, 2, 5], values: [3, 1, 2] })).toEqual({
    count: 3, first: 3, last: 2, lowest: 1, lowestStep: 2,
  });
  expect(summaryOf({ steps: [], values: [] })).toBeNull();
});
