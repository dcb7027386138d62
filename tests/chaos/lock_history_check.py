"""Checks whether all observations of the callers of the lock service are consistent.

Every call is one entry of the history: the owner and its request, the time before it was sent,
the time after it was answered (None: never), and the answer; all times on one monotonic clock.
The check uses the promises of docs/protocol/locks.md and knows nothing of the broker. All times
are in seconds, except members of messages, whose names end in _ms.
"""

import bisect
import collections
import dataclasses
import json

FOREVER = float("inf")
PLACE = 10.0  # seconds that the broker keeps a place in the queue after the owner's last request
SLACK = 0.5  # of these, for a request that is on its way


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
    until: float = 0.0  # the latest end that the broker answered
    begins: float = FOREVER  # when the owner knows of the grant
    released: float = FOREVER  # when the owner released the lock
    broken: float = FOREVER  # when an operator may have ended the grant
    delay: float = 0.0
    calls: list = dataclasses.field(default_factory=list)

    @property
    def ends(self):
        """Until when the owner may believe that it holds the lock."""
        return min(self.until, self.released, self.broken)

    def grant_again(self, call):
        """The newest answer counts: a repeated request may also shorten the time."""
        self.until = call.lasts_until
        self.delay = call.request.get("delay_ms", 0) / 1000
        self.calls.append(call)

    def lose_answer(self, call):
        """A repeated request without an answer: use the shorter time."""
        self.until = min(self.until, call.sent + call.request.get("ttl_ms", 0) / 1000)
        self.delay = min(self.delay, call.request.get("delay_ms", 0) / 1000)
        self.calls.append(call)

    def end_or_renew(self, call):
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
        """Read the file of a client: a line before each request and one after each answer."""
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
            g.grant_again(call)
        elif call.op == "lock":
            g = current.get((call.name, call.owner))
            if g:
                g.lose_answer(call)
        else:
            g = grants.get((call.name, call.request.get("token")))
            if g:
                g.end_or_renew(call)
    return grants, faults


def by_lock(grants):
    table = collections.defaultdict(list)
    for g in grants.values():
        table[g.name].append(g)
    for several in table.values():
        several.sort(key=lambda g: g.token)
    return table


def check_holders(table):
    """A lock has one holder at a time, and the delay passes after a holder that did not release."""
    for several in table.values():
        for a, b in zip(several, several[1:]):
            if b.begins < min(a.ends, b.ends):
                yield Fault("two holders", f"{a.owner} holds until {a.ends:.3f}, {b.owner} from "
                            f"{b.begins:.3f}", a.calls + [b.first])
            elif a.released == FOREVER and a.broken == FOREVER and b.begins < a.until + a.delay:
                yield Fault("delay", f"closed until {a.until + a.delay:.3f}, {b.owner} has it at "
                            f"{b.begins:.3f}", a.calls + [b.first])


def check_tokens(grants):
    """A request that is sent after a token was granted gets a larger token, for any lock."""
    by_answer = sorted(grants.values(), key=lambda g: g.first.answered)
    moments, largest, owners = [], [], []
    for g in by_answer:
        moments.append(g.first.answered)
        best = g if not owners or g.token > owners[-1].token else owners[-1]
        owners.append(best)
        largest.append(best.token)
    seen = {}
    for g in by_answer:
        if seen.setdefault(g.token, g) is not g:
            yield Fault("token", "one token for two locks", [seen[g.token].first, g.first])
        if not g.first.answer.get("is_new"):
            continue
        i = bisect.bisect_left(moments, g.first.sent) - 1
        if i >= 0 and largest[i] > g.token:
            yield Fault("token", "tokens do not rise", [owners[i].first, g.first])


def check_early_ends(history, grants):
    """The broker does not end a grant before its time, unless its owner or an operator ended it."""
    for call in history.calls:
        if call.op != "renew" or not call.answer or call.answer.get("error") != "stale":
            continue
        g = grants.get((call.name, call.request["token"]))
        if g and call.owner == g.owner and call.answered < g.ends:
            yield Fault("early", f"over before {g.ends:.3f}", g.calls + [call])


def check_values(history):
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
        yield from check_reads(history, name, several)


def check_reads(history, name, puts):
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
    """An owner requests one lock again and again, and the broker answers every request."""

    requests: list

    def spans(self):
        """(since when the owner knows its place, the answer that proves that it still waited)"""
        known = self.requests[0].answered
        for before, request in zip(self.requests, self.requests[1:]):
            if request.sent - before.sent > PLACE - SLACK:
                return
            yield known, request


def sessions_of(history):
    """The requests of each owner for each lock, in order."""
    sessions = collections.defaultdict(list)
    for call in sorted(history.calls, key=lambda c: c.sent):
        if call.op in ("lock", "lock_cancel"):
            sessions[call.owner, call.name].append(call)
    return sessions.values()


def first_requests_of(sessions):
    """For each grant: since when its owner may have had a place in the queue. Requests whose
    answer was lost count too."""
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
        requests = []
        for call in calls:
            if call.is_held:
                requests.append(call)
                continue
            if call.is_granted and call.answer.get("is_new"):
                requests.append(call)
            if requests:
                yield Wait(requests)
            requests = []
        if requests:
            yield Wait(requests)


def check_queue_order(history, grants):
    """The broker does not serve an owner that joined the queue later before an earlier one."""
    sessions = sessions_of(history)
    first_requested = first_requests_of(sessions)
    table = by_lock(grants)
    for w in waits_of(sessions):
        name = w.requests[0].name
        known_since = w.requests[0].answered
        later = [g for g in table[name] if first_requested.get((name, g.token), 0) > known_since]
        for known, request in w.spans():
            if history.is_killed_within(w.requests[0].sent, request.answered):
                break  # a restart of the broker empties the queue
            for g in later:
                overtakes = not request.is_granted or g.token < request.answer["token"]
                is_other = g.owner != request.owner
                if known < g.first.answered < request.sent and overtakes and is_other:
                    yield Fault("line", f"{g.owner} is in the queue since "
                                f"{first_requested[name, g.token]:.3f} and was served first",
                                w.requests + [g.first])
                    break


def check(history):
    """{rule: [Fault, …]}; empty if no rule is broken."""
    grants, faults = grants_of(history)
    table = by_lock(grants)
    faults += check_holders(table)
    faults += check_tokens(grants)
    faults += check_early_ends(history, grants)
    faults += check_values(history)
    faults += check_queue_order(history, grants)
    found = collections.defaultdict(list)
    for fault in faults:
        found[fault.rule].append(fault)
    return dict(found)
