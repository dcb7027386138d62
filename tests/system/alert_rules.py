"""monitoring/: its rules and panels, and promtool, which evaluates them over real scrapes.

    recording = Recording(system)
    recording.healthy(gateway)                 # a scrape, taken as the state of 15 minutes
    broker.kill()
    recording.scrape(("pregon_broker_up", 0))  # a scrape as soon as this sample is 0
    recording.firing()                         # {"PregonBrokerDown"}

Prometheus itself would need minutes.  promtool gets the scraped values as series with a sample
every 15 s instead, so that no test waits for a time to pass.
"""

import json
import os
import re
import shutil
import subprocess

import pytest
import yaml

import metrics
import pregon

RULES = os.path.join(pregon.ROOT, "monitoring", "alerts.yml")
DASHBOARD = os.path.join(pregon.ROOT, "monitoring", "dashboard.json")
INTERVAL = 15  # seconds between two samples
BEFORE, AFTER = 60, 80  # samples before the fault and after it
FIRED = 'count by (alertname) (max_over_time(ALERTS{alertstate="firing"}[20m]))'

needs_promtool = pytest.mark.skipif(
    not shutil.which("promtool"), reason="no promtool: tools/install-deps metrics"
)


def rules():
    """The rules by the names of their alerts."""
    with open(RULES, encoding="utf-8") as f:
        groups = yaml.safe_load(f)["groups"]
    listed = [rule for group in groups for rule in group["rules"]]
    assert len({rule["alert"] for rule in listed}) == len(listed)
    return {rule["alert"]: rule for rule in listed}


def panel_expressions():
    """(title, expression) of each query of the dashboard, with Grafana's variables replaced."""
    with open(DASHBOARD, encoding="utf-8") as f:
        panels = json.load(f)["panels"]
    for panel in panels:
        for target in panel.get("targets", []):
            expression = target["expr"].replace("$__rate_interval", "5m")
            yield panel["title"], expression.replace("$instance", ".*").replace("$job", "pregon")


def promtool(*arguments):
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False,
                          timeout=pregon.PATIENCE)


class Recording:
    """What Prometheus would store of the gateways of a system."""

    def __init__(self, system):
        self.system = system
        self.gateways = []
        self.scrapes = []  # {series: number}
        self.growing = set()  # series that continue to change as they did last

    def healthy(self, *gateways, where=()):
        """The state before the fault; everything that `where` names must hold."""
        self.gateways = gateways
        self.scrape(("pregon_broker_up", 1), *where)
        return self

    def scrape(self, *conditions):
        """Add a scrape of all gateways, once the first one's samples have these values.

        A condition is (metric, labels…, value), with a function or the number itself as value.
        """
        def holds(scrapes):
            told = scrapes[self.gateways[0].name]
            for *key, wanted in conditions:
                try:
                    number = told[tuple(key)]
                except KeyError:
                    return False
                if not (wanted(number) if callable(wanted) else number == wanted):
                    return False
            return True

        look = lambda: {g.name: metrics.of(g) if g.is_running else None  # noqa: E731
                        for g in self.gateways}
        found = pregon.eventually(look, holds if conditions else lambda s: True, str(conditions))
        self.scrapes.append({})
        for name, told in found.items():
            self._keep(name, told)
        return found

    def _keep(self, instance, told):
        where = f'job="pregon",instance="{instance}"'
        scrape = self.scrapes[-1]
        scrape[f"up{{{where}}}"] = int(told is not None)
        for family in told.families.values() if told else ():
            for (suffix, labels), number in family.samples.items():
                pairs = "".join(f',{k}="{v}"' for k, v in labels)
                series = f"{family.name}{suffix}{{{where}{pairs}}}"
                scrape[series] = number
                if family.type != "gauge" or family.name.endswith(("lag_seconds", "position")):
                    self.growing.add(series)

    def values(self, series):
        """promtool's notation: the healthy value, the scrapes, then more of what changed last."""
        seen = [scrape.get(series) for scrape in self.scrapes]
        text, last = [], None
        for count, number in zip([BEFORE + 1] + [1] * len(seen), seen):
            one = "_" if number is None and last is None else "stale" if number is None else number
            text += [str(one)] * count
            last = number
        step = 0
        if series in self.growing and len(seen) > 2 and None not in seen[-2:]:
            step = max(seen[-1] - seen[-2], 0)
        for i in range(1, AFTER + 1):
            text.append("_" if last is None else str(round(last + step * i, 6)))
        return " ".join(text)

    def evaluate(self, *tests):
        """Run promtool over the series; what differs from the tests: {expression@seconds: text}."""
        used = set(re.findall(r"\w+", " ".join(t["expr"] for t in tests)))
        used |= {name for rule in rules().values() for name in re.findall(r"\w+", rule["expr"])}
        names = sorted({s for scrape in self.scrapes for s in scrape if s.split("{")[0] in used})
        series = [{"series": name, "values": self.values(name)} for name in names]
        path = self.system.path("alerts.test.yml", json.dumps({
            "rule_files": [RULES], "evaluation_interval": f"{INTERVAL}s",
            "tests": [{"interval": f"{INTERVAL}s", "input_series": series,
                       "promql_expr_test": tests}]}))
        done = promtool("test", "rules", path)
        said = done.stdout + done.stderr
        found = re.findall(r'expr: "(.*)", time: (\S+),\s+exp:.*\s+got:(.*)', said)
        assert done.returncode == (1 if found else 0), said
        return {(json.loads(f'"{expr}"'), at): got for expr, at, got in found}

    def firing(self):
        """The alerts that the fault fires; fails if one fires before it."""
        end = INTERVAL * (BEFORE + len(self.scrapes) + AFTER - 1)
        # promtool shows what it got only where it expected something else.
        differs = self.evaluate(
            {"expr": FIRED, "eval_time": f"{INTERVAL * BEFORE}s", "exp_samples": []},
            {"expr": FIRED, "eval_time": f"{end}s", "exp_samples": [{"labels": "x", "value": 1}]})
        assert len(differs) == 1, differs
        return set(re.findall(r'alertname="(\w+)"', *differs.values()))

    def without_data(self, expressions):
        """The expressions that select none of the series."""
        absent = [{"expr": f"absent({e})", "eval_time": f"{INTERVAL * BEFORE}s", "exp_samples": []}
                  for e in expressions]
        return {expr for expr, _ in self.evaluate(*absent)}
