/* board-history.js: what a symbol was before, in pages, and what comes live behind it. */

const PAGES = 10; // of a thousand records each
const MOST = 20000; // kept while it is shown

function keep(quotes, quote) {
  quotes.push(quote);
  if (quotes.length > MOST)
    quotes.splice(0, MOST / 10);
}

export class History {
  #client;
  #symbol;
  #early = []; // live ones that came while pages were fetched
  #isLoaded = false;
  records = []; // quotes, ascending
  isPartial = false; // the range holds more
  gaps = 0; // positions the log does not have

  constructor(client, symbol) {
    this.#client = client;
    this.#symbol = symbol;
  }

  /** Those of the last `seconds` (0: all there are); `isWanted` says whether to go on. */
  async load(seconds, now, isWanted) {
    const found = [];
    let page = null;
    try {
      for (let i = 0; i < PAGES && (!page || page.truncated); i++) {
        page = await this.#client.history(this.#symbol, {
          order: "newest", ...(seconds && { since: `@${(now - seconds).toFixed(3)}` }), ...(page && { next: page.next }),
        });
        if (!isWanted())
          return;
        for (const record of page.records)
          if (record.type === "quote")
            found.push(record);
        for (const [first, last] of page.gaps.map((gap) => (Array.isArray(gap) ? gap : [gap.first, gap.last])))
          this.gaps += last - first + 1;
      }
    } finally { // what comes live is shown even if a page failed
      this.records = found.reverse();
      this.isPartial = page?.truncated ?? false;
      this.#isLoaded = true;
      for (const quote of this.#early.splice(0))
        this.take(quote);
    }
  }

  /** A live quote; false: not now, or it is known. */
  take(quote) {
    if (!this.#isLoaded) {
      keep(this.#early, quote);
      return false;
    }
    if (quote.seq <= (this.records.at(-1)?.seq ?? 0))
      return false;
    keep(this.records, quote);
    return true;
  }
}
