/* page: what the scripts of all pages share.  No state. */

export const language = (navigator.language || "en").toLowerCase().startsWith("es") ? "es" : "en";

/** Where the gateway is, below its ROOT_PATH: every page lies right below it. */
export const base = new URL(".", location.href);

/** "{0} of {1}" with what stands for them. */
export function say(text, ...values) {
  return text.replace(/\{(\d)\}/g, (_, i) => values[i]);
}

export function at(id) {
  return document.getElementById(id);
}

/** An element: attributes by name (functions are listeners, false and null are left out), then children. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function")
      element.addEventListener(name, value);
    else if (value !== false && value !== null && value !== undefined)
      element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
  return element;
}

/* A gateway's token, for this tab only: never in the address, never on the disk. */
const TOKEN = "pregon-token";

export function token() {
  return sessionStorage.getItem(TOKEN) || "";
}

export function setToken(text) {
  if (text)
    sessionStorage.setItem(TOKEN, text);
  else
    sessionStorage.removeItem(TOKEN);
}

/** Fetch from our gateway; with the token, if there is one. */
export function ask(path, options = {}) {
  const headers = { ...options.headers, ...(token() && { Authorization: "Bearer " + token() }) };
  return fetch(new URL(path, base), { cache: "no-store", ...options, headers });
}
