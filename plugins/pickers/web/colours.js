// Colours that are whole numbers, 0xRRGGBB, chosen by eye.

/** @param {import("../../../web/src/ext/extension").Api} api */
export function setup(api) {
  api.registerWidget({ type: "INT", input: "color" }, {
    mount(host, { value, set, label }) {
      const number = document.createElement("output");
      const field = document.createElement("input");
      field.type = "color";
      field.setAttribute("aria-label", label);
      field.style.cssText = "width: 48px; height: 20px; padding: 0; cursor: pointer";
      number.style.color = "var(--soft)";
      field.addEventListener("input", () => {
        show(numberOf(field.value));
        set(numberOf(field.value));
      });
      host.append(number, field);
      show(value);

      /** @param {import("../../../web/src/ext/extension").Json} colour */
      function show(colour) {
        field.value = hexOf(Number(colour));
        number.textContent = field.value;
      }
      return { update: show };
    },
  });
}

/** @param {number} colour */
function hexOf(colour) {
  return `#${Math.min(Math.max(Math.trunc(colour) || 0, 0), 0xffffff).toString(16).padStart(6, "0")}`;
}

/** @param {string} hex */
function numberOf(hex) {
  return Number.parseInt(hex.slice(1), 16);
}
