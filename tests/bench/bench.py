"""Pregón next to a minimal broadcaster and next to other servers: make bench.

Every row starts its servers anew, pinned to one core, with the load (clients, source of quotes,
feeder) on another. Servers take turns, and the result is the median. docs/benchmarks.md explains
the table.
"""

import argparse
import datetime
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time

import charts
import peers
import servers
import works

PAGE = os.path.join(servers.ROOT, "docs", "benchmarks.md")
BEGIN, END = "<!-- make bench-docs writes what follows -->\n", "<!-- until here -->\n"


class Bench:
    def __init__(self, args):
        self.is_quick = args.quick
        self.max_runs = args.runs or (1 if args.quick else 5)
        self.seconds = args.seconds or (0.5 if args.quick else 1.5)
        self.servers = args.servers.split(",") if args.servers else list(servers.SERVERS)
        self.budget = args.minutes * 60
        self.give_up_at = time.monotonic() + self.budget + 20
        self.broken = set()
        self.first_only, self.first_only_s = set(), 0
        self.has_failed = False
        self.figures = {}  # (work, measure, unit): {server: [value]}
        self.notes = []
        self.records = []

    def rounds(self, work):
        """Run numbers: as many as fit into the row's time, at least one."""
        began = time.monotonic()
        self.first_only, self.first_only_s = set(), 0
        for number in range(self.max_runs):
            yield number
            took = time.monotonic() - began
            if (
                took + (took - self.first_only_s) / (number + 1)
                > works.WORKS[work][1] * self.budget
            ):
                break

    def names(self, *wanted):
        for name in wanted:
            if (
                name in self.servers
                and name not in self.broken
                and not servers.SERVERS[name].missing
            ):
                yield name

    def first(self, number, names):
        """Servers that are measured in the first round only."""
        self.first_only = set(names)
        return names if number == 0 else ()

    def guard(self, work, name, measure):
        """If a server fails, only its own figures are missing."""
        if time.monotonic() > self.give_up_at:
            self.note(
                f"{work} and what follows: the time was over (--minutes {self.budget / 60:g}), "
                f"figures are missing"
            )
            return
        try:
            measure()
        except (
            RuntimeError,
            OSError,
            ValueError,
            ArithmeticError,
            AssertionError,
            subprocess.SubprocessError,
        ) as e:
            self.note(f"{work} {name} failed, and is left out from here on: {e!r}")
            self.has_failed |= name == "pregon"
            if name != "pregon":
                self.broken.add(name)

    def attempt(self, work, name, measure, **how):
        """measure(server, load, name), with a fresh server."""
        began = time.monotonic()

        def one():
            with servers.start(name, **how) as (server, load):
                measure(server, load, name)
        self.guard(work, name, one)
        if name in self.first_only:
            self.first_only_s += time.monotonic() - began

    def record(self, work, measure, unit, server, value, details=None):
        self.figures.setdefault((work, measure, unit), {}).setdefault(server, []).append(value)
        self.records.append({"work": work, "measure": measure, "unit": unit, "server": server,
                             "value": value, "details": details})
        print(f"  {work} {server:9} {measure}: {shown(value)} {unit}", flush=True)

    def note(self, text):
        if text not in self.notes:
            self.notes.append(text)
            print(f"  ! {text}", flush=True)


def shown(value):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def ratio(values, beside):
    """Of runs that took turns the median of the pairs' ratios: what else the machine did falls on
    both."""
    if len(values) == len(beside):
        return statistics.median(v / b if b else float("inf") for v, b in zip(values, beside))
    return statistics.median(values) / statistics.median(beside)


def judge(work, measure, by_server):
    """(goal, result, whether the goal is met), or None if there is no goal."""
    for (w, begins), (beside, how, limit) in works.GOALS.items():
        if w == work and measure.startswith(begins) and "pregon" in by_server:
            value = statistics.median(by_server["pregon"])
            if beside:
                if beside not in by_server:
                    return None
                value = ratio(by_server["pregon"], by_server[beside])
            met = value <= limit if how == "<=" else value >= limit
            sign = "≤" if how == "<=" else "≥"
            return f"{sign} {limit:g}" + (f" × {beside}" if beside else ""), shown(value), met
    return None


def growth(figures):
    """W8's goal is within one kind of growth: the dearest beside the cheapest, of each server."""
    rows = {}
    for (work, measure, _), by_server in figures.items():
        if work == "W8":
            kind = (
                "gateways"
                if "gateways" in measure
                else "symbols" if "symbols" in measure else "clients"
            )
            for name, values in by_server.items():
                rows.setdefault(kind, {}).setdefault(name, []).append(statistics.median(values))
    for kind, by_server in rows.items():
        yield kind, {name: max(values) / min(values) for name, values in by_server.items()}


def table(figures):
    """Lines of markdown."""
    order = [n for n in servers.SERVERS if any(n in f for f in figures.values())]
    yield "| | | " + " | ".join(order) + " | asked | is | |"
    yield "|---|---|" + "---:|" * len(order) + "---|---:|---|"
    for (work, measure, unit), by_server in sorted(figures.items(), key=lambda f: f[0][0]):
        cells = []
        for name in order:
            values = by_server.get(name)
            spread = ""
            if values and len(values) > 1:
                spread = f" ({shown(min(values))}–{shown(max(values))})"
            cells.append(shown(statistics.median(values)) + spread if values else "")
        goal = judge(work, measure, by_server)
        tail = [goal[0], goal[1], "" if goal[2] else "missed"] if goal else ["", "", ""]
        yield f"| {work} | {measure}, {unit} | " + " | ".join(cells + tail) + " |"
    for kind, times in growth(figures):
        cells = [shown(times[name]) if name in times else "" for name in order]
        if "pregon" in times:
            cells += ["≤ 1.3", shown(times["pregon"]), "" if times["pregon"] <= 1.3 else "missed"]
        yield f"| W8 | growth of {kind}: dearest beside cheapest, times | " + " | ".join(
            cells
        ) + " |"


def git(*words):
    if not shutil.which("git"):
        return "?"
    return subprocess.run(["git", "-C", servers.ROOT, *words], capture_output=True, text=True,
                          check=False).stdout.strip()


def machine():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
        model = next(
            (line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), "?"
        )
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}"


def counted():
    """The figures of make bench-instructions, as lines of markdown."""
    with open(os.path.join(servers.HERE, "instructions.json"), encoding="utf-8") as f:
        recorded = json.load(f)
    yield "Counted by `make bench-instructions` with " + ", ".join(
        f"{key} {value}" if key not in ("compiler", "machine", "flags") else value
        for key, value in recorded["made with"].items()) + ":"
    yield ""
    yield "| | instructions | system calls |"
    yield "|---|---:|---:|"
    for name, one in recorded["figures"].items():
        yield f"| {name} | {one['instructions']:,} | {one.get('system calls', '')} |"


def write_page(lines):
    with open(PAGE, encoding="utf-8") as f:
        before, rest = f.read().split(BEGIN)
    after = rest.split(END)[1]
    with open(PAGE, "w", encoding="utf-8") as f:
        f.write(before + BEGIN + "\n" + "\n".join(lines) + "\n\n" + END + after)


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    p.add_argument(
        "--quick", action="store_true", help="one short run of each: does it work, not how fast"
    )
    p.add_argument(
        "--minutes",
        type=float,
        default=9,
        help="to take, more or less: runs are repeated while there is time (%(default)s)",
    )
    p.add_argument(
        "--runs", type=int, default=0, help="at most, of each server and work (5; quick: 1)"
    )
    p.add_argument("--seconds", type=float, default=0, help="of each measurement (1.5; quick: 0.5)")
    p.add_argument("--works", default=",".join(works.WORKS), help="some of: %(default)s")
    p.add_argument("--servers", default="", help="some of: " + ",".join(servers.SERVERS))
    p.add_argument("--json", default="", metavar="FILE", help="append figures as JSON lines")
    p.add_argument(
        "--docs", action="store_true", help="put the tables and charts into docs/benchmarks.md"
    )
    args = p.parse_args()
    for what, known in (("works", works.WORKS), ("servers", servers.SERVERS)):
        unknown = [name for name in getattr(args, what).split(",") if name and name not in known]
        if unknown:
            p.error(f"--{what}: there is no {', '.join(unknown)}")
    return args


def run(b, wanted):
    for work in wanted:
        function = works.WORKS[work][0]
        print(f"{work}: {function.__doc__.splitlines()[0]}", flush=True)
        at = time.monotonic()
        function(b)
        print(f"  ({time.monotonic() - at:.0f} s)", flush=True)


def main():
    args = arguments()
    peers.look()
    servers.keep_off_the_servers()
    b = Bench(args)
    began, load_before = time.time(), os.getloadavg()[0]
    missing = {n: s.missing for n, s in servers.SERVERS.items() if s.missing and n in b.servers}
    for name, packages in missing.items():
        b.note(
            f"{name} is left out: not installed (apt-get install {packages}; all: "
            f"tools/install-deps bench)"
        )
    run(b, args.works.split(","))
    about = {
        "commit": git("describe", "--always", "--dirty"),
        "machine": machine(),
        "options": " ".join(sys.argv[1:]),
        "began": round(began),
        "seconds": round(time.time() - began),
        "load_before": load_before,
    }
    when = datetime.datetime.fromtimestamp(began, datetime.timezone.utc).strftime(
        "%Y-%m-%d %H:%M UTC"
    )
    lines = [
        f"`bench.py {about['options']}`, commit {about['commit']}, {when}, {about['seconds']} s; "
        f"{about['machine']}, "
        f"load average {load_before:.1f} when it began. Medians, of more than one run with "
        f"(lowest–highest).",
        "",
        *table(b.figures),
        *([""] if b.notes else []),
        *(f"- {n}" for n in b.notes),
    ]
    print("\n" + "\n".join(lines))
    if args.json:
        os.makedirs(os.path.dirname(os.path.abspath(args.json)), exist_ok=True)
        with open(args.json, "a", encoding="utf-8") as f:
            for record in b.records:
                f.write(json.dumps({**about, **record}) + "\n")
    if args.docs:
        write_page([*lines, "", *counted()])
        charts.draw(b.records)
    return b.has_failed


if __name__ == "__main__":
    sys.exit(main())
