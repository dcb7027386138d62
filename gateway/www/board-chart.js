/*
 * board-chart.js: a line of quotes over time, by lightweight-charts.
 *
 * One point per second: the last quote of that second.  Only here prices become binary numbers, because
 * a canvas needs them.  The crosshair shows the text of the quote.
 */
import { date, price } from "./format.js";
import { language } from "./page.js";

const dark = matchMedia("(prefers-color-scheme: dark)");

const format = (options) => {
  const made = new Intl.DateTimeFormat(language, { hourCycle: "h23", ...options });
  return (seconds) => made.format(seconds * 1000);
};
/* By lightweight-charts' TickMarkType: year, month, day, time, time with seconds. */
const ticks = [
  format({ year: "numeric" }), format({ month: "short" }), format({ month: "short", day: "numeric" }),
  format({ hour: "2-digit", minute: "2-digit" }), format({ hour: "2-digit", minute: "2-digit", second: "2-digit" }),
];

export class Chart {
  #chart;
  #series;
  #texts = new Map(); // second -> text of the quote
  #second = 0;
  #legend;

  #decimals;

  constructor(charts, element, decimals) {
    this.#decimals = decimals;
    element.replaceChildren();
    this.#chart = charts.createChart(element, {
      autoSize: true,
      // the library would add its own style; the panel's footer has the link
      layout: { attributionLogo: false },
      localization: { locale: language, timeFormatter: date, priceFormatter: (value) => price(value.toFixed(decimals)) },
      timeScale: {
        timeVisible: true, secondsVisible: true, rightOffset: 2, tickMarkFormatter: (time, type) => ticks[type](time),
      },
      crosshair: { mode: charts.CrosshairMode.Magnet },
      rightPriceScale: { scaleMargins: { top: 0.12, bottom: 0.08 } },
    });
    this.#series = this.#chart.addSeries(charts.AreaSeries, {
      lineWidth: 2, priceFormat: { type: "price", precision: decimals, minMove: 10 ** -decimals },
    });
    this.#legend = document.createElement("p");
    this.#legend.className = "legend";
    element.append(this.#legend);
    this.#chart.subscribeCrosshairMove(({ time }) => {
      this.#legend.textContent = time ? `${date(time)}   ${this.#texts.get(time) ?? ""}` : "";
    });
    this.#colour();
    dark.addEventListener("change", this.#colour);
  }

  #colour = () => {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const line = colour("--accent");
    this.#chart.applyOptions({
      layout: {
        background: { color: "transparent" }, textColor: colour("--soft"),
        fontFamily: getComputedStyle(document.body).fontFamily, fontSize: 11,
      },
      grid: { vertLines: { color: colour("--line") }, horzLines: { color: colour("--line") } },
      rightPriceScale: { borderColor: colour("--line") },
      timeScale: { borderColor: colour("--line") },
      crosshair: { vertLine: { labelBackgroundColor: line }, horzLine: { labelBackgroundColor: line } },
    });
    this.#series.applyOptions({ lineColor: line, topColor: `${line}40`, bottomColor: `${line}05` });
  };

  /** Replaces all quotes; ascending. */
  set(quotes) {
    const points = [];
    this.#texts.clear();
    this.#second = 0;
    for (const quote of quotes) {
      const point = this.#point(quote);
      if (points.at(-1)?.time === point.time)
        points.pop();
      points.push(point);
    }
    this.#series.setData(points);
  }

  /** Shows the whole range. */
  fit() {
    this.#chart.timeScale().fitContent();
  }

  add(quote) {
    this.#series.update(this.#point(quote));
  }

  #point(quote) {
    const { last, bid, ask } = quote;
    const second = Math.floor(quote.accepted ?? quote.timestamp);
    this.#second = Math.max(this.#second, second); // clocks may differ, but the chart's time must not go back
    this.#texts.set(this.#second, [last ?? [bid, ask]].flat().filter(Boolean).map((text) => price(text, this.#decimals)).join(" / "));
    return { time: this.#second, value: last ? Number(last) : bid && ask ? (Number(bid) + Number(ask)) / 2 : Number(bid ?? ask) };
  }

  close() {
    dark.removeEventListener("change", this.#colour);
    this.#chart.remove();
  }
}
