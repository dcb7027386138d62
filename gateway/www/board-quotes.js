/*
 * board-quotes.js: the state of each symbol on the board, and how symbols are sorted.
 *
 * Prices are text; comparing, differences and middles are exact (decimal.js). What takes time is calculated when it
 * is shown or sorted by, not for each quote.
 */
import * as decimal from "./decimal.js";
import { Trend } from "./board-trend.js";

const MOST_DECIMALS = 10; // a price may have more, but others are then not filled up to it

/** One symbol: its last quote, its trading day, and the price it is compared with. */
export class Entry {
  #figures = null; // calculated from the quote when needed

  /** `base`: that of the symbol's entry before a reset, to keep the comparison. */
  constructor(symbol, base = null) {
    this.symbol = symbol;
    this.quote = {};
    this.day = {}; // {start, open, high, low, previous_close}, each if known
    this.volume = undefined; // the last one that its feed stated
    this.state = "unknown";
    this.price = ""; // last, or the middle of bid and ask, or the only one of them
    this.isMiddle = false;
    this.base = base; // {text, kind, at}: the price that `change` refers to
    this.decimals = 0; // the most decimals seen in its quotes, up to MOST_DECIMALS
    this.lastDecimals = 0; // the same in the column Last, where middles have one more
    this.trend = new Trend();
    this.place = 0; // among the reader's favourites, from 1 on; 0: none of them
  }

  /** Takes a quote or a snapshot; `now` in Unix seconds. */
  take(quote, now) {
    const { last, bid, ask } = quote;
    this.quote = quote;
    if (quote.day) // absent: the last one still holds
      this.day = quote.day;
    this.volume = quote.volume ?? quote.day?.volume ?? this.volume;
    this.state = quote.type === "snapshot" ? quote.state : "live";
    this.isMiddle = last === undefined && bid !== undefined && ask !== undefined;
    this.price = this.isMiddle ? decimal.middle(decimal.parse(bid), decimal.parse(ask)) : last ?? bid ?? ask ?? "";
    for (const text of [last, bid, ask])
      this.decimals = Math.max(this.decimals, Math.min(MOST_DECIMALS, decimal.decimalsOf(text)));
    this.lastDecimals = Math.max(this.lastDecimals, this.decimals,
      this.isMiddle ? Math.min(MOST_DECIMALS, decimal.decimalsOf(this.price)) : 0);
    this.base ??= { kind: "seen", text: this.price, at: now };
    const close = this.of("previous_close"), open = this.of("open");
    if (decimal.parse(close))
      this.base = { kind: "previous_close", text: close };
    else if (decimal.parse(open) && this.base.kind !== "previous_close")
      this.base = { kind: "open", text: open };
    this.trend.add(this.price, now);
    this.#figures = null;
  }

  /** `open`, `high`, `low` or `previous_close`: of the trading day, or else of the quote. */
  of(name) {
    return this.day[name] ?? this.quote[name];
  }

  get figures() {
    return (this.#figures ??= this.#calculate());
  }

  #calculate() {
    const price = decimal.parse(this.price), base = decimal.parse(this.base?.text);
    const bid = decimal.parse(this.quote.bid), ask = decimal.parse(this.quote.ask);
    const hundredths = price && base && decimal.change(price, base);
    return {
      change: price && base ? signed(decimal.difference(price, base)) : "",
      hundredths,
      percent: hundredths === null ? "" : signed(decimal.percent(hundredths)),
      spread: bid && ask ? decimal.difference(ask, bid) : "",
      part: price && this.#partOfRange(price),
    };
  }

  /* Where the price is between the day's low (0) and high (100); null: not known. */
  #partOfRange(price) {
    const low = decimal.parse(this.of("low")), high = decimal.parse(this.of("high"));
    if (!low || !high || decimal.compare(low, high) >= 0)
      return null;
    const range = decimal.parse(decimal.difference(high, low)), above = decimal.parse(decimal.difference(price, low));
    return Math.max(0, Math.min(100, 100 + Number(decimal.change(above, range)) / 100));
  }

  get change() {
    return this.figures.change;
  }

  get percent() {
    return this.figures.percent;
  }

  /** Milliseconds from the feeder to the broker, the gateway and its socket; null without a whole trace. */
  get stages() {
    const { sent, accepted, received, written } = this.quote.trace ?? {};
    return sent && received ? [accepted - sent, received - accepted, written - received].map((us) => us / 1000) : null;
  }

  /** Direction of the change: 1, 0 or -1. */
  get direction() {
    return this.change.startsWith("+") ? 1 : this.change.startsWith("-") ? -1 : 0;
  }
}

const isZero = (text) => /^[-0.]*$/.test(text);

/* With a sign unless it is zero; the minus sign is as wide as a plus. */
const signed = (text) => (isZero(text) ? text.replace("-", "") : text.startsWith("-") ? text : "+" + text);

/* Entries without a value come last in both directions. */
function byValue(value, compare) {
  return (a, b, way) => {
    const x = value(a), y = value(b);
    if (x === null || y === null)
      return (x === null) - (y === null);
    return way * compare(x, y);
  };
}

const order = (x, y) => (x < y ? -1 : x > y ? 1 : 0);
const decimals = (text) => byValue((e) => decimal.parse(text(e)), decimal.compare);

const comparisons = {
  symbol: byValue((e) => e.symbol, order),
  last: decimals((e) => (e.isMiddle ? e.price : e.quote.last)),
  bid: decimals((e) => e.quote.bid),
  ask: decimals((e) => e.quote.ask),
  spread: decimals((e) => e.figures.spread),
  change: decimals((e) => e.change.replace("+", "")),
  percent: byValue((e) => e.figures.hundredths, order),
  range: byValue((e) => e.figures.part, order),
  volume: decimals((e) => e.volume),
  trend: byValue((e) => e.figures.hundredths, order),
  age: byValue((e) => -e.quote.timestamp || null, order),
  state: byValue((e) => e.state, order),
  latency: byValue((e) => e.stages?.reduce((a, b) => a + b) ?? null, order),
};

/**
 * The entries whose symbol contains the text, sorted by a column: ascending (1) or descending (-1). Favourites come
 * first, in the reader's order.
 */
export function arrange(entries, text, column, way, isOnlyFavourites = false) {
  const compare = comparisons[column], bySymbol = comparisons.symbol;
  return [...entries]
    .filter((e) => e.symbol.includes(text) && (e.place || !isOnlyFavourites))
    .sort((a, b) => (a.place || b.place) && (a.place || Infinity) - (b.place || Infinity) ||
      compare(a, b, way) || bySymbol(a, b, 1));
}

export const columns = Object.keys(comparisons);
