// Runs that are known to the server, as lists show them: their pictures and what they were made with.
// What a run was made with never changes, so each is asked for once.

import type { Catalogue } from "../doc/catalogue";
import type { NodeId } from "../doc/graph";
import { asList, asObject, asText } from "../doc/json";
import { openData } from "../doc/open";
import type { Recipe } from "../doc/recipe";
import { NO_RECIPE, recipeOf } from "../doc/recipe";
import type { Api, FileRef, JobDetails, JobSummary } from "../protocol/http";
import type { Picture } from "./ui";

export interface Run {
  readonly id: string;
  readonly pictures: readonly Picture[];
  /** What the whole run was made with. */
  readonly recipe: Recipe;
  /** What the pictures of each node were made with. */
  readonly byNode: ReadonlyMap<NodeId, Recipe>;
}

const KEPT = 600;

export class Runs {
  private readonly known = new Map<string, Promise<Run>>();
  private readonly ready = new Map<string, Run>();

  constructor(
    private readonly api: Pick<Api, "job">,
    private readonly catalogue: () => Catalogue,
  ) {}

  /** A run. ended: whether it has, so that it has all of its pictures. */
  get(id: string, ended: boolean): Promise<Run> {
    const key = keyOf(id, ended);
    let run = this.known.get(key);
    if (!run) {
      run = this.api.job(id).then((details) => this.read(key, details));
      this.known.set(key, run);
      run.catch(() => this.known.delete(key));
      for (const old of this.known.keys()) {
        if (this.known.size <= KEPT) break;
        this.known.delete(old);
        this.ready.delete(old);
      }
    }
    return run;
  }

  /** The run, if it is here already. */
  now(id: string, ended: boolean): Run | null {
    return this.ready.get(keyOf(id, ended)) ?? null;
  }

  private read(key: string, details: JobDetails): Run {
    const run = readRun(details, this.catalogue());
    if (hasEnded(details) === key.startsWith("ended")) this.ready.set(key, run);
    else this.known.delete(key); // it is still at work: there will be more of it
    return run;
  }
}

function keyOf(id: string, ended: boolean): string {
  return `${ended ? "ended" : "open"} ${id}`;
}

export function hasEnded({ status }: Pick<JobSummary, "status">): boolean {
  return status !== "pending" && status !== "in_progress";
}

/** The pictures of a job, node by node, and what they were made with. */
export function readRun({ id, outputs, workflow }: JobDetails, catalogue: Catalogue): Run {
  const pictures = Object.entries(outputs).flatMap(([node, output]) =>
    asList(asObject(output)["images"]).flatMap((item): Picture[] => {
      const { filename, subfolder, type } = asObject(item);
      if (!asText(filename)) return [];
      const file: FileRef = { filename: asText(filename), subfolder: asText(subfolder), type: asText(type, "output") };
      return [{ file, job: id, node }];
    }),
  );
  try {
    // What ran: in files of the editor a value may have been changed since.
    const { graph } = openData(workflow.prompt, catalogue);
    const nodes = new Set(pictures.map(({ node }) => node ?? ""));
    const byNode = new Map([...nodes].map((node) => [node, recipeOf(graph, catalogue, graph.nodes.has(node) ? node : null)]));
    return { id, pictures, recipe: recipeOf(graph, catalogue), byNode };
  } catch {
    return { id, pictures, recipe: NO_RECIPE, byNode: new Map() };
  }
}

/** What a picture of a run was made with. */
export function recipeFor(run: Run, { node }: Picture): Recipe {
  return (node && run.byNode.get(node)) || run.recipe;
}

/** Whether two are the same picture of the same run. */
export function samePicture(a: Picture, b: Picture): boolean {
  const path = ({ file: { type, subfolder, filename }, job }: Picture): string => [job, type, subfolder, filename].join("\n");
  return path(a) === path(b);
}
