// Masks painted on the pictures of nodes. A picture with its mask becomes a file of its own beside the
// others; the node names that one instead, in one step, and the picture it had stays as it was.

import { setValue } from "../doc/edit";
import type { NodeId } from "../doc/graph";
import type { Maskable } from "../doc/uploads";
import { MASKS, maskName, maskable, pictureValue } from "../doc/uploads";
import { t } from "../i18n/t";
import type { Editor } from "./editor";
import { say } from "./ui";

/** The picture of a node that a mask can be painted on; null if there is none. */
export function maskableOf({ graph, catalogue }: Editor, id: NodeId): Maskable | null {
  const node = graph.nodes.get(id);
  return node ? maskable(node, catalogue.get(node.type)) : null;
}

/** Opens the painting of a mask. */
export function openMask(editor: Editor, id: NodeId): void {
  if (maskableOf(editor, id)) editor.ui.setState({ masking: id });
}

/** The one node that is selected, if a mask can be painted on its picture. */
export function selectedMaskable(editor: Editor): NodeId | null {
  const [id, ...others] = editor.ui.getState().nodes;
  return id !== undefined && !others.length && maskableOf(editor, id) ? id : null;
}

/** The colours of a picture, also where it is transparent, and its transparency, as two pictures. */
export async function maskParts({ api }: Editor, { file, channel }: Maskable): Promise<{ colours: Blob; mask: Blob }> {
  const colours = api.view(file, { channel: "rgb" });
  if (channel !== "alpha") return { colours: await colours, mask: await colours };
  const [first, second] = await Promise.all([colours, api.view(file, { channel: "a" })]);
  return { colours: first, mask: second };
}

/** Stores a mask, which is the transparency of a picture, and has the node take it. Throws ApiError
 * or Unreachable, and then nothing is changed. */
export async function saveMask(editor: Editor, id: NodeId, target: Maskable, mask: Blob): Promise<void> {
  const { file, input, channelInput } = target;
  const stored = await editor.api.uploadMask(mask, maskName(file), { ...file }, { subfolder: MASKS });
  await editor.server.getState().refresh(); // or the node would name a picture that is not in the list
  editor.document.apply(t("do.mask"), (graph) => {
    const named = setValue(graph, id, input, pictureValue(stored));
    return channelInput === null ? named : setValue(named, id, channelInput, "alpha");
  });
  editor.runtime.forgiveFault(id, input);
  say(editor.ui, t("mask.saved"));
}
