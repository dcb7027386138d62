/*
 * format.js: numbers, prices and times as people read them; one format per language on all pages.
 *
 * A number of five or more digits before the point is grouped. A price keeps all of its digits and is never
 * rounded: it is text, and no binary number is made of it.
 */
import { group } from "./decimal.js";
import { language } from "./page.js";

const number = (options) => new Intl.NumberFormat(language, { useGrouping: "min2", ...options });
const moment = (options) => new Intl.DateTimeFormat(language, { hourCycle: "h23", ...options });

const whole = number({ maximumFractionDigits: 0 });
const some = number({ maximumSignificantDigits: 3 });
const tenths = number({ maximumFractionDigits: 1, minimumFractionDigits: 1 });
const parts = Object.fromEntries(number({}).formatToParts(-12345.6).map(({ type, value }) => [type, value]));

const day = { year: "numeric", month: "short", day: "numeric" };
const second = { hour: "2-digit", minute: "2-digit", second: "2-digit" };
const clock = moment(second), calendar = moment({ ...day, ...second }), dayOnly = moment(day);

export const count = (n) => whole.format(n);
export const rate = (n) => (n < 100 ? some : whole).format(n);
export const time = (seconds) => clock.format(seconds * 1000);
export const date = (seconds) => calendar.format(seconds * 1000);
export const dayOf = (seconds) => dayOnly.format(seconds * 1000);
export const milliseconds = (ms) => `${tenths.format(ms)} ms`;

/** A decimal text with at least so many decimals; another text is returned as it is. */
export const price = (text, decimals = 0) => group(text, decimals, parts.decimal, parts.group);

/** A span of time: 0.04 s, 12 s, 3 min 5 s, 2 h 7 min, 4 d 3 h. */
export function span(seconds) {
  const s = Math.max(0, seconds), units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  if (s < 10)
    return some.format(Math.round(s * 100) / 100) + " s";
  const i = units.findIndex(([, size]) => s >= size), [unit, size] = units[i], next = units[i + 1];
  const rest = next ? Math.floor((s % size) / next[1]) : 0;
  return `${Math.floor(s / size)} ${unit}` + (rest ? ` ${rest} ${next[0]}` : "");
}

/** A latency: 43 µs, 1.2 ms, 2.5 s. */
export function latency(seconds) {
  return seconds < 1e-3 ? some.format(seconds * 1e6) + " µs" : seconds < 1 ? some.format(seconds * 1e3) + " ms"
    : some.format(seconds) + " s";
}
