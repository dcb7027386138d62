"""Checks whether everything that callers of the lock service observed is possible together.

Every call is one entry of the history: the owner and its request, the time before it was sent,
the time after it was answered (None: never), and the answer; all times on one monotonic clock.
The check knows the promises of docs/protocol/locks.md and nothing of the broker.  Seconds
everywhere, but for members of the wire, which are named …_ms.
"""

import bisect
import collections
import dataclasses
import json

FOREVER = float("inf")
PLACE = 10.0  # seconds a place is kept after its owner last asked
SLACK = 0.5  # of these, for a question under way


@dataclasses.dataclass
class Call:
    owner: str
    op: str
    name: str
    sent: float
    answered: float = None
    answer: dict = None
    request: dict = dataclasses.field(default_factory=dict)

    @property
    def is_granted(self):
        return self.op == "lock" and self.answer is not None and "error" not in self.answer

    @property
    def is_held(self):
        return self.op == "lock" and self.answer is not None and self.answer.get("error") == "held"

    @property
    def is_good(self):
        return self.answer is not None and "error" not in self.answer

    @property
    def lasts_until(self):
        """By the holder's own clock, from before its request."""
        ms = self.answer.get("waited_ms", 0) + self.answer["expires_ms"]
        return self.sent + ms / 1000

    def __str__(self):
        when = "never" if self.answered is None else f"{self.answered:.3f}"
        said = {k: v for k, v in (self.answer or {}).items() if k not in ("re", "id", "message")}
        return (
            f"{self.sent:.3f}…{when} {self.owner}: {self.op} {self.name} {self.request} -> {said}"
        )


@dataclasses.dataclass
class Grant:
    """One token of one owner, as far as the owner knows."""

    name: str
    owner: str
    token: int
    first: Call
    until: float = 0.0  # the latest end it was told
    begins: float = FOREVER  # it knows
    released: float = FOREVER  # it gave it up
    broken: float = FOREVER  # an operator may have ended it
    delay: float = 0.0
    calls: list = dataclasses.field(default_factory=list)

    @property
    def ends(self):
        """Until when the owner may believe that it holds the lock."""
        return min(self.until, self.released, self.broken)

    def take(self, call):
        """The newest answer counts: a repeated request may also shorten the time."""
        self.until = call.lasts_until
        self.delay = call.request.get("delay_ms", 0) / 1000
        self.calls.append(call)

    def doubt(self, call):
        """A repeated request without an answer: use the shorter time."""
        self.until = min(self.until, call.sent + call.request.get("ttl_ms", 0) / 1000)
        self.delay = min(self.delay, call.request.get("delay_ms", 0) / 1000)
        self.calls.append(call)

    def hear(self, call):
        if call.op == "renew" and call.is_good:
            self.until = call.sent + call.answer["expires_ms"] / 1000
        elif call.op == "release":
            self.released = min(self.released, call.sent)
        elif call.op == "lock_break":
            self.broken = min(self.broken, call.sent)
        else:
            return
        self.calls.append(call)


@dataclasses.dataclass
class Fault:
    rule: str
    text: str
    calls: list

    def __str__(self):
        return "\n  ".join([f"{self.rule}: {self.text}"] + [str(c) for c in self.calls])


class History:
    def __init__(self):
        self.calls = []
        self.kills = []  # (before, after) of the broker's ends and new starts

    def read(self, path):
        """What a client wrote: a line before each question, one after each answer."""
        under_way = {}
        with open(path, encoding="utf-8") as f:
            for line in f:
                if not line.endswith("\n"):
                    break  # killed while it wrote
                entry = json.loads(line)
                number = entry.pop("n")
                if "answered" in entry:
                    call = under_way.pop(number)
                    call.answered, call.answer = entry["answered"], entry["answer"]
                else:
                    under_way[number] = Call(**entry)
                    self.calls.append(under_way[number])

    def is_killed_within(self, begin, end):
        return any(k[0] <= end and k[1] >= begin for k in self.kills)


def grants_of(history):
    """By (name, token).  A token that two owners have is a fault already."""
    grants, faults, current = {}, [], {}
    for call in sorted(history.calls, key=lambda c: c.sent):
        if call.is_granted:
            key = (call.name, call.answer["token"])
            g = grants.setdefault(key, Grant(call.name, call.owner, key[1], call))
            current[call.name, call.owner] = g
            if g.owner != call.owner:
                faults.append(Fault("token", "two owners have one token", [g.first, call]))
            g.begins = min(g.begins, call.answered)
            g.take(call)
        elif call.op == "lock":
            g = current.get((call.name, call.owner))
            if g:
                g.doubt(call)
        else:
            g = grants.get((call.name, call.request.get("token")))
            if g:
                g.hear(call)
    return grants, faults


def by_lock(grants):
    table = collections.defaultdict(list)
    for g in grants.values():
        table[g.name].append(g)
    for several in table.values():
        several.sort(key=lambda g: g.token)
    return table


def judge_holders(table):
    """One holder at a time; and after one that did not release, the delay."""
    for several in table.values():
        for a, b in zip(several, several[1:]):
            if b.begins < min(a.ends, b.ends):
                yield Fault("two holders", f"{a.owner} holds until {a.ends:.3f}, {b.owner} from "
                            f"{b.begins:.3f}", a.calls + [b.first])
            elif a.released == FOREVER and a.broken == FOREVER and b.begins < a.until + a.delay:
                yield Fault("delay", f"closed until {a.until + a.delay:.3f}, {b.owner} has it at "
                            f"{b.begins:.3f}", a.calls + [b.first])


def judge_tokens(grants):
    """A request after a token was granted gets a larger token, of whatever lock."""
    told = sorted(grants.values(), key=lambda g: g.first.answered)
    moments, largest, owners = [], [], []
    for g in told:
        moments.append(g.first.answered)
        best = g if not owners or g.token > owners[-1].token else owners[-1]
        owners.append(best)
        largest.append(best.token)
    seen = {}
    for g in told:
        if seen.setdefault(g.token, g) is not g:
            yield Fault("token", "one token for two locks", [seen[g.token].first, g.first])
        if not g.first.answer.get("is_new"):
            continue
        i = bisect.bisect_left(moments, g.first.sent) - 1
        if i >= 0 and largest[i] > g.token:
            yield Fault("token", "tokens do not rise", [owners[i].first, g.first])


def judge_early_ends(history, grants):
    """No holder is told before its time that its grant ended, unless an owner or operator ended
    it."""
    for call in history.calls:
        if call.op != "renew" or not call.answer or call.answer.get("error") != "stale":
            continue
        g = grants.get((call.name, call.request["token"]))
        if g and call.owner == g.owner and call.answered < g.ends:
            yield Fault("early", f"over before {g.ends:.3f}", g.calls + [call])


def judge_values(history):
    puts = collections.defaultdict(list)
    for call in history.calls:
        if call.op == "value_put" and call.is_good:
            puts[call.name].append(call)
    for name, several in puts.items():
        several.sort(key=lambda c: c.answer["version"])
        for a, b in zip(several, several[1:]):
            if a.answer["version"] == b.answer["version"]:
                yield Fault("value", "two puts are one version", [a, b])
            elif b.request["token"] < a.request["token"]:
                yield Fault("fence", "an older token put after a newer one", [a, b])
            elif b.answered < a.sent:
                yield Fault("value", "versions go back: a stored put was lost", [b, a])
        yield from judge_reads(history, name, several)


def judge_reads(history, name, puts):
    content = {p.answer["version"]: p for p in puts}
    for call in history.calls:
        if call.op != "value_get" or call.name != name or not call.is_good:
            continue
        version = call.answer["version"]
        before = [p for p in puts if p.answered < call.sent]
        if before and version < before[-1].answer["version"]:
            yield Fault("value", "a stored value was not there", [before[-1], call])
        put = content.get(version)
        if put and put.request["value"] != call.answer["value"]:
            yield Fault("value", "another value than was put", [put, call])


@dataclasses.dataclass
class Wait:
    """One owner asks for one lock without a break, and every question is answered."""

    asks: list

    def spans(self):
        """(from when its place is known, the answer that proves it still waited)"""
        known = self.asks[0].answered
        for before, ask in zip(self.asks, self.asks[1:]):
            if ask.sent - before.sent > PLACE - SLACK:
                return
            yield known, ask


def sessions_of(history):
    """What each owner asked about each lock, in order."""
    sessions = collections.defaultdict(list)
    for call in sorted(history.calls, key=lambda c: c.sent):
        if call.op in ("lock", "lock_cancel"):
            sessions[call.owner, call.name].append(call)
    return sessions.values()


def first_asked_of(sessions):
    """Of each grant: since when its owner may have had a place, questions that were lost
    included."""
    table = {}
    for calls in sessions:
        begun = last = None
        for call in calls:
            if begun is None or call.sent - last > PLACE + SLACK:
                begun = call.sent
            last = call.sent
            if call.is_granted and call.answer.get("is_new"):
                table[call.name, call.answer["token"]] = begun
            if call.is_granted or (call.op == "lock_cancel" and call.is_good):
                begun = None
    return table


def waits_of(sessions):
    for calls in sessions:
        asks = []
        for call in calls:
            if call.is_held:
                asks.append(call)
                continue
            if call.is_granted and call.answer.get("is_new"):
                asks.append(call)
            if asks:
                yield Wait(asks)
            asks = []
        if asks:
            yield Wait(asks)


def judge_lines(history, grants):
    """An owner that joined the line later, and knew so, is not served first."""
    sessions = sessions_of(history)
    first_asked = first_asked_of(sessions)
    table = by_lock(grants)
    for w in waits_of(sessions):
        name = w.asks[0].name
        later = [g for g in table[name] if first_asked.get((name, g.token), 0) > w.asks[0].answered]
        for known, ask in w.spans():
            if history.is_killed_within(w.asks[0].sent, ask.answered):
                break  # lines end with the broker
            for g in later:
                overtakes = not ask.is_granted or g.token < ask.answer["token"]
                if known < g.first.answered < ask.sent and overtakes and g.owner != ask.owner:
                    yield Fault("line", f"{g.owner} asked from "
                                f"{first_asked[name, g.token]:.3f} and was served first",
                                w.asks + [g.first])
                    break


def judge(history):
    """{rule: [Fault, …]}; empty if no rule is broken."""
    grants, faults = grants_of(history)
    table = by_lock(grants)
    faults += judge_holders(table)
    faults += judge_tokens(grants)
    faults += judge_early_ends(history, grants)
    faults += judge_values(history)
    faults += judge_lines(history, grants)
    found = collections.defaultdict(list)
    for fault in faults:
        found[fault.rule].append(fault)
    return dict(found)
