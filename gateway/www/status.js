/* status.js: requests the gateway's routes every few seconds and shows their answers. */
import { ask, setToken, token } from "./ask.js";
import { element } from "./element.js";
import { quantile, read, sum } from "./exposition.js";
import { at, fill, language, say } from "./page.js";
import { spark } from "./spark.js";
import { forgetting } from "./status-forget.js";
import { count, date, latency, rate, span, time } from "./format.js";
import t from "./status-texts.js";
import { table } from "./table.js";

const EVERY_S = 2;
const PAGE = 1000; // connections per request, the most that one answer has
const DELIVERY = "pregon_delivery_seconds";
const PAGES = {
  health: () => "cotizaciones/health",
  sockets: () => `cotizaciones/websocket_status?limit=${PAGE}&offset=${offset}`,
  locks: () => "cotizaciones/locks",
  metrics: () => "metrics",
};

let offset = 0; // offset of the connections shown
let before = null; // the previous answers: {health, metrics, at}
let downSince = 0; // Unix seconds; 0: the gateway answers
let turn = 0; // number of the current round of requests: answers to an older one are ignored

/* --- the parts of the page -------------------------------------------------------------------- */

const between = (least, most) => say(t.between, least, most);
const figures = {
  quotes: spark(t.quotesRate, rate, between),
  deliveries: spark(t.deliveries, rate, between),
  bytes: spark(t.bytesRate, count, between),
  median: spark(t.latency, latency, between),
  slow: spark(t.latency99, latency, between),
};
const facts = element("dl", { class: "facts" });
const secret = element("input", { type: "password", autocomplete: "off", id: "token", value: token() });
const tokenNote = element("p", { class: "soft" });
const tokenForm = element("form", { class: "box", hidden: true, submit: (event) => {
  event.preventDefault();
  setToken(secret.value.trim());
  refresh();
} }, tokenNote, element("div", { class: "fields" },
  element("label", { class: "field" }, element("span", {}, t.token), secret),
  element("button", { type: "submit", class: "button" }, t.show),
  element("button", { type: "button", class: "button", click: () => {
    secret.value = "";
    setToken("");
    refresh();
  } }, t.forget)), element("p", { class: "soft" }, t.tokenKept));

const text = (name) => ({ name, isText: true });
const gateways = table(t.gateways, [text(t.gateway), text(t.address), { name: t.connections }, text(t.since)], "–");
const feeds = table(t.feeds, [text(t.feed), text(t.state), { name: t.heard }, { name: t.rate }, { name: t.accepted },
  { name: t.refused }, { name: t.lost }, { name: t.received }, { name: t.toStore }, text(t.removal)], t.noFeeds);
const forget = forgetting(() => refresh());
const refusals = table(t.refusals, [text(t.refusal), { name: t.count }, text(t.setting), { name: t.last },
  text(t.origins)], t.noRefusals);
const newest = table(t.refusals, [{ name: t.when }, text(t.refusal), text(t.origin), text(t.path)], t.noRefusals);
const newestTitle = element("summary", {});
const newestBox = element("details", {}, newestTitle, newest.element);
const locks = table(t.locks, [
  { name: t.lock, isText: true, sort: (row) => row.lock.name },
  { name: t.state, isText: true, sort: (row) => row.lock.state },
  { name: t.holder, isText: true, sort: (row) => row.lock.holder ?? "" },
  { name: t.remaining, sort: (row) => row.lock.expires_in + row.lock.closed_for },
  { name: t.waiting, sort: (row) => row.lock.waiters },
  { name: t.lastLost, isText: true },
], t.noLocks);
const connections = table(t.connections, [
  { name: t.host, isText: true, sort: (row) => row.it.host },
  { name: t.gateway, isText: true, sort: (row) => row.it.gateway },
  { name: t.encoding, isText: true, sort: (row) => row.it.protocol },
  { name: t.connectedFor, sort: (row) => -row.it.since },
], t.noConnections);
const filter = element("input", { type: "search", autocomplete: "off", spellcheck: "false", input: () => showConnections() });
const range = element("span", { class: "soft" });
const earlier = element("button", { type: "button", class: "button", click: () => go(-PAGE) }, t.previous);
const later = element("button", { type: "button", class: "button", click: () => go(PAGE) }, t.next);
let lastSockets = null;

function section(title, ...content) {
  const id = "section-" + document.querySelectorAll("section").length;
  const trouble = element("p", { class: "warn", role: "status" });
  const it = element("section", { "aria-labelledby": id }, element("h2", { id }, title), trouble, ...content);
  at("main").append(it);
  it.say = (words) => {
    if (trouble.textContent !== words)
      trouble.textContent = words;
  };
  return it;
}

at("main").append(element("h2", { class: "first" }, t.title), tokenForm,
  element("div", { class: "figures" }, Object.values(figures).map((f) => f.element)),
  element("p", { class: "soft" }, t.latencyNote));
const sections = {
  broker: section(t.broker, facts),
  feeds: section(t.feeds, feeds.element, forget.element),
  gateways: section(t.gateways, gateways.element),
  refusals: section(t.refusals, element("p", { class: "soft" }, t.refusalsNote), refusals.element, newestBox),
  locks: section(t.locks, locks.element),
  connections: section(t.connections, element("div", { class: "fields" },
    element("label", { class: "field" }, element("span", {}, t.filter), filter), earlier, later, range),
  connections.element),
};

/* --- showing the answers -------------------------------------------------------------------------------- */

const state = (word) => t.states[word] ?? word;
const kindOf = (word) => ({ live: "good", up: "good", held: "good", free: "", ended: "soft" })[word] ?? "warn";

function fact(name, value, kind) {
  return element("div", {}, element("dt", {}, name), element("dd", { class: kind }, value));
}

function showBroker({ broker, store, gateway }) {
  const rows = [
    fact(t.brokerStatus, `${state(broker.status)}`, kindOf(broker.status)),
    fact(t.heartbeat, say(t.ago, span(broker.age))), fact(t.position, count(broker.seq)), fact(t.epoch, broker.epoch),
    broker.symbols !== undefined && fact(t.symbols, count(broker.symbols)),
    broker.started !== undefined && fact(t.since, date(broker.started)),
    fact(t.version, [broker.version, gateway.version].filter((v, i, all) => v && all.indexOf(v) === i).join(", ")),
    fact(t.missed, count(broker.gaps), broker.gaps ? "warn" : null),
    store && fact(t.store, `${store.kind}, ${store.durable ? t.durable : t.notDurable}`,
      store.durable ? "good" : store.kind === "memory" ? null : "bad"),
    store && store.stored !== undefined && fact(t.stored, `${count(store.stored)} (${t.behind} ${span(store.behind)})`),
    store && store.gaps !== undefined && fact(t.gaps, count(store.gaps), store.gaps ? "bad" : null),
  ];
  facts.replaceChildren(...rows.filter(Boolean));
  sections.broker.say(broker.status === "away" ? broker.reason
    : store && !store.durable ? `${t.store}: ${store.reason}` : "");
}

function showFeeds(health, seconds) {
  const was = new Map((before?.health?.feeds ?? []).map((feed) => [feed.name, feed]));
  feeds.show(health.feeds.map((feed) => ({ cells: [
    feed.name, { text: state(feed.status), kind: kindOf(feed.status) }, say(t.ago, span(feed.age)),
    was.has(feed.name) && seconds ? rate(Math.max(0, feed.accepted - was.get(feed.name).accepted) / seconds) : "–",
    count(feed.accepted), { text: count(feed.refused), kind: feed.refused ? "warn" : "" },
    { text: count(feed.lost), kind: feed.lost ? "bad" : "" }, count(feed.received),
    feed.stored === undefined ? "–" : count(Math.max(0, feed.received - feed.stored)),
    feed.status === "live" ? "" : { text: t.remove, click: () => forget.remove("feeds", feed.name) },
  ] })));
  sections.feeds.say(health.broker.status === "away" ? t.unknownFeeds : "");
}

function showGateways(sockets) {
  gateways.show(sockets.gateways.map((one) => ({ cells: [
    one.name + (one.name === sockets.gateway.name ? ` (${t.answers})` : ""), { text: one.http, href: /^https?:/.test(one.http) && one.http },
    { text: `${count(one.active_connections)} / ${count(one.max_connections)}`,
      kind: one.active_connections >= one.max_connections ? "bad" : "" }, date(one.since),
  ] })));
  sections.gateways.say(sockets.complete ? "" : t.incomplete);
}

const cause = (code) => t.causes[code] ?? [code, ""];

function showRefusals({ refusals: all }, now) {
  const codes = Object.keys(all.by_code).sort((a, b) => all.by_code[b] - all.by_code[a]);
  refusals.show(codes.map((code) => {
    const last = all.last.filter((one) => one.code === code);
    const origins = [...new Set(last.map((one) => one.origin ?? t.noOrigin))].slice(0, 3);
    return { cells: [`${code}: ${cause(code)[0]}`, count(all.by_code[code]), cause(code)[1],
      last.length ? say(t.ago, span(now - last[0].timestamp)) : "–", origins.join(", ") || "–"] };
  }));
  newestBox.hidden = !all.last.length;
  newestTitle.textContent = say(t.newest, count(all.last.length));
  newest.show(all.last.map((one) => ({
    cells: [date(one.timestamp), one.code, one.origin ?? t.noOrigin, one.path],
  })));
}

function showLocks(answer) {
  const left = (lock) => (lock.state === "held" ? span(lock.expires_in) : lock.state === "closed" ? span(lock.closed_for) : "–");
  locks.show(answer.locks.map((lock) => ({ lock, cells: [
    lock.name, { text: state(lock.state), kind: kindOf(lock.state) },
    lock.state !== "held" ? "–" : lock.holder ? [lock.holder, lock.host, lock.pid || ""].filter(Boolean).join(" · ") : t.hidden,
    left(lock), lock.waiters ? `${count(lock.waiters)} ${lock.line.length ? `(${lock.line.join(", ")})` : ""}` : "0",
    lock.last_lost ? say(t.lostWas, [t.lostReasons[lock.last_lost.reason] ?? lock.last_lost.reason,
      lock.last_lost.owner].filter(Boolean).join(" "), span(lock.last_lost.ago)) : "–",
  ] })));
  sections.locks.say([answer.truncated && say(t.more, count(answer.locks.length), count(answer.total)),
    !answer.durable && say(t.locksVolatile, answer.reason ?? "")].filter(Boolean).join(" "));
}

function showConnections() {
  if (!lastSockets)
    return;
  const { connections: all, active_connections: total, timestamp } = lastSockets;
  const wanted = filter.value.trim().toLowerCase();
  const rows = all.map((it) => ({ it, cells: [it.host ? `${it.host}:${it.port}` : t.hidden, it.gateway, it.protocol,
    span(timestamp - it.since)] })).filter((row) => row.cells.join(" ").toLowerCase().includes(wanted));
  connections.show(rows, all.length ? t.noneFits : t.noConnections);
  range.textContent = all.length ? say(t.range, count(offset + 1), count(offset + all.length), count(total)) : "";
  earlier.hidden = later.hidden = total <= PAGE;
  earlier.disabled = offset === 0;
  later.disabled = offset + all.length >= total;
}

function go(by) {
  offset = Math.max(0, offset + by);
  refresh();
}

/* Without STATUS_TOKEN the gateway returns empty names. */
function showToken(sockets, lockList) {
  const isHidden = sockets?.connections.some((one) => !one.host) ||
    lockList?.locks.some((lock) => lock.state === "held" && !lock.holder);
  tokenNote.textContent = !token() ? t.tokenNeeded : isHidden ? t.tokenWrong : t.tokenRight;
  tokenForm.hidden = !isHidden && !token();
}

/* --- figures ---------------------------------------------------------------------------------------- */

function showFigures(health, metrics, seconds) {
  const perSecond = (then, now) =>
    seconds && then !== null && then !== undefined && now !== null && now >= then ? (now - then) / seconds : null;
  const quotes = (h) => (h && h.broker.status === "up" ? h.feeds.reduce((n, feed) => n + feed.accepted, 0) : null);
  const told = (name) => perSecond(before?.metrics && sum(before.metrics, name), metrics && sum(metrics, name));
  const delivered = (q) =>
    before?.metrics && metrics ? quantile(before.metrics, metrics, DELIVERY, { since: "accepted" }, q) : null;

  figures.quotes.add(perSecond(quotes(before?.health), quotes(health)));
  figures.deliveries.add(told("pregon_deliveries_total"));
  figures.bytes.add(told("pregon_sent_bytes_total"));
  figures.median.add(delivered(0.5));
  figures.slow.add(delivered(0.99));
}

/* --- turns ------------------------------------------------------------------------------------------- */

/* {status, value} of a route, or {error}: not JSON, or no answer (then isAway). */
async function get(path) {
  let answer;
  try {
    answer = await ask(path, { signal: AbortSignal.timeout(5000) });
  } catch (e) {
    return { isAway: true, error: e.message };
  }
  try {
    const body = await answer.text();
    const value = path === "metrics" ? read(body) : JSON.parse(body);
    if (value.error || (!answer.ok && !value.status))
      return { error: value.error ? `${value.error.message} ${value.error.hint}` : `HTTP ${answer.status}` };
    return { value };
  } catch (e) {
    return { error: `HTTP ${answer.status}: ${e.message}` };
  }
}

function setPill(phase, words, beside) {
  at("pill").dataset.phase = phase;
  if (at("words").textContent !== words)
    at("words").textContent = words;
  at("when").textContent = beside;
}

function showDown(error) {
  downSince ||= Date.now() / 1000;
  setPill("refused", say(t.unreachable, time(downSince), error), before ? say(t.stale, time(before.wall)) : "");
  at("main").classList.add("old");
  for (const figure of Object.values(figures))
    figure.add(null);
}

function show({ health, sockets, locks: lockList, metrics }) {
  const now = performance.now() / 1000, seconds = before ? now - before.at : 0;
  downSince = 0;
  at("main").classList.remove("old");
  if (health.value) {
    const it = health.value;
    setPill({ ok: "connected", degraded: "waiting" }[it.status] ?? "refused",
      `${t.verdicts[it.status] ?? it.status}${it.status === "ok" ? "" : ": " + it.reason}`,
      say(t.refreshed, time(it.timestamp), EVERY_S));
    showBroker(it);
    showFeeds(it, seconds);
  } else {
    setPill("refused", say(t.noPage, "health", health.error), "");
  }
  if (sockets.value) {
    lastSockets = sockets.value;
    showGateways(sockets.value);
    showRefusals(sockets.value.gateway, sockets.value.timestamp);
    showConnections();
    sections.refusals.say("");
    sections.connections.say(sockets.value.complete ? "" : t.incomplete);
  } else {
    for (const name of ["gateways", "refusals", "connections"])
      sections[name].say(say(t.noPage, "websocket_status", sockets.error));
  }
  if (lockList.value) {
    showLocks(lockList.value);
  } else {
    locks.show([], "–");
    sections.locks.say(say(t.locksUnknown, lockList.error));
  }
  showToken(sockets.value, lockList.value);
  if (before && seconds < EVERY_S / 2)
    return; // the reader pressed a button: the time is too short for a rate
  showFigures(health.value, metrics.value, seconds);
  before = { health: health.value, metrics: metrics.value, at: now, wall: Date.now() / 1000 };
}

let timer = 0;

async function refresh() {
  const mine = ++turn;
  clearTimeout(timer);
  const names = Object.keys(PAGES);
  const answers = await Promise.all(names.map((name) => get(PAGES[name]())));
  if (mine !== turn)
    return; // the reader has requested something else meanwhile
  const told = Object.fromEntries(names.map((name, i) => [name, answers[i]]));
  try {
    if (answers.every((one) => one.isAway))
      showDown(told.health.error);
    else
      show(told);
  } catch (error) { // the answer has another form than expected
    setPill("refused", say(t.noPage, t.title, error.message), "");
  } finally {
    if (!document.hidden)
      timer = setTimeout(refresh, EVERY_S * 1000);
    else
      at("when").textContent = t.paused;
  }
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden)
    refresh();
});
document.title = "Pregón · " + t.title;
document.documentElement.lang = language;
fill(t);
setPill("connecting", t.asking, "");
refresh();
