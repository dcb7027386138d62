/* spark: a small plot of a number's newest values. */
import { element } from "./element.js";

const KEPT = 120, WIDTH = 240, HEIGHT = 40;
const SVG = "http://www.w3.org/2000/svg";

function svg(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes))
    element.setAttribute(name, value);
  return element;
}

/**
 * A figure with its name, the newest value and a plot.  `add(value)` adds a value; null leaves a gap.
 * `format` formats a value; `describe(least, most)` is the text for screen readers.
 */
export function spark(name, format, describe) {
  const line = svg("path", { class: "line", "vector-effect": "non-scaling-stroke" });
  const plot = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
  const value = element("strong", {}, "–"), range = element("span", { class: "soft" });
  const values = [];
  plot.append(line);

  function draw() {
    const known = values.filter((v) => v !== null);
    const most = Math.max(...known, 0), least = Math.min(...known, most);
    const x = (i) => (i + KEPT - values.length) * WIDTH / (KEPT - 1);
    const y = (v) => HEIGHT - 2 - (most ? v / most : 0) * (HEIGHT - 4);
    let path = "", isHole = true;
    values.forEach((v, i) => {
      if (v !== null)
        path += `${isHole ? "M" : "L"}${x(i).toFixed(1)} ${y(v).toFixed(1)}`;
      isHole = v === null;
    });
    line.setAttribute("d", path);
    const text = known.length ? describe(format(least), format(most)) : "–";
    plot.setAttribute("aria-label", `${name}: ${text}`);
    range.textContent = known.length ? text : "";
  }

  draw();
  return {
    element: element("div", { class: "figure" }, element("span", { class: "soft" }, name), value, plot, range),
    add(v) {
      values.push(v);
      if (values.length > KEPT)
        values.shift();
      value.textContent = v === null ? "–" : format(v);
      draw();
    },
  };
}
