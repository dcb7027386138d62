/* board-columns.js: the columns of the board: their texts, marks and small drawings. */
import { compare, parse } from "./decimal.js";
import { date, milliseconds, price } from "./format.js";
import { make, say } from "./page.js";
import { drawTrend } from "./board-trend.js";
import t from "./board-texts.js";

export const arrow = (direction) => ["▼", "•", "▲"][direction + 1];

export const priceText = (entry) =>
  (entry.isMiddle || entry.quote.last !== undefined ? price(entry.price, entry.lastDecimals) : "");
export const changeText = (entry) => price(entry.change, entry.decimals);
export const percentText = (entry) => entry.percent && `${arrow(entry.direction)} ${price(entry.percent)}`;

/* A middle has a mark, which the legend and the cell's tooltip explain. */
const lastText = (entry) => priceText(entry) + (entry.isMiddle ? " ◦" : "");

function ageText({ quote: { timestamp } }, now) {
  if (typeof timestamp !== "number")
    return "";
  const age = Math.max(0, now - timestamp);
  if (age < 60)
    return age < 1 ? t.now : `${Math.floor(age)} s`;
  if (age < 3600)
    return `${Math.floor(age / 60)} min`;
  return age < 172800 ? `${Math.floor(age / 3600)} h` : `${Math.floor(age / 86400)} d`;
}

export function sinceText({ base, isMiddle }) {
  const text = base ? say(t.since[base.kind], price(base.text), base.at ? date(base.at) : "") : "";
  return isMiddle ? `${text} (${t.middle})` : text;
}

const rangeText = (e) => {
  const [low, high] = ["low", "high"].map((name) => price(e.of(name), e.decimals));
  return low && high && `${low} – ${high}`;
};

/* Where the price is in the day's range. */
function drawRange(cell, { figures: { part } }) {
  if (part === null)
    return;
  const bar = make("span", "within", "", cell);
  bar.ariaHidden = "true";
  make("i", "", "", bar).style.left = `${part.toFixed(1)}%`;
}

const latencyText = ({ stages }) => (stages ? milliseconds(stages.reduce((a, b) => a + b)) : "");

/* One bar per stage.  A total of 2 ms fills half of the cell; longer ones approach its full width. */
function drawLatency(cell, { stages }) {
  const total = stages?.reduce((a, b) => a + b) ?? 0;
  const bar = make("span", "bar", "", cell);
  bar.ariaHidden = "true";
  bar.style.width = `${Math.round(100 * total / (total + 2))}%`;
  for (const stage of stages ?? [])
    make("i", "", "", bar).style.flexGrow = Math.max(0, stage);
}

/* 1 up, -1 down; exact, as the prices are. */
function between(read) {
  return (before, now) => {
    const a = read(before), b = read(now);
    return a && b ? compare(b, a) : 0;
  };
}

const column = (id, rank, text, more) => ({ id, rank, label: t.columns[id], title: t.hints[id] ?? "", text, ...more });
const moves = { look: (e) => e.direction, hint: sinceText };

/* The key of a price is its own text: changes are compared without the format of a language. */
function priced(id, rank, of, text, more) {
  return column(id, rank, text, {
    key: (e) => `${of(e) ?? ""}|${text(e)}`, direction: between((key) => parse(key.split("|")[0])), ...more,
  });
}

/** All columns, for the grid. `now()`: the gateway's time. */
export function columnsOf(now, isTraced) {
  return [
    column("star", 0, (e) => (e.place ? "★" : "☆"), { least: 1, look: (e) => (e.place ? "on" : "off"), hint: () => t.starHint, wide: 1.5 }),
    column("symbol", 0, (e) => e.symbol, { least: 7, wide: 1.25 }),
    priced("last", 0, (e) => (e.isMiddle ? e.price : e.quote.last), lastText, {
      least: 8, wide: 1.1, hint: (e) => (e.isMiddle ? t.middleHint : ""),
    }),
    priced("bid", 1, (e) => e.quote.bid, (e) => price(e.quote.bid, e.decimals), { least: 7, short: t.short.bid }),
    priced("ask", 1, (e) => e.quote.ask, (e) => price(e.quote.ask, e.decimals), { least: 7, short: t.short.ask }),
    column("spread", 6, (e) => price(e.figures.spread, e.decimals)),
    column("change", 4, changeText, { ...moves, least: 7 }),
    column("percent", 2, percentText, { ...moves, least: 8 }),
    column("range", 7, rangeText, { fill: drawRange, key: (e) => `${rangeText(e)}|${Math.round(e.figures.part ?? -1)}` }),
    column("volume", 8, (e) => price(e.volume)),
    column("trend", 5, () => "", { isDrawing: true, fill: (cell, e) => drawTrend(cell, e.trend), key: (e) => e.trend.version, least: 9 }),
    column("age", 3, (e) => ageText(e, now()), { least: 6 }),
    column("state", 3, (e) => t.states[e.state] ?? e.state, { least: 9 }),
    ...(isTraced ? [column("latency", 1, latencyText, {
      fill: drawLatency, least: 8, hint: (e) => (e.stages ? say(t.stages, ...e.stages.map(milliseconds)) : ""),
    })] : []),
  ];
}
