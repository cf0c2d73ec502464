// What was made: the pictures of each run, the newest first, found by the words of their prompts.

import "./gallery.css";

import { useEffect, useRef, useState } from "react";

import type { Point } from "../doc/graph";
import { t } from "../i18n/t";
import { useEditor } from "../state/context";
import { trying } from "../state/pictures";
import type { Picture } from "../state/ui";
import { say } from "../state/ui";
import { GalleryRun } from "./pictures/GalleryRun";
import { Marked } from "./pictures/Marked";
import { PictureMenu } from "./pictures/PictureMenu";
import { useMade } from "./pictures/useMade";

const QUIET = 250; // milliseconds after a letter before the server is asked

/** A picture whose menu is open. */
export interface Asked {
  readonly picture: Picture;
  readonly at: Point;
}

export function Gallery() {
  const editor = useEditor();
  const [query, setQuery] = useState("");
  const [asked, setAsked] = useState<Asked | null>(null);
  const { jobs, more, next, drop } = useMade(useLater(query));
  const show = (picture: Picture): void => {
    const among = jobs.flatMap(({ id }) => editor.runs.now(id, true)?.pictures ?? []);
    editor.ui.setState({ shown: { ...picture, among: among.length ? among : [picture] } });
  };
  const forget = async (id: string): Promise<void> => {
    await trying(editor, async () => {
      await editor.api.forget([id]);
      drop(id);
      say(editor.ui, t("gallery.forget.done"));
    });
  };
  return (
    <>
      <input
        type="search"
        className="side-search"
        aria-label={t("gallery.search")}
        placeholder={t("gallery.search")}
        value={query}
        onChange={(event) => setQuery(event.target.value)}
      />
      {!jobs.length && !more && <p className="none">{t(query ? "gallery.none.found" : "gallery.none")}</p>}
      <ol className="made-runs" aria-label={t("gallery.runs")}>
        {jobs.map((job) => (
          <GalleryRun key={job.id} job={job} show={show} ask={setAsked} />
        ))}
      </ol>
      {more && <Sentinel next={next} />}
      <Marked />
      {asked && (
        <PictureMenu
          picture={asked.picture}
          at={asked.at}
          forget={() => void forget(asked.picture.job ?? "")}
          close={() => setAsked(null)}
        />
      )}
    </>
  );
}

/** Asks for the next page when the end of the list comes into sight. */
function Sentinel({ next }: { next: () => void }) {
  const end = useRef<HTMLParagraphElement>(null);
  useEffect(() => {
    // Anew after each answer: with few finds the end stays in sight.
    if (!end.current) return undefined;
    const watch = new IntersectionObserver(([entry]) => entry?.isIntersecting && next(), { rootMargin: "600px" });
    watch.observe(end.current);
    return () => watch.disconnect();
  });
  return <p ref={end} className="none">{t("gallery.more")}</p>;
}

/** A text as it was when nothing had been typed for a moment. */
function useLater(text: string): string {
  const [later, setLater] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setLater(text), QUIET);
    return () => clearTimeout(timer);
  }, [text]);
  return later;
}
