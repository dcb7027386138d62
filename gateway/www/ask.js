/* ask.js: requests to our gateway, with the token that the reader entered. */
import { root } from "./page.js";

const TOKEN = "pregon-token"; // kept for this tab only: never in the address, never on the disk

export function token() {
  return sessionStorage.getItem(TOKEN) ?? "";
}

export function setToken(text) {
  if (text)
    sessionStorage.setItem(TOKEN, text);
  else
    sessionStorage.removeItem(TOKEN);
}

export function ask(path, options = {}) {
  const headers = token() ? { Authorization: "Bearer " + token() } : {};
  return fetch(new URL(path, root), { cache: "no-store", headers, ...options });
}
