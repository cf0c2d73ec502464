// A picture that steers the graph through a ControlNet: what the user does about it.

import type { NodeDef } from "../doc/catalogue";
import { pictureOutput, steer, steerable } from "../doc/controlnet";
import type { Steered } from "../doc/controlnet";
import { addNode, setValue } from "../doc/edit";
import type { Graph, NodeId, Point, Source } from "../doc/graph";
import { asList, asObject, asText } from "../doc/json";
import { pictureValue, uploadPort } from "../doc/uploads";
import { titleOf } from "../doc/ports";
import { t } from "../i18n/t";
import type { FileRef } from "../protocol/shapes";
import type { Editor } from "./editor";
import { layoutOf } from "./sizes";
import { say, select } from "./ui";

/** Where a picture is: at a node, or, if that has none to give, a file of the server's. */
export interface Place {
  readonly node: NodeId | null;
  readonly file: FileRef | null;
}

/** The picture of the node that is selected: it asks what makes a hint of it. */
export function askForSelected(editor: Editor, at: Point): void {
  const [node = null] = editor.ui.getState().nodes;
  askForHint(editor, { node, file: node === null ? null : shownAt(editor, node) }, at);
}

/** The first picture that a node showed in its last run. */
function shownAt({ runtime }: Editor, node: NodeId): FileRef | null {
  const [first] = asList(runtime.node(node).output?.["images"]).map(asObject);
  if (!first) return null;
  return { filename: asText(first["filename"]), subfolder: asText(first["subfolder"]), type: asText(first["type"], "output") };
}

/** Opens the choice of what makes a hint of a picture, or says why it cannot be one. */
export function askForHint(editor: Editor, place: Place, at: Point): void {
  const given = givenBy(editor, place);
  if (given === null && place.file === null) return say(editor.ui, t("hint.none"), true);
  const { graph, catalogue, ui } = editor;
  const found = steerable(graph, catalogue, ui.getState().nodes, given?.node ?? null);
  if ("why" in found) return say(ui, t("hint.why", { why: found.why }), true);
  ui.setState({ hinting: { at, ...place }, shown: null });
}

/** The output of the graph that gives a picture; null: it has to be loaded from its file. */
function givenBy({ graph, catalogue }: Editor, { node, file }: Place): Source | null {
  if (node === null) return null;
  const output = pictureOutput(graph, node, catalogue);
  if (file === null || output === null) return output;
  const found = steerable(graph, catalogue, new Set(), node);
  return "samplers" in found ? output : null; // else the sampler's own picture is taken as a file
}

/** Lets a picture steer the graph, as one step, and shows its hint. preprocessor: what makes the
 * hint of it; null: the picture is one. */
export function steerBy(editor: Editor, place: Place, preprocessor: NodeDef | null): void {
  const { catalogue, ui, document } = editor;
  const given = givenBy(editor, place);
  const chosen = ui.getState().nodes;
  const found = steerable(editor.graph, catalogue, chosen, given?.node ?? null);
  if ("why" in found) return say(ui, t("hint.why", { why: found.why }), true);
  const made: { steered: Steered | null; picture: NodeId } = { steered: null, picture: "" };
  document.apply(t("do.hint"), (graph) => {
    const loaded = given ? { graph, source: given } : place.file && loading(editor, graph, place.file);
    made.picture = loaded ? loaded.source.node : "";
    made.steered = loaded && steer(loaded.graph, loaded.source, preprocessor, found.samplers, catalogue, (node) => layoutOf(editor, node));
    return made.steered?.graph ?? graph;
  });
  document.seal();
  const { steered } = made;
  if (!steered) return say(ui, t("hint.none"), true);
  select(ui, [steered.preview]);
  editor.canvas?.fit([made.picture, ...steered.added, ...found.samplers]);
  tell(editor, steered, preprocessor, found.samplers);
  void editor.runTo([steered.preview]);
}

/** The graph with a node that loads a picture of the server's. */
function loading(editor: Editor, graph: Graph, file: FileRef): { graph: Graph; source: Source } | null {
  const { catalogue } = editor;
  const def = catalogue.get("LoadImage");
  const port = uploadPort(def);
  if (!def || !port) return null;
  const added = addNode(graph, def, { x: 0, y: 0 });
  const named = setValue(added.graph, added.id, port.name, pictureValue(file));
  const source = pictureOutput(named, added.id, catalogue);
  return source && { graph: named, source };
}

function tell({ graph, catalogue, ui }: Editor, { model }: Steered, preprocessor: NodeDef | null, samplers: readonly NodeId[]): void {
  if (!model) return say(ui, t("hint.no-model"), true);
  const names = samplers.flatMap((id) => {
    const node = graph.nodes.get(id);
    return node ? [titleOf(node, catalogue.get(node.type))] : [];
  });
  const words = { sampler: names.join(", "), file: model.file, hint: preprocessor?.title ?? "" };
  if (model.fits || !preprocessor) say(ui, t("hint.done", words));
  else say(ui, t("hint.unsure", words), true);
}
