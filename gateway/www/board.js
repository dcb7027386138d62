/*
 * board.js: the quote board: takes the stream's messages and paints once per frame.
 *
 * The URL keeps the reader's choice, so that a board can be shared: ?q= search, &sort=-percent, &symbol=,
 * &range=, &trace=1.  &symbols= limits the subscription, &token= is WEBSOCKET_TOKEN, &lang= the language.
 */
import { connect } from "./pregon.js";
import { Entry, arrange, columns } from "./board-quotes.js";
import { check } from "./board-alerts.js";
import { columnsOf } from "./board-columns.js";
import { asCsv, asTabs, copy, download } from "./board-export.js";
import { count, rate as rateText } from "./format.js";
import { Grid } from "./board-grid.js";
import { makeOptions } from "./board-options.js";
import { Panel, ranges } from "./board-panel.js";
import { moveFavourite, onChange, settings, toggleFavourite } from "./board-settings.js";
import { at, fill, make, root, say } from "./page.js";
import t from "./board-texts.js";

const REARRANGE_MS = 1000; // rows change places at most so often
const BUSY = 50; // quotes per second, above which changes do not flash

const entries = new Map(); // symbol -> entry
const bases = new Map(); // symbol -> base, of the entries before a reset
const changed = new Set(); // entries changed since the last frame
const choice = { q: "", sort: "symbol", way: 1, symbol: "", range: "1h" };
const isTraced = new URLSearchParams(location.search).get("trace") === "1";
const narrow = matchMedia("(max-width: 60rem)");

let isPainting = false;
let isArranged = false;
let status = { phase: "connecting" };
let retryAt = 0;
let clockAhead = 0; // seconds by which the gateway's clock is ahead of this page's
let heard = 0; // quotes received since the last tick
let rate = 0;
let isRecorded = false;
let shown = []; // the entries in the table, in its order

const serverNow = () => Date.now() / 1000 + clockAhead;

/* --- the choice, in the URL -------------------------------------------------------------- */

function readChoice() {
  const query = new URLSearchParams(location.search);
  const sort = query.get("sort") ?? "symbol", column = sort.replace(/^-/, "");
  choice.q = (query.get("q") ?? "").toUpperCase();
  choice.sort = columns.includes(column) ? column : "symbol";
  choice.way = sort.startsWith("-") ? -1 : 1;
  choice.symbol = query.get("symbol") ?? "";
  choice.range = query.get("range") in ranges ? query.get("range") : "1h";
  at("search").value = choice.q;
}

function writeChoice(isStep = false) {
  const query = new URLSearchParams(location.search);
  const values = {
    q: choice.q, sort: (choice.way < 0 ? "-" : "") + choice.sort, symbol: choice.symbol,
    range: choice.symbol && choice.range,
  };
  for (const [name, value] of Object.entries(values))
    if (value && !(name === "sort" && value === "symbol"))
      query.set(name, value);
    else
      query.delete(name);
  const text = query.toString().replaceAll("%2F", "/").replaceAll("%2C", ",");
  history[isStep ? "pushState" : "replaceState"](null, "", text ? `?${text}` : location.pathname);
}

/* --- messages of the stream ---------------------------------------------------------------------------- */

function entryOf(symbol) {
  let entry = entries.get(symbol);
  if (!entry) {
    entries.set(symbol, (entry = new Entry(symbol, bases.get(symbol))));
    entry.place = settings.favourites.indexOf(symbol) + 1;
    isArranged = false;
  }
  return entry;
}

function touch(entry) {
  changed.add(entry);
  paint();
}

function onQuote(quote) {
  const entry = entryOf(quote.symbol);
  heard++;
  entry.take(quote, Date.now() / 1000);
  if (!isRecorded && String(quote.source ?? "").startsWith("recorded")) {
    isRecorded = true;
    at("recorded").hidden = false;
  }
  if (entry.isMiddle)
    at("legend").hidden = false;
  touch(entry);
  if (settings.alerts.length)
    check(entry, (text) => notice([text]));
  if (panel.entry === entry)
    panel.take(quote);
  else if (panel.symbol === quote.symbol)
    showPanel(entry); // the log was replaced
}

function onState({ symbol, state }) {
  if (state === "removed")
    return remove(symbol);
  const entry = entryOf(symbol);
  entry.state = state;
  touch(entry);
}

/* It was removed from the broker; if a quote comes later, it is new. */
function remove(symbol) {
  changed.delete(entries.get(symbol));
  bases.delete(symbol);
  if (!entries.delete(symbol))
    return;
  if (panel.symbol === symbol)
    leavePanel();
  isArranged = false;
  paint();
}

function onReset() {
  for (const { symbol, base } of entries.values())
    bases.set(symbol, base);
  entries.clear(); // another log: the old values are invalid
  isArranged = false;
  paint();
}

function onLost({ feed, count, first, last }) {
  notice([feed ? say(t.lost, feed, count) : say(t.lostLog, last - first + 1)]);
}

async function onStatus(next) {
  const wasAway = ["waiting", "refused", "resuming"].includes(status.phase);
  status = next;
  retryAt = next.retryIn === null ? 0 : Date.now() + next.retryIn * 1000;
  if (next.refusal)
    explain(next);
  else if (next.phase === "connected")
    notice(next.rejected.map(({ symbol, code, reason, suggestion }) =>
      say(t.rejected, symbol, say(t.rejections[code] ?? reason, suggestion && say(t.meant, suggestion)))));
  showPill();
  if (next.phase === "connected") {
    if (wasAway && panel.entry && panel.entry === entries.get(panel.symbol))
      showPanel(panel.entry); // with the quotes that arrived meanwhile
    const asked = Date.now() / 1000;
    const { timestamp } = await client.ask("ping").catch(() => ({ timestamp: asked }));
    clockAhead = timestamp - (asked + Date.now() / 1000) / 2;
  }
}

/* --- texts about the connection ------------------------------------------------------- */

function phaseText() {
  if (status.phase === "resuming")
    return say(t.phases.resuming, status.since.seq);
  if (status.phase !== "connected")
    return t.phases[status.phase];
  if (!entries.size)
    return t.phases.empty;
  return isAnyLive() ? t.phases.connected : t.phases.stale;
}

function isAnyLive() {
  for (const entry of entries.values())
    if (entry.state === "live")
      return true;
  return false;
}

function showPill() {
  const words = phaseText(), left = Math.max(0, Math.ceil((retryAt - Date.now()) / 1000));
  const isOld = status.phase === "connected" && words !== t.phases.connected;
  if (at("words").textContent !== words)
    at("words").textContent = words;
  document.body.dataset.phase = status.phase;
  at("pill").dataset.phase = isOld ? "stale" : status.phase;
  at("retry").textContent = retryAt ? say(t.retry, left) : "";
}

function explain({ text, refusal }) {
  const { code, reason, hint, setting } = refusal;
  const translated = t.refusals[code];
  const lines = translated
    ? [say(t.refusedTitle, code), say(translated, location.origin)]
    : [say(t.refusedTitle, code), reason || text, ...(hint ? [say(t.change, hint)] : [])];
  if (setting && !lines.at(-1).includes(setting))
    lines.push(say(t.setting, setting));
  notice(lines, code);
}

function notice(lines, code = "") {
  const box = at("notice");
  if (box.dataset.code === code && code)
    return;
  box.dataset.code = code;
  box.hidden = !lines.length;
  box.replaceChildren(...lines.map((line) => make("p", "", line)));
  if (lines.length && !code) {
    const button = make("button", "close", "×", box);
    button.setAttribute("aria-label", t.dismiss);
    button.addEventListener("click", () => notice([]));
  }
}

/* --- painting ---------------------------------------------------------------------------------- */

function paint() {
  if (isPainting)
    return;
  isPainting = true;
  requestAnimationFrame(() => {
    isPainting = false;
    if (!isArranged)
      rearrange();
    grid.paint(changed);
    if (panel.symbol && changed.has(entries.get(panel.symbol)))
      panel.show();
    changed.clear();
  });
}

function rearrange() {
  shown = arrange(entries.values(), choice.q, choice.sort, choice.way, settings.isOnly);
  isArranged = true;
  grid.arrange(shown);
  grid.sorted(choice.sort, choice.way);
  at("empty").hidden = shown.length > 0;
  at("empty").textContent = !entries.size ? t.empty : choice.q ? say(t.none, choice.q) : t.noFavourites;
  showCounts();
  showPill();
  if (choice.symbol && !panel.symbol && entries.has(choice.symbol))
    openPanel(entries.get(choice.symbol));
}

function showCounts() {
  const all = count(entries.size);
  const text = shown.length < entries.size ? say(t.shown, count(shown.length), all) : say(t.symbols, all);
  at("counts").textContent = `${text} · ${say(t.rate, rateText(rate))}`;
}

const gridColumns = columnsOf(serverNow, isTraced);
const grid = new Grid(at("quotes"), gridColumns, {
  paint, open: choose, sort: sortBy, star: (entry) => star(entry.symbol), press,
});

/* --- what the reader keeps in this browser ----------------------------------------------------- */

/* Also after another page of this browser has changed the settings. */
function useSettings() {
  const places = new Map(settings.favourites.map((symbol, i) => [symbol, i + 1]));
  for (const entry of entries.values())
    entry.place = places.get(entry.symbol) ?? 0;
  if ((document.body.dataset.density === "compact") !== settings.isCompact) {
    document.body.dataset.density = settings.isCompact ? "compact" : "normal";
    grid.measure();
  }
  grid.choose(settings.columns);
  isArranged = false;
  panel.show();
  paint();
}

function star(symbol) {
  toggleFavourite(symbol);
  useSettings();
}

function move(symbol, by) {
  moveFavourite(symbol, by, (other) => shown.some((entry) => entry.symbol === other));
  useSettings();
}

/* Keys of the table beside those that move the selection. */
function press(event, entry) {
  const { key, altKey, ctrlKey, metaKey } = event;
  if (!entry)
    return false;
  if (key.toLowerCase() === "f" && !altKey && !ctrlKey && !metaKey)
    star(entry.symbol);
  else if (altKey && (key === "ArrowUp" || key === "ArrowDown"))
    move(entry.symbol, key === "ArrowUp" ? -1 : 1);
  else if (key.toLowerCase() === "c" && (ctrlKey || metaKey) && !altKey && String(getSelection()) === "")
    copyRows([entry]);
  else
    return false;
  return true;
}

async function copyRows(rows) {
  const isCopied = await copy(asTabs(rows));
  at("did").textContent = isCopied ? say(t.copied, count(rows.length)) : t.copyFailed;
  setTimeout(() => (at("did").textContent = ""), 4000);
}

function downloadRows() {
  const now = new Date().toISOString().slice(0, 19).replace("T", "-").replaceAll(":", "");
  download(`pregon-${now}.csv`, asCsv(shown));
}

/* --- input of the reader ------------------------------------------------------------------------ */

function sortBy(id) {
  choice.way = choice.sort === id ? -choice.way : id === "symbol" || id === "state" ? 1 : -1;
  choice.sort = id;
  isArranged = false;
  writeChoice();
  paint();
}

function choose(entry) {
  choice.symbol = entry.symbol;
  writeChoice(true);
  openPanel(entry);
}

function openPanel(entry) {
  document.body.dataset.panel = "open";
  at("board").inert = narrow.matches;
  showPanel(entry);
  panel.focus();
}

function showPanel(entry) {
  grid.select(entry);
  panel.open(entry, choice.range);
}

function closePanel() {
  delete document.body.dataset.panel;
  at("board").inert = false;
  panel.close();
  at("quotes").focus();
}

function leavePanel() {
  choice.symbol = "";
  writeChoice(true);
  closePanel();
}

const client = connect(new URL(`ws/cotizaciones`, root), {
  symbols: new URLSearchParams(location.search).get("symbols")?.split(",").filter(Boolean) ?? ["*"],
  token: new URLSearchParams(location.search).get("token") ?? undefined,
  trace: isTraced, onQuote, onState, onReset, onLost, onStatus,
  onError: (error) => error.code === "rejected" || console.warn(error), // onStatus shows rejected symbols
});

const panel = new Panel(at("panel"), client, {
  close: leavePanel,
  range(name) {
    choice.range = name;
    writeChoice();
    showPanel(entries.get(choice.symbol) ?? panel.entry);
  },
  star, move,
  alert() {
    if (panel.entry)
      check(panel.entry, (text) => notice([text]));
  },
});

makeOptions(gridColumns, () => grid.shownColumns, isTraced, {
  change: useSettings,
  copy: () => copyRows(shown),
  csv: downloadRows,
  trace() { // a connection sets its trace when it begins
    const query = new URLSearchParams(location.search);
    isTraced ? query.delete("trace") : query.set("trace", "1");
    location.search = query;
  },
});

at("search").addEventListener("input", () => {
  choice.q = at("search").value.trim().toUpperCase();
  isArranged = false;
  writeChoice();
  paint();
});

at("search").addEventListener("keydown", (event) => {
  if (event.key === "Escape" || event.key === "ArrowDown" || event.key === "Enter") {
    event.preventDefault();
    if (event.key === "Escape") {
      at("search").value = "";
      at("search").dispatchEvent(new Event("input"));
    }
    at("quotes").focus();
  }
});

addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.target.closest("input, select")) {
    event.preventDefault();
    at("search").select();
  } else if (event.key === "Escape" && panel.symbol && event.target !== at("search")) {
    event.preventDefault();
    leavePanel();
  }
});

addEventListener("popstate", () => {
  readChoice();
  isArranged = false;
  const entry = entries.get(choice.symbol);
  if (entry && entry.symbol !== panel.symbol)
    openPanel(entry);
  else if (!entry && panel.symbol)
    closePanel();
  paint();
});

narrow.addEventListener("change", () => {
  at("board").inert = narrow.matches && Boolean(panel.symbol);
});

let ticks = 0;
let countedAt = performance.now();
setInterval(() => {
  if (++ticks % 2 === 0) {
    const now = performance.now();
    rate = Math.round(heard * 1000 / (now - countedAt));
    grid.isBusy = rate > BUSY;
    heard = 0;
    countedAt = now;
  }
  showPill();
  showCounts();
  if (choice.sort !== "symbol" && ticks % 2 === 0)
    isArranged = false;
  for (const entry of entries.values()) // their ages change
    changed.add(entry);
  grid.fit();
  paint();
}, REARRANGE_MS / 2);

fill(t);
document.title = `Pregón · ${t.title}`;
readChoice();
useSettings();
onChange(useSettings);
showPill();
