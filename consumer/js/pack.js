/*
 * pack.js: what `npm pack` runs before it packs: makes the CommonJS twin of each module and of its types in cjs/,
 * and copies the licence. It knows only the forms of import and export that these modules use, and fails on others.
 */
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";

const MODULES = ["http", "msgpack", "position", "pregon", "react"];
const TYPED = ["pregon", "react"];
const here = (name) => new URL(name, import.meta.url);

const target = (from) => from.replace(/^(\.\/.*)\.js$/, "$1.cjs");

function commonJs(name, text) {
  const exported = new Set();
  const made = text
    .replace(/^import \{([^}]*)\} from "([^"]*)";$/gm, (_, names, from) =>
      `const {${names.replaceAll(" as ", ": ")}} = require("${target(from)}");`)
    .replace(/^export \{([^}]*)\} from "([^"]*)";$/gm, (_, names, from) =>
      names.split(",").map((n) => `exports.${n.trim()} = require("${target(from)}").${n.trim()};`).join("\n"))
    .replace(/^export ((?:async )?(?:class|function|const) (\w+))/gm, (_, start, what) => {
      exported.add(what);
      return start;
    });
  const left = /^(import|export)\b.*$/m.exec(made);
  if (left)
    throw new Error(`pack.js does not know this form, in ${name}.js: ${left[0]}`);
  return `"use strict";\n${made}\n${[...exported].map((n) => `exports.${n} = ${n};`).join("\n")}\n`;
}

rmSync(here("cjs"), { recursive: true, force: true });
mkdirSync(here("cjs"));
for (const name of MODULES)
  writeFileSync(here(`cjs/${name}.cjs`), commonJs(name, readFileSync(here(`${name}.js`), "utf8")));
for (const name of TYPED)
  writeFileSync(here(`cjs/${name}.d.cts`),
    readFileSync(here(`${name}.d.ts`), "utf8").replace(/from "\.\/(\w+)\.js"/g, 'from "./$1.cjs"'));
copyFileSync(here("../../LICENSE"), here("LICENSE"));
