/* docs_stream: opens a WebSocket and shows every message sent and received. */
import { token } from "./ask.js";
import { element } from "./element.js";
import { root, say } from "./page.js";
import { decode, encode } from "./msgpack.js";

const KEPT = 200; /* lines */

function streamUrl() {
  const url = new URL("ws/cotizaciones", root);
  url.protocol = url.protocol.replace("http", "ws");
  return url.href;
}

/* A connection begins without symbols, so that the reader sees the first request. */
function urlToOpen(text) {
  const url = new URL(text, root);
  if (url.protocol !== "ws:" && url.protocol !== "wss:")
    throw new TypeError(url.protocol);
  if (!url.searchParams.has("symbols"))
    url.searchParams.set("symbols", "");
  if (token() && !url.searchParams.has("token") && url.origin === root.origin.replace("http", "ws"))
    url.searchParams.set("token", token());
  return url;
}

function field(label, control) {
  return element("label", { class: "field" }, element("span", {}, label), control);
}

export function streamBox(t) {
  const url = element("input", { type: "url", value: streamUrl(), class: "long", spellcheck: "false" });
  const symbols = element("input", { type: "text", value: "*", placeholder: "EUR/USD,BTC*", spellcheck: "false", autocapitalize: "characters" });
  const mode = element("select", {}, element("option", { value: "merge" }, t.merge), element("option", { value: "all" }, t.all));
  const encoding = element("select", {}, element("option", { value: "json" }, "JSON"),
    element("option", { value: "msgpack" }, "MessagePack"));
  const maxHz = element("input", { type: "number", min: "0.01", max: "1000", step: "any", value: "5" });
  const toggle = element("button", { type: "submit", class: "button" }, t.connect);
  const clear = element("button", { type: "button", class: "button" }, t.clear);
  const pause = element("input", { type: "checkbox" });
  const status = element("p", { class: "pill", "data-phase": "closed" }, element("span", { role: "status" }, t.idle));
  const counts = element("span", { class: "soft" });
  const lines = element("ol", { class: "log", tabindex: "0", "aria-label": t.log });
  const shown = element("div", { hidden: true },
    element("div", { class: "fields" }, element("label", {}, pause, " ", t.pause), clear), lines);
  const message = element("input", { type: "text", class: "long", value: '{"op":"list","id":2}', spellcheck: "false" });
  const sendIt = element("button", { type: "submit", class: "button", disabled: true }, t.sendIt);
  const why = element("div", { class: "box", role: "alert", hidden: true });

  let socket = null, isBinary = false, waiting = [], total = 0, second = 0, rate = 0;

  function paint() {
    const shown = waiting.splice(0).slice(-KEPT);
    if (!pause.checked) {
      const atEnd = lines.scrollTop + lines.clientHeight >= lines.scrollHeight - 8;
      for (const [kind, text] of shown)
        lines.append(element("li", { class: kind }, element("span", { class: "way" }, t[kind]), " ", text));
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
    status.dataset.phase = kind;
    status.firstElementChild.textContent = text;
    toggle.textContent = socket ? t.disconnect : t.connect;
    sendIt.disabled = !socket || socket.readyState !== WebSocket.OPEN;
  }

  function send(value) {
    const text = JSON.stringify(value);
    socket.send(isBinary ? encode(value) : text);
    log("sent", text);
  }

  /* The code of a page cannot read a failed handshake, so ask websocket_check for the verdict. */
  async function explain(opened) {
    const wrong = [];
    if (opened.host === root.host) {
      const check = new URL("cotizaciones/websocket_check", root);
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
    why.replaceChildren(...wrong.map((text) => element("p", {}, text)));
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
      setStatus("refused", say(t.badUrl, url.value));
      return;
    }
    const it = new WebSocket(opened, ["pregon.v1." + encoding.value]);
    it.binaryType = "arraybuffer";
    isBinary = encoding.value === "msgpack";
    socket = it;
    setStatus("connecting", t.connecting);
    it.onopen = () => {
      wasOpen = true;
      setStatus("connected", say(t.connected, it.protocol));
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
        setStatus("refused", say(t.closed, event.code, event.reason));
      if (!wasOpen && !isOurs)
        explain(opened);
    };
  }

  function close() {
    const it = socket;
    socket = null;
    it.close(1000);
    setStatus("closed", t.closedBySelf);
  }

  clear.onclick = () => {
    waiting = [];
    lines.replaceChildren();
  };
  return element("section", { id: "try-stream", "aria-labelledby": "try-stream-title" },
    element("h3", { id: "try-stream-title" }, t.stream),
    element("form", { class: "fields", submit: (event) => {
      event.preventDefault();
      socket ? close() : open();
    } },
    field(t.url, url), field(t.symbols, symbols), field(t.mode, mode), field(t.encoding, encoding),
    field(t.maxHz, maxHz), toggle),
    element("div", { class: "fields" }, status, counts), why,
    shown,
    element("form", { class: "fields", submit: (event) => {
      event.preventDefault();
      try {
        send(JSON.parse(message.value));
      } catch (e) {
        log("note", say(t.badMessage, e.message));
      }
    } }, field(t.message, message), sendIt));
}
