/* exposition: parses Prometheus' text, and calculates rates and quantiles from two readings. */

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** All samples: a list of {name, labels, value}. */
export function read(text) {
  const samples = [];
  for (const line of text.split("\n")) {
    const parts = line.startsWith("#") ? null : SAMPLE.exec(line);
    if (!parts)
      continue;
    const labels = {};
    for (const [, name, value] of (parts[2] || "").matchAll(LABEL))
      labels[name] = value.replace(/\\n/g, "\n").replace(/\\(.)/g, "$1");
    samples.push({ name: parts[1], labels, value: Number(parts[3].replace("Inf", "Infinity")) });
  }
  return samples;
}

const fits = (sample, name, labels) =>
  sample.name === name && Object.entries(labels).every(([k, v]) => sample.labels[k] === v);

/** The sum of all samples of a name, or null if there is none. */
export function sum(samples, name, labels = {}) {
  const all = samples.filter((s) => fits(s, name, labels));
  return all.length ? all.reduce((total, s) => total + s.value, 0) : null;
}

/** The quantile of a histogram between two readings, as Prometheus calculates it; null: no samples. */
export function quantile(before, after, name, labels, q) {
  const buckets = after.filter((s) => fits(s, name + "_bucket", labels)).map((s) => {
    const was = before.find((b) => fits(b, s.name, s.labels));
    return [Number(s.labels.le.replace("Inf", "Infinity")), s.value - (was ? was.value : 0)];
  }).sort((a, b) => a[0] - b[0]);
  const total = buckets.length ? buckets[buckets.length - 1][1] : 0;
  if (!(total > 0))
    return null;
  const i = buckets.findIndex(([, count]) => count >= q * total);
  const [low, below] = i ? buckets[i - 1] : [0, 0], [high, count] = buckets[i];
  if (high === Infinity)
    return low;
  return low + (high - low) * (count > below ? (q * total - below) / (count - below) : 1);
}
