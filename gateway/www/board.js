"use strict";
const texts = {
    en: {
        motto: "live quotes, called out to whoever listens",
        heads: ["Symbol", "Last", "Bid", "Ask", "Age", "State", "Source"],
        filter: "Filter symbols", health: "health", check: "connection check",
        connecting: "Connecting…", live: "Connected, quotes are live",
        stale: "Connected, but the values are old: no fresh quotes arrive",
        silent: "Connected, but nothing has been heard for {0} s",
        waiting: "Not connected; next try in {0} s",
        leaving: "The server restarts; connecting again in {0} s",
        refused: "The server refuses the connection", unreachable: "The server cannot be reached",
        symbols: "{0} symbols", merged: "{0} merged", recorded: "recorded data",
        recordedNote: "These quotes are recorded data, played back: not today's market.",
        why: "Why: {0}", change: "What to change: {0}", origin: "This page's origin: {0}",
        accepts: "The server would accept this page, so something in between stops the WebSocket: " +
            "a proxy that does not forward Upgrade and Connection, or cuts the connection.",
        lost: "Lost between feed {0} and the server: {1} quotes",
        states: {live: "live", stale: "stale", unknown: "unknown", closed: "closed"},
    },
    es: {
        motto: "cotizaciones en vivo, a viva voz, para quien escuche",
        heads: ["Símbolo", "Último", "Compra", "Venta", "Edad", "Estado", "Fuente"],
        filter: "Filtrar símbolos", health: "salud", check: "prueba de conexión",
        connecting: "Conectando…", live: "Conectado, cotizaciones en vivo",
        stale: "Conectado, pero los valores son viejos: no llegan cotizaciones nuevas",
        silent: "Conectado, pero no se oye nada desde hace {0} s",
        waiting: "Sin conexión; nuevo intento en {0} s",
        leaving: "El servidor se reinicia; nueva conexión en {0} s",
        refused: "El servidor rechaza la conexión", unreachable: "No se alcanza el servidor",
        symbols: "{0} símbolos", merged: "{0} fusionadas", recorded: "datos grabados",
        recordedNote: "Estas cotizaciones son datos grabados y reproducidos: no son del mercado de hoy.",
        why: "Motivo: {0}", change: "Qué cambiar: {0}", origin: "Origen de esta página: {0}",
        accepts: "El servidor aceptaría esta página; algo en el camino impide el WebSocket: " +
            "un proxy que no reenvía Upgrade y Connection, o que corta la conexión.",
        lost: "Perdidas entre la fuente {0} y el servidor: {1} cotizaciones",
        states: {live: "en vivo", stale: "atrasado", unknown: "desconocido", closed: "cerrado"},
    },
};
const language = (navigator.language || "en").toLowerCase().startsWith("es") ? "es" : "en";
const t = texts[language];
const say = (text, ...values) => text.replace(/\{(\d)\}/g, (_, i) => values[i]);
const at = id => document.getElementById(id);

/* A proxy may have put a prefix in front of us. */
const base = location.pathname.replace(/\/(index\.html)?$/, "");
const streamUrl = location.origin.replace(/^http/, "ws") + base + "/ws/cotizaciones" + location.search;
/* The check must be shown the token that the handshake was. */
const token = new URLSearchParams(location.search).get("token");
const checkUrl = base + "/cotizaciones/websocket_check?" +
    new URLSearchParams({origin: location.origin, ...(token && {token})});

const rows = new Map(); /* symbol: {quote, tr, cells, shown} */
const dirty = new Set();
let clockAhead = 0; /* the server's clock less ours, seconds */
let heardAt = 0, heartbeat = 5, merged = 0, attempts = 0, retryAt = 0;
let isOpen = false, isLeaving = false, isRefused = false, anyRecorded = false, epoch = "";
let reconnectAfter = null;
let socket = null;

function setStatus(words, kind) {
    if (at("words").textContent !== words)
        at("words").textContent = words;
    at("status").className = kind;
}

function addRow(symbol) {
    const tr = document.createElement("tr");
    const row = {symbol, quote: {}, tr, cells: [], shown: []};
    for (let i = 0; i < t.heads.length; i++)
        row.cells.push(tr.appendChild(document.createElement("td")));
    row.cells[0].textContent = symbol;
    let next = null, best = null;
    for (const [name, other] of rows)
        if (name > symbol && (best === null || name < best))
            [best, next] = [name, other.tr];
    at("rows").insertBefore(tr, next);
    tr.hidden = !matches(symbol);
    rows.set(symbol, row);
    return row;
}

function matches(symbol) {
    return symbol.includes(at("filter").value.trim().toUpperCase());
}

function flash(cell, before, after) {
    if (!cell.animate || matchMedia("(prefers-reduced-motion: reduce)").matches)
        return;
    /* Only the colour looks at the number; what is shown is the text as it came. */
    const up = Number(after) >= Number(before);
    cell.animate([{backgroundColor: up ? "rgba(20,160,90,.45)" : "rgba(210,50,40,.45)"},
        {backgroundColor: "rgba(0,0,0,0)"}], {duration: 700});
}

function show(row, index, text) {
    const before = row.shown[index];
    if (before === text)
        return;
    row.shown[index] = text;
    row.cells[index].textContent = text;
    if (index >= 1 && index <= 3 && before)
        flash(row.cells[index], before, text);
}

function ageText(seconds) {
    if (!(seconds > 0))
        seconds = 0;
    if (seconds < 100)
        return seconds.toFixed(seconds < 10 ? 1 : 0) + " s";
    if (seconds < 6000)
        return Math.round(seconds / 60) + " min";
    return seconds < 172800 ? Math.round(seconds / 3600) + " h" : Math.round(seconds / 86400) + " d";
}

function showAge(row) {
    const stamp = row.quote.timestamp;
    show(row, 4, typeof stamp === "number" ? ageText(Date.now() / 1000 + clockAhead - stamp) : "");
}

function showRow(row) {
    const q = row.quote, source = String(q.source || "");
    const isRecorded = source.startsWith("recorded");
    show(row, 1, String(q.last ?? ""));
    show(row, 2, String(q.bid ?? ""));
    show(row, 3, String(q.ask ?? ""));
    showAge(row);
    show(row, 5, t.states[q.state] || String(q.state || ""));
    show(row, 6, isRecorded ? source.replace(/^recorded( data)?/, t.recorded) : source);
    row.cells[6].className = isRecorded ? "recorded" : "";
    row.tr.className = q.state === "stale" || q.state === "closed" ? q.state : "";
    if (isRecorded && !anyRecorded) {
        anyRecorded = true;
        at("recorded").firstElementChild.textContent = t.recordedNote;
        at("recorded").hidden = false;
    }
}

function paint() {
    for (const row of dirty)
        showRow(row);
    dirty.clear();
    at("counts").textContent = "· " + say(t.symbols, rows.size) +
        (merged ? " · " + say(t.merged, merged) : "");
}

function touch(row) {
    if (dirty.size === 0)
        requestAnimationFrame(paint);
    dirty.add(row);
}

function clearRows() {
    rows.clear();
    dirty.clear();
    at("rows").replaceChildren();
    anyRecorded = false;
    at("recorded").hidden = true;
}

function newEpoch(name) {
    if (epoch && name && name !== epoch)
        clearRows(); /* another log: what we hold says nothing any more */
    epoch = name || epoch;
}

function take(m) {
    switch (m.type) {
    case "welcome":
        clockAhead = (m.timestamp || Date.now() / 1000) - Date.now() / 1000;
        heartbeat = m.heartbeat || heartbeat;
        attempts = 0;
        newEpoch(m.epoch);
        setRefused([]);
        break;
    case "snapshot":
    case "quote": {
        const row = rows.get(m.symbol) || addRow(m.symbol);
        row.quote = Object.assign({state: m.type === "quote" ? "live" : row.quote.state}, m);
        touch(row);
        break;
    }
    case "state": {
        const row = rows.get(m.symbol) || addRow(m.symbol);
        row.quote.state = m.state;
        touch(row);
        break;
    }
    case "heartbeat":
        merged = m.merged || merged;
        break;
    case "reset":
        newEpoch(m.epoch);
        break;
    case "lost":
        setRefused([say(t.lost, m.feed, m.count)]);
        break;
    case "error":
        setRefused([String(m.message || m.code)]);
        break;
    case "going_away":
        reconnectAfter = Number(m.reconnect_after);
        break;
    }
}

function setRefused(lines, items) {
    const box = at("refused");
    box.replaceChildren();
    box.hidden = lines.length === 0;
    for (const line of lines)
        box.appendChild(document.createElement("p")).textContent = line;
    if (items && items.length) {
        const list = box.appendChild(document.createElement("ul"));
        for (const item of items)
            list.appendChild(document.createElement("li")).textContent = item;
    }
}

/* Page code sees nothing of a failed handshake: ask the server what it would have said. */
async function diagnose() {
    try {
        const answer = await (await fetch(checkUrl, {cache: "no-store"})).json();
        const lines = [], notes = (answer.proxy && answer.proxy.notes) || [];
        if (isOpen)
            return;
        isRefused = !answer.allowed;
        if (answer.allowed) {
            lines.push(t.accepts);
        } else {
            lines.push(say(t.why, answer.status + " " + answer.code + ": " + answer.message));
            if (answer.hint)
                lines.push(say(t.change, answer.hint));
            lines.push(say(t.origin, answer.origin));
        }
        setRefused(lines, notes);
    } catch (e) {
        isRefused = false;
        setRefused([t.unreachable]);
    }
}

function retryDelay() {
    /* The server gave each of us a slot of its own; else we spread ourselves. */
    if (reconnectAfter >= 0 && reconnectAfter !== null)
        return reconnectAfter;
    const most = Math.min(30, 0.5 * 2 ** attempts);
    return most / 2 + Math.random() * most / 2;
}

function closed(event, wasOpen) {
    let reason = null;
    isOpen = false;
    isLeaving = reconnectAfter !== null;
    try {
        reason = JSON.parse(event.reason);
    } catch (e) {
        /* most closes have no reason */
    }
    if (event.code >= 4000 && reason && reason.code) {
        isRefused = true;
        setRefused([say(t.why, event.code + " " + reason.code + ": " + (reason.message || ""))]
            .concat(reason.setting ? [say(t.change, reason.setting)] : []));
        if (event.code !== 4008)
            diagnose();
    } else if (!wasOpen) {
        diagnose();
    }
    retryAt = Date.now() + retryDelay() * 1000;
    attempts++;
    reconnectAfter = null;
    tick();
}

function connect() {
    let wasOpen = false;
    const ws = new WebSocket(streamUrl, ["pregon.v1.json"]);
    socket = ws;
    retryAt = 0;
    setStatus(t.connecting, "");
    ws.onopen = () => {
        wasOpen = isOpen = true;
        isRefused = isLeaving = false;
        heardAt = Date.now();
        tick();
    };
    ws.onmessage = event => {
        heardAt = Date.now();
        let m;
        try {
            m = JSON.parse(event.data);
        } catch (e) {
            return;
        }
        if (m && typeof m === "object")
            take(m);
    };
    ws.onclose = event => {
        if (socket === ws)
            closed(event, wasOpen);
    };
}

/* A connection that has died quietly never says so: give it up after four heartbeats. */
function giveUp() {
    const ws = socket;
    socket = null;
    ws.close();
    closed({code: 1006, reason: ""}, true);
}

function tick() {
    const silent = Math.round((Date.now() - heardAt) / 1000);
    const wait = Math.max(0, Math.ceil((retryAt - Date.now()) / 1000));
    if (isOpen && silent > heartbeat * 4)
        giveUp();
    else if (isOpen && silent > heartbeat * 2)
        setStatus(say(t.silent, silent), "");
    else if (isOpen && rows.size && [...rows.values()].every(row => row.quote.state !== "live"))
        setStatus(t.stale, "");
    else if (isOpen)
        setStatus(t.live, "live");
    else if (retryAt && wait === 0)
        connect();
    else if (retryAt && isRefused)
        setStatus(t.refused + ". " + say(t.waiting, wait), "bad");
    else if (retryAt)
        setStatus(say(isLeaving ? t.leaving : t.waiting, wait), "bad");
    if (!document.hidden)
        for (const row of rows.values())
            showAge(row);
}

document.documentElement.lang = language;
at("motto").textContent = t.motto;
at("filter").placeholder = t.filter;
at("filter").setAttribute("aria-label", t.filter);
at("filter").oninput = () => {
    for (const row of rows.values())
        row.tr.hidden = !matches(row.symbol);
};
for (const head of t.heads)
    at("heads").appendChild(document.createElement("th")).textContent = head;
at("health").textContent = t.health;
at("health").href = base + "/cotizaciones/health";
at("check").textContent = t.check;
at("check").href = checkUrl;
connect();
setInterval(tick, 500);
