#!/usr/bin/python3
"""Draw docs/board.svg and docs/board.es.svg: the board as Chromium shows it, with recorded quotes.

    make build && tests/web/picture.py     # needs what make test-web needs

Each text of the page becomes a text of the picture, at the place where the browser has it, in the
page's own colours for light and dark.
"""

import os
import sys
from html import escape

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(os.path.dirname(HERE), "system"))
os.environ.setdefault("PREGON_BIN", os.path.join(HERE, "..", "..", "build", "release", "bin"))

import pregon
from browser import Browser

WIDTH, HEIGHT = 1240, 376
COLOURS = ("ink", "soft", "good", "bad", "warn", "card", "paper", "line")

PARTS = """
const style = getComputedStyle(document.documentElement), names = {};
const probe = document.body.appendChild(document.createElement("i"));
for (const name of arguments[0]) {
  probe.style.color = `var(--${name})`;
  names[getComputedStyle(probe).color] = name;
}
probe.remove();
const box = (it) => it.getBoundingClientRect(), at = (it) => document.querySelector(it);
const all = (it) => [...document.querySelectorAll(it)];
const texts = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node; (node = walker.nextNode());) {
  const range = document.createRange(), parent = node.parentElement, of = getComputedStyle(parent);
  range.selectNodeContents(node);
  const { x, y, width, height, bottom } = box(range);
  if (!node.data.trim() || !width || bottom > arguments[1] || of.visibility === "hidden")
    continue;
  // what the style sheet adds
  const after = parent.closest("[aria-sort]") ? " ↑" : parent.localName === "summary" ? " ▾" : "";
  const isRight = parent.closest(".cell") && of.textAlign === "right";
  texts.push([node.data.trim() + after, x, x + width, y + height / 2, parseFloat(of.fontSize),
    of.fontWeight >= 600, names[of.color] ?? "soft", isRight]);
}
const boxes = ["#search", "#options summary", ".pill", "#recorded", "#quotes"].map((it) => {
  const { x, y, width, height } = box(at(it));
  return [x, y, width, height, { "#quotes": 8, ".pill": 13, "#recorded": 10 }[it] ?? 6];
});
const search = box(at("#search"));
texts.push([at("#search").placeholder, search.x + 11, 0, search.y + search.height / 2, 15, false,
  "soft", false]);
const lines = all("#rows .row:not([hidden])").map((row) => box(row).bottom);
const dots = all("#rows .row:not([hidden]) .cell.state, .pill").map((it) => {
  const { x, y, height } = box(it), isPill = it.className === "pill";
  const isGood = isPill || it.closest(".row").dataset.state === "live";
  return [x + (isPill ? 16 : 15), y + height / 2, isPill ? 4 : 3.2, isGood ? "good" : "warn"];
});
const trends = all("#rows .row:not([hidden]) .trend svg").map((svg) => {
  const { x, y, width, height } = box(svg);
  return [x, y, width / 72, height / 18, svg.firstChild.getAttribute("d") ?? ""];
});
const colours = Object.fromEntries(arguments[0].map((name) =>
  [name, style.getPropertyValue("--" + name).trim()]));
return { texts, boxes, lines, dots, trends, colours, head: box(at("body > header")).bottom,
  heads: box(at("#heads")).bottom };
"""


def draw(parts, colours, label):
    """The picture as SVG text; colours: (light, dark)."""
    light, dark = (
        " ".join(f".{name} {{ fill: {value}; }}" for name, value in c.items())
        + f" .box {{ fill: {c['card']}; stroke: {c['line']}; }} .rule {{ stroke: {c['line']}; }}"
        f" .trend {{ fill: none; stroke: {c['soft']}; }}" for c in colours)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}"'
        f' height="{HEIGHT}" role="img" aria-label="{escape(label)}">',
        "<style>text { font-family: system-ui, sans-serif; font-variant-numeric: tabular-nums;"
        f" dominant-baseline: central; }} {light}",
        f"@media (prefers-color-scheme: dark) {{ {dark} }}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}" rx="6"/>',
        f'<rect class="card" width="{WIDTH}" height="{parts["head"]:.0f}" rx="6"/>',
        f'<path class="rule" d="M0 {parts["head"]:.1f}H{WIDTH}"/>',
    ]
    for x, y, width, height, round_ in parts["boxes"]:
        out.append(f'<rect class="box" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}"'
                   f' height="{height:.1f}" rx="{round_:.0f}"/>')
    table = parts["boxes"][-1]
    for y in [parts["heads"], *parts["lines"]]:
        if y < HEIGHT:
            out.append(f'<path class="rule" d="M{table[0]:.1f} {y:.1f}h{table[2]:.1f}"/>')
    for x, y, size, colour in parts["dots"]:
        if y < HEIGHT:
            out.append(f'<circle class="{colour}" cx="{x:.1f}" cy="{y:.1f}" r="{size}"/>')
    for x, y, wide, high, path in parts["trends"]:
        if path and y < HEIGHT:
            out.append(f'<path class="trend" transform="translate({x:.1f} {y:.1f}) '
                       f'scale({wide:.3f} {high:.3f})" vector-effect="non-scaling-stroke"'
                       f' d="{path}"/>')
    for text, left, right, middle, size, is_bold, colour, is_right in parts["texts"]:
        x, anchor = (right, ' text-anchor="end"') if is_right else (left, "")
        weight = ' font-weight="600"' if is_bold else ""
        out.append(f'<text class="{colour}" x="{x:.1f}" y="{middle:.1f}" font-size="{size:.4g}"'
                   f"{weight}{anchor}>{escape(text)}</text>")
    return "\n".join(out) + "\n</svg>\n"


def main():
    system = pregon.System()
    browser = Browser()
    try:
        broker, gateway = system.start()
        tables = [f"csv:{os.path.join(pregon.DATA, name)}"
                  for name in ("usdthb.csv", "usdchf.csv", "EuStockMarkets.csv", "sp500_daily.csv")]
        for table, speed in zip(tables, (60, 1800, 86400, 86400), strict=True):
            system.feeder(broker, table, feed=os.path.basename(table), loop=1, speed=speed)
        for name, variant, label in (
            ("board.svg", "en-light", "The quote board: seven symbols with prices and changes"),
            ("board.es.svg", "es-dark", "El tablero: siete símbolos con precios y cambios"),
        ):
            page = browser.open(gateway.url + "/", variant)
            page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
                "width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False})
            page.wait_until("[...document.querySelectorAll('.trend path')].some((path) => "
                            "path.getAttribute('d').length > 160)", patience=60)
            parts = page.run(PARTS, COLOURS, HEIGHT)
            colours = []
            for colour in ("light", "dark"):
                page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
                    "features": [{"name": "prefers-color-scheme", "value": colour}]})
                colours.append(page.run(PARTS, COLOURS, HEIGHT)["colours"])
            with open(os.path.join(pregon.ROOT, "docs", name), "w", encoding="utf-8") as f:
                f.write(draw(parts, colours, label))
    finally:
        browser.clear()
        browser.close()
        system.end()


if __name__ == "__main__":
    main()
