/*
 * board-trend.js: the line of a symbol's prices since the page was opened, small enough for a row.
 *
 * It is only drawn, so it may use binary numbers. It keeps at most MOST points: when they are used up, every second
 * one goes, and points are twice as far apart.
 */
const MOST = 48;
const WIDTH = 72, HEIGHT = 18;
const SVG = "http://www.w3.org/2000/svg";

export class Trend {
  #every = 1; // seconds between points
  #due = 0;
  points = [];
  version = 0; // another one after each change

  add(price, now) {
    const value = Number(price);
    if (!Number.isFinite(value))
      return;
    if (now < this.#due) {
      if (now < this.#due - this.#every) // the clock was set back
        this.#due = now;
      return;
    }
    this.points.push(value);
    if (this.points.length > MOST) {
      this.points = this.points.filter((_, i) => i % 2 === 0);
      this.#every *= 2;
    }
    this.#due = now + this.#every;
    this.version++;
  }

  get path() {
    const { points } = this, least = Math.min(...points), range = Math.max(...points) - least;
    const y = (value) => (range ? HEIGHT - 2 - (value - least) / range * (HEIGHT - 4) : HEIGHT / 2);
    const step = WIDTH / Math.max(1, points.length - 1);
    return points.map((value, i) => `${i ? "L" : "M"}${(i * step).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  }
}

/** Draws a trend into a cell. */
export function drawTrend(cell, trend) {
  let path = cell.querySelector("path");
  if (!path) {
    const plot = document.createElementNS(SVG, "svg");
    plot.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    plot.setAttribute("preserveAspectRatio", "none");
    plot.setAttribute("aria-hidden", "true");
    path = plot.appendChild(document.createElementNS(SVG, "path"));
    path.setAttribute("vector-effect", "non-scaling-stroke");
    cell.replaceChildren(plot);
  }
  path.setAttribute("d", trend.points.length > 1 ? trend.path : "");
}
