/*
 * decimal.js: arithmetic on prices, which are decimal text and stay exact.
 *
 * A price never becomes a binary fraction, because 0.1 has no exact one.  A decimal is a BigInt of units
 * and the number of digits after the point.
 */

/** {units, scale} of "1034.50": 103450n and 2; null if it is not a decimal. */
export function parse(text) {
  const found = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text ?? "");
  if (!found)
    return null;
  const [, sign, whole, part = ""] = found;
  return { units: BigInt(sign + whole + part), scale: part.length };
}

function format(units, scale) {
  const digits = String(units < 0n ? -units : units).padStart(scale + 1, "0");
  const whole = digits.slice(0, digits.length - scale);
  return (units < 0n ? "-" : "") + whole + (scale ? "." + digits.slice(-scale) : "");
}

function align(a, b) {
  const scale = Math.max(a.scale, b.scale);
  const raise = (x) => x.units * 10n ** BigInt(scale - x.scale);
  return [raise(a), raise(b), scale];
}

/** Negative, 0 or positive, as for sort(). */
export function compare(a, b) {
  const [x, y] = align(a, b);
  return x < y ? -1 : x > y ? 1 : 0;
}

/** a - b as text, with as many digits as the longer of them. */
export function difference(a, b) {
  const [x, y, scale] = align(a, b);
  return format(x - y, scale);
}

/** How far a is from b, in hundredths of a percent of b's size, rounded half away from zero; null if b is 0. */
export function change(a, b) {
  const [x, y] = align(a, b);
  if (y === 0n)
    return null;
  const whole = y < 0n ? -y : y;
  const size = (x < y ? y - x : x - y) * 10000n;
  const most = (2n * size + whole) / (2n * whole);
  return x < y ? -most : most;
}

export const percent = (hundredths) => format(hundredths, 2);

/** The middle of two prices, as text: exact, with one more digit if needed. */
export function middle(a, b) {
  const [x, y, scale] = align(a, b);
  return (x + y) % 2n ? format((x + y) * 5n, scale + 1) : format((x + y) / 2n, scale);
}

/** The number of digits after the point. */
export function decimalsOf(text) {
  const point = text?.indexOf(".") ?? -1;
  return point < 0 ? 0 : text.length - point - 1;
}

/**
 * The text with at least so many decimals, never fewer than it has, with these marks for the point and between
 * groups of three digits if there are five or more; what is no decimal stays as it is.
 */
export function group(text, decimals, point, mark) {
  const found = /^([-+]?)(\d+)(?:\.(\d+))?$/.exec(text ?? "");
  if (!found)
    return text ?? "";
  const [, sign, whole, part = ""] = found, padded = part.padEnd(decimals, "0");
  const grouped = whole.length < 5 ? whole : whole.replace(/\B(?=(\d{3})+$)/g, mark);
  return sign + grouped + (padded && point + padded);
}
