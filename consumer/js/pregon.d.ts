/** Types of pregon.js.  docs/protocol/stream.md describes the messages. */

/** Everything up to this position has been received.  `position` returns it, `since` takes it. */
export interface Position {
  epoch: string;
  seq: number;
}

/** `removed`: the symbol has no value any more. */
export type State = "live" | "stale" | "unknown" | "removed";

/** The trading day of a symbol, the same for all clients; each member only where it is known. */
export interface Day {
  /** Unix seconds. */
  start?: number;
  open?: string;
  high?: string;
  low?: string;
  previous_close?: string;
  /** Of snapshots only. */
  volume?: string;
}

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
  /** If it changed; until the next one, the previous one holds. */
  day?: Day;
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

/** A quote to publish: a symbol and at least one of `bid`, `ask`, `last`. Prices are text or numbers. */
export interface NewQuote {
  symbol: string;
  bid?: string | number;
  ask?: string | number;
  last?: string | number;
  bid_size?: string | number;
  ask_size?: string | number;
  volume?: string | number;
  open?: string | number;
  high?: string | number;
  low?: string | number;
  currency?: string;
  source?: string;
  /** Unix seconds; without it the broker's time. */
  timestamp?: number;
  [member: string]: unknown;
}

export interface PublishOptions {
  /** The gateway's PUBLISH_TOKEN. */
  token?: string;
  /** The feed's name. Default: the gateway's PUBLISH_FEED. */
  feed?: string;
  /** Of this request, for a program that repeats it itself, also after a restart. Default: a new one. */
  key?: string;
  /** The feed ends after these quotes. */
  ended?: boolean;
  /** Seconds until an attempt is the last one. Default: 60. */
  patience?: number;
  signal?: AbortSignal;
}

export interface Published {
  feed: string;
  epoch: string;
  accepted: number;
  refused: number;
  /** An earlier request with this key got this answer. */
  repeated: boolean;
  stored: boolean;
  /** One for each quote, in order: its position, or why it was refused. */
  quotes: { index: number; seq?: number; code?: string; field?: string; message?: string }[];
  key: string;
}

export interface PublishAck extends Ack {
  /** The position of each quote; 0: refused. */
  positions: number[];
  refused: { index: number; code: string; field: string }[];
  repeated: boolean;
  key: string;
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
    limit?: number | string;
    next?: string;
  }): Promise<History>;
  /**
   * Publishes over the stream, at most 256 quotes at once. After a lost answer it repeats the request with its key,
   * also on another connection; so each quote is published once. Rejects with a PregonError.
   */
  publish(quotes: NewQuote | readonly NewQuote[], options?: PublishOptions): Promise<PublishAck>;
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
  /** Of a request to publish that was given up: the same request may be repeated with it. */
  key?: string;
  /** With code `quotes_refused`: why, for each quote. */
  quotes?: Published["quotes"];
}

/**
 * Publish quotes over HTTP, at most 1,000 at once. Repeats the request with its key after a lost answer and while
 * the broker is away. Resolves after the log has the quotes; rejects with a PregonError.
 */
export function publish(
  url: string | URL,
  quotes: NewQuote | readonly NewQuote[],
  options?: PublishOptions & { /** Wait until the store has the quotes. */ stored?: boolean },
): Promise<Published>;

/**
 * Follow quotes of a gateway.  `url`: `ws://127.0.0.1:8000`, with or without the stream's path; in a
 * page also one relative to it.  Throws a TypeError if the URL or an option is wrong.
 */
export function connect(url: string | URL, options?: Options): Client;
