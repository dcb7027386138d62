/*
 * position.js: the patterns and the position of a client: docs/protocol/stream.md, "Resuming".
 *
 * In mode all it also keeps the last position of each symbol, to find missing and repeated records.
 */
const matches = (pattern, symbol) =>
  pattern.endsWith("*") ? symbol.startsWith(pattern.slice(0, -1)) : pattern === symbol;

export class Position {
  #isAll;
  #isAsking;
  /* Wanted patterns: pattern → null until its subscription is acknowledged, then {seq, isSettled}.
   * Settled: everything of it up to our position has been received. */
  #wanted = new Map();
  #isFresh = false; // a pattern may not be settled yet
  #epoch = "";
  #last = new Map(); // mode all: symbol → its last position, to find gaps
  #gaps = new Map(); // symbol → the `prev` for which the client has reconnected
  #hole = 0; // end of the last range of lost positions
  #lostAt = 0; // position of the last loss that was reported
  value = null; // {epoch, seq}: everything up to here was received
  isAcked = false; // acknowledged on this connection: from then on messages move the position

  /** `isAsking()`: whether a subscription is unanswered. */
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

  /* --- patterns ---------------------------------------------------------------------- */

  /** Adds patterns; returns those that are new. */
  want(symbols) {
    if (!Array.isArray(symbols))
      throw new TypeError('pregon: symbols are an array of texts: ["DAX", "USD*"]');
    const news = symbols.filter((pattern) => !this.#wanted.has(pattern));
    for (const pattern of news)
      this.#wanted.set(pattern, null);
    return news;
  }

  /** Removes patterns; returns those that existed. */
  unwant(symbols) {
    return symbols.filter((pattern) => this.#wanted.delete(pattern));
  }

  /** The gateway sends no more of these patterns. */
  drop(patterns) {
    for (const symbol of this.#last.keys())
      if (patterns.some((p) => matches(p, symbol)) && !this.#isWanted(symbol)) {
        this.#last.delete(symbol);
        this.#gaps.delete(symbol);
      }
  }

  /** For a new connection: the patterns to resume, and those to subscribe to as new ones. */
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

  /* --- messages ------------------------------------------------------------------------ */

  /** The ack of a subscription; returns the reason if everything begins anew. */
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

  /* A record in mode all: everything before it has been sent, unless a subscription is unanswered. */
  #move(seq) {
    if (this.#isAll && this.isAcked && !this.#isAsking() && seq > (this.value?.seq ?? 0))
      this.value = { epoch: this.#epoch, seq };
  }

  takeSnapshot({ symbol, seq }) {
    if (this.#isAll)
      this.#last.set(symbol, Math.max(seq, this.#last.get(symbol) ?? 0));
  }

  /** false: already reported; after a reconnect for a gap, later losses are sent again. */
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
   * A quote or state; false: already received.  Calls `onGap(last, isNew)` if records after the position
   * `last` are missing; new: a reconnect may bring them, and the record is not taken.
   */
  take(m, onGap) {
    if (!this.#isAll)
      return true;
    let last = this.#last.get(m.symbol);
    let about = [];
    if (last === undefined || this.#isFresh) {
      about = this.#subscriptions(m.symbol);
      last ??= Math.max(0, ...about.map(({ seq }) => seq)); // the symbol has no record between
    }
    if (m.seq <= last) // a state because the broker is away (no record), or a repeated record
      return m.type === "state" && (m.seq === last || !this.#last.has(m.symbol));
    if (m.prev > Math.max(last, this.#hole)) {
      const isNew = this.#gaps.get(m.symbol) !== m.prev && this.value !== null && last > 0;
      if (isNew) {
        this.#gaps.set(m.symbol, m.prev);
        this.value.seq = Math.min(this.value.seq, last); // #last recognises repeated records
      }
      onGap(last, isNew);
      if (isNew)
        return false;
    }
    if (!about.some(({ isSettled }) => isSettled))
      for (const one of about)
        one.isSettled = true; // records follow all snapshots
    this.#last.set(m.symbol, m.seq);
    this.#move(m.seq);
    return true;
  }
}
