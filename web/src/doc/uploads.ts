// Pictures that nodes take from the server's folders: which input names one, and how.

import type { InputPort, NodeDef } from "./catalogue";
import type { GraphNode } from "./graph";
import type { Json } from "./json";
import { asText } from "./json";
import type { Channel } from "./mask";
import { valueOf } from "./widgets";

/** A file in a folder of the server's: type is input, output or temp. */
export interface PictureFile {
  readonly filename: string;
  readonly subfolder: string;
  readonly type: string;
}

/** The input that chooses a picture, and takes new ones. */
export function uploadPort(def: NodeDef | undefined): InputPort | undefined {
  return def?.inputs.find(({ widget }) => widget?.kind === "choice" && widget.upload);
}

/** The picture that a node names; null if it names none. */
export function pictureOf(node: GraphNode, def: NodeDef | undefined): PictureFile | null {
  const port = uploadPort(def);
  const value = port && valueOf(node, port);
  return typeof value === "string" && value ? readPicture(value) : null;
}

/** "clipspace/a.png [output]" as a file. */
export function readPicture(value: string): PictureFile {
  const [path = "", type = "input"] = value.split(/ \[(\w+)\]$/);
  const at = path.lastIndexOf("/");
  return { filename: path.slice(at + 1), subfolder: at < 0 ? "" : path.slice(0, at), type };
}

/** A file as the value of an input. */
export function pictureValue({ filename, subfolder, type }: PictureFile): string {
  const path = subfolder ? `${subfolder}/${filename}` : filename;
  return type === "input" ? path : `${path} [${type}]`;
}

// -- masks ------------------------------------------------------------------------------------------

export const MASKS = "clipspace"; // the folder of pictures with painted masks, as in other editors
const MASK = /-mask( \(\d+\))?$/;

/** What a picture with a painted mask is called. */
export function maskName({ filename }: PictureFile): string {
  const stem = filename.replace(/\.\w+$/, "");
  return `${stem.replace(MASK, "")}-mask.png`;
}

/** A node's picture that a mask can be painted on. channel: the one that the node takes for its mask. */
export interface Maskable {
  readonly file: PictureFile;
  readonly input: string;
  readonly channel: Channel;
  /** The input that chooses the channel, if there is one. */
  readonly channelInput: string | null;
}

const COLOURS: readonly Channel[] = ["red", "green", "blue"];

/** The picture of a node for painting; null if it has none, or a cable brings its name. */
export function maskable(node: GraphNode, def: NodeDef | undefined): Maskable | null {
  const port = uploadPort(def);
  const file = pictureOf(node, def);
  if (!port || !file || Object.hasOwn(node.links, port.name)) return null;
  const chooser = def?.inputs.find(takesAlpha);
  const chosen = chooser ? valueOf(node, chooser) : "alpha";
  return {
    file,
    input: port.name,
    channel: COLOURS.find((name) => name === chosen) ?? "alpha",
    channelInput: chooser && !Object.hasOwn(node.links, chooser.name) ? chooser.name : null,
  };
}

function takesAlpha({ name, widget }: InputPort): boolean {
  return name === "channel" && widget?.kind === "choice" && widget.options.some((option: Json) => asText(option) === "alpha");
}
