/* docs_schema: shows a JSON Schema of openapi.json as a list of members, deeper ones when opened. */
import { element } from "./element.js";
import { say } from "./page.js";

/** `like this` as code. */
export function prose(text) {
  return (text || "").split("`").map((part, i) => (i % 2 ? element("code", {}, part) : part));
}

export function resolve(document, node) {
  while (node && node.$ref) {
    let found = document;
    for (const part of node.$ref.slice(2).split("/"))
      found = found[part];
    const { $ref, ...beside } = node;
    node = { ...found, ...beside };
  }
  return node;
}

const nameOf = (schema) => (schema.$ref ? schema.$ref.slice(schema.$ref.lastIndexOf("/") + 1) : "");
const choices = (schema) => schema.oneOf || schema.anyOf;

/** The type of a value, in a few words: "integer from 0", "live | stale", "list of Feed". */
export function kindOf(document, schema, t) {
  const s = resolve(document, schema), name = nameOf(schema);
  const limits = [
    "minimum" in s && say(t.from, s.minimum), "maximum" in s && say(t.upTo, s.maximum),
    "default" in s && say(t.defaultIs, JSON.stringify(s.default)),
  ].filter(Boolean);
  const words = (text) => [text, ...limits].join(", ");
  if ("const" in s)
    return say(t.always, JSON.stringify(s.const));
  if (s.enum)
    return words(s.enum.join(" | "));
  if (s.type === "array")
    return t.listOf + " " + kindOf(document, s.items, t);
  if (choices(s) && choices(s).every((one) => "const" in one))
    return name || choices(s).map((one) => one.const).join(" | ");
  if (choices(s))
    return choices(s).map((one) => kindOf(document, one, t)).join(` ${t.or} `);
  const type = Array.isArray(s.type) ? s.type.join(` ${t.or} `) : s.type;
  return words(name && s.type === "object" ? name : type || "");
}

/** The schemas inside a schema that have members of their own. */
function inner(document, schema) {
  const s = resolve(document, schema);
  if (s.type === "array")
    return inner(document, s.items);
  if (choices(s))
    return choices(s).every((one) => "const" in one) ? [schema] : choices(s).flatMap((one) => inner(document, one));
  return s.properties ? [schema.$ref ? { $ref: schema.$ref } : schema] : [];
}

function memberOf(document, name, schema, isRequired, t) {
  const s = resolve(document, schema), deeper = inner(document, schema);
  return [
    element("dt", {}, element("code", {}, name), " ", element("span", { class: "kind" }, kindOf(document, schema, t)),
      isRequired && element("span", { class: "required" }, " " + t.required)),
    element("dd", {}, element("span", { lang: "en" }, prose(s.description)),
      deeper.map((one) => fold(document, one, t))),
  ];
}

function content(document, schema, t) {
  const s = resolve(document, schema);
  if (choices(s) && choices(s).every((one) => "const" in one))
    return element("dl", { class: "members" }, choices(s).map((one) => [
      element("dt", {}, element("code", {}, one.const)), element("dd", { lang: "en" }, prose(one.description)),
    ]).flat());
  const rows = Object.entries(s.properties || {}).flatMap(([name, one]) =>
    memberOf(document, name, one, (s.required || []).includes(name), t));
  if (typeof s.additionalProperties === "object")
    rows.push(element("dt", {}, element("em", {}, t.anyOther)),
      element("dd", { lang: "en" }, prose(s.additionalProperties.description)));
  return element("dl", { class: "members" }, rows);
}

/** A schema that can be opened; its content is created at that moment. */
export function fold(document, schema, t) {
  const s = resolve(document, schema), name = nameOf(schema) || t.members;
  const details = element("details", { class: "schema" }, element("summary", {}, name));
  details.addEventListener("toggle", () => {
    if (details.open && details.childElementCount === 1)
      details.append(...(s.description ? [element("p", { lang: "en" }, prose(s.description))] : []),
        content(document, schema, t));
  });
  return details;
}

/** A list of schemas that can be opened. */
export function folds(document, schema, t) {
  return inner(document, schema).map((one) => fold(document, one, t));
}
