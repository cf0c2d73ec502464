// How port types look: a colour and a shape each, so that neither alone has to be told apart.

export type Shape = "circle" | "square" | "diamond" | "ring";

export interface Look {
  readonly color: string;
  readonly shape: Shape;
}

const KNOWN: Readonly<Record<string, Look>> = {
  MODEL: { color: "hsl(265 60% 64%)", shape: "circle" },
  CLIP: { color: "hsl(45 85% 50%)", shape: "circle" },
  VAE: { color: "hsl(352 70% 62%)", shape: "circle" },
  CONTROL_NET: { color: "hsl(160 55% 42%)", shape: "circle" },
  CONDITIONING: { color: "hsl(28 85% 55%)", shape: "ring" },
  LATENT: { color: "hsl(318 60% 62%)", shape: "square" },
  IMAGE: { color: "hsl(208 75% 56%)", shape: "square" },
  MASK: { color: "hsl(145 45% 45%)", shape: "square" },
  INT: { color: "hsl(190 55% 45%)", shape: "diamond" },
  FLOAT: { color: "hsl(180 45% 45%)", shape: "diamond" },
  STRING: { color: "hsl(95 40% 46%)", shape: "diamond" },
  BOOLEAN: { color: "hsl(0 50% 58%)", shape: "diamond" },
  COMBO: { color: "hsl(230 30% 60%)", shape: "diamond" },
  "*": { color: "hsl(220 8% 55%)", shape: "ring" },
};
const SHAPES: readonly Shape[] = ["circle", "square", "diamond", "ring"];

/** The look of a type; of "INT,FLOAT" that of its first word. Others get one from their names. */
export function lookOf(type: string): Look {
  const word = type.split(",")[0] ?? type;
  const known = KNOWN[word];
  if (known) return known;
  let hash = 7;
  for (const letter of word) hash = (hash * 31 + (letter.codePointAt(0) ?? 0)) % 100_003;
  return { color: `hsl(${hash % 360} 50% 55%)`, shape: SHAPES[hash % SHAPES.length] ?? "circle" };
}
