/*
 * board-grid.js: the table of thousands of symbols, with row elements only for the visible ones.
 *
 * Rows have the height --row and are reused when the table scrolls.  A cell is changed only when its
 * text changes.  Only paint() changes the page; the caller calls it once per frame.
 * No text is cut off: a column is as wide as its longest text so far, and the table scrolls sideways if it must.
 */
import { make } from "./page.js";

const MARGIN = 4; // rows above and below the visible ones
const FLASH_MS = 700;

const calm = matchMedia("(prefers-reduced-motion: reduce)");
const narrow = matchMedia("(max-width: 40rem)");

/* A phone has two lines a row, with these columns; board.css places them. */
const ON_PHONES = ["symbol", "last", "percent", "bid", "ask", "age", "state"];

export class Grid {
  #root;
  #body;
  #ruler;
  #columns;
  #entries = [];
  #rows = []; // row elements, by entry index modulo their number
  #height = 0; // pixels per row
  #selected = null; // an entry
  #isMoved = true; // the rows must be placed again
  #isSized = true; // the columns fit their texts
  #widths = []; // characters of the longest text so far, by column
  #wides = []; // how much wider a column's characters are than digits
  #shown = new Set(); // ids of the columns that are shown
  #chosen = null; // ids of the columns that the reader has chosen, or null: those that fit
  isBusy = false; // so many prices change that flashing would only flicker

  /**
   * `columns`: {id, label, title, text(entry), key?(entry), look?(entry), hint?(entry), fill?(cell, entry),
   * direction?(before, now), isDrawing?, rank, least?, wide?,
   * short?}. `key`: changes when the cell must be filled again, if the text does not say
   * it. `rank`: 0: always shown; columns of the highest rank are the first to be left out. `least`: characters.
   * `on`: {paint(), open(entry), sort(column), star(entry), press(event, entry): whether it was taken}.
   */
  constructor(root, columns, on) {
    this.#root = root;
    this.#body = root.querySelector("#rows");
    this.#columns = columns;
    this.#widths = columns.map(({ id, label, least = 0 }) =>
      (id === "star" ? least : Math.max(least, Math.ceil(label.length * 0.9 + 1))));
    this.#wides = columns.map(({ wide = 1 }) => wide);
    this.on = on;
    this.#makeHeads(root.querySelector("#heads"));
    this.#ruler = make("span", "ruler", "0".repeat(40), root.querySelector("#heads"));
    this.#ruler.ariaHidden = "true";
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
      if (id === "star") {
        const head = make("div", "cell star", "☆", row);
        head.dataset.column = id;
        head.setAttribute("role", "columnheader");
        head.setAttribute("aria-label", label);
        continue;
      }
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
    this.#isSized = false;
    this.#move();
  }

  /** Measures again: the density has changed. */
  measure() {
    this.#measure();
  }

  /** Shows these columns (ids), or with null those that fit. */
  choose(ids) {
    this.#chosen = ids;
    this.#isSized = false;
    this.#move();
  }

  /* Which columns are shown, and how wide. */
  #size() {
    const gap = parseFloat(getComputedStyle(this.#root).getPropertyValue("--gap")) * 16;
    const digit = this.#ruler.getBoundingClientRect().width / this.#ruler.textContent.length;
    const widths = this.#widths.map((length, i) => length * digit * this.#wides[i] + 2 * gap);
    const all = this.#columns.map(({ id, rank }, i) => ({ id, i, rank }));
    const isNarrow = narrow.matches;
    let shown = all.filter(({ id, rank }) =>
      (isNarrow ? ON_PHONES.includes(id) : true) && (!rank || !this.#chosen || this.#chosen.includes(id)));
    const total = () => shown.reduce((sum, { i }) => sum + widths[i], 0);
    while (!isNarrow && !this.#chosen && total() > this.#root.clientWidth && shown.some(({ rank }) => rank)) {
      const most = Math.max(...shown.map(({ rank }) => rank));
      shown = shown.filter(({ rank }) => rank !== most);
    }
    this.#isSized = true;
    this.#shown = new Set(shown.map(({ id }) => id));
    for (const cell of this.#root.querySelectorAll(".cell"))
      cell.classList.toggle("away", !this.#shown.has(cell.dataset.column));
    for (const { id, i } of all)
      this.#root.style.setProperty(`--w-${id}`, `${widths[i].toFixed(1)}px`);
    this.#root.style.setProperty("--columns", shown.map(({ id, i }) =>
      (id === "star" ? `var(--w-${id})` : `minmax(var(--w-${id}), ${this.#widths[i]}fr)`)).join(" "));
    this.#root.style.setProperty("--whole", isNarrow ? "auto" : `${total().toFixed(1)}px`);
    for (const row of this.#rows)
      row.shown.length = 0; // columns that were away are out of date
    this.#isMoved = true;
  }

  /** Widens columns whose texts turn out to be wider than expected; reads the layout, so not for each frame. */
  fit() {
    for (const { cells, entry } of this.#rows)
      for (const [i, cell] of entry ? cells.entries() : []) {
        const { scrollWidth, clientWidth } = cell;
        if (scrollWidth <= clientWidth || !clientWidth || cell.classList.contains("state"))
          continue;
        this.#wides[i] *= 1.02 * scrollWidth / clientWidth;
        this.#isSized = false;
      }
    if (!this.#isSized)
      this.#move();
  }

  get shownColumns() {
    return this.#shown;
  }

  #makeRow(slot) {
    const element = make("div", "row", "", this.#body);
    element.setAttribute("role", "row");
    element.id = `row-${slot}`;
    element.hidden = true;
    const cells = this.#columns.map(({ id, short }) => {
      const cell = make("div", `cell ${id}`, "", element);
      cell.setAttribute("role", "gridcell");
      cell.dataset.column = id;
      cell.dataset.name = short ?? "";
      cell.classList.toggle("away", !this.#shown.has(id));
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
    if (!this.#isSized)
      this.#size();
    if (this.#isMoved)
      this.#place();
    for (const row of this.#rows)
      if (row.entry && (this.#isMoved || !changed || changed.has(row.entry)))
        this.#show(row);
    this.#isMoved = false;
    if (!this.#isSized) // a text is longer than its column
      this.on.paint();
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
    row.element.classList.toggle("starred", entry.place > 0);
    for (const [i, { id, text, key, look, hint, fill, direction, isDrawing }] of this.#columns.entries()) {
      if (!this.#shown.has(id))
        continue;
      const now = (key ?? text)(entry), before = shown[i];
      if (now === before)
        continue;
      const words = text(entry);
      shown[i] = now;
      if (!isDrawing)
        cells[i].textContent = words;
      if (words.length > this.#widths[i]) {
        this.#widths[i] = words.length;
        this.#isSized = false;
      }
      fill?.(cells[i], entry);
      if (look)
        cells[i].dataset.look = look(entry);
      if (hint)
        cells[i].title = hint(entry);
      if (direction)
        this.#flash(cells[i], before === undefined ? 0 : direction(before, now));
    }
  }

  /* A change flashes; with many changes, or for readers who want less motion, the text has the colour instead. */
  #flash(cell, way) {
    const isCalm = this.isBusy || calm.matches;
    if (way && isCalm)
      cell.dataset.move = way;
    else if (cell.dataset.move)
      delete cell.dataset.move;
    if (way && !isCalm)
      cell.animate([{ backgroundColor: `var(${way > 0 ? "--flash-up" : "--flash-down"})` },
        { backgroundColor: "transparent" }], FLASH_MS);
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
    if (row?.entry && event.target.closest(".star"))
      this.on.star(row.entry);
    else if (row?.entry)
      this.#open(row.entry);
  }

  #open(entry) {
    this.select(entry);
    this.on.open(entry);
  }

  #press(event) {
    const page = Math.max(1, Math.floor(this.#root.clientHeight / this.#height) - 2);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (!this.#entries.length)
      return;
    if (this.on.press?.(event, this.#selected))
      return event.preventDefault();
    if (event.altKey || event.ctrlKey || event.metaKey)
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
