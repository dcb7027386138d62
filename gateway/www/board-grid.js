/*
 * board-grid.js: the table of thousands of symbols, with row elements only for the visible ones.
 *
 * Rows have the height --row and are reused when the table scrolls.  A cell is changed only when its
 * text changes.  Only paint() changes the page; the caller calls it once per frame.
 */
import { make } from "./page.js";

const MARGIN = 4; // rows above and below the visible ones
const FLASH_MS = 700;

const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class Grid {
  #root;
  #body;
  #columns;
  #entries = [];
  #rows = []; // row elements, by entry index modulo their number
  #height = 0; // pixels per row
  #selected = null; // an entry
  #isMoved = true; // the rows must be placed again

  /** `columns`: {id, label, hint, text(entry), look?(entry), hint?(entry), fill?(cell, entry), flashes?}.
   *  `on`: {paint(), open(entry), sort(column)}. */
  constructor(root, columns, on) {
    this.#root = root;
    this.#body = root.querySelector("#rows");
    this.#columns = columns;
    this.on = on;
    this.#makeHeads(root.querySelector("#heads"));
    root.addEventListener("scroll", () => this.#move(), { passive: true });
    root.addEventListener("keydown", (event) => this.#press(event));
    this.#body.addEventListener("click", (event) => this.#click(event));
    new ResizeObserver(() => this.#measure()).observe(root);
    this.#measure();
  }

  #makeHeads(group) {
    const row = make("div", "row heads", "", group);
    row.setAttribute("role", "row");
    row.setAttribute("aria-rowindex", 1);
    for (const { id, label, title } of this.#columns) {
      const head = make("div", `cell ${id}`, "", row);
      head.setAttribute("role", "columnheader");
      head.dataset.column = id;
      const button = make("button", "", label, head);
      button.type = "button";
      button.title = title ?? "";
      button.addEventListener("click", () => this.on.sort(id));
    }
    this.#root.setAttribute("aria-colcount", this.#columns.length);
  }

  #measure() {
    this.#height = parseFloat(getComputedStyle(this.#root).getPropertyValue("--row"));
    const wanted = Math.ceil(this.#root.clientHeight / this.#height) + 2 * MARGIN;
    while (this.#rows.length < wanted)
      this.#rows.push(this.#makeRow(this.#rows.length));
    for (const row of this.#rows.splice(wanted))
      row.element.remove();
    for (const row of this.#rows)
      row.index = -1;
    this.#body.style.height = `${this.#entries.length * this.#height}px`;
    this.#move();
  }

  #makeRow(slot) {
    const element = make("div", "row", "", this.#body);
    element.setAttribute("role", "row");
    element.id = `row-${slot}`;
    element.hidden = true;
    const cells = this.#columns.map(({ id, label }) => {
      const cell = make("div", `cell ${id}`, "", element);
      cell.setAttribute("role", "gridcell");
      cell.dataset.column = id;
      cell.dataset.name = label;
      return cell;
    });
    return { element, cells, shown: [], entry: null, index: -1 };
  }

  #move() {
    this.#isMoved = true;
    this.on.paint();
  }

  /* --- what is shown -------------------------------------------------------------------- */

  /** Shows these entries, in this order. */
  arrange(entries) {
    if (entries.length !== this.#entries.length)
      this.#body.style.height = `${entries.length * this.#height}px`;
    this.#entries = entries;
    this.#root.setAttribute("aria-rowcount", entries.length + 1);
    this.#isMoved = true;
  }

  sorted(column, way) {
    for (const head of this.#root.querySelectorAll("[role=columnheader]"))
      if (head.dataset.column === column)
        head.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
      else
        head.removeAttribute("aria-sort");
  }

  /** `changed`: the entries that have changed, or null: any entry may have. */
  paint(changed) {
    if (this.#isMoved)
      this.#place();
    for (const row of this.#rows)
      if (row.entry && (this.#isMoved || !changed || changed.has(row.entry)))
        this.#show(row);
    this.#isMoved = false;
  }

  #place() {
    const count = this.#rows.length;
    const first = Math.max(0, Math.floor(this.#root.scrollTop / this.#height) - MARGIN);
    let active = "";
    for (let index = first; index < first + count; index++) {
      const row = this.#rows[index % count], entry = this.#entries[index] ?? null;
      if (row.index !== index) {
        row.index = index;
        row.element.style.transform = `translateY(${index * this.#height}px)`;
        row.element.setAttribute("aria-rowindex", index + 2);
        row.element.classList.toggle("odd", index % 2 === 1);
      }
      if (row.entry !== entry) {
        row.entry = entry;
        row.element.hidden = !entry;
        row.element.dataset.symbol = entry?.symbol ?? "";
        row.shown.length = 0; // another symbol: do not show its value as a change
      }
      const isSelected = entry !== null && entry === this.#selected;
      row.element.setAttribute("aria-selected", isSelected);
      if (isSelected)
        active = row.element.id;
    }
    if (active)
      this.#root.setAttribute("aria-activedescendant", active);
    else
      this.#root.removeAttribute("aria-activedescendant");
  }

  #show(row) {
    const { entry, shown, cells } = row;
    row.element.dataset.state = entry.state;
    for (const [i, { text, look, hint, fill, flashes }] of this.#columns.entries()) {
      const now = text(entry), before = shown[i];
      if (now === before)
        continue;
      shown[i] = now;
      cells[i].textContent = now;
      cells[i].classList.toggle("long", now.length > 9);
      fill?.(cells[i], entry);
      if (look)
        cells[i].dataset.look = look(entry);
      if (hint)
        cells[i].title = hint(entry);
      if (flashes && before)
        flash(cells[i], before, now);
    }
  }

  /* --- mouse and keyboard -------------------------------------------------------------- */

  get selected() {
    return this.#selected;
  }

  select(entry) {
    this.#selected = entry;
    this.#move();
  }

  #click(event) {
    const element = event.target.closest(".row");
    const row = this.#rows.find((r) => r.element === element);
    if (row?.entry)
      this.#open(row.entry);
  }

  #open(entry) {
    this.select(entry);
    this.on.open(entry);
  }

  #press(event) {
    const page = Math.max(1, Math.floor(this.#root.clientHeight / this.#height) - 2);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.altKey || event.ctrlKey || event.metaKey || !this.#entries.length)
      return;
    if (event.key in steps)
      this.#step(steps[event.key]);
    else if ((event.key === "Enter" || event.key === " ") && this.#selected && event.target === this.#root)
      this.#open(this.#selected);
    else
      return;
    event.preventDefault();
  }

  #step(by) {
    const from = this.#entries.indexOf(this.#selected);
    const to = from < 0 ? 0 : Math.min(this.#entries.length - 1, Math.max(0, from + by));
    this.select(this.#entries[to]);
    this.reveal(to);
  }

  /** Scrolls until the row of this index is visible. */
  reveal(index) {
    const top = index * this.#height, heads = this.#body.offsetTop;
    const bottom = top + this.#height - (this.#root.clientHeight - heads);
    if (top < this.#root.scrollTop)
      this.#root.scrollTop = top;
    else if (bottom > this.#root.scrollTop)
      this.#root.scrollTop = bottom;
  }
}

/* The number decides only the colour; the cell shows the text. */
function flash(cell, before, now) {
  if (calm.matches)
    return;
  const tint = Number(now) >= Number(before) ? "--flash-up" : "--flash-down";
  cell.animate([{ backgroundColor: `var(${tint})` }, { backgroundColor: "transparent" }], FLASH_MS);
}
