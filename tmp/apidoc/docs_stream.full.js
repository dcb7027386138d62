/* docs_stream: the box that opens a WebSocket and shows every message both ways. */
import { base, make, say, token } from "./page.js";
import { decode, encode } from "./msgpack.js";

const KEPT = 200; /* lines */

function streamUrl() {
  const url = new URL("ws/cotizaciones", base);
  url.protocol = url.protocol.replace("http", "ws");
  return url.href;
}

/* Every connection begins with no symbols of its own, so that the first request is one that can be seen. */
function urlToOpen(text) {
  const url = new URL(text, base);
  if (url.protocol !== "ws:" && url.protocol !== "wss:")
    throw new TypeError(url.protocol);
  if (!url.searchParams.has("symbols"))
    url.searchParams.set("symbols", "");
  if (token() && !url.searchParams.has("token"))
    url.searchParams.set("token", token());
  return url;
}

function field(label, control) {
  return make("label", { class: "field" }, make("span", {}, label), control);
}

export function streamBox(t) {
  const url = make("input", { type: "url", value: streamUrl(), class: "wide", spellcheck: "false" });
  const symbols = make("input", { type: "text", value: "*", placeholder: "EUR/USD,BTC*", spellcheck: "false", autocapitalize: "characters" });
  const mode = make("select", {}, make("option", { value: "merge" }, t.merge), make("option", { value: "all" }, t.all));
  const encoding = make("select", {}, make("option", { value: "json" }, "JSON"),
    make("option", { value: "msgpack" }, "MessagePack"));
  const maxHz = make("input", { type: "number", min: "0.01", max: "1000", step: "any", value: "5" });
  const toggle = make("button", { type: "submit" }, t.connect);
  const clear = make("button", { type: "button" }, t.clear);
  const pause = make("input", { type: "checkbox" });
  const status = make("p", { role: "status", class: "pill" }, t.idle);
  const counts = make("span", { class: "soft" });
  const lines = make("ol", { class: "log", tabindex: "0", "aria-label": t.log });
  const shown = make("div", { hidden: true },
    make("div", { class: "row" }, make("label", {}, pause, " ", t.pause), clear), lines);
  const message = make("input", { type: "text", class: "wide", value: '{"op":"list","id":2}', spellcheck: "false" });
  const sendIt = make("button", { type: "submit", disabled: true }, t.sendIt);
  const why = make("div", { class: "box", role: "alert", hidden: true });

  let socket = null, isBinary = false, waiting = [], total = 0, second = 0, rate = 0;

  function paint() {
    const shown = waiting.splice(0).slice(-KEPT);
    if (!pause.checked) {
      const atEnd = lines.scrollTop + lines.clientHeight >= lines.scrollHeight - 8;
      for (const [kind, text] of shown)
        lines.append(make("li", { class: kind }, make("span", { class: "way" }, t[kind]), " ", text));
      while (lines.childElementCount > KEPT)
        lines.firstElementChild.remove();
      if (atEnd)
        lines.scrollTop = lines.scrollHeight;
    }
  }
  function log(kind, text) {
    shown.hidden = false;
    if (waiting.push([kind, text]) === 1)
      requestAnimationFrame(paint);
    else if (waiting.length > 2 * KEPT) /* a page in the background paints nothing */
      waiting.splice(1, KEPT);
  }
  setInterval(() => {
    rate = second;
    second = 0;
    counts.textContent = total ? say(t.counts, total, rate) : "";
  }, 1000);

  function setStatus(kind, text) {
    status.className = "pill " + kind;
    status.textContent = text;
    toggle.textContent = socket ? t.disconnect : t.connect;
    sendIt.disabled = !socket || socket.readyState !== WebSocket.OPEN;
  }

  function send(value) {
    const text = JSON.stringify(value);
    socket.send(isBinary ? encode(value) : text);
    log("sent", text);
  }

  /* Page code sees nothing of a failed handshake: ask the gateway what it would have said. */
  async function explain(opened) {
    const wrong = [];
    if (opened.host === base.host) {
      const check = new URL("cotizaciones/websocket_check", base);
      const path = decodeURIComponent(opened.pathname);
      check.search = new URLSearchParams({
        origin: location.origin, path,
        ...(opened.searchParams.get("token") && { token: opened.searchParams.get("token") }),
      });
      try {
        const told = await (await fetch(check, { cache: "no-store" })).json();
        wrong.push(told.allowed ? t.accepts : say(t.why, told.status, told.code, told.message));
        if (!told.allowed && told.hint)
          wrong.push(say(t.change, told.hint));
        wrong.push(...(told.proxy ? told.proxy.notes : []));
      } catch (e) {
        wrong.push(say(t.failed, e.message));
      }
    } else {
      wrong.push(say(t.elsewhere, location.origin));
    }
    why.replaceChildren(...wrong.map((text) => make("p", {}, text)));
    why.hidden = false;
  }

  function hear(data) {
    total++;
    second++;
    try {
      log("received", typeof data === "string" ? data : JSON.stringify(decode(new Uint8Array(data))));
    } catch (e) {
      log("note", String(e));
    }
  }

  function open() {
    let opened, wasOpen = false;
    why.hidden = true;
    try {
      opened = urlToOpen(url.value);
    } catch (e) {
      setStatus("bad", say(t.badUrl, url.value));
      return;
    }
    const it = new WebSocket(opened, ["pregon.v1." + encoding.value]);
    it.binaryType = "arraybuffer";
    isBinary = encoding.value === "msgpack";
    socket = it;
    setStatus("", t.connecting);
    it.onopen = () => {
      wasOpen = true;
      setStatus("good", say(t.connected, it.protocol));
      send({
        op: "subscribe", id: 1, symbols: symbols.value.split(",").map((s) => s.trim()).filter(Boolean),
        mode: mode.value, ...(maxHz.value && { max_hz: Number(maxHz.value) }),
      });
    };
    it.onmessage = (event) => hear(event.data);
    it.onclose = (event) => {
      const isOurs = socket !== it;
      if (!isOurs)
        socket = null;
      log("note", say(t.closed, event.code, event.reason));
      if (!isOurs)
        setStatus("bad", say(t.closed, event.code, event.reason));
      if (!wasOpen && !isOurs)
        explain(opened);
    };
  }

  function close() {
    const it = socket;
    socket = null;
    it.close(1000);
    setStatus("", t.closedBySelf);
  }

  clear.onclick = () => {
    waiting = [];
    lines.replaceChildren();
  };
  return make("section", { id: "try-stream", "aria-labelledby": "try-stream-title" },
    make("h3", { id: "try-stream-title" }, t.stream),
    make("form", { class: "fields", submit: (event) => {
      event.preventDefault();
      socket ? close() : open();
    } },
    field(t.url, url), field(t.symbols, symbols), field(t.mode, mode), field(t.encoding, encoding),
    field(t.maxHz, maxHz), toggle),
    make("div", { class: "row" }, status, counts), why,
    shown,
    make("form", { class: "fields", submit: (event) => {
      event.preventDefault();
      try {
        send(JSON.parse(message.value));
      } catch (e) {
        log("note", say(t.badMessage, e.message));
      }
    } }, field(t.message, message), sendIt));
}
