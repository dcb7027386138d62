/*
 * http.js: the gateway's routes for pregon.js: addresses, errors, history, and publishing.
 *
 * A request to publish has a key (Idempotency-Key). The gateway answers a repeated key with the first
 * answer, so repeating a request after a lost answer creates no second quote.
 */

export const STREAM = "/ws/cotizaciones";
const ROUTES = "/cotizaciones/";
const LONGEST_PAUSE = 5; // seconds between two attempts to publish
const PATIENCE = 60; // seconds until publish() fails; the broker keeps keys for ten minutes
const ANSWER_WAIT = 15; // seconds for the answer to one attempt
const PRICES = ["bid", "ask", "last", "open", "high", "low", "previous_close", "bid_size", "ask_size", "volume"];

/* Nothing was published, or nobody knows: the same request with the same key is safe. */
const PASSING = ["not_connected", "broker_away", "no_answer", "publish_busy", "too_many_requests", "starting", "draining"];

export class PregonError extends Error {
  constructor(code, message, more) {
    super(message);
    this.name = "PregonError";
    this.code = code;
    Object.assign(this, more);
  }
}

/** A gateway's address as URL of its stream, with or without the path; in a page also a relative one. */
export function streamUrl(given) {
  let url;
  try {
    url = new URL(given, globalThis.location?.href);
  } catch {
    url = null;
  }
  url = url && new URL(url.href.replace(/^http/, "ws").replace(/#.*$/, ""));
  if (!url || !/^wss?:$/.test(url.protocol))
    throw new TypeError(`pregon: "${given}" is no address of a gateway; one looks like ws://127.0.0.1:8000${STREAM}`);
  if (url.pathname.endsWith("/") && !url.pathname.endsWith(STREAM + "/"))
    url.pathname += STREAM.slice(1);
  return url;
}

/** The address of the gateway's routes; there may be a prefix before the stream's path. */
export function routesUrl(stream) {
  const url = new URL(stream.href.replace(/^ws/, "http"));
  const at = url.pathname.lastIndexOf("/ws/");
  url.pathname = (at > 0 ? url.pathname.slice(0, at) : "") + ROUTES;
  url.search = "";
  return url.href;
}

/* The answer's JSON; a proxy may answer something else. */
async function bodyOf(answer) {
  const text = await answer.text();
  try {
    return JSON.parse(text);
  } catch {
    const code = answer.status >= 500 ? "no_answer" : "bad_answer";
    throw new PregonError(code, `the answer is not JSON: ${answer.status} ${text.slice(0, 80)}`, { status: answer.status });
  }
}

function errorOf(answer, body) {
  const { error = {}, ...more } = body ?? {};
  const wait = Number(answer.headers.get("Retry-After")) || undefined;
  return new PregonError(error.code ?? "bad_answer", `${error.message ?? answer.status} ${error.hint ?? ""}`.trim(),
    { ...more, status: answer.status, wait });
}

/** One page of a symbol's history. */
export async function history(routes, symbol, parameters) {
  const answer = await fetch(`${routes}quotes/${encodeURIComponent(symbol)}/history?${new URLSearchParams(parameters)}`);
  const body = await bodyOf(answer);
  if (!answer.ok)
    throw errorOf(answer, body);
  return body;
}

/* --- publishing ------------------------------------------------------------------------------ */

/* Unique, not secret; crypto.randomUUID is missing in pages without TLS. */
const newKey = () =>
  Array.from({ length: 4 }, () => Math.floor(Math.random() * 2 ** 32).toString(16).padStart(8, "0")).join("");

/* The shortest text of a number, without an exponent: 1e-7 is "0.0000001". */
function decimalText(number) {
  const [, sign, whole, part = "", exponent] = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]\d+))?$/.exec(String(number)) ?? [];
  if (!exponent)
    return String(number);
  const zeros = "0".repeat(Math.abs(exponent)), digits = exponent < 0 ? zeros + whole + part : whole + part + zeros;
  const point = exponent < 0 ? whole.length : whole.length + Number(exponent);
  const text = digits.slice(0, point) + "." + digits.slice(point);
  return sign + text.replace(/^0+(?=\d)/, "").replace(/\.?0*$/, "");
}

/** The quotes with prices as text, because MessagePack's fractions are binary. */
export function withTexts(quotes) {
  return (Array.isArray(quotes) ? quotes : [quotes]).map((quote) => {
    const texts = { ...quote };
    for (const name of PRICES)
      if (typeof texts[name] === "number")
        texts[name] = decimalText(texts[name]);
    return texts;
  });
}

function sleep(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(end, seconds * 1000);
    function end() {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      signal?.aborted ? reject(signal.reason) : resolve();
    }
    signal?.addEventListener("abort", end);
  });
}

/**
 * Calls `attempt(key)` until it succeeds, or fails with an error that will not pass, or `patience` is over.
 * The pauses grow at random; `error.wait` (Retry-After) is the least.
 */
export async function repeatWithKey(attempt, { key = newKey(), patience = PATIENCE, signal } = {}) {
  const end = performance.now() + patience * 1000;
  for (let attempts = 0; ; attempts++) {
    signal?.throwIfAborted();
    try {
      return await attempt(key);
    } catch (error) {
      if (!PASSING.includes(error.code))
        throw error;
      const pause = (error.wait ?? 0) + Math.random() * Math.min(LONGEST_PAUSE, 0.2 * 2 ** attempts);
      if (performance.now() + pause * 1000 >= end)
        throw Object.assign(error, { key }); // the caller may go on with this key
      await sleep(pause, signal);
    }
  }
}

/**
 * Publishes quotes over HTTP: POST /cotizaciones/quotes.  Repeats the request with its key while the answer is
 * lost or the broker is away.  Resolves after the broker's log has the quotes.
 */
export async function publish(url, quotes, { token, feed, ended, stored, ...how } = {}) {
  const target = new URL(routesUrl(streamUrl(url)) + "quotes");
  if (ended)
    target.searchParams.set("ended", "1");
  if (stored)
    target.searchParams.set("stored", "1");
  const body = JSON.stringify(withTexts(quotes));
  return repeatWithKey(async (key) => {
    const headers = { "Content-Type": "application/json", "Idempotency-Key": key };
    if (token)
      headers.Authorization = `Bearer ${token}`;
    if (feed)
      headers["X-Feed"] = feed;
    const stop = new AbortController(), give = () => stop.abort(how.signal?.reason);
    const timer = setTimeout(give, ANSWER_WAIT * 1000);
    how.signal?.addEventListener("abort", give);
    try {
      const answer = await fetch(target, { method: "POST", headers, body, signal: stop.signal });
      const told = await bodyOf(answer);
      if (!answer.ok)
        throw errorOf(answer, told);
      return { ...told, key };
    } catch (error) {
      how.signal?.throwIfAborted();
      if (error instanceof PregonError)
        throw error;
      throw new PregonError("no_answer", `no answer from ${target.origin}: ${error.cause?.message ?? error.message}`);
    } finally {
      clearTimeout(timer);
      how.signal?.removeEventListener("abort", give);
    }
  }, how);
}
