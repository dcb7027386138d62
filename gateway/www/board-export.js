/* board-export.js: the rows of the board as text: for the clipboard (tabs) and as a file (CSV). */

/* The quotes' own texts, so that another program reads them; the columns that the board calculates too. */
const FIELDS = {
  symbol: (e) => e.symbol, last: (e) => e.price, bid: (e) => e.quote.bid, ask: (e) => e.quote.ask,
  spread: (e) => e.figures.spread, change: (e) => e.change, percent: (e) => e.percent,
  low: (e) => e.of("low"), high: (e) => e.of("high"), open: (e) => e.of("open"),
  previous_close: (e) => e.of("previous_close"), volume: (e) => e.volume,
  is_mid: (e) => (e.isMiddle ? "1" : ""), state: (e) => e.state,
  time: ({ quote: { timestamp } }) =>
    (typeof timestamp === "number" && Math.abs(timestamp) < 8e12 ? new Date(timestamp * 1000).toISOString() : ""),
};

/* A spreadsheet runs a text that begins like a formula; numbers may begin with a sign. */
const harmless = (text) => (/^[=+\-@\t\r]/.test(text) && !/^[-+]?[\d.]+$/.test(text) ? `'${text}` : text);

function rows(entries) {
  const clean = (value) => harmless(String(value ?? "").replace(/[\t\r\n]/g, " "));
  return [Object.keys(FIELDS), ...entries.map((entry) => Object.values(FIELDS).map((field) => clean(field(entry))))];
}

export const asTabs = (entries) => rows(entries).map((row) => row.join("\t")).join("\n") + "\n";

export function asCsv(entries) {
  const quoted = (text) => (/[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  return rows(entries).map((row) => row.map(quoted).join(",")).join("\r\n") + "\r\n";
}

/** Copies a text; false: the browser does not allow it. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text); // only in pages with TLS, or of this machine
    return true;
  } catch {
    const focused = document.activeElement, area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const isCopied = document.execCommand("copy");
    area.remove();
    focused?.focus();
    return isCopied;
  }
}

/** Offers a text as a file. */
export function download(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
