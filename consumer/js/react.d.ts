/** Types of react.js. */
import type { Fields, State, Status } from "./pregon.js";

/** The newest quote of a symbol. Fields are absent if only its state is known. */
export interface CurrentQuote extends Partial<Fields> {
  symbol: string;
  state: State;
}

export interface QuotesOptions {
  /** The gateway. Default: `/`, the server of the page. */
  url?: string | URL;
  /** The gateway's WEBSOCKET_TOKEN. */
  token?: string;
  /** The largest number of updates per second. */
  maxHz?: number;
}

export interface Quotes {
  /** By symbol; a symbol without a quote yet is absent. */
  quotes: { readonly [symbol: string]: CurrentQuote | undefined };
  status: Status;
}

/**
 * The newest quotes of symbols and patterns (`USD*`). Components with equal options share one connection, and
 * render at most once per frame. On a server it returns no quotes.
 */
export function useQuotes(symbols: readonly string[], options?: QuotesOptions): Quotes;
