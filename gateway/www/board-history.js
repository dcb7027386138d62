/* board-history.js: the past quotes of a symbol, fetched in pages, and then the live ones. */

const PAGES = 10; // pages fetched at most, of a thousand records each
const MOST = 20000; // records kept while the symbol is shown

function keep(quotes, quote) {
  quotes.push(quote);
  if (quotes.length > MOST)
    quotes.splice(0, MOST / 10);
}

export class History {
  #client;
  #symbol;
  #early = []; // live quotes that arrived while pages were fetched
  #isLoaded = false;
  records = []; // quotes, ascending
  isPartial = false; // the range has more records
  gaps = 0; // positions missing from the log

  constructor(client, symbol) {
    this.#client = client;
    this.#symbol = symbol;
  }

  /** Fetches the quotes of the last `seconds` (0: all); `isWanted` returns false to stop. */
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
    } finally { // show live quotes even if a page failed
      this.records = found.reverse();
      this.isPartial = page?.truncated ?? false;
      this.#isLoaded = true;
      for (const quote of this.#early.splice(0))
        this.take(quote);
    }
  }

  /** Adds a live quote; false: pages are being fetched, or the quote is known. */
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
