/** Types of pregon.js.  docs/protocol/stream.md describes the messages. */

/** Everything up to this position has been received.  `position` returns it, `since` takes it. */
export interface Position {
  epoch: string;
  seq: number;
}

export type State = "live" | "stale" | "unknown";

/** The fields of a quote.  Prices and sizes are decimal text; a feed may add members of its own. */
export interface Fields {
  bid?: string;
  ask?: string;
  last?: string;
  bid_size?: string;
  ask_size?: string;
  volume?: string;
  open?: string;
  high?: string;
  low?: string;
  currency?: string;
  source?: string;
  /** Unix seconds with a fraction. */
  timestamp: number;
  [member: string]: unknown;
}

export interface Quote extends Fields {
  type: "quote";
  symbol: string;
  seq: number;
  /** Position of the symbol's record before this one. */
  prev: number;
}

export interface Snapshot extends Fields {
  type: "snapshot";
  symbol: string;
  seq: number;
  state: State;
}

export interface SymbolState {
  type: "state";
  symbol: string;
  seq: number;
  prev: number;
  state: State;
}

/** Lost lines of a feed, or, with feed "", lost positions of the log. */
export interface Lost {
  type: "lost";
  seq: number;
  feed: string;
  first: number;
  last: number;
  count: number;
  reason: "ring_overflow" | "log_replaced" | "not_stored" | "retention" | "damaged" | "gap" | (string & {});
  /** With reason "gap": at most `count` records of this symbol did not arrive, also after a reconnect. */
  symbol?: string;
}

/** Everything begins anew with snapshots.  "not_kept": the log does not reach back to the client's position. */
export interface Reset {
  type: "reset";
  epoch: string;
  seq: number;
  reason: "log_replaced" | "not_kept" | (string & {});
}

export interface Refusal {
  /** `origin_not_allowed`, `unauthorized`, …: docs/protocol/stream.md, "Refused handshakes". */
  code: string;
  /** HTTP status of the handshake, or a close code. */
  status: number;
  reason: string;
  /** What to change, as a text; "" if nothing can be changed. */
  hint: string;
  /** The gateway's setting to change, or "". */
  setting: string;
}

export interface Rejection {
  symbol: string;
  code: "bad_symbol" | "too_many" | (string & {});
  /** For people, in English. */
  reason: string;
  /** The symbol that was probably meant (`DAX` for `dax`), or "". */
  suggestion: string;
}

export interface Status {
  phase: "connecting" | "connected" | "resuming" | "waiting" | "refused" | "closed";
  /** The same for people, in English. */
  text: string;
  /** While resuming: the position after which the client resumes. */
  since: Position | null;
  /** While waiting or refused: seconds until the next attempt, counted from this call. */
  retryIn: number | null;
  refusal: Refusal | null;
  /** Symbols that the gateway rejected on this connection. */
  rejected: Rejection[];
}

export interface Ack {
  type: "ack";
  op: string;
  seq: number;
  symbols?: string[];
  rejected?: string[];
  recovered?: boolean;
  [member: string]: unknown;
}

export interface History {
  symbol: string;
  order: "newest" | "oldest";
  records: (Quote | SymbolState)[];
  gaps: unknown[];
  epoch: string;
  first: number;
  head: number;
  next?: string;
  truncated: boolean;
  complete: boolean;
  [member: string]: unknown;
}

export interface Options {
  /** Symbols, and patterns that end in `*`.  Default: all. */
  symbols?: string[];
  /** `merge` (default): newest values, as fast as the client reads.  `all`: every record. */
  mode?: "merge" | "all";
  encoding?: "json" | "msgpack";
  /** Resume after this position of an earlier connection. */
  since?: Position | null;
  /** The gateway's WEBSOCKET_TOKEN. */
  token?: string;
  /** The largest number of updates per second. */
  maxHz?: number;
  /** Request with every quote the times at which it passed feeder, broker and gateway. */
  trace?: boolean;
  /** For Node before 22: the WebSocket of npm's `ws`. */
  WebSocket?: unknown;
  onQuote?(quote: Quote | Snapshot): void;
  /** If absent, snapshots go to onQuote. */
  onSnapshot?(snapshot: Snapshot): void;
  onState?(state: SymbolState): void;
  onLost?(lost: Lost): void;
  onReset?(reset: Reset): void;
  onStatus?(status: Status): void;
  /** Errors that answer no request; if absent, they are printed on the console. */
  onError?(error: PregonError): void;
}

export interface Client {
  /** Resolves to the gateway's ack, or to undefined if there is no connection: then the next one subscribes. */
  subscribe(symbols: string[]): Promise<Ack | undefined>;
  /** `symbols` as they were written; no message of them follows the ack. */
  unsubscribe(symbols: string[]): Promise<Ack | undefined>;
  /** `ping` or `list`; rejects with a PregonError. */
  ask(op: string, members?: Record<string, unknown>): Promise<Ack>;
  history(symbol: string, parameters?: {
    order?: "newest" | "oldest";
    since?: string;
    until?: string;
    limit?: string;
    next?: string;
  }): Promise<History>;
  readonly position: Position | null;
  readonly status: Status;
  /** Ends the client: no timer or socket is left, so that a program can end. */
  close(): void;
}

export class PregonError extends Error {
  code: string;
  status?: number;
  /** With code `rejected`: patterns that the gateway rejected. */
  symbols?: string[];
}

/**
 * Follow quotes of a gateway.  `url`: `ws://127.0.0.1:8000`, with or without the stream's path; in a
 * page also one relative to it.  Throws a TypeError if the URL or an option is wrong.
 */
export function connect(url: string | URL, options?: Options): Client;
