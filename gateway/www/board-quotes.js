/*
 * board-quotes.js: the state of each symbol on the board, and how symbols are sorted.
 *
 * The board shows the quote's own text; sorting and changes are exact (decimal.js).
 */
import * as decimal from "./decimal.js";

/** One symbol: its last quote, and the price it is compared with. */
export class Entry {
  /** `base`: that of the symbol's entry before a reset, to keep the comparison. */
  constructor(symbol, base = null) {
    this.symbol = symbol;
    this.quote = {};
    this.state = "unknown";
    this.price = ""; // last, or the middle of bid and ask
    this.isMiddle = false;
    this.base = base; // {text, kind, at}: the price that `change` refers to
    this.change = ""; // "+1.25"
    this.percent = ""; // "+0.12"
    this.hundredths = null; // hundredths of a percent, for sorting
    this.decimals = 0; // the most decimals seen so far
  }

  /** Takes a quote or a snapshot; `now` in Unix seconds. */
  take(quote, now) {
    const { last, bid, ask } = quote;
    this.quote = quote;
    this.state = quote.type === "snapshot" ? quote.state : "live";
    this.isMiddle = last === undefined && bid !== undefined && ask !== undefined;
    this.price = this.isMiddle ? decimal.middle(decimal.parse(bid), decimal.parse(ask)) : last ?? bid ?? ask;
    this.decimals = Math.max(this.decimals, ...[this.price, last, bid, ask].map((text) => (text?.split(".")[1] ?? "").length));
    this.#compare(now);
  }

  #compare(now) {
    for (const kind of ["previous_close", "open"])
      if (decimal.parse(this.quote[kind]))
        this.base = { kind, text: this.quote[kind] };
    this.base ??= { kind: "seen", text: this.price, at: now };
    const price = decimal.parse(this.price), base = decimal.parse(this.base.text);
    const change = decimal.difference(price, base);
    this.hundredths = decimal.change(price, base);
    this.change = signed(change);
    this.percent = this.hundredths === null ? "" : signed(decimal.percent(this.hundredths));
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
const price = (name) => byValue((e) => decimal.parse(e.quote[name]), decimal.compare);
const change = byValue((e) => decimal.parse(e.change.replace("+", "")), decimal.compare);

const comparisons = {
  symbol: byValue((e) => e.symbol, order),
  last: price("last"),
  bid: price("bid"),
  ask: price("ask"),
  change,
  percent: byValue((e) => e.hundredths, order),
  age: byValue((e) => -e.quote.timestamp || null, order),
  state: byValue((e) => e.state, order),
  latency: byValue((e) => e.stages?.reduce((a, b) => a + b) ?? null, order),
};

/** The entries whose symbol contains the text, sorted by a column: ascending (1) or descending (-1). */
export function arrange(entries, text, column, way) {
  const compare = comparisons[column], bySymbol = comparisons.symbol;
  return [...entries]
    .filter((e) => e.symbol.includes(text))
    .sort((a, b) => compare(a, b, way) || bySymbol(a, b, 1));
}

export const columns = Object.keys(comparisons);
