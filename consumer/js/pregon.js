/*
 * pregon.js: follow quotes from a Pregón gateway, in a page or under Node.
 *
 *     const client = connect("ws://127.0.0.1:8000", { symbols: ["DAX", "USD*"], onQuote: console.log });
 *
 * The client reconnects by itself, at the time that the gateway named or after a random pause, and resumes:
 * in mode "all" it receives every quote exactly once.  Prices are text.  docs/protocol/stream.md describes
 * the protocol, pregon.d.ts the options and messages with their types.
 */
import { PregonError, history, repeatWithKey, routesUrl, streamUrl, withTexts } from "./http.js";
import { decode, encode } from "./msgpack.js";
import { Position } from "./position.js";

export { PregonError, publish } from "./http.js";

const SILENCE = 20; // seconds without a message before the welcome; later three heartbeats
const LONGEST_PAUSE = 30; // seconds between two attempts
const PATTERN = /^([A-Z0-9._:/=^-]{1,32}|[A-Z0-9._:/=^-]{0,31}\*)$/;

/** Starts a client; throws if `url` or an option is wrong. */
export function connect(url, options = {}) {
  return new Client(streamUrl(url), options);
}

/* Why a gateway that allows `limit` patterns per client rejected this one. */
function rejectionOf(symbol, limit) {
  if (PATTERN.test(symbol))
    return { symbol, code: "too_many", reason: `over the limit of ${limit} patterns, MAX_SYMBOLS`, suggestion: "" };
  const upper = String(symbol).trim().toUpperCase();
  const suggestion = PATTERN.test(upper) ? upper : "";
  const reason = "no symbol: 1 to 32 of A-Z 0-9 . _ : / = ^ -" + (suggestion && `; did you mean ${suggestion}?`);
  return { symbol, code: "bad_symbol", reason, suggestion };
}

class Client {
  #url;
  #routes;
  #options;
  #Socket;
  #socket = null; // the current socket; events of others are ignored
  #isWelcome = false;
  #isGone = false; // close() was called
  #heardAt = 0;
  #silence = SILENCE;
  #watchdog;
  #retry;
  #attempts = 0;
  #appointment = null; // seconds, from going_away
  #checking = null; // an AbortController
  #status;
  #id = 0;
  #pending = new Map(); // id -> {op, resolve, reject}
  #limit = 0; // patterns that the gateway allows
  #rejected = []; // rejected on this connection, as in Status
  #position;

  constructor(url, options) {
    const { symbols = ["*"], mode = "merge", encoding = "json", since, maxHz, token } = options;
    this.#options = { ...options, mode, encoding };
    if (!["merge", "all"].includes(mode))
      throw new TypeError(`pregon: mode is "merge" or "all", not "${mode}"`);
    if (!["json", "msgpack"].includes(encoding))
      throw new TypeError(`pregon: encoding is "json" or "msgpack", not "${encoding}"`);
    this.#Socket = this.#options.WebSocket ?? globalThis.WebSocket;
    if (!this.#Socket)
      throw new TypeError("pregon: there is no WebSocket here. Node has one from version 22 on; before, " +
        'npm install ws, import WebSocket from "ws", and connect(url, { WebSocket })');
    this.#routes = routesUrl(url);
    this.#url = url;
    url.searchParams.set("symbols", ""); // no symbols until the client subscribes
    url.searchParams.set("mode", mode);
    if (maxHz)
      url.searchParams.set("max_hz", maxHz);
    if (token)
      url.searchParams.set("token", token);
    this.#position = new Position(mode, symbols, since, () => this.#isAsking());
    this.#status = this.#statusOf(...this.#purpose());
    queueMicrotask(() => this.#open()); // after the caller has received the client
  }

  /* --- calls of the program ------------------------------------------------------------- */

  /** Subscribes to more symbols; without a connection, the next one does it. */
  async subscribe(symbols) {
    const news = this.#position.want(symbols);
    return this.#isWelcome && news.length ? this.#subscribe(news) : undefined;
  }

  async unsubscribe(symbols) {
    const gone = this.#position.unwant(symbols);
    const ack = this.#isWelcome ? await this.ask("unsubscribe", { symbols }) : undefined;
    this.#position.drop(gone);
    return ack;
  }

  /** Sends a request over the stream (`ping`, `list`); resolves to its ack. */
  ask(op, members = {}) {
    return new Promise((resolve, reject) => {
      if (!this.#isWelcome)
        throw new PregonError("not_connected", `${op} cannot be asked: ${this.#status.text}`);
      const id = ++this.#id;
      const message = { ...members, op, id };
      this.#socket.send(this.#options.encoding === "json" ? JSON.stringify(message) : encode(message));
      this.#pending.set(id, { op, resolve, reject });
    });
  }

  /**
   * Publishes quotes over the stream.  Without a connection, or after a lost answer, it tries again with the same
   * key, which creates no second quote.  Resolves to the ack: {positions, refused, repeated}.
   */
  async publish(quotes, { token, feed, ended, ...how } = {}) {
    const members = {
      quotes: withTexts(quotes), ...(token && { token }), ...(feed && { feed }), ...(ended && { ended }),
    };
    return repeatWithKey(async (key) => {
      if (this.#isGone)
        throw new PregonError("closed", "publish: this program has closed the client");
      return { ...(await this.ask("publish", { ...members, key })), key };
    }, how);
  }

  /** One page of a symbol's history: {records, gaps, next, …}. */
  history(symbol, parameters = {}) {
    return history(this.#routes, symbol, parameters);
  }

  /** The position for `since`; null: there is none to resume from. */
  get position() {
    const { value } = this.#position;
    return value && { ...value };
  }

  get status() {
    return this.#status;
  }

  close() {
    if (this.#isGone)
      return;
    this.#isGone = true;
    this.#end(1000);
    clearTimeout(this.#retry);
    this.#checking?.abort();
    this.#say("closed", "closed by this program");
  }

  /* --- a connection and its end ------------------------------------------------------------ */

  #statusOf(phase, text, more) {
    return { phase, text, since: null, retryIn: null, refusal: null, rejected: [], ...more };
  }

  #say(...status) {
    this.#status = this.#statusOf(...status);
    this.#options.onStatus?.(this.#status);
  }

  #open() {
    if (this.#isGone)
      return;
    this.#isWelcome = this.#position.isAcked = false;
    this.#appointment = null;
    this.#checking?.abort();
    this.#say(...this.#purpose());
    if (this.#isGone) // onStatus may have called close()
      return;
    let socket;
    try {
      socket = new this.#Socket(this.#url.href, [`pregon.v1.${this.#options.encoding}`]);
    } catch (error) { // forbidden by the page's policy, or out of memory
      this.#lose(1006, "", error.message);
      return;
    }
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => {
      this.#heardAt = performance.now();
      if (socket === this.#socket)
        this.#hear(typeof data === "string" ? JSON.parse(data) : decode(new Uint8Array(data)));
    };
    socket.onclose = ({ code, reason }) => socket === this.#socket && this.#lose(code, reason);
    socket.onerror = () => socket === this.#socket && this.#lose(1006, ""); // in Node 20 no close event follows
    this.#heardAt = performance.now();
    this.#silence = SILENCE;
    this.#watch();
  }

  #purpose() {
    const since = this.position;
    return since
      ? ["resuming", `connecting, to go on from position ${since.seq}`, { since }]
      : ["connecting", "connecting"];
  }

  /* A dead network sends nothing, so watch for silence. */
  #watch() {
    clearTimeout(this.#watchdog);
    const left = this.#silence * 1000 - (performance.now() - this.#heardAt);
    if (left > 0)
      this.#watchdog = setTimeout(() => this.#watch(), left);
    else
      this.#lose(1006, "", `nothing was heard for ${this.#silence} s`);
  }

  /* Ignores all later events of this socket. */
  #end(code) {
    const socket = this.#socket;
    this.#socket = null;
    clearTimeout(this.#watchdog);
    socket?.close(code);
    this.#isWelcome = false;
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { op, resolve, reject } of pending)
      if (op === "subscribe" || op === "unsubscribe")
        resolve(); // the next connection subscribes again
      else
        reject(new PregonError("not_connected", `the connection was lost before the answer to ${op}`));
  }

  #lose(code, reason, why = this.#isWelcome ? "the connection was lost" : "the gateway cannot be reached") {
    const wasWelcome = this.#isWelcome;
    this.#end();
    let told = null;
    try {
      told = JSON.parse(reason);
    } catch {
      // most closes have no JSON
    }
    const pause = this.#appointment ?? Math.random() * Math.min(LONGEST_PAUSE, 2 ** this.#attempts++);
    const at = performance.now() + pause * 1000;
    this.#retry = setTimeout(() => this.#open(), pause * 1000);
    if (this.#appointment !== null)
      this.#say("waiting", "the gateway restarts", { retryIn: pause });
    else if (told?.code)
      this.#say(wasWelcome ? "waiting" : "refused", `${told.code}: ${told.message ?? "closed by the gateway"}`,
        { retryIn: pause, refusal: { status: code, reason: told.message ?? "", hint: "", setting: "", ...told } });
    else
      this.#say("waiting", why, { retryIn: pause });
    if (!wasWelcome && !this.#isGone)
      this.#explain((phase, text, refusal) => {
        const retryIn = Math.max(0, at - performance.now()) / 1000;
        this.#say(phase, text, { retryIn, refusal });
      });
  }

  /* A client cannot see why a handshake failed, so ask the gateway's websocket_check. */
  async #explain(say) {
    const checking = (this.#checking = new AbortController());
    const asked = new URLSearchParams(this.#url.search);
    asked.delete("token");
    const query = new URLSearchParams({ path: `${this.#url.pathname}?${asked}` });
    if (globalThis.location?.origin)
      query.set("origin", location.origin);
    if (this.#url.searchParams.has("token"))
      query.set("token", this.#url.searchParams.get("token"));
    try {
      const answer = await fetch(`${this.#routes}websocket_check?${query}`, { cache: "no-store", signal: checking.signal });
      const check = await answer.json();
      if (checking.signal.aborted)
        return;
      if (!check.allowed)
        say("refused", `${check.code}: ${check.message} ${check.hint}`.trim(), {
          code: check.code, status: check.status, reason: check.message, hint: check.hint, setting: check.setting ?? "",
        });
      else if (this.#status.phase !== "refused")
        say("waiting", "the WebSocket failed, though the gateway would accept it now; if this stays so, " +
          "a proxy in between does not forward Upgrade and Connection", null);
    } catch {
      // the gateway cannot be reached; onStatus has reported that
    }
  }

  /* --- messages of the gateway --------------------------------------------------------------- */

  #hear(m) {
    const { onSnapshot, onQuote, onState, onLost, onReset } = this.#options;
    switch (m.type) {
      case "quote":
        if (this.#take(m))
          onQuote?.(m);
        break;
      case "state":
        if (this.#take(m))
          onState?.(m);
        break;
      case "snapshot":
        this.#position.takeSnapshot(m);
        (onSnapshot ?? onQuote)?.(m);
        break;
      case "heartbeat":
        this.#position.complete(m.seq);
        break;
      case "lost":
        if (this.#position.takeLoss(m))
          onLost?.(m);
        break;
      case "welcome":
        this.#welcome(m);
        break;
      case "ack":
        this.#acknowledged(m);
        break;
      case "reset":
        this.#position.forget(m.epoch);
        onReset?.(m);
        break;
      case "going_away":
        this.#appointment = m.reconnect_after;
        break;
      case "error": {
        const error = new PregonError(m.code, m.message);
        if (!this.#answer(m, ({ reject }) => reject(error)))
          this.#warn(error);
        break;
      }
    }
  }

  #welcome(m) {
    this.#isWelcome = true;
    this.#limit = m.limits?.symbols;
    this.#rejected = [];
    this.#silence = 3 * m.heartbeat;
    this.#watch();
    const { known, fresh } = this.#position.parts();
    for (const [symbols, since] of [[known, this.position], [fresh, undefined]])
      if (symbols.length)
        this.#subscribe(symbols, since).catch((error) => this.#warn(error));
    if (!known.length && !fresh.length)
      this.#connected();
  }

  #connected(text = "connected") {
    this.#attempts = 0;
    if (this.#rejected.length)
      text += "; rejected: " + this.#rejected.map(({ symbol, reason }) => `${symbol} (${reason})`).join(", ");
    if (this.#status.phase !== "connected" || this.#status.text !== text)
      this.#say("connected", text, { rejected: [...this.#rejected] });
  }

  #warn(error) {
    (this.#options.onError ?? console.warn)(error);
  }

  #answer(m, how) {
    const asked = this.#pending.get(m.id);
    this.#pending.delete(m.id);
    if (asked)
      how(asked);
    return asked;
  }

  #acknowledged(m) {
    const asked = this.#answer(m, () => {});
    if (m.op === "subscribe") {
      const why = this.#position.acknowledged(m);
      if (m.rejected?.length)
        this.#takeRejected(m.rejected);
      if (why)
        this.#options.onReset?.({ type: "reset", epoch: m.epoch, seq: m.seq, reason: why });
      this.#connected(m.upstream === "away" ? "connected, but the broker is away: values are old" : "connected");
    }
    if (this.#options.mode === "merge")
      this.#position.complete(m.seq);
    asked?.resolve(m);
  }

  /* These symbols will never arrive; report that, because it would look like a quiet market. */
  #takeRejected(symbols) {
    const rejected = symbols.map((symbol) => rejectionOf(symbol, this.#limit));
    this.#rejected.push(...rejected);
    this.#warn(new PregonError("rejected", "the gateway does not take " +
      rejected.map(({ symbol, reason }) => `${symbol}: ${reason}`).join("; "), { symbols }));
  }

  #subscribe(symbols, since) {
    const { trace } = this.#options;
    return this.ask("subscribe", { symbols, ...(since && { since }), ...(trace && { trace }) });
  }

  #isAsking() {
    for (const { op } of this.#pending.values())
      if (op === "subscribe")
        return true;
    return false;
  }

  /* A quote or state; false: repeated, or the client reconnects for missing records before it. */
  #take(m) {
    return this.#position.take(m, (last, isNew) => {
      if (isNew)
        this.#lose(1006, "", `a record of ${m.symbol} is missing before position ${m.seq}`);
      else
        this.#options.onLost?.({ type: "lost", seq: m.seq, feed: "", first: last + 1, last: m.prev, count: m.prev - last,
          reason: "gap", symbol: m.symbol });
    });
  }
}
