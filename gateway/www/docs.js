/* docs: shows openapi.json, sends requests that the reader fills in, and tries the stream. */
import { ask, setToken, token } from "./ask.js";
import { element } from "./element.js";
import { at, fill as fillIn, root, say } from "./page.js";
import { fold, folds, kindOf, prose, resolve } from "./docs-schema.js";
import { streamBox } from "./docs-stream.js";
import t from "./docs-texts.js";

const METHODS = ["get", "put", "delete"];
let api; /* openapi.json */

const shell = (text) => (/^[\w./:=@%,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/* --- requests ---------------------------------------------------------------------------------------- */

/** The address of an operation with the reader's values; `missing` names required ones that are empty. */
function fill(path, parameters, inputs) {
  const query = new URLSearchParams();
  let missing = null, filled = path;
  for (const p of parameters) {
    const value = inputs.get(p.name).value.trim();
    if (!value && (p.required || p.in === "path"))
      missing ??= p.name;
    if (p.in === "path")
      filled = filled.replace(`{${p.name}}`, value ? encodeURIComponent(value) : `{${p.name}}`);
    else if (value)
      query.set(p.name, value);
  }
  const text = String(query);
  return { missing, target: filled.slice(1) + (text ? "?" + text : "") };
}

/* Events go on for ever: they are shown by curl, not here. */
const isEndless = (operation) => "text/event-stream" in (operation.responses["200"]?.content ?? {});

function curlOf(method, operation, target, isGuarded) {
  const words = ["curl", isEndless(operation) ? "-sN" : "-s"];
  if (method !== "get")
    words.push("-X", method.toUpperCase());
  if (isGuarded)
    words.push("-H", shell("Authorization: Bearer TOKEN"));
  const body = operation.requestBody && operation.requestBody.content;
  if (body && body["application/json"])
    words.push("-d", shell(JSON.stringify(Object.values(body["application/json"].examples)[0].value)));
  else if (body)
    words.push("--data-binary", "@FILE");
  words.push(shell(new URL(target, root).href));
  return words.join(" ");
}

async function show(output, target) {
  const began = performance.now();
  output.replaceChildren(element("p", { class: "soft" }, t.asking));
  try {
    const answer = await ask(target);
    const bytes = await answer.arrayBuffer();
    const spent = Math.round(performance.now() - began);
    const kind = answer.headers.get("Content-Type") || "";
    let text = say(t.binary, bytes.byteLength);
    if (/json|text/.test(kind))
      text = new TextDecoder().decode(bytes);
    if (kind.includes("json"))
      text = pretty(text);
    output.replaceChildren(
      element("p", {}, element("strong", { class: answer.ok ? "good" : "bad" },
        say(t.answered, `${answer.status} ${answer.statusText}`, spent)), " ", element("span", { class: "soft" }, kind)),
      element("pre", { tabindex: "0" }, text || t.empty));
  } catch (e) {
    output.replaceChildren(element("p", { class: "bad" }, say(t.failed, e.message)));
  }
}

/* Indents JSON without parsing numbers, which may exceed 2^53. */
function pretty(text) {
  let depth = 0, isText = false, out = "";
  const line = () => "\n" + "  ".repeat(depth);
  for (let i = 0; i < text.length; i++) {
    const c = text[i], next = text[i + 1];
    if (isText) {
      out += c;
      if (c === "\\")
        out += text[++i];
      else if (c === '"')
        isText = false;
    } else if (c === "{" || c === "[") {
      const isEmpty = next === "}" || next === "]";
      depth++;
      out += isEmpty ? c + next : c + line();
      if (isEmpty) {
        depth--;
        i++;
      }
    } else if (c === "}" || c === "]") {
      depth--;
      out += line() + c;
    } else {
      isText = c === '"';
      out += c === "," ? c + line() : c === ":" ? ": " : c;
    }
  }
  return out.trim();
}

function copyButton(text) {
  const button = element("button", { type: "button", class: "button" }, t.copy);
  button.onclick = async () => {
    try {
      await navigator.clipboard.writeText(text());
      button.textContent = t.copied;
    } catch (e) {
      button.textContent = t.notCopied; /* a page over plain HTTP may not */
    }
    setTimeout(() => (button.textContent = t.copy), 2000);
  };
  return button;
}

/* --- one operation ------------------------------------------------------------------------------------ */

function inputFor(parameter, id) {
  const schema = resolve(api, parameter.schema);
  if (schema.enum)
    return element("select", { id }, element("option", { value: "" }, ""),
      schema.enum.map((one) => element("option", { value: one }, String(one))));
  return element("input", { id, type: "text", spellcheck: "false", autocomplete: "off",
    value: parameter.in === "path" ? parameter.example : null, placeholder: parameter.example || schema.default });
}

function parametersOf(parameters, id, inputs) {
  return element("div", { class: "parameters" }, parameters.map((p) => {
    const input = inputFor(p, `${id}-${p.name}`);
    inputs.set(p.name, input);
    return element("div", { class: "parameter" },
      element("label", { for: input.id }, element("code", {}, p.name),
        p.required && element("span", { class: "required" }, " " + t.required)),
      input,
      element("p", {}, element("span", { class: "kind" }, kindOf(api, p.schema, t)), " ",
        element("span", { lang: "en" }, prose(p.description))));
  }));
}

function examplesOf(media) {
  const all = media.examples ? Object.entries(media.examples).map(([name, e]) => [t.examples[name] || name, e.value])
    : media.example ? [["", media.example]] : [];
  return all.map(([name, value]) => element("details", { class: "schema" },
    element("summary", {}, `${t.example} ${name}`), element("pre", { tabindex: "0" }, JSON.stringify(value, null, 2))));
}

function codesOf(schema) {
  const codes = schema.properties?.error?.properties?.code?.enum;
  return codes ? codes : (schema.oneOf || []).flatMap(codesOf);
}

function answerOf(status, node) {
  const answer = resolve(api, node), media = Object.entries(answer.content || {});
  const codes = media.flatMap(([, m]) => (m.schema ? codesOf(m.schema) : []));
  const meaning = (code) => api.components.schemas.ErrorCode.oneOf.find((one) => one.const === code).description;
  return [
    element("dt", {}, element("strong", { class: status < "400" ? "good" : "bad" }, status), " ",
      element("span", { class: "kind" }, media.map(([kind]) => kind).join(", "))),
    element("dd", {}, element("span", { lang: "en" }, prose(answer.description)),
      codes.length > 0 && element("ul", { lang: "en" }, codes.map((code) =>
        element("li", {}, element("code", {}, code), " ", prose(meaning(code))))),
      media.flatMap(([, m]) => [...(m.schema ? folds(api, m.schema, t) : []), ...examplesOf(m)])),
  ];
}

function streamOf(stream) {
  return [
    element("h3", {}, t.messages),
    element("h4", {}, t.send), element("p", { lang: "en" }, prose(resolve(api, stream.send).description)),
    folds(api, stream.send, t),
    element("h4", {}, t.receive), folds(api, stream.receive, t),
    element("h4", {}, t.closes), element("dl", { class: "members", lang: "en" },
      Object.entries(stream.closeCodes).flatMap(([code, text]) =>
        [element("dt", {}, element("code", {}, code)), element("dd", {}, prose(text))])),
    fold(api, stream.closeReason, t),
  ];
}

function needsOf(security) {
  const names = security.flatMap((one) => Object.keys(one));
  if (!names.length)
    return [];
  return [element("h3", {}, t.tokens), element("ul", { lang: "en" }, names.map((name) =>
    element("li", {}, prose(api.components.securitySchemes[name].description))))];
}

function fillOperation(details, path, method, item) {
  const operation = item[method], inputs = new Map(), id = operation.operationId;
  const parameters = [...(item.parameters || []), ...(operation.parameters || [])].map((p) => resolve(api, p));
  const isStream = "x-stream" in operation;
  const security = operation.security || [];
  const isGuarded = security.length > 0 && (token() !== "" || security.every((one) => Object.keys(one).length));
  const curl = element("code", {}), output = element("div", { class: "output", "aria-live": "polite" });
  const write = () => (curl.textContent =
    curlOf(method, operation, fill(path, parameters, inputs).target, isGuarded));
  const body = operation.requestBody;

  details.append(...[
    operation.description && element("p", { lang: "en" }, prose(operation.description)),
    ...needsOf(security),
    parameters.length > 0 && element("h3", {}, t.parameters),
    parameters.length > 0 && parametersOf(parameters, id, inputs),
    body && element("h3", {}, t.body),
    body && element("p", { lang: "en" }, prose(body.description)),
    body && Object.values(body.content).flatMap((m) => [...(m.schema ? folds(api, m.schema, t) : []), ...examplesOf(m)]),
    !isStream && element("h3", {}, t.curl),
    !isStream && element("div", { class: "command" }, element("pre", { tabindex: "0" }, curl), copyButton(() => curl.textContent)),
    method === "get" && !isStream && !isEndless(operation) && element("button", { type: "button", class: "button", click: () => {
      const { missing, target } = fill(path, parameters, inputs);
      if (missing)
        output.replaceChildren(element("p", { class: "bad" }, say(t.missing, missing)));
      else
        show(output, target);
    } }, t.try),
    output,
    element("h3", {}, t.answers),
    element("dl", { class: "members" }, Object.entries(operation.responses).flatMap(([s, node]) => answerOf(s, node))),
    ...(isStream ? streamOf(operation["x-stream"]).flat() : []),
  ].flat().filter(Boolean));
  for (const input of inputs.values())
    input.addEventListener("input", write);
  write();
}

function operationView(path, method, item) {
  const operation = item[method];
  const details = element("details", { class: "operation", id: operation.operationId },
    element("summary", {}, element("span", { class: "method " + method }, method.toUpperCase()), " ",
      element("code", {}, path), " ", element("span", { lang: "en", class: "soft" }, prose(operation.summary))));
  details.addEventListener("toggle", () => {
    if (details.open && details.childElementCount === 1)
      fillOperation(details, path, method, item);
  });
  details.words = [path, method, operation.summary, operation.description].join(" ").toLowerCase();
  return details;
}

/* --- the page ------------------------------------------------------------------------------------------ */

function operationsOf(tag) {
  return Object.entries(api.paths).flatMap(([path, item]) => METHODS
    .filter((method) => item[method] && item[method].tags.includes(tag.name))
    .map((method) => operationView(path, method, item)));
}

function sectionOf(tag) {
  return element("section", { "aria-labelledby": "tag-" + tag.name },
    element("h2", { id: "tag-" + tag.name, lang: "en" }, tag.name),
    element("p", { lang: "en" }, prose(tag.description)), operationsOf(tag));
}

function filterRoutes(text, note) {
  const wanted = text.trim().toLowerCase();
  let shown = 0;
  for (const section of at("operations").children) {
    const all = [...section.querySelectorAll(".operation")];
    for (const one of all)
      one.hidden = !one.words.includes(wanted);
    section.hidden = all.every((one) => one.hidden);
    shown += all.filter((one) => !one.hidden).length;
  }
  note.textContent = shown ? "" : t.nothing;
}

function settings() {
  const note = element("span", { role: "status", class: "soft" });
  const filter = element("input", { type: "search", autocomplete: "off", spellcheck: "false" });
  const secret = element("input", { type: "password", autocomplete: "off", value: token() });
  filter.oninput = () => filterRoutes(filter.value, note);
  secret.oninput = () => setToken(secret.value.trim());
  return element("form", { class: "fields", submit: (event) => event.preventDefault() },
    element("label", { class: "field" }, element("span", {}, t.filter), filter, note),
    element("label", { class: "field" }, element("span", {}, t.token), secret, element("small", { class: "soft" }, t.tokenNote)));
}

/* The address, or a link within the page, may name an operation. */
function openNamed() {
  const it = location.hash && document.getElementById(location.hash.slice(1));
  if (it && it.tagName === "DETAILS") {
    it.open = true;
    it.scrollIntoView();
    it.firstElementChild.focus();
  }
}

async function start() {
  document.title = "Pregón · " + t.title;
  fillIn(t);
  try {
    api = await (await fetch(new URL("openapi.json", root))).json();
  } catch (e) {
    at("trouble").textContent = say(t.notLoaded, e.message);
    at("trouble").hidden = false;
    return;
  }
  at("about").append(
    element("p", {}, element("strong", {}, say(t.version, api.info.version)), " · ", element("a", { href: "openapi.json" }, t.file),
      t.english && " · " + t.english),
    ...api.info.description.split("\n\n").map((text) => element("p", { lang: "en" }, prose(text))));
  at("settings").append(settings());
  at("contents").append(element("a", { href: "#try-stream" }, t.stream),
    ...api.tags.map((tag) => element("a", { href: "#tag-" + tag.name, lang: "en" }, tag.name)));
  at("operations").append(...api.tags.map(sectionOf));
  at("tag-stream").parentElement.append(streamBox(t));
  addEventListener("hashchange", openNamed);
  openNamed();
}

start();
