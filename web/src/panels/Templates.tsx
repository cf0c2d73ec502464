// The example workflows of the server.

import { useEffect, useState } from "react";

import { t } from "../i18n/t";
import { useEditor } from "../state/context";
import { say } from "../state/ui";

export function Templates() {
  const editor = useEditor();
  const { api, ui } = editor;
  const [names, setNames] = useState<readonly string[] | null>(null);
  useEffect(() => {
    api.templates().then(setNames, (error: unknown) => {
      setNames([]);
      say(ui, error instanceof Error ? error.message : String(error), true);
    });
  }, [api, ui]);
  if (names && !names.length) return <p className="none">{t("templates.none")}</p>;
  return (
    <ul className="templates">
      {names?.map((name) => (
        <li key={name}>
          <button type="button" onClick={() => void editor.openTemplate(name)}>
            {titled(name)}
          </button>
        </li>
      ))}
    </ul>
  );
}

const NAMES: Readonly<Record<string, string>> = {
  ddpm: "DDPM",
  lora: "LoRA",
  controlnet: "ControlNet",
  controlnets: "ControlNets",
  gpu: "GPU",
};

/** "text_to_image" as "Text to image". */
function titled(name: string): string {
  const words = name.split(/[_-]/).map((word) => NAMES[word] ?? word).join(" ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}
