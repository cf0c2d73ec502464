// A run in the gallery: the words of its prompt, when it was, and its pictures. What is far out of sight
// keeps its height and nothing else.

import { useEffect, useRef, useState } from "react";

import { wordsOf } from "../../doc/recipe";
import { t } from "../../i18n/t";
import type { JobSummary } from "../../protocol/shapes";
import { useEditor } from "../../state/context";
import type { Run } from "../../state/runs";
import type { Picture } from "../../state/ui";
import type { Asked } from "../Gallery";
import { Thumb } from "./Thumb";

const NEAR = "400px";

/** A run of the server's, as soon as it is wanted and here. */
export function useRun(id: string, ended: boolean, wanted = true): Run | null {
  const { runs } = useEditor();
  const [run, setRun] = useState<Run | null>(() => runs.now(id, ended));
  useEffect(() => {
    let here = true;
    if (wanted) {
      runs.get(id, ended).then(
        (found) => here && setRun(found),
        () => undefined, // it was forgotten meanwhile: the list is asked for anew
      );
    }
    return () => {
      here = false;
    };
  }, [runs, id, ended, wanted]);
  return run;
}

interface RunProps {
  readonly job: JobSummary;
  readonly show: (picture: Picture) => void;
  readonly ask: (asked: Asked) => void;
}

export function GalleryRun({ job, show, ask }: RunProps) {
  const place = useRef<HTMLLIElement>(null);
  const [near, setNear] = useState(false);
  const run = useRun(job.id, true, near);
  useEffect(() => {
    if (!place.current) return undefined;
    const watch = new IntersectionObserver(([entry]) => setNear(entry?.isIntersecting ?? false), { rootMargin: NEAR });
    watch.observe(place.current);
    return () => watch.disconnect();
  }, []);
  const words = run ? wordsOf(run.recipe) || t("gallery.run.nameless") : "";
  const count = job.previewable_outputs_count;
  const across = count > 3 && count % 4 === 0 ? 4 : 3;
  const rows = Math.max(1, Math.ceil(count / across));
  const seed = run?.recipe.seeds[0]?.value;
  return (
    <li ref={place} className="run" aria-label={t("gallery.run", { words })}>
      <div className="run-top">
        <span className="run-words" title={words}>{words}</span>
        <time dateTime={new Date(job.create_time ?? 0).toISOString()} title={seed === undefined ? "" : t("gallery.seed", { seed })}>
          {when(job.create_time ?? 0)}
        </time>
      </div>
      <ul className="thumbs" data-across={across} style={{ aspectRatio: near ? undefined : `${across} / ${rows}` }}>
        {near &&
          (run?.pictures ?? first(job)).map((picture) => (
            <Thumb
              key={`${picture.file.type}/${picture.file.subfolder}/${picture.file.filename}`}
              picture={picture}
              show={() => show(picture)}
              menu={(at) => ask({ picture, at })}
            />
          ))}
      </ul>
    </li>
  );
}

/** The picture that is known before the rest of a run is. */
function first({ id, preview_output: file }: JobSummary): readonly Picture[] {
  return file?.mediaType === "images" ? [{ file, job: id, node: file.nodeId }] : [];
}

/** The time of today, or the day. */
function when(time: number): string {
  const date = new Date(time);
  const today = date.toDateString() === new Date().toDateString();
  return today
    ? date.toLocaleTimeString("en", { hour: "2-digit", minute: "2-digit", hour12: false })
    : date.toLocaleDateString("en", { day: "numeric", month: "short" });
}
