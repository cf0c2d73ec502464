// The graphs that can be opened: saved ones with their versions, deleted ones, and what is not saved.

import { useEffect, useState } from "react";
import { useStore } from "zustand";

import { EMPTY } from "../../doc/graph";
import { fresh } from "../../doc/history";
import { t } from "../../i18n/t";
import { useEditor } from "../../state/context";
import type { Editor } from "../../state/editor";
import type { Left, Saved } from "../../state/saving";
import {
  ask, deletedGraphs, discardLeft, leftDrafts, openLeft, openSaved, restore, savedGraphs,
} from "../../state/saving";
import { say } from "../../state/ui";
import { downloadGraph } from "../files";
import { Icon } from "../icons";
import { About } from "./About";
import { timeOf } from "./times";
import { Window } from "./Window";

const FILTERED = 8; // graphs from which on there is a filter

interface Lists {
  readonly saved: readonly Saved[];
  readonly deleted: readonly Saved[];
  readonly left: readonly Left[];
}

async function listsOf(editor: Editor): Promise<Lists> {
  try {
    const [saved, deleted, left] = await Promise.all([savedGraphs(editor), deletedGraphs(editor), leftDrafts(editor)]);
    return { saved, deleted, left };
  } catch (error) {
    say(editor.ui, error instanceof Error ? error.message : String(error), true);
    return { saved: [], deleted: [], left: [] };
  }
}

export function Graphs() {
  const editor = useEditor();
  const [lists, setLists] = useState<Lists | null>(null);
  const [more, setMore] = useState<string | null>(null);
  const [filter, setFilter] = useState("");
  const tabs = useStore(editor.tabs.store, (state) => state.tabs);
  useEffect(() => void listsOf(editor).then(setLists), [editor]);
  const load = (): void => void listsOf(editor).then(setLists);
  const done = (went: boolean): void => {
    if (went) ask(editor, null);
  };
  const shown = lists?.saved.filter(({ name }) => name.toLowerCase().includes(filter.toLowerCase())) ?? [];
  return (
    <Window label={t("files.label")} kind="graphs">
      <div className="files-top">
        <h2>{t("files.label")}</h2>
        <button type="button" className="button" aria-label={t("files.close")} onClick={() => ask(editor, null)}>
          <Icon name="close" />
        </button>
      </div>
      <div className="files-buttons">
        <button
          type="button"
          onClick={() => {
            editor.tabs.add(fresh({ ...EMPTY }), "");
            ask(editor, null);
          }}
        >
          {t("files.new")}
        </button>
        <button
          type="button"
          onClick={() => {
            ask(editor, null);
            document.getElementById("open-file")?.click();
          }}
        >
          {t("files.computer")}
        </button>
        <button type="button" onClick={() => ask(editor, { kind: "save", closing: false })}>
          {t("files.saveas")}
        </button>
        <button type="button" onClick={() => downloadGraph(editor)}>
          {t("files.download")}
        </button>
      </div>
      <div className="files-body">
        {lists && lists.left.length > 0 && (
          <LeftList left={lists.left} changed={load} done={done} />
        )}
        <section aria-label={t("files.saved")}>
          <h3>{t("files.saved")}</h3>
          {(lists?.saved.length ?? 0) >= FILTERED && (
            <input
              type="search"
              aria-label={t("files.filter")}
              placeholder={t("files.filter")}
              value={filter}
              onChange={(event) => setFilter(event.target.value)}
            />
          )}
          {lists && !shown.length && <p className="none">{t(filter ? "files.filter.none" : "files.saved.none")}</p>}
          <ul>
            {shown.map((graph) => (
              <li key={graph.path}>
                <div className="files-row">
                  <button
                    type="button"
                    className="files-open"
                    aria-label={t("files.open", { name: graph.name })}
                    onClick={() => void openSaved(editor, graph.path).then(done)}
                  >
                    <span>{graph.name}</span>
                    {tabs.some(({ file }) => file?.path === graph.path) && <em>{t("files.isopen")}</em>}
                    <time>{timeOf(graph.modified)}</time>
                  </button>
                  <button
                    type="button"
                    className="button"
                    aria-expanded={more === graph.path}
                    aria-label={t("files.more", { name: graph.name })}
                    onClick={() => setMore(more === graph.path ? null : graph.path)}
                  >
                    <Icon name="more" />
                  </button>
                </div>
                {more === graph.path && <About graph={graph} changed={load} done={done} />}
              </li>
            ))}
          </ul>
        </section>
        {lists && lists.deleted.length > 0 && (
          <details>
            <summary>{t("files.deleted")}</summary>
            <ul aria-label={t("files.deleted")}>
              {lists.deleted.map(({ path, name, modified, etag }) => (
                <li key={path} className="files-row">
                  <span>{name}</span>
                  <time>{timeOf(modified)}</time>
                  <button
                    type="button"
                    aria-label={t("files.restore.name", { name })}
                    onClick={() => void restore(editor, path, etag).then(done)}
                  >
                    {t("files.restore")}
                  </button>
                </li>
              ))}
            </ul>
          </details>
        )}
      </div>
    </Window>
  );
}

interface LeftProps {
  readonly left: readonly Left[];
  readonly changed: () => void;
  readonly done: (went: boolean) => void;
}

function LeftList({ left, changed, done }: LeftProps) {
  const editor = useEditor();
  return (
    <section aria-label={t("files.drafts")}>
      <h3>{t("files.drafts")}</h3>
      <ul>
        {left.map((each) => {
          const name = each.name || t("tabs.unnamed");
          return (
            <li key={each.tab} className="files-row">
              <button
                type="button"
                className="files-open"
                aria-label={t("files.draft.open", { name })}
                onClick={() => void openLeft(editor, each).then(done)}
              >
                <span>{name}</span>
                <em>{t(each.here ? "files.drafts.here" : "files.drafts.other")}</em>
                <time>{timeOf(each.saved)}</time>
              </button>
              <button
                type="button"
                aria-label={t("files.discard.name", { name })}
                onClick={() => void discardLeft(editor, each).then(changed)}
              >
                {t("files.discard")}
              </button>
            </li>
          );
        })}
      </ul>
    </section>
  );
}
