"""Reads Prometheus' text format 0.0.4 strictly: any deviation from the format is an error.

    told = metrics.of(gateway)
    told["pregon_refusals_total", "origin_not_allowed"]   # a sample, by the values of its labels
    told.families["pregon_ready"].type
"""

import dataclasses
import re

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
HELP = re.compile(rf"# HELP ({NAME.pattern}) (\S.*\.)")
TYPE = re.compile(rf"# TYPE ({NAME.pattern}) (counter|gauge|histogram)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\\\|\\"|\\n)*)"(,?)')
SAMPLE = re.compile(rf"({NAME.pattern})(?:\{{(.+)\}})? ([0-9]+(?:\.[0-9]+)?)")
UNITS = ("_seconds", "_bytes", "_fds")


@dataclasses.dataclass
class Family:
    name: str
    help: str
    type: str = None
    samples: dict = dataclasses.field(default_factory=dict)  # (suffix, labels) -> number

    @property
    def labels(self):
        """The names of its labels, without a histogram's own."""
        return {k for _, labels in self.samples for k, _ in labels} - {"le"}


class Metrics:
    def __init__(self, text):
        self.text = text
        self.families = parse(text)

    def __getitem__(self, key):
        name, *values = key if isinstance(key, tuple) else (key,)
        family, suffix = self.families.get(name), ""
        if not family:
            name, _, suffix = name.rpartition("_")
            family, suffix = self.families[name], "_" + suffix
        for (s, labels), number in family.samples.items():
            if s == suffix and [v for _, v in labels] == values:
                return number
        raise KeyError(key)

    def __contains__(self, name):
        return name in self.families


def of(gateway):
    answer = gateway.get("/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Metrics(answer.body.decode())


def labels_of(text):
    labels, at = [], 0
    while at < len(text or ""):
        m = LABEL.match(text, at)
        assert m, text
        at = m.end()
        assert bool(m[3]) == (at < len(text)), text
        labels.append((m[1], re.sub(r"\\(.)", lambda e: "\n" if e[1] == "n" else e[1], m[2])))
    assert len({k for k, _ in labels}) == len(labels), text
    return tuple(labels)


def parse(text):
    """Families by name; each is checked."""
    assert text.endswith("\n") and "\n\n" not in text
    families, family = {}, None
    for line in text.splitlines():
        if m := HELP.fullmatch(line):
            assert m[1] not in families, f"{m[1]} is told twice"
            family = families[m[1]] = Family(m[1], m[2])
        elif m := TYPE.fullmatch(line):
            assert m[1] == family.name and family.type is None and not family.samples, line
            family.type = m[2]
        else:
            m = SAMPLE.fullmatch(line)
            assert m, line
            assert m[1].startswith(family.name) and family.type, line
            suffix = m[1][len(family.name):]
            key = suffix, labels_of(m[2])
            assert key not in family.samples, line
            family.samples[key] = float(m[3]) if "." in m[3] else int(m[3])
    for family in families.values():
        judge(family)
    return families


def judge(family):
    name = family.name
    assert name.startswith("pregon_") or name.startswith("process_"), name
    assert (family.type == "counter") == name.endswith("_total"), name
    if family.type == "histogram":
        judge_histogram(family)
        return
    for suffix, labels in family.samples:
        assert not suffix and "le" not in dict(labels), name
    assert len({tuple(k for k, _ in labels) for _, labels in family.samples}) <= 1, name


def judge_histogram(family):
    series = {tuple(p for p in labels if p[0] != "le") for _, labels in family.samples}
    for one in series:
        buckets = [(labels[-1], n) for (suffix, labels), n in family.samples.items()
                   if suffix == "_bucket" and labels[:-1] == one]
        assert all(label == "le" for (label, _), _ in buckets)
        bounds = [float(bound) for (_, bound), _ in buckets]
        counts = [n for _, n in buckets]
        assert bounds == sorted(set(bounds)) and bounds[-1] == float("inf"), family.name
        assert counts == sorted(counts), family.name
        assert counts[-1] == family.samples["_count", one]
        assert ("_sum", one) in family.samples
    assert {suffix for suffix, _ in family.samples} == {"_bucket", "_sum", "_count"}
