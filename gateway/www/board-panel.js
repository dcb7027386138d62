/*
 * board-panel.js: the panel of one symbol: its chart, or its history as a table, and all its fields.
 *
 * The chart draws with binary numbers, as every canvas does; all texts show the quote's own text.
 * lightweight-charts exists if the gateway was built where npm is.
 */
import * as charts from "./lightweight-charts.js";
import { Chart } from "./board-chart.js";
import { History } from "./board-history.js";
import { alertForm } from "./board-alerts.js";
import { arrow, changeText, sinceText } from "./board-columns.js";
import { date, price } from "./format.js";
import { make, root, say } from "./page.js";
import t from "./board-texts.js";

export const ranges = { "5m": [300, t.minutes], "1h": [3600, t.hour], "1d": [86400, t.day], all: [0, t.all] };

const ROWS = 300; // rows of the table
const PRICES = ["last", "bid", "ask", "bid_size", "ask_size", "volume", "previous_close", "open", "high", "low"];
const KNOWN = [...PRICES, "currency", "source"];
const DAY = ["previous_close", "open", "high", "low"];
const HIDDEN = ["type", "symbol", "seq", "prev", "state", "trace", "day"];
const SIZES = ["bid_size", "ask_size", "volume"]; // texts of digits that are no prices

export class Panel {
  #root;
  #client;
  #on;
  #entry = null;
  #range = "1h";
  #view = charts.createChart ? "chart" : "history";
  #history = null;
  #chart = null;
  #parts = {};

  /** `on`: {close(), range(name), star(symbol), move(symbol, by), alert()}. */
  constructor(element, client, on) {
    this.#root = element;
    this.#client = client;
    this.#on = on;
    this.#build();
    element.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        event.stopPropagation();
        on.close();
      }
    });
  }

  get entry() {
    return this.#entry;
  }

  get symbol() {
    return this.#entry?.symbol ?? null;
  }

  #build() {
    const p = this.#parts;
    const head = make("header", "", "", this.#root);
    p.symbol = make("h2", "", "", head);
    p.symbol.tabIndex = -1;
    p.symbol.id = "panel-symbol";
    p.price = make("span", "price", "", head);
    p.price.id = "panel-price";
    p.change = make("span", "change", "", head);
    const close = make("button", "close", "×", head);
    close.id = "panel-close";
    close.setAttribute("aria-label", t.close);
    close.addEventListener("click", () => this.#on.close());

    const place = make("span", "place", "", head);
    p.star = this.#button(place, "☆", t.favourite, () => this.#on.star(this.symbol));
    p.star.id = "panel-star";
    p.up = this.#button(place, "↑", t.up, () => this.#on.move(this.symbol, -1));
    p.down = this.#button(place, "↓", t.down, () => this.#on.move(this.symbol, 1));

    const tools = make("div", "tools", "", this.#root);
    p.ranges = this.#choice(tools, t.ranges, Object.entries(ranges).map(([id, [, label]]) => [id, label]),
      (id) => this.#on.range(id));
    p.ranges.id = "ranges";
    if (charts.createChart) {
      p.views = this.#choice(tools, t.show, [["chart", t.chart], ["history", t.history]], (id) => this.#look(id));
      p.views.id = "views";
    }
    p.note = make("p", "note", "", this.#root);
    p.note.id = "panel-note";
    p.note.setAttribute("role", "status");
    p.chart = make("div", "chart", "", this.#root);
    p.chart.id = "chart";
    p.chart.setAttribute("role", "img");
    p.history = make("div", "history", "", this.#root);
    p.history.id = "history";
    p.history.tabIndex = 0;
    p.history.setAttribute("role", "region");
    p.history.setAttribute("aria-label", t.history);
    const table = make("table", "", "", p.history), row = make("tr", "", "", make("thead", "", "", table));
    for (const head of [t.time, t.columns.last, t.columns.bid, t.columns.ask])
      make("th", "", head, row).scope = "col";
    p.rows = make("tbody", "", "", table);
    p.alert = alertForm(() => this.#on.alert());
    this.#root.append(p.alert.element);
    p.fields = make("dl", "facts", "", this.#root);
    p.fields.id = "fields";
    p.fields.setAttribute("aria-label", t.fields);
    p.fields.tabIndex = 0; // the fields may need to scroll
    const footer = make("footer", "", "", this.#root);
    if (charts.createChart) {
      const link = make("a", "", t.attribution, footer);
      link.href = "https://www.tradingview.com/";
      link.rel = "noopener noreferrer";
      link.target = "_blank";
      footer.append(" · ");
      make("a", "", t.license, footer).href = new URL("www/lightweight-charts.txt", root).href;
    } else {
      footer.textContent = t.noCharts;
    }
  }

  #button(parent, text, label, on) {
    const button = make("button", "button small", text, parent);
    button.type = "button";
    button.title = label;
    button.setAttribute("aria-label", label);
    button.addEventListener("click", on);
    return button;
  }

  #choice(parent, label, options, on) {
    const group = make("div", "choice", "", parent);
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", label);
    for (const [id, text] of options) {
      const button = make("button", "", text, group);
      button.type = "button";
      button.dataset.value = id;
      button.addEventListener("click", () => on(id));
    }
    return group;
  }

  /* --- open, close -------------------------------------------------------------------------- */

  async open(entry, range) {
    const { symbol } = entry, p = this.#parts;
    this.#entry = entry;
    this.#range = range;
    this.#root.hidden = false;
    this.#root.setAttribute("aria-label", say(t.chartOf, symbol));
    this.#root.dataset.symbol = symbol;
    p.symbol.textContent = symbol;
    press(p.ranges, range);
    this.#look(this.#view);
    this.#chart?.close();
    this.#chart = null;
    p.rows.replaceChildren();
    this.#root.dataset.loading = "true";
    p.note.textContent = t.loading;
    this.show();
    const history = (this.#history = new History(this.#client, symbol));
    try {
      await history.load(ranges[range][0], Date.now() / 1000, () => this.#history === history);
      if (this.#history === history)
        this.#loaded();
    } catch (error) {
      if (this.#history === history) {
        this.#loaded();
        p.note.textContent = say(t.failed, error.message);
      }
    } finally {
      if (this.#history === history)
        this.#root.dataset.loading = "false";
    }
  }

  close() {
    this.#entry = this.#history = null;
    this.#root.hidden = true;
    this.#chart?.close();
    this.#chart = null;
  }

  focus() {
    this.#parts.symbol.focus();
  }

  /* --- what is shown -------------------------------------------------------------------------- */

  #look(view) {
    const { views, chart, history } = this.#parts;
    this.#view = view;
    if (views)
      press(views, view);
    chart.hidden = view !== "chart";
    history.hidden = view !== "history";
  }

  #loaded() {
    const { records, isPartial, gaps } = this.#history, p = this.#parts;
    const notes = [];
    if (!records.length)
      notes.push(t.noHistory);
    if (isPartial)
      notes.push(say(t.partial, records.length));
    if (gaps)
      notes.push(say(t.gaps, gaps));
    p.note.textContent = notes.join(". ");
    p.rows.replaceChildren(...records.slice(-ROWS).reverse().map((quote) => rowOf(quote, this.#entry.decimals)));
    if (charts.createChart) {
      this.#chart = new Chart(charts, p.chart, this.#entry.decimals);
      this.#chart.set(records);
      this.#chart.fit();
      p.chart.setAttribute("aria-label", say(t.chartOf, this.symbol));
    }
  }

  /** Shows a live quote of the open symbol. */
  take(quote) {
    const before = this.#history?.records.length;
    if (!this.#history?.take(quote))
      return;
    if (this.#history.records.length < before) // the oldest records were dropped
      this.#chart?.set(this.#history.records);
    else
      this.#chart?.add(quote);
    const { rows } = this.#parts;
    rows.prepend(rowOf(quote, this.#entry.decimals));
    if (rows.children.length > ROWS)
      rows.lastChild.remove();
  }

  /** Called once per frame if the entry has changed, and after the reader has changed settings. */
  show() {
    if (!this.#entry)
      return;
    const { percent, direction, place, decimals, lastDecimals } = this.#entry, p = this.#parts;
    const change = changeText(this.#entry);
    write(p.price, price(this.#entry.price, lastDecimals) + (this.#entry.isMiddle ? " ◦" : ""));
    p.price.title = this.#entry.isMiddle ? t.middleHint : "";
    write(p.change, change && `${arrow(direction)} ${change}${percent && ` (${price(percent)} %)`}`);
    p.change.dataset.look = direction;
    p.change.title = sinceText(this.#entry);
    write(p.star, place ? "★" : "☆");
    p.star.setAttribute("aria-pressed", String(place > 0));
    p.up.hidden = p.down.hidden = !place;
    p.alert.show(this.symbol);
    const facts = factsOf(this.#entry, decimals), shown = p.fields.children;
    if (shown.length !== facts.length)
      p.fields.replaceChildren(...facts.map(() => {
        const field = make("div");
        field.append(make("dt"), make("dd"));
        return field;
      }));
    facts.forEach(([name, text], i) => {
      write(shown[i].children[0], name);
      write(shown[i].children[1], text);
    });
  }
}

/* "venue_code" is "Venue code", unless the name has a translation. */
const nameOf = (name) => t.columns[name] ?? t.names[name] ??
  name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " ");

/* Name and text of each field, those of the trading day first where both have it. */
function factsOf(entry, decimals) {
  const { quote, day } = entry, fields = { ...quote };
  for (const name of DAY)
    if (entry.of(name) !== undefined)
      fields[name] = entry.of(name);
  const names = [...KNOWN.filter((n) => n in fields), ...Object.keys(fields).filter((n) => ![...KNOWN, ...HIDDEN].includes(n))];
  const facts = names.map((name) => [nameOf(name), valueText(name, fields[name], decimals)]);
  if (typeof day.start === "number")
    facts.push([t.names.day, date(day.start)]);
  return facts;
}

function valueText(name, value, decimals) {
  if (typeof value === "number" && (name === "timestamp" || name.endsWith("_at")) && Math.abs(value) < 8e12)
    return date(value);
  if (PRICES.includes(name))
    return price(value, SIZES.includes(name) ? 0 : decimals);
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function write(element, text) {
  if (element.textContent !== text)
    element.textContent = text;
}

function press(group, value) {
  for (const button of group.children)
    button.setAttribute("aria-pressed", button.dataset.value === value);
}

function rowOf(quote, decimals) {
  const row = document.createElement("tr");
  make("td", "", date(quote.accepted ?? quote.timestamp), row);
  for (const name of ["last", "bid", "ask"])
    make("td", "", price(quote[name], decimals), row);
  return row;
}
