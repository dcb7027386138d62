/*
 * board-alerts.js: says when a price reaches a limit that the reader has set: a line on the page, a sound, and a
 * notification if the reader has allowed them. An alert is given once and then removed.
 */
import { compare, parse } from "./decimal.js";
import { price } from "./format.js";
import { element } from "./element.js";
import { language, say } from "./page.js";
import { addAlert, isPrice, removeAlert, settings } from "./board-settings.js";
import t from "./board-texts.js";

let audio = null; // a browser plays sounds only after an act of the reader

/** The alerts whose limit the entry's price has reached; a stale price reaches none. */
export function reached(entry) {
  const now = entry.state === "live" ? parse(entry.price) : null;
  if (!now)
    return [];
  return settings.alerts.filter(({ symbol, when, price: limit }) =>
    symbol === entry.symbol && compare(now, parse(limit)) * (when === "above" ? 1 : -1) >= 0);
}

const textOf = ({ when, price: limit }) => say(t.alertWhen[when], price(limit));

/** Gives the alerts that the entry has reached; `show(text)` shows one on the page. */
export function check(entry, show) {
  for (const alert of reached(entry)) {
    const text = say(t.alertReached, entry.symbol, price(entry.price, entry.decimals), textOf(alert));
    removeAlert(alert);
    show(text);
    if (!settings.isMuted)
      beep();
    if (globalThis.Notification?.permission === "granted")
      notify(entry.symbol, text);
  }
}

function notify(symbol, body) {
  try {
    new Notification(`Pregón · ${symbol}`, { body, tag: symbol });
  } catch {
    // Chrome on Android has them only in service workers
  }
}

/** To be called in an act of the reader. */
export function allowSound() {
  audio ??= globalThis.AudioContext ? new AudioContext() : null;
  audio?.resume().catch(() => {});
}

export function beep() {
  if (audio?.state !== "running")
    return;
  const tone = audio.createOscillator(), volume = audio.createGain(), now = audio.currentTime;
  tone.frequency.value = 880;
  volume.gain.setValueAtTime(0.15, now);
  volume.gain.exponentialRampToValueAtTime(0.001, now + 0.4);
  tone.connect(volume).connect(audio.destination);
  tone.start(now);
  tone.stop(now + 0.4);
}

/** The form and the list of one symbol's alerts. `show(symbol)` shows another symbol's; `on()`: one was added. */
export function alertForm(on) {
  const when = element("select", { "aria-label": t.alertDirection },
    ...["above", "below"].map((name) => element("option", { value: name }, t.alertDirections[name])));
  const limit = element("input", {
    inputmode: "decimal", autocomplete: "off", "aria-label": t.alertPrice, placeholder: t.alertPrice, size: "9",
  });
  const fault = element("span", { class: "bad", role: "status" }), list = element("ul", { class: "alerts" });
  let of = "", shown = "";

  function add(event) {
    event.preventDefault();
    const text = language === "es" ? limit.value.trim().replace(",", ".") : limit.value.trim();
    allowSound();
    if (globalThis.Notification?.permission === "default")
      Notification.requestPermission();
    fault.textContent = isPrice(text) ? "" : t.alertBad;
    if (!isPrice(text))
      return;
    addAlert(of, when.value, text);
    limit.value = "";
    draw();
    on();
  }

  function draw() {
    const mine = settings.alerts.filter(({ symbol }) => symbol === of), now = JSON.stringify(mine);
    if (now === shown)
      return;
    shown = now;
    list.replaceChildren(...mine.map((alert) => {
      const remove = () => {
        removeAlert(alert);
        draw();
      };
      const label = say(t.alertRemove, textOf(alert));
      return element("li", {}, textOf(alert),
        element("button", { type: "button", class: "remove", "aria-label": label, title: label, click: remove }, "×"));
    }));
  }

  return {
    element: element("div", { class: "alert" },
      element("form", { submit: add }, element("span", { class: "soft" }, t.alertMe), when, limit,
        element("button", { class: "button small" }, t.alertAdd), fault), list),
    show(symbol) {
      if (of !== symbol)
        fault.textContent = "";
      of = symbol;
      draw();
    },
  };
}
