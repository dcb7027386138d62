/* page.js: shared by all pages: the reader's language, and the gateway's address. */

const query = new URLSearchParams(location.search);
const wanted = query.get("lang") ?? navigator.language ?? "en";

export const language = wanted.toLowerCase().startsWith("es") ? "es" : "en";

/* A proxy may add a prefix; every page is directly below it. */
export const root = new URL("./", location.href.replace(/[?#].*$/, ""));

/** Replaces {0}, {1}, … by the values. */
export const say = (text, ...values) => text.replace(/\{(\d)\}/g, (_, i) => values[i]);

export const at = (id) => document.getElementById(id);

/** Creates an element with class, text and parent. */
export function make(name, className = "", text = "", parent = null) {
  const element = document.createElement(name);
  element.className = className;
  element.textContent = text;
  parent?.append(element);
  return element;
}

/** Writes the texts into the page: `data-text="key"`, `data-label` for aria-label, `data-hint` for title. */
export function fill(texts) {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-text]"))
    element.textContent = texts[element.dataset.text];
  for (const element of document.querySelectorAll("[data-label]"))
    element.setAttribute("aria-label", texts[element.dataset.label]);
  for (const element of document.querySelectorAll("input[data-label]"))
    element.placeholder = texts[element.dataset.label];
  for (const element of document.querySelectorAll("[data-hint]"))
    element.title = texts[element.dataset.hint];
}
