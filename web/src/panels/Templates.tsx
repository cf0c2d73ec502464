// The example workflows of the server: pictures by group, searched by words.

import "./templates.css";

import { useEffect, useId, useState } from "react";
import type { KeyboardEvent } from "react";

import type { Example } from "../doc/examples";
import { groupsOf, shelves } from "../doc/examples";
import { t } from "../i18n/t";
import { useEditor } from "../state/context";
import type { Editor } from "../state/editor";
import { say } from "../state/ui";

const NARROW = "(width < 640px)"; // as in small.css

export function Templates() {
  const { api, ui } = useEditor();
  const [examples, setExamples] = useState<readonly Example[] | null>(null);
  const [query, setQuery] = useState("");
  const [group, setGroup] = useState<string | null>(null);
  useEffect(() => {
    api.templates().then(setExamples, (error: unknown) => {
      setExamples([]);
      say(ui, error instanceof Error ? error.message : String(error), true);
    });
  }, [api, ui]);
  if (!examples) return null;
  if (!examples.length) return <p className="none">{t("templates.none")}</p>;
  const found = shelves(examples, query, group);
  const count = found.reduce((sum, shelf) => sum + shelf.examples.length, 0);
  return (
    <div className="examples" onKeyDown={walk}>
      <input
        type="search"
        className="examples-search"
        aria-label={t("templates.search")}
        placeholder={t("templates.search")}
        value={query}
        onChange={(event) => setQuery(event.target.value)}
      />
      <Groups groups={groupsOf(examples)} chosen={group} choose={setGroup} />
      <p className="examples-count" role="status">
        {count ? t("templates.count", { count }) : t("templates.none.found")}
      </p>
      {found.map((shelf) => (
        <Shelf key={shelf.group} name={shelf.group || t("templates.other")} examples={shelf.examples} />
      ))}
    </div>
  );
}

interface GroupsProps {
  readonly groups: readonly string[];
  readonly chosen: string | null;
  readonly choose: (group: string | null) => void;
}

function Groups({ groups, chosen, choose }: GroupsProps) {
  return (
    <div className="examples-groups" role="group" aria-label={t("templates.groups")}>
      {[null, ...groups].map((group) => (
        <button key={group ?? "*"} type="button" aria-pressed={group === chosen} onClick={() => choose(group)}>
          {group === null ? t("templates.all") : group || t("templates.other")}
        </button>
      ))}
    </div>
  );
}

function Shelf({ name, examples }: { name: string; examples: readonly Example[] }) {
  const id = useId();
  return (
    <section aria-labelledby={id}>
      <h3 id={id}>{name}</h3>
      <ul>
        {examples.map((example) => (
          <li key={example.name}>
            <Card example={example} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function Card({ example: { name, title, description, picture } }: { example: Example }) {
  const editor = useEditor();
  const about = useId();
  return (
    <button
      type="button"
      className="example"
      aria-label={title}
      aria-describedby={description ? about : undefined}
      title={description || title}
      onClick={() => void open(editor, name)}
    >
      <span className="example-picture">
        {picture && <img src={editor.api.templatePicture(name)} alt="" loading="lazy" draggable={false} />}
      </span>
      <span className="example-title">{title}</span>
      {description && (
        <span id={about} className="example-about">
          {description}
        </span>
      )}
    </button>
  );
}

async function open(editor: Editor, name: string): Promise<void> {
  const opened = await editor.openTemplate(name);
  if (opened && matchMedia(NARROW).matches) editor.ui.setState({ panel: null }); // it covers the graph
}

/** Arrows go from example to example, as one sees them; up from the first one goes to the search. */
function walk(event: KeyboardEvent<HTMLDivElement>): void {
  const step = STEPS[event.key];
  const here = document.activeElement;
  const cards = [...event.currentTarget.querySelectorAll<HTMLElement>(".example")];
  const field = event.currentTarget.querySelector<HTMLElement>(".examples-search");
  const at = cards.findIndex((card) => card === here);
  if (!step || (at < 0 && (here !== field || event.key !== "ArrowDown"))) return;
  event.preventDefault();
  const next = at < 0 ? cards[0] : step.x ? cards[at + step.x] : below(cards, at, step.y);
  (next ?? (event.key === "ArrowUp" ? field : null))?.focus();
}

const STEPS: Readonly<Record<string, { readonly x: number; readonly y: number }>> = {
  ArrowLeft: { x: -1, y: 0 },
  ArrowRight: { x: 1, y: 0 },
  ArrowUp: { x: 0, y: -1 },
  ArrowDown: { x: 0, y: 1 },
};

/** The card of the next row, or the one before, that is most nearly in the same column. */
function below(cards: readonly HTMLElement[], at: number, by: number): HTMLElement | undefined {
  const from = cards[at]?.getBoundingClientRect();
  if (!from) return undefined;
  const others = cards
    .map((card) => ({ card, box: card.getBoundingClientRect() }))
    .filter(({ box }) => by * (box.top - from.top) > 1);
  const nearest = Math.min(...others.map(({ box }) => by * (box.top - from.top)));
  const row = others.filter(({ box }) => by * (box.top - from.top) < nearest + 1);
  return row.sort((a, b) => Math.abs(a.box.left - from.left) - Math.abs(b.box.left - from.left))[0]?.card;
}
