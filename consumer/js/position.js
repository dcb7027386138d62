/*
 * position.js: what a client wants and how far it has come: docs/protocol/stream.md, "Resuming".
 *
 * In mode all it also knows how far each symbol has come, to find what is missing and what comes again.
 */
const matches = (pattern, symbol) =>
  pattern.endsWith("*") ? symbol.startsWith(pattern.slice(0, -1)) : pattern === symbol;

export class Position {
  #isAll;
  #isAsking;
  /* What is wanted: pattern → null until it is acknowledged, then what its subscription is about:
   * {seq, isSettled}.  Settled: it has been told up to our position, which now speaks for it too. */
  #wanted = new Map();
  #isFresh = false; // one of them may not be settled
  #epoch = "";
  #last = new Map(); // mode all: symbol → its last position, to find gaps
  #gaps = new Map(); // symbol → the `prev` we have come back for
  #hole = 0; // the end of the last range of positions that nobody has
  #lostAt = 0; // the position of the last loss that was told
  value = null; // {epoch, seq}: complete up to there
  isAcked = false; // on this connection: since then, messages move it

  /** `isAsking()`: is a subscription under way? */
  constructor(mode, symbols, since, isAsking) {
    this.#isAll = mode === "all";
    this.#isAsking = isAsking;
    this.want(symbols);
    if (since) {
      this.value = { ...since };
      this.#epoch = since.epoch;
      for (const pattern of symbols)
        this.#wanted.set(pattern, { seq: since.seq, isSettled: true });
    }
  }

  /* --- what is wanted ---------------------------------------------------------------------- */

  /** Those of them that were not before. */
  want(symbols) {
    if (!Array.isArray(symbols))
      throw new TypeError('pregon: symbols are an array of texts: ["DAX", "USD*"]');
    const news = symbols.filter((pattern) => !this.#wanted.has(pattern));
    for (const pattern of news)
      this.#wanted.set(pattern, null);
    return news;
  }

  /** Those of them that were. */
  unwant(symbols) {
    return symbols.filter((pattern) => this.#wanted.delete(pattern));
  }

  /** No more comes of these patterns. */
  drop(patterns) {
    for (const symbol of this.#last.keys())
      if (patterns.some((p) => matches(p, symbol)) && !this.#isWanted(symbol)) {
        this.#last.delete(symbol);
        this.#gaps.delete(symbol);
      }
  }

  /** For a new connection: what has been told up to our position, and what is asked for as if for the first time. */
  parts() {
    const known = [], fresh = [];
    for (const [pattern, about] of this.#wanted)
      (this.value && about?.isSettled ? known : fresh).push(pattern);
    for (const pattern of fresh)
      this.#wanted.set(pattern, null);
    return { known, fresh };
  }

  #isWanted(symbol) {
    for (const pattern of this.#wanted.keys())
      if (matches(pattern, symbol))
        return true;
    return false;
  }

  #subscriptions(symbol) {
    return [...this.#wanted].filter(([pattern, about]) => about && matches(pattern, symbol)).map(([, about]) => about);
  }

  /* --- what is heard ------------------------------------------------------------------------ */

  /** Of a subscription; why everything begins anew, if it does. */
  acknowledged(m) {
    const why = this.#epoch && m.epoch !== this.#epoch ? "log_replaced" : m.recovered === false ? "not_kept" : "";
    if (why)
      this.forget(m.epoch);
    this.#epoch = m.epoch;
    const about = { seq: m.seq, isSettled: !this.#isAll || m.recovered === true };
    this.#isFresh ||= !about.isSettled;
    for (const pattern of m.symbols)
      if (this.#wanted.has(pattern))
        this.#wanted.set(pattern, about);
    for (const pattern of m.rejected)
      this.#wanted.delete(pattern);
    this.isAcked = true;
    return why;
  }

  forget(epoch) {
    this.#epoch = epoch;
    this.value = null;
    this.#last.clear();
    this.#gaps.clear();
    this.#hole = this.#lostAt = 0;
    for (const about of this.#wanted.values())
      if (about)
        about.seq = 0;
  }

  /** Everything up to seq has been sent. */
  complete(seq) {
    if (!this.isAcked)
      return;
    if (!this.#isAll) {
      this.value = seq ? { epoch: this.#epoch, seq } : null;
      return;
    }
    if (seq > (this.value?.seq ?? 0))
      this.value = { epoch: this.#epoch, seq };
    if (!this.#isFresh || seq !== this.value?.seq || this.#isAsking())
      return;
    this.#isFresh = false;
    for (const about of this.#wanted.values())
      if (about)
        about.isSettled = true;
  }

  /* A record of mode all: everything before it has been sent, unless a subscription is under way. */
  #move(seq) {
    if (this.#isAll && this.isAcked && !this.#isAsking() && seq > (this.value?.seq ?? 0))
      this.value = { epoch: this.#epoch, seq };
  }

  takeSnapshot({ symbol, seq }) {
    if (this.#isAll)
      this.#last.set(symbol, Math.max(seq, this.#last.get(symbol) ?? 0));
  }

  /** false: it has been told; whoever comes back for a gap hears again what was lost behind it. */
  takeLoss(m) {
    this.#move(m.seq);
    if (m.seq <= this.#lostAt)
      return false;
    this.#lostAt = m.seq;
    if (m.feed === "")
      this.#hole = Math.max(this.#hole, m.last);
    return true;
  }

  /**
   * A quote or state; false: we have had it.  `onGap(last, isNew)` hears that something is missing behind
   * the position `last`; new: coming back may bring it.  Then the record is not taken.
   */
  take(m, onGap) {
    if (!this.#isAll)
      return true;
    let last = this.#last.get(m.symbol);
    let about = [];
    if (last === undefined || this.#isFresh) {
      about = this.#subscriptions(m.symbol);
      last ??= Math.max(0, ...about.map(({ seq }) => seq)); // nothing of it lies between
    }
    if (m.seq <= last) // of the broker's absence, so no record; or a record that comes again
      return m.type === "state" && (m.seq === last || !this.#last.has(m.symbol));
    if (m.prev > Math.max(last, this.#hole)) {
      const isNew = this.#gaps.get(m.symbol) !== m.prev && this.value !== null && last > 0;
      if (isNew) {
        this.#gaps.set(m.symbol, m.prev);
        this.value.seq = Math.min(this.value.seq, last); // what comes again is known by #last
      }
      onGap(last, isNew);
      if (isNew)
        return false;
    }
    if (!about.some(({ isSettled }) => isSettled))
      for (const one of about)
        one.isSettled = true; // records come after all snapshots
    this.#last.set(m.symbol, m.seq);
    this.#move(m.seq);
    return true;
  }
}
