/* status-forget.js: removes feeds that have ended and symbols that will not come back. */
import { element } from "./element.js";
import { root, say } from "./page.js";
import t from "./status-texts.js";

const TOKEN = "pregon-admin-token"; // kept for this tab only

/** `done()` is called after a removal. Returns {element, remove(kind, name)}; kind: "feeds" or "quotes". */
export function forgetting(done) {
  const secret = element("input", { type: "password", autocomplete: "off", id: "admin-token",
    value: sessionStorage.getItem(TOKEN) ?? "", change: () => sessionStorage.setItem(TOKEN, secret.value.trim()) });
  const symbol = element("input", { type: "text", autocomplete: "off", spellcheck: "false", id: "forget-symbol", required: true });
  const note = element("p", { role: "status", id: "forget-note" });

  async function remove(kind, name) {
    if (!confirm(say(kind === "feeds" ? t.removeFeed : t.removeSymbol, name)))
      return;
    sessionStorage.setItem(TOKEN, secret.value.trim());
    try {
      const answer = await fetch(new URL(`cotizaciones/${kind}/${encodeURIComponent(name)}`, root), {
        method: "DELETE", headers: { Authorization: "Bearer " + secret.value.trim() }, signal: AbortSignal.timeout(10000) });
      const { error, symbols } = await answer.json();
      if (error?.code === "unauthorized" || error?.code === "admin_disabled")
        box.open = true;
      note.textContent = error ? `${error.message} ${error.hint}` : say(t.removed, name, symbols);
      note.className = error ? "warn" : "soft";
    } catch (e) {
      note.textContent = say(t.notRemoved, name, e.message);
      note.className = "warn";
    }
    done();
  }

  const box = element("details", {}, element("summary", {}, t.removal), element("p", { class: "soft" }, t.removalNote),
    element("form", { class: "fields", submit: (event) => {
      event.preventDefault();
      remove("quotes", symbol.value.trim());
    } }, element("label", { class: "field" }, element("span", {}, "ADMIN_TOKEN"), secret),
    element("label", { class: "field" }, element("span", {}, t.symbol), symbol),
    element("button", { type: "submit", class: "button" }, t.remove)));
  return { element: element("div", {}, box, note), remove };
}
