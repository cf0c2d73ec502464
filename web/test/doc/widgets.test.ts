import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { evaluate } from "../../src/doc/arithmetic";
import type { NumberWidget } from "../../src/doc/catalogue";
import { outputKeys, readCatalogue } from "../../src/doc/catalogue";
import { setLook, setSeedMode, setValue } from "../../src/doc/edit";
import { nextSeed, randomSeed, reseed, secureRandom } from "../../src/doc/seed";
import { reweigh } from "../../src/doc/weights";
import { fitNumber, valueOf, valueRefusal } from "../../src/doc/widgets";
import { CATALOGUE, defOf, graphWith, nodeOf, wired } from "../support";

const WHOLE: NumberWidget = { kind: "int", initial: 0, min: 0, max: 100, step: 1, round: 0, seed: false };
const SEED = { min: 0, max: 18446744073709551615n } as const;

describe("the catalogue", () => {
  test("says of each input whether it has a widget, and which", () => {
    const inputs = new Map(defOf("KSampler").inputs.map((port) => [port.name, port]));

    expect(inputs.get("model")).toMatchObject({ type: "MODEL", widget: null, required: true });
    expect(inputs.get("seed")?.widget).toMatchObject({ kind: "int", seed: true, max: 18446744073709551615n });
    expect(inputs.get("cfg")?.required).toBe(false);
    expect(inputs.get("cfg")?.widget).toMatchObject({ kind: "float", initial: 8, min: 0, max: 100 });
    expect(inputs.get("sampler_name")).toMatchObject({ type: "COMBO", widget: { kind: "choice" } });
    expect(defOf("LoadImage").inputs[0]?.widget).toMatchObject({ kind: "choice", upload: true });
    expect(defOf("CLIPTextEncode").inputs.find(({ name }) => name === "text")?.widget).toMatchObject({
      kind: "text", multiline: true,
    });
  });

  test("reads what other servers say, too", () => {
    const { V3: def } = Object.fromEntries(
      readCatalogue({
        V3: {
          input: {
            required: { mode: ["COMBO", { options: ["a", "b"] }], on: ["BOOLEAN", { default: true, label_on: "yes" }] },
            optional: { size: ["INT", { forceInput: true }], seed: ["INT", {}] },
            hidden: { prompt: "PROMPT" },
          },
          output: [["x", "y"], "INT", "INT"],
          output_name: ["pick", "n", "n"],
          search_aliases: ["other name"],
        },
      }),
    );

    expect(def?.inputs.map(({ name, widget }) => [name, widget?.kind ?? null])).toEqual([
      ["mode", "choice"], ["on", "toggle"], ["size", null], ["seed", "int"],
    ]);
    expect(def?.inputs[0]?.widget?.initial).toBe("a");
    expect(def?.inputs[3]?.widget).toMatchObject({ seed: true });
    expect(def?.outputs.map(({ key, type }) => [key, type])).toEqual([["pick", "COMBO"], ["n 2", "INT"], ["n 3", "INT"]]);
    expect(def).toMatchObject({ title: "V3", aliases: ["other name"], output: false });
  });

  test.each([[null], [[]], [{ a: 3 }], [{ a: { input: 5, output: {} } }]])("is not upset by %j", (answer) => {
    expect(readCatalogue(answer).get("KSampler")).toBeUndefined();
  });

  test("outputs of one name are told apart by their places", () => {
    expect(outputKeys(["a", "b", "a"])).toEqual(["a 1", "b", "a 3"]);
  });
});

describe("values", () => {
  test.each([
    [WHOLE, 3.6, 4],
    [WHOLE, -5, 0],
    [WHOLE, 500, 100],
    [{ ...WHOLE, kind: "float", max: null, round: 0.05 } as NumberWidget, 0.123, 0.1],
    [{ ...WHOLE, kind: "float", min: null, max: null } as NumberWidget, -0.123, -0.123],
    [{ ...WHOLE, ...SEED }, 2n ** 70n, 2n ** 64n - 1n],
    [{ ...WHOLE, ...SEED }, 2n ** 64n - 1n, 2n ** 64n - 1n],
    [{ ...WHOLE, ...SEED }, -1, 0],
    [{ ...WHOLE, ...SEED }, 7, 7],
  ])("%# a number is brought into range", (widget, value, fitted) => {
    expect(fitNumber(value, widget)).toBe(fitted);
  });

  test.each([
    [WHOLE, 3, null],
    [WHOLE, 3.5, "This is a whole number"],
    [WHOLE, 101, "At most 100"],
    [WHOLE, -1, "At least 0"],
    [WHOLE, "3", "This is a number"],
    [{ kind: "choice", options: ["a"], initial: "a", upload: false } as const, "b", "There is no b here"],
    [{ kind: "choice", options: ["a"], initial: "a", upload: false } as const, "a", null],
    [{ kind: "toggle", initial: false, on: "", off: "" } as const, 1, "This is on or off"],
    [{ kind: "text", initial: "", multiline: false, dynamicPrompts: false, placeholder: "" } as const, 1, "This is a text"],
  ])("%# says why a value does not fit", (widget, value, why) => {
    expect(valueRefusal(value, widget)).toBe(why);
  });

  test("a picture may be in another folder than those that are listed", () => {
    const widget = { kind: "choice", initial: "a.png", options: ["a.png"], upload: true } as const;

    expect(valueRefusal("b.png [output]", widget)).toBeNull();
    expect(valueRefusal("b.png", widget)).toBe("There is no b.png here");
    expect(valueRefusal("b.png [output]", { ...widget, upload: false })).toBe("There is no b.png [output] here");
  });

  test("what is missing is what the widget holds at first", () => {
    const node = nodeOf(setValue(graphWith("KSampler"), "1", "steps", null), "1");
    const port = defOf("KSampler").inputs.find(({ name }) => name === "steps");

    expect(port && valueOf(node, port)).toBe(20);
  });
});

describe("arithmetic", () => {
  test.each([
    ["64*8+1", 513],
    ["2+3*4", 14],
    ["(2+3)*4", 20],
    ["10-4-3", 3],
    ["100/8/2", 6.25],
    ["2^3^2", 512],
    ["-2^2", -4],
    ["2^-1", 0.5],
    ["--3", 3],
    ["7%4", 3],
    ["1,5 + .5", 2],
    ["512 × 2 ÷ 4", 256],
    ["1e3", 1000],
    ["2**10", 1024],
    ["18446744073709551615", 18446744073709551615n],
    ["-5", -5],
  ])("%s is %s", (text, value) => {
    expect(evaluate(text)).toBe(value);
  });

  test.each(["", "  ", "abc", "1+", "*2", "(1", "1)", "1 2", "1/0", "0/0", "()", "alert(1)", "1..2", `${"(".repeat(5000)}1`, "9^9^9^9"])(
    "%j is no number",
    (text) => {
      expect(evaluate(text)).toBeNull();
    },
  );

  test("it agrees with the language's own arithmetic", () => {
    const expression = fc.letrec<{ e: string }>((tie) => ({
      e: fc.oneof(
        { depthSize: "small" },
        fc.integer({ min: 0, max: 99 }).map(String),
        fc.tuple(tie("e"), fc.constantFrom("+", "-", "*", "/", "%"), tie("e")).map(([a, sign, b]) => `(${a}) ${sign} ${b}`),
        tie("e").map((e) => `-(${e})`),
      ),
    })).e;
    fc.assert(
      fc.property(expression, (text) => {
        // oxlint-disable-next-line no-new-func, typescript/no-implied-eval
        const expected = new Function(`return ${text}`)() as number;
        const found = evaluate(text);
        if (Number.isFinite(expected)) expect(found).toBeCloseTo(expected, 9);
        else expect(found).toBeNull();
      }),
    );
  });
});

describe("seeds", () => {
  test.each([
    [5, "fixed", 5],
    [5, "increment", 6],
    [5, "decrement", 4],
    [0, "decrement", 18446744073709551615n],
    [18446744073709551615n, "increment", 0],
    [2n ** 60n, "increment", 2n ** 60n + 1n],
    [Number.MAX_SAFE_INTEGER, "increment", 2n ** 53n],
  ] as const)("%s, %s: then %s", (seed, mode, next) => {
    expect(nextSeed(seed, mode, SEED)).toBe(next);
  });

  test("random ones are whole, within the range, and exact in every program", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (share) => {
        const seed = randomSeed(SEED, () => share);
        expect(Number.isSafeInteger(seed) && seed >= 0).toBe(true);
        const small = randomSeed({ min: 3, max: 5 }, () => share);
        expect([3, 4, 5]).toContain(small);
      }),
    );
    const drawn = new Set(Array.from({ length: 100 }, () => randomSeed(SEED)));
    expect(drawn.size).toBe(100);
    expect(secureRandom()).toBeLessThan(1);
  });

  test("before a run those change that are to, and no others", () => {
    let graph = graphWith("KSampler", "KSampler", "KSampler", "KSampler", "PrimitiveNode");
    graph = setSeedMode(graph, "1", "seed", "increment");
    graph = setSeedMode(graph, "2", "seed", "fixed");
    graph = setSeedMode(setLook(graph, ["3"], { mode: "muted" }), "3", "seed", "increment");
    graph = wired(setSeedMode(graph, "4", "seed", "increment"), ["5:", "4:seed"]);

    const { graph: next, changed } = reseed(graph, CATALOGUE);

    expect(changed).toEqual([{ node: "1", input: "seed", before: 0, after: 1 }]);
    expect([..."1234"].map((id) => nodeOf(next, id).values["seed"])).toEqual([1, 0, 0, 0]);
  });

  test("a random one is drawn anew", () => {
    const { graph } = reseed(graphWith("KSampler"), CATALOGUE, () => 0.5);

    expect(nodeOf(graph, "1").values["seed"]).toBe(2 ** 52);
  });
});

/** A text with its selection between bars: "a |word| b"; one bar is a cursor. */
function selected(text: string): { text: string; start: number; end: number } {
  const start = text.indexOf("|");
  const end = text.lastIndexOf("|");
  return { text: text.replaceAll("|", ""), start, end: end > start ? end - 1 : start };
}

function shown({ text, start, end }: { text: string; start: number; end: number }): string {
  return `${text.slice(0, start)}|${text.slice(start, end)}|${text.slice(end)}`;
}

describe("weights of words", () => {
  test.each([
    ["a c|at here", 0.1, "a (|cat|:1.1) here"],
    ["a (|cat|:1.1) here", 0.1, "a (|cat|:1.2) here"],
    ["a (|cat|:1.1) here", -0.1, "a |cat| here"],
    ["a |cat| here", -0.1, "a (|cat|:0.9) here"],
    ["a (c|at:0.9) here", 0.1, "a |cat| here"],
    ["a |red cat| here", 0.05, "a (|red cat|:1.05) here"],
    ["a| red cat |here", 0.1, "a (|red cat|:1.1) here"],
    ["a |(red cat:1.1)| here", 0.1, "a (|red cat|:1.2) here"],
    ["((in|ner:1.1) outer:1.3)", 0.1, "((|inner|:1.2) outer:1.3)"],
    ["((inner:1.1) out|er:1.3)", 0.1, "(|(inner:1.1) outer|:1.4)"],
    ["a \\(c|at\\) here", 0.1, "a \\((|cat|:1.1)\\) here"],
    ["(a \\) c|at:1.1)", 0.1, "(|a \\) cat|:1.2)"],
    ["(a \\( c|at:1.1)", 0.1, "(|a \\( cat|:1.2)"],
    ["cat|", 0.1, "(|cat|:1.1)"],
    ["|cat, dog", 0.1, "(|cat|:1.1), dog"],
    ["(|plain)", 0.1, "((|plain|:1.1))"],
  ])("%s by %s", (before, step, after) => {
    expect(shown(reweigh(selected(before), step))).toBe(after);
  });

  test.each(["|", " | ", "a,| b", "|  | a"])("%j has no word there", (text) => {
    const given = selected(text);

    expect(reweigh(given, 0.1)).toBe(given);
  });

  test("weights do not go below zero", () => {
    const given = selected("(|cat|:0)");

    expect(reweigh(given, -0.1)).toBe(given);
  });

  test("up and down again gives the same text", () => {
    const text = fc.stringMatching(/^[a-z ,]*$/);
    fc.assert(
      fc.property(text, fc.nat(), fc.nat(), fc.constantFrom(0.05, 0.1, 0.3), (text, a, b, step) => {
        const [start, end] = [a % (text.length + 1), b % (text.length + 1)].toSorted((x, y) => x - y);
        const given = { text, start: start ?? 0, end: end ?? 0 };

        const up = reweigh(given, step);

        expect(up === given ? text : reweigh(up, -step).text).toBe(text);
      }),
    );
  });
});
