// Curves of what a node measured while it learned: points come one by one, are bounded in number, and
// are drawn as paths.

/** What was measured up to a step, by name. */
export interface CurvePoint {
  readonly step: number;
  readonly figures: Readonly<Record<string, number>>;
}

/** One figure over the steps, in order. */
export interface Series {
  readonly steps: readonly number[];
  readonly values: readonly number[];
}

export const MOST_POINTS = 2000;

/**
 * The points with one more. Where a run goes on from an earlier step, what it had measured beyond that
 * goes; of too many points every second one does, but not the first and the last.
 */
export function addPoint(points: readonly CurvePoint[], point: CurvePoint): readonly CurvePoint[] {
  let end = points.length;
  while (end > 0 && (points[end - 1]?.step ?? 0) >= point.step) end -= 1;
  const all = [...points.slice(0, end), point];
  return all.length > MOST_POINTS ? all.filter((_, index) => index % 2 === 0 || index === all.length - 1) : all;
}

/** The names of all figures, loss first. */
export function figureNames(points: readonly CurvePoint[]): string[] {
  const names = [...new Set(points.flatMap(({ figures }) => Object.keys(figures)))];
  return [...names.filter((name) => name === "loss"), ...names.filter((name) => name !== "loss")];
}

export function seriesOf(points: readonly CurvePoint[], name: string): Series {
  const found = points.flatMap(({ step, figures }) => {
    const value = figures[name];
    return value === undefined || !Number.isFinite(value) ? [] : [{ step, value }];
  });
  return { steps: found.map(({ step }) => step), values: found.map(({ value }) => value) };
}

/**
 * The exponential moving average: `keep` of what was, in [0, 1), and the rest of what comes. Divided
 * by the weights it has seen, so that it begins with the first value and not near 0.
 */
export function smoothed(values: readonly number[], keep: number): number[] {
  let [sum, weight] = [0, 0];
  return values.map((value) => {
    sum = keep * sum + (1 - keep) * value;
    weight = keep * weight + (1 - keep);
    return sum / weight;
  });
}

/** Whether a logarithmic axis can show the values. */
export function positive(values: readonly number[]): boolean {
  return values.length > 0 && values.every((value) => value > 0);
}

/** A part of the screen, and how steps and values lie in it. */
export interface Scale {
  readonly x: (step: number) => number;
  readonly y: (value: number) => number;
  /** Values worth a line, from below. */
  readonly ticks: readonly number[];
  readonly log: boolean;
}

/** The scale that shows values over the steps up to `total` in so many pixels. log: if it can be. */
export function scaleOf(
  { steps, values }: Series,
  total: number,
  { width, height }: { readonly width: number; readonly height: number },
  log: boolean,
): Scale {
  const logarithmic = log && positive(values);
  const first = Math.min(steps[0] ?? 0, total);
  const span = Math.max(total, steps.at(-1) ?? 0) - first || 1;
  const by = logarithmic ? Math.log10 : (value: number): number => value;
  let [low, high] = [Math.min(...values), Math.max(...values)].map(by) as [number, number];
  if (!values.length) [low, high] = [0, 1];
  const room = (high - low) * 0.05 || Math.abs(high) * 0.05 || 0.5;
  [low, high] = [low - room, high + room];
  return {
    x: (step) => ((step - first) / span) * width,
    y: (value) => height - ((by(value) - low) / (high - low)) * height,
    ticks: logarithmic ? logTicks(low, high) : ticksOf(low, high),
    log: logarithmic,
  };
}

const WANTED = 4; // ticks, about

function ticksOf(low: number, high: number): number[] {
  const rough = (high - low) / WANTED;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * power).find((each) => each >= rough) ?? rough;
  const first = Math.ceil(low / step);
  const count = Math.max(0, Math.floor(high / step) - first + 1);
  return Array.from({ length: Math.min(count, 10) }, (_, index) => Number(((first + index) * step).toPrecision(12)));
}

/** Powers of ten between two powers; where there is but one or none, their parts as well. */
function logTicks(low: number, high: number): number[] {
  const parts = high - low > 1.5 ? [1] : high - low > 0.5 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9];
  const found: number[] = [];
  for (let power = Math.floor(low); power <= Math.ceil(high) && found.length < 50; power += 1) {
    for (const part of parts) {
      const value = Number((part * 10 ** power).toPrecision(12));
      if (Math.log10(value) >= low && Math.log10(value) <= high) found.push(value);
    }
  }
  const every = Math.ceil(found.length / (2 * WANTED));
  return found.filter((_, index) => index % every === 0);
}

/** The path of a line, in whole tenths of a pixel. */
export function pathOf({ steps, values }: Series, scale: Scale): string {
  return values
    .map((value, index) => `${index ? "L" : "M"}${tenth(scale.x(steps[index] ?? 0))} ${tenth(scale.y(value))}`)
    .join("");
}

function tenth(value: number): number {
  return Math.round(value * 10) / 10;
}

/** The place of the step nearest to a point of the screen; -1 where there is none. */
export function nearest(steps: readonly number[], scale: Scale, x: number): number {
  let best = -1;
  let least = Infinity;
  for (const [index, step] of steps.entries()) {
    const away = Math.abs(scale.x(step) - x);
    if (away >= least) break;
    [best, least] = [index, away];
  }
  return best;
}

/** A figure as it is read: four digits, a power of ten where it is very large or small. */
export function shownFigure(value: number): string {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2);
  return String(Number(value.toPrecision(4)));
}

/** What a curve says in words: where it began and is, and where it was lowest. */
export interface Summary {
  readonly count: number;
  readonly first: number;
  readonly last: number;
  readonly lowest: number;
  readonly lowestStep: number;
}

export function summaryOf({ steps, values }: Series): Summary | null {
  const [first, last] = [values[0], values.at(-1)];
  if (first === undefined || last === undefined) return null;
  const lowest = Math.min(...values);
  return { count: values.length, first, last, lowest, lowestStep: steps[values.indexOf(lowest)] ?? 0 };
}
