/* table: a live table; rows are updated in place, so that selection and focus stay. */
import { element } from "./element.js";

/**
 * `columns`: {name, isText, sort}; `sort(row)` returns the sort key; a column without it cannot be sorted.
 * A row is {cells, kind, key…}; a cell is a text, or {text, href, kind}, or {text, click} for a button.
 */
export function table(label, columns, empty) {
  const body = element("tbody"), note = element("p", { class: "soft" }, empty);
  let rows = [], by = -1, isUp = true;

  const heads = columns.map((column, i) => {
    const button = column.sort && element("button", { type: "button", class: "sort", click: () => {
      isUp = by === i ? !isUp : true;
      by = i;
      show();
    } }, column.name);
    return element("th", { scope: "col", class: column.isText ? "text" : null }, button || column.name);
  });
  const whole = element("div", { class: "wide", role: "group", tabindex: "0", "aria-label": label },
    element("table", {}, element("thead", {}, element("tr", {}, heads)), body));

  function write(td, cell, column) {
    const it = typeof cell === "object" && cell !== null ? cell : { text: String(cell ?? "") };
    const kind = [column.isText && "text", it.kind].filter(Boolean).join(" ");
    if (td.className !== kind)
      td.className = kind;
    const old = td.querySelector("button");
    if (old && !it.click)
      old.remove();
    const at = it.href ? td.querySelector("a") || td.appendChild(element("a"))
      : it.click ? old || td.appendChild(element("button", { type: "button", class: "button" })) : td;
    if (it.click)
      at.onclick = it.click;
    if (it.href && at.getAttribute("href") !== it.href)
      at.setAttribute("href", it.href);
    if (at.textContent !== it.text)
      at.textContent = it.text;
  }

  function show() {
    const sorted = by < 0 ? rows : [...rows].sort((a, b) => {
      const [x, y] = [columns[by].sort(a), columns[by].sort(b)];
      return (x < y ? -1 : x > y ? 1 : 0) * (isUp ? 1 : -1);
    });
    heads.forEach((head, i) => i === by ? head.setAttribute("aria-sort", isUp ? "ascending" : "descending")
      : head.removeAttribute("aria-sort"));
    while (body.rows.length > sorted.length)
      body.lastElementChild.remove();
    while (body.rows.length < sorted.length)
      body.append(element("tr", {}, columns.map((column) => element("td", { "data-name": column.name }))));
    sorted.forEach((row, i) => {
      const tr = body.rows[i];
      if (tr.className !== (row.kind || ""))
        tr.className = row.kind || "";
      columns.forEach((column, k) => write(tr.cells[k], row.cells[k], column));
    });
    whole.hidden = !sorted.length;
    note.hidden = sorted.length > 0;
  }

  show();
  return {
    element: element("div", {}, whole, note),
    show(them, why = empty) {
      rows = them;
      note.textContent = why;
      show();
    },
  };
}
