"""The figures of a run as SVG, docs/bench-*.svg: make bench-docs, or this with a file of JSON
lines.

    tests/bench/charts.py build/bench.jsonl      # its last run

Light and dark by the reader's setting, text as text, no script.  A bar ends at the median, the thin
line on it goes from the lowest run to the highest.
"""

import html
import json
import math
import os
import statistics
import sys

DOCS = os.path.join(
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "docs"
)
OURS = "pregon"
ORDER = ("pregon", "floor B", "floor A", "hops", "nchan", "nats", "mosquitto", "node ws", "uvicorn")
WIDTH, LEFT, RIGHT, ROW, TOP = 720, 92, 84, 24, 54

STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-size: 16px; font-weight: 600; }
.small { font-size: 12px; fill: #59636e; }
.bar { fill: #a8b3bf; } .ours { fill: #0969da; }
.range, .axis { stroke: #59636e; stroke-width: 1; fill: none; } .axis { opacity: .35; }
.line { stroke: #a8b3bf; stroke-width: 2; fill: none; }
.line.ours, .range.ours { stroke: #0969da; fill: none; }
.dot { fill: #a8b3bf; } .dot.ours { fill: #0969da; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; } .small { fill: #9198a1; }
  .bar, .dot { fill: #57606a; } .ours, .dot.ours { fill: #4493f8; }
  .range, .axis { stroke: #9198a1; } .line { stroke: #6e7681; }
  .line.ours, .range.ours { stroke: #4493f8; fill: none; }
}
"""


def shown(value):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def text(x, y, words, css="", anchor="start"):
    place = f'x="{x:.1f}" y="{y:.1f}" class="{css}" text-anchor="{anchor}"'
    return f"<text {place}>{html.escape(words)}</text>"


def write(name, title, note, height, parts):
    path = os.path.join(DOCS, f"bench-{name}.svg")
    with open(path, "w", encoding="utf-8") as f:
        f.write(
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" '
            f'height="{height}" role="img" '
            f'aria-label="{html.escape(title)}">\n<style>{STYLE}</style>\n'
            + "\n".join([text(0, 18, title, "title"), text(0, 37, note, "small"), *parts])
            + "\n</svg>\n"
        )
    return path


def css(server, *more):
    return " ".join([*more, *(["ours"] if server == OURS else [])])


def bars(name, title, note, panels):
    """panels: (heading, {server: values}, unit)."""
    parts, y = [], TOP
    for heading, by_server, unit in panels:
        rows = [(n, by_server[n]) for n in ORDER if by_server.get(n)]
        if not rows:
            continue
        most = max(max(values) for _, values in rows)
        if heading:
            parts.append(text(0, y + 8, heading))
            y += 18
        for server, values in rows:
            scale = (WIDTH - LEFT - RIGHT) / most
            middle, end = statistics.median(values), LEFT + max(values) * scale
            parts.append(text(LEFT - 8, y + 16, server, "", "end"))
            parts.append(
                f'<rect x="{LEFT}" y="{y + 3}" width="{max(middle * scale, 1):.1f}" '
                f'height="{ROW - 8}" '
                f'class="{css(server, "bar")}"/>'
            )
            if len(values) > 1:
                parts.append(
                    f'<path d="M{LEFT + min(values) * scale:.1f} {y + 11}H{end:.1f}" '
                    f'class="range"/>'
                )
            parts.append(text(end + 6, y + 16, f"{shown(middle)} {unit}", "small"))
            y += ROW
        y += 14
    return write(name, title, note, y, parts) if parts else None


def spans(name, title, note, panels):
    """From the p50 to the p99, on a logarithmic scale.  panels: (heading, {server: p50s}, {server:
    p99s}), ms."""
    values = [
        v
        for _, *both in panels
        for by_server in both
        for vs in by_server.values()
        for v in vs
        if v > 0
    ]
    if not values:
        return None
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))

    def at(value):
        return LEFT + (math.log10(max(value, 10**low)) - low) / max(high - low, 1) * (
            WIDTH - LEFT - RIGHT
        )

    parts, y = [], TOP
    for heading, p50s, p99s in panels:
        rows = [n for n in ORDER if p50s.get(n) and p99s.get(n)]
        parts.append(text(0, y + 8, heading))
        y += 18
        for power in range(low, high + 1):
            parts.append(
                f'<path d="M{at(10 ** power):.1f} {y}V{y + ROW * len(rows)}" class="axis"/>'
            )
        for server in rows:
            p50, p99 = statistics.median(p50s[server]), statistics.median(p99s[server])
            parts.append(text(LEFT - 8, y + 16, server, "", "end"))
            parts.append(
                f'<path d="M{at(p50):.1f} {y + 12}H{at(p99):.1f}" stroke-width="3" '
                f'class="{css(server, "line")}"/>'
            )
            parts += [
                f'<circle cx="{at(p):.1f}" cy="{y + 12}" r="5" class="{css(server, "dot")}"/>'
                for p in (p50, p99)
            ]
            parts.append(text(at(p99) + 9, y + 16, f"{shown(p50)} · {shown(p99)}", "small"))
            y += ROW
        for power in range(low, high + 1):
            parts.append(text(at(10 ** power), y + 14, f"{10.0 ** power:,g} ms", "small", "middle"))
        y += 36
    return write(name, title, note, y, parts)


def growth(name, title, note, lines, unit):
    """lines: {server: [(x, values)]}, x on a logarithmic scale."""
    lines = {server: sorted(points) for server, points in lines.items() if len(points) > 1}
    if not lines:
        return None
    xs = sorted({x for points in lines.values() for x, _ in points})
    most = max(max(values) for points in lines.values() for _, values in points) * 1.1
    height, bottom = 280, 246

    def x_of(x):
        return 40 + math.log(x / xs[0]) / math.log(xs[-1] / xs[0]) * (WIDTH - 40 - RIGHT - 30)

    def y_of(value):
        return bottom - value / most * (bottom - TOP)

    parts = [f'<path d="M40 {bottom}H{x_of(xs[-1]):.1f}" class="axis"/>']
    step = 10 ** math.floor(math.log10(most / 2))
    step *= 2 if most / step > 5 else 1
    for i in range(int(most / step) + 1):
        parts.append(f'<path d="M40 {y_of(i * step):.1f}H{x_of(xs[-1]):.1f}" class="axis"/>')
        parts.append(text(34, y_of(i * step) + 4, f"{i * step:g}", "small", "end"))
    parts += [text(x_of(x), bottom + 18, f"{x:,}", "small", "middle") for x in xs]
    for server, points in lines.items():
        middles = [(x_of(x), y_of(statistics.median(values))) for x, values in points]
        way = " ".join(f"{'L' if i else 'M'}{x:.1f} {y:.1f}" for i, (x, y) in enumerate(middles))
        parts.append(f'<path d="{way}" class="{css(server, "line")}"/>')
        parts += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" class="{css(server, "dot")}"/>'
            for x, y in middles
        ]
        parts.append(
            text(
                middles[-1][0] + 10,
                middles[-1][1] + (-4 if server == OURS else 14),
                server,
                "small",
            )
        )
    return write(name, title, f"{note}, {unit}", height, parts)


def draw(records):
    """Everything there are figures for; the names of the files."""
    figures = {}
    for r in records:
        figures.setdefault((r["work"], r["measure"]), {}).setdefault(r["server"], []).append(
            r["value"]
        )

    def of(work, measure):
        return figures.get((work, measure), {})

    clients = {}
    for (work, measure), by_server in figures.items():
        if work == "W8" and measure.endswith(" clients") and "symbols" not in measure:
            count = int(measure.split()[-2].replace(",", ""))
            for server, values in by_server.items():
                clients.setdefault(server, []).append((count, values))
    return [
        path
        for path in (
            bars(
                "cost",
                "What a delivery costs",
                "Processor time of all server processes; one symbol, 1,000 clients, 120 bytes "
                "(W1). Shorter is better.",
                [
                    (f"{rate} quotes a second", of("W1", f"processor per delivery, {rate}/s"), "µs")
                    for rate in (10, 50)
                ],
            ),
            bars(
                "most",
                "The most deliveries",
                "A second, on one core, nothing left out, p99 below a second (W1). Longer is "
                "better.",
                [("", of("W1", "most deliveries without loss, p99 < 1 s"), "/s")],
            ),
            spans(
                "latency",
                "From feeder to client",
                "p50 and p99, logarithmic; 200 symbols, 1,000 clients with ten of them (W2). "
                "Further left is better.",
                [
                    (
                        f"{rate} quotes a second",
                        of("W2", f"p50, {rate}/s"),
                        of("W2", f"p99, {rate}/s"),
                    )
                    for rate in (500, 2000)
                ],
            ),
            bars(
                "memory",
                "Memory of an idle client",
                "The whole process over 5,000 clients (W3). Shorter is better.",
                [("", of("W3", "gateway's memory per client, whole process, 5,000"), "KB")],
            ),
            growth(
                "growth",
                "A delivery among ever more clients",
                "Processor time per delivery, 20,000 deliveries a second to so many clients (W8)",
                clients,
                "µs",
            ),
        )
        if path
    ]


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        records = [json.loads(line) for line in f]
    last = max(r["began"] for r in records)
    for path in draw([r for r in records if r["began"] == last]):
        print(path)


if __name__ == "__main__":
    main()
