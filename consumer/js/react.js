/*
 * react.js: quotes in React components.
 *
 *     const { quotes, status } = useQuotes(["DAX", "USD*"], { url: "http://127.0.0.1:8000" });
 *     return <b>{quotes.DAX?.last}</b>;
 *
 * Components with the same url, token and maxHz share one connection. It is closed a second after the last of them
 * is gone. Components render at most once per frame, however many quotes arrive.
 */
import { useCallback, useMemo, useSyncExternalStore } from "react";
import { connect } from "./pregon.js";

const GRACE_MS = 1000; // a component that is mounted again (StrictMode, another page) finds its quotes
const NOTHING = { quotes: {}, status: { phase: "connecting", text: "connecting", since: null, retryIn: null,
  refusal: null, rejected: [] } };

const stores = new Map(); // url, token and maxHz as text -> Store, as long as components use it

const matches = (pattern, symbol) =>
  (pattern.endsWith("*") ? symbol.startsWith(pattern.slice(0, -1)) : symbol === pattern);

/* One connection and its newest quotes. */
class Store {
  #key;
  #client = null;
  #quotes = new Map(); // symbol -> quote
  #status = NOTHING.status;
  #views = new Set();
  #patterns = new Set(); // subscribed
  #changed = new Set(); // symbols, since the views were informed
  #isDue = false;

  constructor(key) {
    this.#key = key;
  }

  /* The component's pure rendering calls this, so it connects nothing. */
  read(patterns) {
    const quotes = {};
    for (const [symbol, quote] of this.#quotes)
      if (patterns.some((pattern) => matches(pattern, symbol)))
        quotes[symbol] = quote;
    return { quotes, status: this.#status };
  }

  add(view) {
    this.#views.add(view);
    stores.set(this.#key, this);
    const news = view.patterns.filter((pattern) => !this.#patterns.has(pattern));
    for (const pattern of news)
      this.#patterns.add(pattern);
    if (!this.#client)
      this.#connect();
    else if (news.length)
      this.#client.subscribe(news).catch(() => {}); // lost with the connection: the next one subscribes
    return () => {
      this.#views.delete(view);
      setTimeout(() => this.#sweep(), GRACE_MS);
    };
  }

  #connect() {
    const { url, token, maxHz } = JSON.parse(this.#key);
    this.#client = connect(url, {
      token, maxHz, symbols: [...this.#patterns],
      onQuote: (quote) => {
        const { day } = this.#quotes.get(quote.symbol) ?? {}; // holds until there is another one
        this.#take(quote.symbol, { state: "live", ...(day && { day }), ...quote });
      },
      onState: ({ symbol, state }) =>
        this.#take(symbol, state === "removed" ? null : { ...this.#quotes.get(symbol), symbol, state }),
      onReset: () => {
        for (const symbol of this.#quotes.keys())
          this.#changed.add(symbol);
        this.#quotes.clear();
        this.#inform();
      },
      onStatus: (status) => {
        this.#status = status;
        this.#inform();
      },
      onError: (error) => error.code === "rejected" || console.warn(error), // status.rejected has them
    });
  }

  /* null: it was removed. */
  #take(symbol, quote) {
    if (quote)
      this.#quotes.set(symbol, quote);
    else
      this.#quotes.delete(symbol);
    this.#changed.add(symbol);
    this.#inform();
  }

  #inform() {
    if (this.#isDue)
      return;
    this.#isDue = true;
    const inform = () => {
      this.#isDue = false;
      const changed = [...this.#changed];
      this.#changed.clear();
      for (const view of [...this.#views])
        view.inform(changed, this.#status);
    };
    // hidden pages have no frames
    globalThis.requestAnimationFrame && !document.hidden ? requestAnimationFrame(inform) : setTimeout(inform, 50);
  }

  /* Ends what no component needs any more. */
  #sweep() {
    if (!this.#client)
      return;
    const used = new Set([...this.#views].flatMap(({ patterns }) => patterns));
    const unused = [...this.#patterns].filter((pattern) => !used.has(pattern));
    this.#patterns = used;
    for (const symbol of this.#quotes.keys())
      if (![...used].some((pattern) => matches(pattern, symbol)))
        this.#quotes.delete(symbol);
    if (this.#views.size) {
      if (unused.length)
        this.#client.unsubscribe(unused).catch(() => {});
      return;
    }
    this.#client.close();
    this.#client = null;
    this.#status = NOTHING.status;
    if (stores.get(this.#key) === this)
      stores.delete(this.#key);
  }
}

/* What one component sees; `state` is another object only after a change. */
class View {
  #store;
  #onChange = null;

  constructor(store, patterns) {
    this.#store = store;
    this.patterns = patterns;
    this.state = store.read(patterns);
  }

  follow(onChange) {
    this.#onChange = onChange;
    const leave = this.#store.add(this);
    this.state = this.#store.read(this.patterns); // it may have changed since the component was rendered
    return () => {
      this.#onChange = null;
      leave();
    };
  }

  inform(changed, status) {
    if (status !== this.state.status || changed.some((symbol) => this.patterns.some((p) => matches(p, symbol)))) {
      this.state = this.#store.read(this.patterns);
      this.#onChange?.();
    }
  }
}

function storeOf(key) {
  let store = stores.get(key);
  if (!store && typeof document === "undefined")
    return new Store(key); // on a server nothing is kept
  if (!store)
    stores.set(key, (store = new Store(key)));
  return store;
}

/** The newest quotes of symbols and patterns: {quotes: {SYMBOL: quote}, status}. */
export function useQuotes(symbols, { url = "/", token, maxHz } = {}) {
  const key = JSON.stringify({ url: String(url), token, maxHz }), list = JSON.stringify([...new Set(symbols)].sort());
  const view = useMemo(() => new View(storeOf(key), JSON.parse(list)), [key, list]);
  const follow = useCallback((onChange) => view.follow(onChange), [view]);
  return useSyncExternalStore(follow, () => view.state, () => NOTHING);
}
