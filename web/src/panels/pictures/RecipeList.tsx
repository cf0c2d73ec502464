// How a picture was made, as a list.

import { useEffect, useState } from "react";

import { asText } from "../../doc/json";
import type { Recipe } from "../../doc/recipe";
import type { Words } from "../../i18n/t";
import { t } from "../../i18n/t";
import { useEditor } from "../../state/context";
import { recipeFor } from "../../state/runs";
import type { Picture } from "../../state/ui";

/** What a picture was made with; null until that is known, or where it never will be. */
export function useRecipe(picture: Picture): Recipe | null {
  const { runs } = useEditor();
  const { job } = picture;
  const [known, setKnown] = useState<{ readonly picture: Picture; readonly recipe: Recipe } | null>(null);
  useEffect(() => {
    let wanted = true;
    if (job !== null) {
      runs.get(job, true).then(
        (run) => wanted && setKnown({ picture, recipe: recipeFor(run, picture) }),
        () => undefined, // it was forgotten: there is nothing to show
      );
    }
    return () => {
      wanted = false;
    };
  }, [runs, job, picture]);
  return known?.picture === picture ? known.recipe : null;
}

/** The name of a setting, as people call it. */
export function settingName(name: string): string {
  const names: Readonly<Record<string, Words>> = {
    prompt: "recipe.prompt", negative: "recipe.negative", seed: "recipe.seed", steps: "recipe.steps", cfg: "recipe.cfg",
    sampler_name: "recipe.sampler_name", scheduler: "recipe.scheduler", denoise: "recipe.denoise",
    ckpt_name: "recipe.ckpt_name", unet_name: "recipe.unet_name", lora_name: "recipe.lora_name",
    width: "recipe.width", height: "recipe.height",
  };
  const words = names[name];
  return words ? t(words) : name;
}

const WIDE: ReadonlySet<string> = new Set(["prompt", "negative", "ckpt_name", "unet_name", "lora_name"]);

export function RecipeList({ recipe }: { recipe: Recipe }) {
  const texts = (list: Recipe["positive"]): string => list.map(({ value }) => value).filter((text) => text.trim()).join("\n");
  const entries: (readonly [string, string])[] = [
    ["prompt", texts(recipe.positive)],
    ["negative", texts(recipe.negative)],
    ["seed", recipe.seeds.map(({ value }) => String(value)).join(", ")],
    ...recipe.settings.map(({ name, value }) => [name, asText(value) || String(value)] as const),
  ];
  return (
    <dl className="recipe">
      {entries.map(([name, value]) =>
        value ? (
          <div key={name} data-wide={WIDE.has(name)}>
            <dt>{settingName(name)}</dt>
            <dd>{value}</dd>
          </div>
        ) : null,
      )}
    </dl>
  );
}
