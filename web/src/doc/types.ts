// Which output may feed which input: the rules of the server (nodegraph/types.py).
//
// A type is a word in capitals ("IMAGE"), a union of words ("INT,FLOAT"), or "*", which is anything.

export const ANYTHING = "*";

const CONVERTIBLE: ReadonlySet<string> = new Set(["INT>FLOAT", "STRING>COMBO", "COMBO>STRING"]);

/** Whether an output of type `given` may feed an input of type `wanted`. */
export function accepts(wanted: string, given: string): boolean {
  if (wanted === given || wanted.includes(ANYTHING) || given.includes(ANYTHING)) return true;
  const words = wanted.split(",");
  return given
    .split(",")
    .every((word) => words.some((other) => other === word || CONVERTIBLE.has(`${word}>${other}`)));
}

/** Why it may not, as a sentence; null if it may. */
export function typeRefusal(wanted: string, given: string): string | null {
  if (accepts(wanted, given)) return null;
  return `This input takes ${inWords(wanted)}, and the output gives ${inWords(given)}`;
}

/** Whether two types have a word in common; "*" has all. */
export function meet(a: string, b: string): boolean {
  const words = a.toUpperCase().split(",");
  const others = b.toUpperCase().split(",");
  return (
    words.includes(ANYTHING) ||
    others.includes(ANYTHING) ||
    words.some((word) => others.includes(word))
  );
}

/** "INT,FLOAT" as "INT or FLOAT". */
export function inWords(type: string): string {
  return type === ANYTHING ? "anything" : type.split(",").join(" or ");
}
