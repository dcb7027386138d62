/*
 * board.js: the quote board: takes the stream's messages and paints once per frame.
 *
 * The URL keeps the reader's choice, so that a board can be shared: ?q= search, &sort=-percent, &symbol=,
 * &range=, &trace=1.  &symbols= limits the subscription, &token= is WEBSOCKET_TOKEN, &lang= the language.
 */
import { connect } from "./pregon.js";
import { Entry, arrange, columns } from "./board-quotes.js";
import { Grid } from "./board-grid.js";
import { Panel, arrow, ranges } from "./board-panel.js";
import { at, fill, language, make, root, say } from "./page.js";
import t from "./board-texts.js";

const REARRANGE_MS = 1000; // rows change places at most so often

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
let shownCount = 0;

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
  touch(entry);
  if (panel.entry === entry)
    panel.take(quote);
  else if (panel.symbol === quote.symbol)
    showPanel(entry); // the log was replaced
}

function onState({ symbol, state }) {
  const entry = entryOf(symbol);
  entry.state = state;
  touch(entry);
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
  const shown = arrange(entries.values(), choice.q, choice.sort, choice.way);
  isArranged = true;
  shownCount = shown.length;
  grid.arrange(shown);
  grid.sorted(choice.sort, choice.way);
  at("empty").hidden = shown.length > 0;
  at("empty").textContent = choice.q && entries.size ? say(t.none, choice.q) : t.empty;
  showCounts();
  showPill();
  if (choice.symbol && !panel.symbol && entries.has(choice.symbol))
    openPanel(entries.get(choice.symbol));
}

function showCounts() {
  const count = shownCount < entries.size ? say(t.shown, shownCount, entries.size) : say(t.symbols, entries.size);
  at("counts").textContent = `${count} · ${say(t.rate, rate)}`;
}

function ageText({ quote: { timestamp } }) {
  if (typeof timestamp !== "number")
    return "";
  const age = Math.max(0, serverNow() - timestamp);
  if (age < 60)
    return age < 1 ? t.now : `${Math.floor(age)} s`;
  if (age < 3600)
    return `${Math.floor(age / 60)} min`;
  return age < 172800 ? `${Math.floor(age / 3600)} h` : `${Math.floor(age / 86400)} d`;
}

function sinceText({ base, isMiddle }) {
  const text = base ? say(t.since[base.kind], base.text, base.at ? new Date(base.at * 1000).toLocaleTimeString() : "") : "";
  return isMiddle ? `${text} (${t.middle})` : text;
}

const column = (id, text, more) => ({ id, label: t.columns[id], title: t.hints[id], text, ...more });
const moves = { look: (e) => e.direction, hint: sinceText };

const milliseconds = new Intl.NumberFormat(language, { maximumFractionDigits: 1, minimumFractionDigits: 1 });

function latencyText({ stages }) {
  return stages ? `${milliseconds.format(stages.reduce((a, b) => a + b))} ms` : "";
}

/* One bar per stage.  A total of 2 ms fills half of the cell; longer ones approach its full width. */
function drawLatency(cell, { stages }) {
  const total = stages?.reduce((a, b) => a + b) ?? 0;
  const bar = make("span", "bar", "", cell);
  bar.ariaHidden = "true";
  bar.style.width = `${Math.round(100 * total / (total + 2))}%`;
  for (const stage of stages ?? [])
    make("i", "", "", bar).style.flexGrow = Math.max(0, stage);
}

const latency = column("latency", latencyText, {
  fill: drawLatency, hint: (e) => (e.stages ? say(t.stages, ...e.stages.map((ms) => milliseconds.format(ms))) : ""),
});

const grid = new Grid(at("quotes"), [
  column("symbol", (e) => e.symbol),
  column("last", (e) => e.quote.last ?? "", { flashes: true }),
  column("bid", (e) => e.quote.bid ?? "", { flashes: true }),
  column("ask", (e) => e.quote.ask ?? "", { flashes: true }),
  column("change", (e) => e.change, moves),
  column("percent", (e) => e.percent && `${arrow(e.direction)} ${e.percent}`, moves),
  column("age", ageText),
  column("state", (e) => t.states[e.state] ?? e.state),
  ...(isTraced ? [latency] : []),
], { paint, open: choose, sort: sortBy });

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

const client = connect(new URL(`ws/cotizaciones`, root), {
  symbols: new URLSearchParams(location.search).get("symbols")?.split(",").filter(Boolean) ?? ["*"],
  token: new URLSearchParams(location.search).get("token") ?? undefined,
  trace: isTraced, onQuote, onState, onReset, onLost, onStatus,
  onError: (error) => error.code === "rejected" || console.warn(error), // onStatus shows rejected symbols
});

const panel = new Panel(at("panel"), client, {
  close() {
    choice.symbol = "";
    writeChoice(true);
    closePanel();
  },
  range(name) {
    choice.range = name;
    writeChoice();
    showPanel(entries.get(choice.symbol) ?? panel.entry);
  },
});

at("trace").ariaPressed = String(isTraced);
at("trace").addEventListener("click", () => { // a connection sets its trace when it begins
  const query = new URLSearchParams(location.search);
  isTraced ? query.delete("trace") : query.set("trace", "1");
  location.search = query;
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
  if (event.key === "/" && !event.target.closest("input")) {
    event.preventDefault();
    at("search").select();
  } else if (event.key === "Escape" && panel.symbol && event.target !== at("search")) {
    event.preventDefault();
    closePanel();
    choice.symbol = "";
    writeChoice(true);
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
    heard = 0;
    countedAt = now;
  }
  showPill();
  showCounts();
  if (choice.sort !== "symbol" && ticks % 2 === 0)
    isArranged = false;
  for (const entry of entries.values()) // their ages change
    changed.add(entry);
  paint();
}, REARRANGE_MS / 2);

fill(t);
document.title = `Pregón · ${t.title}`;
readChoice();
showPill();
