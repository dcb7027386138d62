/* ask.js: asks our gateway, with the token that the reader gave. */
import { root } from "./page.js";

const TOKEN = "pregon-token"; // for this tab only: never in the address, never on the disk

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
