// A panel with the usual shapes of pictures: a click sets width and height of the selected nodes.

const SHAPES = [[1, 1], [4, 3], [3, 2], [16, 9], [3, 4], [2, 3], [9, 16]];
const SIDES = [64, 128, 256, 512, 768, 1024];
const CELL = 8; // pixels; sizes are multiples of it

/** @typedef {import("../../../web/src/ext/extension").Api} Api */

/** @param {Api} api */
export function setup(api) {
  const style = document.createElement("link");
  style.rel = "stylesheet";
  style.href = api.urlOf("sizes.css");
  document.head.append(style);
  let side = 0; // that of the graph as it is, until another is chosen
  api.registerPanel({
    id: "sizes",
    title: "Sizes",
    icon: "▭",
    mount(host) {
      const about = document.createElement("p");
      const sides = document.createElement("select");
      sides.setAttribute("aria-label", "Shorter side, in pixels");
      const shapes = document.createElement("div");
      shapes.className = "pickers-shapes";
      sides.append(...SIDES.map((each) => new Option(`${each} pixels`, String(each))));
      sides.addEventListener("change", () => {
        side = Number(sides.value);
        show();
      });
      host.append(about, sides, shapes);
      show();
      const ends = [api.onEvent("selection", show), api.onEvent("graph", show)];
      return () => ends.forEach((end) => end());

      function show() {
        const { nodes, chosen } = sized(api);
        const which = nodes.length === 1 ? nodes[0]?.title : `${chosen ? "the selected" : "all"} ${nodes.length} nodes`;
        about.textContent = nodes.length ? `Sets the size of ${which}.` : "No node has a width and a height.";
        sides.value = String(side || nearest(nodes));
        const buttons = SHAPES.map((shape) => button(api, sizeOf(shape, Number(sides.value)), shape));
        const focused = [...shapes.children].findIndex((each) => each === document.activeElement);
        shapes.replaceChildren(...buttons);
        buttons[focused]?.focus();
      }
    },
  });
}

/**
 * The nodes that have a size: of the selected ones, or of all if none of those has.
 * @param {Api} api
 */
function sized({ graph }) {
  const all = graph.nodes().filter(({ values }) => "width" in values && "height" in values);
  const selection = new Set(graph.selection());
  const chosen = all.filter(({ id }) => selection.has(id));
  return chosen.length ? { nodes: chosen, chosen: true } : { nodes: all, chosen: false };
}

/** @param {readonly import("../../../web/src/ext/extension").NodeInfo[]} nodes */
function nearest([node]) {
  const shorter = node ? Math.min(Number(node.values.width), Number(node.values.height)) : 512;
  return SIDES.reduce((best, each) => (Math.abs(each - shorter) < Math.abs(best - shorter) ? each : best));
}

/**
 * @param {number[]} shape
 * @param {number} side
 */
function sizeOf([across = 1, down = 1], side) {
  const scale = side / Math.min(across, down);
  return [across, down].map((part) => Math.max(CELL, Math.round((part * scale) / CELL) * CELL));
}

/**
 * @param {Api} api
 * @param {number[]} size
 * @param {number[]} shape
 */
function button(api, [width = CELL, height = CELL], [across = 1, down = 1]) {
  const made = document.createElement("button");
  made.type = "button";
  const picture = document.createElement("span");
  const longer = Math.max(across, down);
  picture.style.width = `${(28 * across) / longer}px`;
  picture.style.height = `${(28 * down) / longer}px`;
  const frame = document.createElement("span");
  frame.className = "pickers-frame";
  frame.append(picture);
  const words = document.createElement("span");
  words.textContent = `${across}:${down}`;
  const pixels = document.createElement("small");
  pixels.textContent = `${width} × ${height}`;
  made.append(frame, words, pixels);
  made.addEventListener("click", () => apply(api, width, height));
  return made;
}

/**
 * @param {Api} api
 * @param {number} width
 * @param {number} height
 */
function apply(api, width, height) {
  try {
    api.graph.change(`Size ${width} × ${height}`, (edit) => {
      for (const { id, links } of sized(api).nodes) {
        if (!("width" in links)) edit.setValue(id, "width", width);
        if (!("height" in links)) edit.setValue(id, "height", height);
      }
    });
  } catch (error) {
    api.say(error instanceof Error ? error.message : String(error), true);
  }
}
