/* board-options.js: the menu Options: columns, density, favourites only, sound, copy, CSV, latency. */
import { element } from "./element.js";
import { at } from "./page.js";
import { save, settings } from "./board-settings.js";
import t from "./board-texts.js";

const box = (label, isOn, on, more = {}) => {
  const input = element("input", { type: "checkbox", ...more, change: () => on(input.checked) });
  input.checked = isOn;
  return element("label", { class: "check" }, input, label);
};
const button = (label, click, more = {}) => element("button", { type: "button", class: "button", ...more, click }, label);

/**
 * Fills the menu. `columns`: those of the grid; `shown()`: ids of those that it shows; `on`: {change(), copy(), csv(),
 * trace()}: the settings have changed, or what the reader wants.
 */
export function makeOptions(columns, shown, isTraced, on) {
  const menu = element("div", { class: "menu" }), root = at("options");
  const change = (name) => (value) => {
    settings[name] = value;
    save();
    on.change();
  };

  function choose(id, isOn) {
    const ids = settings.columns ?? [...shown()];
    change("columns")(isOn ? [...ids, id] : ids.filter((other) => other !== id));
    draw();
    menu.querySelector(`[data-id="${id}"]`)?.focus();
  }

  function draw() {
    const chosen = settings.columns ?? [...shown()];
    menu.replaceChildren(
      element("fieldset", { class: "columns" }, element("legend", {}, t.columnsTitle),
        box(t.autoColumns, settings.columns === null, (isOn) => {
          change("columns")(isOn ? null : [...shown()]);
          draw();
          menu.querySelector("[data-id=auto]").focus();
        }, { "data-id": "auto" }),
        columns.filter(({ rank }) => rank).map(({ id, label }) =>
          box(label, chosen.includes(id), (isOn) => choose(id, isOn), { "data-id": id }))),
      box(t.compact, settings.isCompact, change("isCompact")),
      box(t.only, settings.isOnly, change("isOnly")),
      box(t.muted, settings.isMuted, change("isMuted")),
      element("div", { class: "buttons" },
        button(t.copy, on.copy), button(t.csv, on.csv),
        button(t.latency, on.trace, { id: "trace", title: t.latencyHint, "aria-pressed": String(isTraced) })));
  }

  root.append(menu);
  root.addEventListener("toggle", () => root.open && draw());
  root.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && root.open) {
      event.stopPropagation();
      root.open = false;
      root.querySelector("summary").focus();
    }
  });
  addEventListener("pointerdown", ({ target }) => {
    if (root.open && !root.contains(target))
      root.open = false;
  });
}
