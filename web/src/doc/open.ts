// Opening what the user dropped, pasted or chose: JSON in either format, or a picture that carries a
// graph. Also what is put into the queue.

import { fromApi, isApiGraph } from "./api-read";
import type { Exported } from "./api-write";
import { toApi } from "./api-write";
import { arrange } from "./arrange";
import type { Catalogue } from "./catalogue";
import { placeNodes } from "./edit";
import type { Opened } from "./editor-read";
import { FileProblem, fromEditor, isEditorFile } from "./editor-read";
import { toEditor } from "./editor-write";
import type { Graph, GraphNode } from "./graph";
import type { Json, JsonObject } from "./json";
import { asList, asObject, isObject, parseJson } from "./json";
import { hasPictureRow, layoutNode } from "./layout";
import { pictureKind, readTexts } from "./pictures";

/** The graph in parsed data: an editor's file, a graph in API format, or a request with either.
 * Throws FileProblem. */
export function openData(data: Json, catalogue: Catalogue): Opened {
  const found = unpacked(data);
  if (isEditorFile(found)) return settled(fromEditor(found, catalogue), catalogue);
  if (isApiGraph(found)) return settled(fromApi(found, catalogue), catalogue);
  throw new FileProblem("This is no graph: expected nodes by id, or a file of the editor");
}

/** What a request carries: the editor's form, if it is there, since it says where the nodes are. */
function unpacked(data: Json): Json {
  if (!isObject(data) || isEditorFile(data) || isApiGraph(data)) return data;
  const workflow =
    asObject(asObject(data["extra_data"])["extra_pnginfo"])["workflow"] ?? data["workflow"];
  if (workflow !== undefined && isEditorFile(workflow)) return workflow;
  return data["prompt"] ?? data;
}

function settled(opened: Opened, catalogue: Catalogue): Opened {
  if (opened.arranged) return opened;
  return { ...opened, graph: arranged(opened.graph, catalogue) };
}

/** The graph with all nodes laid out anew. */
export function arranged(graph: Graph, catalogue: Catalogue): Graph {
  const sizes = new Map([...graph.nodes.values()].map((node) => [node.id, layoutNode(node, catalogue, hasPictureRow(catalogue.get(node.type)))]));
  const none = { width: 0, height: 0 };
  return placeNodes(graph, arrange(graph, (id) => sizes.get(id) ?? none));
}

/** The graph in a text. Throws FileProblem. */
export function openText(text: string, catalogue: Catalogue): Opened {
  let data: Json;
  try {
    data = parseJson(text);
  } catch (error) {
    throw new FileProblem(`This is no JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  return openData(data, catalogue);
}

/** The graph in a file's bytes: JSON, PNG, WebP or JPEG. Throws FileProblem. */
export async function openBytes(bytes: Uint8Array, catalogue: Catalogue): Promise<Opened> {
  if (!pictureKind(bytes)) return openText(new TextDecoder().decode(bytes), catalogue);
  const texts = await readTexts(bytes);
  const problems: unknown[] = [];
  for (const name of ["workflow", "prompt"]) {
    const text = texts.get(name);
    if (text === undefined) continue;
    try {
      return openText(text, catalogue);
    } catch (error) {
      problems.push(error); // the other one may be whole
    }
  }
  if (problems[0] instanceof FileProblem) throw problems[0];
  throw new FileProblem(
    "This picture carries no graph. Pictures keep theirs only as long as no other program saves them anew",
  );
}

/** Whether a node is an instance of a subgraph, which this program shows but does not open. */
export function isSubgraph(node: GraphNode, graph: Graph): boolean {
  if (/^workflow[>/]/.test(node.type)) return true;
  const defined = asList(asObject(graph.extra["definitions"])["subgraphs"]);
  return defined.some((each) => asObject(each)["id"] === node.type);
}

/** What is put into the queue. workflow: the editor's form, which goes into the pictures. */
export interface Runnable {
  readonly prompt: Exported["prompt"] | JsonObject;
  readonly workflow: JsonObject;
  readonly warnings: readonly string[];
}

/** The graph as it is put into the queue: in API format, or, where there are subgraphs, in the
 * editor's, which the server writes out. */
export function toRun(graph: Graph, catalogue: Catalogue): Runnable {
  const workflow = toEditor(graph, catalogue);
  if ([...graph.nodes.values()].some((node) => isSubgraph(node, graph))) {
    return { prompt: workflow, workflow, warnings: [] };
  }
  return { ...toApi(graph, catalogue), workflow };
}
