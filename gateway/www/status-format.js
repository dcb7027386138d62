/* status-format.js: numbers and times as people read them. */
import { language } from "./page.js";

const whole = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
const some = new Intl.NumberFormat(language, { maximumSignificantDigits: 3 });
const clock = new Intl.DateTimeFormat(language, { timeStyle: "medium" });
const calendar = new Intl.DateTimeFormat(language, { dateStyle: "short", timeStyle: "medium" });

export const count = (n) => whole.format(n);
export const rate = (n) => (n < 100 ? some : whole).format(n);
export const time = (seconds) => clock.format(seconds * 1000);
export const date = (seconds) => calendar.format(seconds * 1000);

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
